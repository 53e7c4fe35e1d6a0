"""Server object handles: [MS-OXCROPS] 3.2.5.1. Each belongs to one session and means nothing to another."""

from __future__ import annotations

from typing import TypeVar

from openchange_py.servers.emsmdb.objects.base import ServerObject
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError

#: What stands in a handle table where there is no object.
NO_HANDLE = 0xFFFFFFFF

#: Open objects that one session may hold; a client that forgets RopRelease is stopped here. Exchange stops it at 250
#: messages, and 500 objects of other kinds.
MAXIMUM_OBJECTS = 2048
#: Bytes of memory that the heavy ones among them may keep together. A single one may keep more.
MAXIMUM_WEIGHT = 64 << 20
#: What weighs less is not counted.
_LIGHT = 4096

K = TypeVar("K", bound=ServerObject)


class HandleTable:
    """The objects that a session has open, by handle."""

    def __init__(self, maximum: int = MAXIMUM_OBJECTS) -> None:
        self._objects: dict[int, ServerObject] = {}
        self._next = 1
        self._maximum = maximum

    def __len__(self) -> int:
        return len(self._objects)

    def add(self, value: ServerObject) -> int:
        """A fresh handle; `OutOfResources` past the limit."""
        if len(self._objects) >= self._maximum:
            raise MapiError(ErrorCode.OutOfResources, f"{self._maximum} objects are open in this session")
        self._weigh(value)
        handle = self._next
        self._next = handle % (NO_HANDLE - 1) + 1
        while self._next in self._objects:
            self._next = self._next % (NO_HANDLE - 1) + 1
        self._objects[handle] = value
        return handle

    def _weigh(self, value: ServerObject) -> None:
        if value.weight <= _LIGHT:
            return
        held = self._held()
        if held and held + value.weight > MAXIMUM_WEIGHT:
            raise MapiError(ErrorCode.OutOfResources, f"open objects keep {held} bytes")

    def check_weight(self) -> None:
        """Before an object that is open takes more memory: `OutOfResources` where all of them keep too much."""
        if (held := self._held()) > MAXIMUM_WEIGHT:
            raise MapiError(ErrorCode.OutOfResources, f"open objects keep {held} bytes")

    def _held(self) -> int:
        return sum(weight for value in self._objects.values() if (weight := value.weight) > _LIGHT)

    def find(self, handle: int, kind: type[K] | tuple[type[K], ...], wrong: ErrorCode = ErrorCode.NotSupported) -> K:
        """The object of a handle; `NullObject` where there is none, `wrong` where it's of another kind."""
        value = self._objects.get(handle)
        if value is None:
            raise MapiError(ErrorCode.NullObject, f"no object has handle 0x{handle:08x}")
        if not isinstance(value, kind):
            raise MapiError(wrong, f"a {type(value).__name__} can't do this")
        return value

    def release(self, handle: int) -> None:
        """Close an object. A logon takes everything opened under it along."""
        value = self._objects.pop(handle, None)
        if value is None:
            return
        closed = [value]
        if value.logon is value:
            closed += [other for other in self._objects.values() if other.logon is value]
            self._objects = {h: o for h, o in self._objects.items() if o.logon is not value}
        for one in closed:
            one.close()

    def replace_logon(self, logon_id: int, new: ServerObject) -> None:
        """Close the other logon of that LogonId, where there is one: [MS-OXCROPS] 2.2.3.1.1."""
        for handle, value in list(self._objects.items()):
            logon = value.logon
            if logon is value and logon is not new and logon.logon_id == logon_id:
                self.release(handle)

    def clear(self) -> None:
        """Close everything."""
        closed, self._objects = self._objects, {}
        for value in closed.values():
            value.close()

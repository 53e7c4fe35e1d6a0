"""Handlers, one per ROP, each registered where it stands, in the file of the ROP's document."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Final, TypeAlias, TypeVar

from openchange_py.servers.emsmdb.handles import NO_HANDLE
from openchange_py.servers.emsmdb.objects.base import ServerObject
from openchange_py.servers.emsmdb.objects.folder_tables import FolderTable
from openchange_py.servers.emsmdb.objects.subscription import SubscriptionObject
from openchange_py.servers.emsmdb.session import EmsmdbSession
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.rop.base import RopRequest, RopResponse

K = TypeVar("K", bound=ServerObject)
Q = TypeVar("Q", bound=RopRequest)

#: What most documents answer for an object of a kind that the ROP is not for; [MS-OXCMSG] says NullObject.
_WRONG: Final = ErrorCode.NotSupported


#: Objects that hear of events.
FollowedObject: TypeAlias = FolderTable | SubscriptionObject


@dataclasses.dataclass(slots=True)
class RopCall:
    """One ROP being executed: its session, the buffer's handle table, and the bytes that its response may take."""

    session: EmsmdbSession
    handles: list[int]
    space: int
    #: Where in the handle table it put an object that it opened.
    opened: int | None = None

    def handle_at(self, index: int) -> int:
        """The handle at an index of the table; `NullObject` outside of it."""
        if index >= len(self.handles):
            raise MapiError(ErrorCode.NullObject, f"handle index {index} in a table of {len(self.handles)}")
        return self.handles[index]

    def object(self, request: RopRequest, kind: type[K] | tuple[type[K], ...], *, wrong: ErrorCode = _WRONG) -> K:
        """The object that the request acts on; `wrong` where it is of another kind."""
        return self.session.objects.find(self.handle_at(request.input_handle_index), kind, wrong)

    def open(self, index: int, value: ServerObject) -> None:
        """Give a new object a handle, and put that into the table at `index`."""
        self.handle_at(index)
        self.handles[index] = self.session.objects.add(value)
        self.opened = index

    def follow(self, index: int, target: FollowedObject) -> None:
        """Open it, and have it told of what happens in its mailbox."""
        self.open(index, target)
        self.session.notifications.follow(self.handles[index], target, self.session.store)

    def undo(self) -> None:
        """Release what the ROP opened: the client will not hear of it."""
        if self.opened is not None:
            self.close(self.opened)

    def close(self, index: int) -> None:
        """Release the object at an index, where there is one; the table then says so."""
        if index < len(self.handles):
            self.session.objects.release(self.handles[index])
            self.handles[index] = NO_HANDLE


Handler = Callable[[RopCall, Any], RopResponse]

HANDLERS: Final[dict[int, Handler]] = {}


def handles(
    kind: type[Q],
) -> Callable[[Callable[[RopCall, Q], RopResponse]], Callable[[RopCall, Q], RopResponse]]:
    """Register the function as the handler of that request's ROP. It raises `MapiError` to fail."""

    def register(
        handler: Callable[[RopCall, Q], RopResponse],
    ) -> Callable[[RopCall, Q], RopResponse]:
        if kind.rop_id in HANDLERS:
            raise TypeError(f"{kind.__name__} has a handler already")
        HANDLERS[kind.rop_id] = handler
        return handler

    return register

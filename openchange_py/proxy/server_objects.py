"""The server objects of a ROP session, as a module sees them come and go: which handle is what, opened from what.

ROPs name objects by an index into the call's handle table, and the handles in it are numbers of the server's. A module
that asks what RopReadStream reads from wants neither: `rop.object.opened_by` is the RopOpenStreamRequest,
`rop.object.parent.opened_by` the RopOpenMessageRequest before it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Final

from openchange_py.wire.rop.base import RopRequest, RopResponse
from openchange_py.wire.rop.context import NO_HANDLE

#: Far more than servers let a session keep open; the oldest is forgotten then.
MAXIMUM_OBJECTS: Final = 65536


@dataclasses.dataclass(eq=False, slots=True)
class ServerObject:
    """One object: `opened_by` made it, acting on `parent` (None for a logon, or where its opening was not seen)."""

    opened_by: RopRequest
    parent: ServerObject | None
    #: None as long as the response is not there.
    handle: int | None = None
    #: The response to `opened_by`.
    opening: RopResponse | None = None
    #: The module's own.
    data: dict[Any, Any] = dataclasses.field(default_factory=dict)

    def ancestor(self, *openers: type[RopRequest]) -> ServerObject | None:
        """This object, or the nearest that it was opened from, which one of these ROPs made."""
        found: ServerObject | None = self
        while found is not None and not isinstance(found.opened_by, openers):
            found = found.parent
        return found


class ServerObjects:
    """The objects of one ROP session, by handle."""

    def __init__(self) -> None:
        self._known: dict[int, ServerObject] = {}
        #: Every ROP of the session was understood so far: nothing was done to its objects that hooks didn't see.
        self.is_complete = True

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[ServerObject]:
        return iter(list(self._known.values()))

    def find(self, handle: int) -> ServerObject | None:
        """The object of a handle; None for one whose opening was not seen."""
        return self._known.get(handle)

    def add(self, found: ServerObject) -> None:
        """An object got its handle; whatever had that handle before is gone."""
        if found.handle is None or found.handle == NO_HANDLE:
            return
        self._known.pop(found.handle, None)
        if len(self._known) >= MAXIMUM_OBJECTS:
            del self._known[next(iter(self._known))]
        self._known[found.handle] = found

    def forget(self, handle: int) -> None:
        """The object was released; what was opened from it lives on."""
        self._known.pop(handle, None)

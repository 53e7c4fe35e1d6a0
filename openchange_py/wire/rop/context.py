"""What a session must remember so that its ROP buffers can be decoded.

A RopQueryRows row has no meaning without the columns set on that table before, a RopReadRecipients row none without
the columns that RopOpenMessage told, and some fields are there or not by whether the logon is private or public.
Who decodes the buffers of a session, the proxy or a client, keeps one `HandleStates` for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.oxcdata.properties import PropertyTag

if TYPE_CHECKING:
    from openchange_py.wire.rop.base import RopRequest

Q = TypeVar("Q", bound="RopRequest")

#: In a handle table: no object. [MS-OXCROPS] 2.2.1.
NO_HANDLE: Final = 0xFFFFFFFF


class MissingContext(DecodeError):
    """The bytes may be right, but what they mean depends on something that was not seen."""


@dataclasses.dataclass(slots=True)
class HandleState:
    """What is known of one server object."""

    #: Columns of a table: RopSetColumns.
    columns: Sequence[PropertyTag] | None = None
    #: Columns of a message's recipient rows: RopOpenMessage, RopOpenEmbeddedMessage, RopReloadCachedInformation.
    recipient_columns: Sequence[PropertyTag] | None = None


class HandleStates:
    """What is known of one session's server objects, by handle, and of its logons, by LogonId."""

    __slots__ = ("handles", "public_logons")

    def __init__(self) -> None:
        self.handles: dict[int, HandleState] = {}
        self.public_logons: set[int] = set()

    def state(self, handle: int) -> HandleState:
        """The state of a handle, made where there was none."""
        return self.handles.setdefault(handle, HandleState())

    def columns(self, handle: int) -> Sequence[PropertyTag] | None:
        """The columns set on a table."""
        state = self.handles.get(handle)
        return None if state is None else state.columns

    def forget(self, handle: int) -> None:
        """The object was released, or the handle is another object's now."""
        self.handles.pop(handle, None)


class RopContext:
    """Where in a session a ROP stands.

    `handles` is the handle table as it is when the ROP runs; `request` is None while a request is read.
    """

    __slots__ = ("handles", "public_logons", "request", "states")

    def __init__(self, states: HandleStates, handles: list[int] | None = None) -> None:
        self.states = states
        self.handles = handles if handles is not None else []
        self.request: RopRequest | None = None
        self.public_logons = states.public_logons

    def answered(self, kind: type[Q]) -> Q:
        """The request that the response answers."""
        if not isinstance(self.request, kind):
            raise MissingContext(f"no {kind.__name__} known that this answers")
        return self.request

    def is_private(self, logon_id: int) -> bool:
        """Whether a LogonId is a private mailbox's; one that was never seen is taken as private."""
        return logon_id not in self.public_logons

    def set_logon(self, logon_id: int, private: bool) -> None:
        """A RopLogon of that kind was seen; in a request it counts for the rest of its buffer."""
        if self.request is not None:
            logons = self.states.public_logons
        elif self.public_logons is self.states.public_logons:
            logons = self.public_logons = set(self.public_logons)
        else:
            logons = self.public_logons
        if private:
            logons.discard(logon_id)
        else:
            logons.add(logon_id)

    def handle(self) -> int:
        """The handle of the object that the answered request acts on; raises `MissingContext`."""
        request = self.request
        if request is None:
            raise MissingContext("no request known that this answers")
        index = request.input_handle_index
        if index >= len(self.handles):
            raise MissingContext(f"handle index {index} outside of a table of {len(self.handles)}")
        return self.handles[index]

    def opened(self) -> int:
        """The handle of the object that the answered request made; raises `MissingContext`."""
        index = getattr(self.request, "output_handle_index", NO_HANDLE)
        if index >= len(self.handles):
            raise MissingContext("the handle of the new object is not in the handle table")
        return self.handles[index]

    def columns(self) -> Sequence[PropertyTag]:
        """The columns of the table that the answered request acts on; raises `MissingContext`."""
        columns = self.states.columns(self.handle())
        if columns is None:
            raise MissingContext(f"columns of table 0x{self.handle():08X} are not known")
        return columns

    def recipient_columns(self) -> Sequence[PropertyTag]:
        """The recipient columns of the message that the answered request acts on; raises `MissingContext`."""
        state = self.states.handles.get(self.handle())
        if state is None or state.recipient_columns is None:
            raise MissingContext(f"recipient columns of message 0x{self.handle():08X} are not known")
        return state.recipient_columns

"""What a connection tells its owner, in the order in which it happened on the wire."""

from __future__ import annotations

import dataclasses
import uuid
from typing import TYPE_CHECKING

from openchange_py.rpc.security import Identity, SecurityContext
from openchange_py.wire.ndr import NDR20, RpcInterface, SyntaxId
from openchange_py.wire.pdu import PresentationResult
from openchange_py.wire.syntax import NDR64

if TYPE_CHECKING:
    from openchange_py.rpc.protection import Protection


class Event:
    """Something that happened on a connection."""

    __slots__ = ()


@dataclasses.dataclass(frozen=True, slots=True)
class PresentationContext:
    """An interface that was negotiated, under the id that calls name it by."""

    context_id: int
    interface: RpcInterface
    transfer_syntax: SyntaxId

    @property
    def ndr64(self) -> bool:
        """Its stubs are NDR64, not NDR 2.0."""
        return self.transfer_syntax is not NDR20 and self.transfer_syntax == NDR64


@dataclasses.dataclass(frozen=True, slots=True)
class AuthTokenReceived(Event):
    """The peer's token is to be given to `context.step`, in a worker thread if it may block.

    The connection reads nothing more until `auth_result` told it the outcome.
    """

    context: SecurityContext
    token: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class GroupElsewhere(Event):
    """Acceptor: the first bind names an association group of another process (`rpc.share`), which is to have the
    connection with all that came on it. Nothing was answered, and nothing more is read here.
    """

    process: int


@dataclasses.dataclass(frozen=True, slots=True)
class Opened(Event):
    """Acceptor: calls can come now, from `identity`."""

    identity: Identity


@dataclasses.dataclass(slots=True)
class RequestReceived(Event):
    """Acceptor: a whole request, reassembled, verified and unsealed. It is answered with `send_response`."""

    call_id: int
    context: PresentationContext
    opnum: int
    stub: bytes
    caller: Identity
    object_uuid: uuid.UUID | None
    protection: Protection | None
    #: The stub's numbers are big-endian.
    big_endian: bool = False
    #: The client wants no answer (PFC_MAYBE).
    maybe: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class CallOrphaned(Event):
    """Acceptor: the client no longer wants the answer of this call."""

    call_id: int


@dataclasses.dataclass(frozen=True, slots=True)
class CallCancelled(Event):
    """Acceptor: the client asks that this call ends soon; it still gets its answer."""

    call_id: int


@dataclasses.dataclass(frozen=True, slots=True)
class BindCompleted(Event):
    """Initiator: bind or alter_context came through, authentication included. Results in the order proposed."""

    results: tuple[PresentationResult, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class BindRejected(Event):
    """Initiator: the server sent bind_nak."""

    reason: int


@dataclasses.dataclass(frozen=True, slots=True)
class ResponseReceived(Event):
    """Initiator: a whole response, reassembled, verified and unsealed."""

    call_id: int
    stub: bytes
    #: The stub's numbers are big-endian.
    big_endian: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class FaultReceived(Event):
    """Initiator: the call failed with this status. `executed` is false where the server says that it did not run."""

    call_id: int
    status: int
    executed: bool


@dataclasses.dataclass(frozen=True, slots=True)
class ConnectionEnded(Event):
    """Nothing more comes: send what `data_to_send` still holds, then close. The reason is for the log."""

    reason: str

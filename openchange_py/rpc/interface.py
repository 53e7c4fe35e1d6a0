"""Which interfaces a server offers, how a proposal for one is answered, and local servers that need no thread.

Presentation context negotiation: C706 12.6.3.1, [MS-RPCE] 3.3.1.5.3 (bind-time features) and 3.3.1.5.6. NDR 2.0 is
preferred wherever the client proposes it, as stubs pass in it as they come; NDR64 is for who insists.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.security import AuthLevel
from openchange_py.wire.ndr import NDR20, RpcInterface, SyntaxId
from openchange_py.wire.pdu import ContextResult, PresentationContextElement, PresentationResult, ProviderReason
from openchange_py.wire.syntax import (
    KEEP_CONNECTION_ON_ORPHAN,
    NDR64,
    NULL_SYNTAX,
    SECURITY_CONTEXT_MULTIPLEXING,
    bind_time_features,
)

#: What stubs may be in, the preferred one first.
TRANSFER_SYNTAXES: Final = (NDR20, NDR64)

MinimumLevel = Callable[[RpcInterface], AuthLevel]

#: The bind-time features that are negotiated where a client offers them.
SUPPORTED_FEATURES = SECURITY_CONTEXT_MULTIPLEXING | KEEP_CONNECTION_ON_ORPHAN


class OfferedInterfaces:
    """The interfaces of one server instance, in the order in which they were given."""

    def __init__(self, interfaces: Iterable[RpcInterface]) -> None:
        self._by_version: dict[tuple[uuid.UUID, int], RpcInterface] = {
            (interface.syntax.uuid, interface.syntax.major): interface for interface in interfaces
        }

    def __iter__(self) -> Iterator[RpcInterface]:
        return iter(self._by_version.values())

    def find(self, syntax: SyntaxId) -> RpcInterface | None:
        """The interface that serves a client's: same major version, at least its minor version (C706 6.1.1.2)."""
        found = self._by_version.get((syntax.uuid, syntax.major))
        return found if found is not None and found.syntax.minor >= syntax.minor else None

    def negotiate(self, element: PresentationContextElement) -> tuple[PresentationResult, RpcInterface | None]:
        """The answer to one proposed context, and the interface where it is accepted."""
        interface = self.find(element.abstract_syntax)
        if interface is None:
            return rejected(ProviderReason.ABSTRACT_SYNTAX_NOT_SUPPORTED), None
        for syntax in TRANSFER_SYNTAXES:
            if syntax in element.transfer_syntaxes:
                return PresentationResult(ContextResult.ACCEPTANCE, 0, syntax), interface
        return rejected(ProviderReason.PROPOSED_TRANSFER_SYNTAXES_NOT_SUPPORTED), None

    def features(self, element: PresentationContextElement) -> tuple[PresentationResult, int]:
        """The answer to offered bind-time features, and those that both sides have."""
        accepted = (bind_time_features(element.transfer_syntaxes[0]) or 0) & SUPPORTED_FEATURES
        return PresentationResult(ContextResult.NEGOTIATE_ACK, accepted, NULL_SYNTAX), accepted


def rejected(reason: ProviderReason) -> PresentationResult:
    """The answer to a proposed context that is not accepted."""
    return PresentationResult(ContextResult.PROVIDER_REJECTION, reason, NULL_SYNTAX)


class InlineServer(Protocol):
    """A server of one interface whose calls are so short that they need no worker thread."""

    name: str
    interface: RpcInterface

    def call(self, call: Call) -> None:
        """Answer by setting `call.response`; raises `RpcFault`."""

    def end_session(self, session: Session) -> None:
        """The session ended."""


class InlineHandler:
    """A `CallHandler` over servers that answer at once, such as the endpoint mapper."""

    def __init__(self, servers: Iterable[InlineServer]) -> None:
        self._servers = {server.interface.syntax: server for server in servers}

    def interfaces(self) -> list[RpcInterface]:
        """The servers' interfaces."""
        return [server.interface for server in self._servers.values()]

    async def handle(self, call: Call) -> bytes:
        """Let the interface's server answer."""
        server = self._servers.get(call.interface.syntax)
        if server is None:
            raise RpcFault(FaultStatus.UNKNOWN_INTERFACE, call.interface.name)
        server.call(call)
        return call.reply_bytes()

    async def unbind(self, session: Session) -> None:
        """Tell all servers."""
        for server in self._servers.values():
            server.end_session(session)

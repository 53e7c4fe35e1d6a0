"""Answers the remote management interface: C706 appendix Q. Stopping the server is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.wire.mgmt import (
    MGMT,
    InqIfIdsRequest,
    InqIfIdsResponse,
    InqPrincNameRequest,
    InqPrincNameResponse,
    InqStatsRequest,
    InqStatsResponse,
    IsServerListeningRequest,
    IsServerListeningResponse,
    StopServerListeningRequest,
    StopServerListeningResponse,
)
from openchange_py.wire.ndr import RpcInterface, RpcMessage

_ACCESS_DENIED: Final = 5
#: RPC_S_UNKNOWN_AUTHN_SERVICE.
_UNKNOWN_AUTHN_SERVICE: Final = 0x000006D3
#: RPC_S_STRING_TOO_LONG: the principal name does not fit the client's buffer.
_STRING_TOO_LONG: Final = 0x000006CF


@dataclasses.dataclass(slots=True)
class Statistics:
    """What a server counts. `packets_*` are reads and writes of its sockets."""

    calls: int = 0
    faults: int = 0
    packets_in: int = 0
    packets_out: int = 0


class MgmtServer:
    """The management interface of one server instance with the given interfaces.

    `principal_names`: the server's name by `AuthType`, for clients that authenticate it.
    """

    name = "mgmt"
    interface = MGMT

    def __init__(
        self,
        interfaces: Sequence[RpcInterface],
        statistics: Statistics,
        principal_names: Mapping[int, str] | None = None,
    ) -> None:
        self._interfaces = interfaces
        self._statistics = statistics
        self._principal_names = principal_names or {}

    def call(self, call: Call) -> None:
        """Answer one call."""
        handler = _HANDLERS.get(type(call.request))
        if handler is None:
            raise RpcFault(FaultStatus.OP_RANGE_ERROR, call.name)
        call.response = handler(self, call.request)

    def end_session(self, session: Session) -> None:
        """Nothing is kept per session."""

    def _inq_if_ids(self, request: InqIfIdsRequest) -> RpcMessage:
        return InqIfIdsResponse([*(interface.syntax for interface in self._interfaces), MGMT.syntax], 0)

    def _inq_stats(self, request: InqStatsRequest) -> RpcMessage:
        counted = self._statistics
        values = [counted.calls, counted.calls, counted.packets_in, counted.packets_out]
        return InqStatsResponse(values[: request.count], 0)

    def _is_server_listening(self, request: IsServerListeningRequest) -> RpcMessage:
        return IsServerListeningResponse(0, 1)

    def _stop_server_listening(self, request: StopServerListeningRequest) -> RpcMessage:
        return StopServerListeningResponse(_ACCESS_DENIED)

    def _inq_princ_name(self, request: InqPrincNameRequest) -> RpcMessage:
        name = self._principal_names.get(request.authn_proto)
        if name is None:
            return InqPrincNameResponse(b"", max(request.princ_name_size, 1), _UNKNOWN_AUTHN_SERVICE)
        raw = name.encode()
        if len(raw) >= request.princ_name_size:
            return InqPrincNameResponse(b"", max(request.princ_name_size, 1), _STRING_TOO_LONG)
        return InqPrincNameResponse(raw, request.princ_name_size, 0)


_HANDLERS: Final[dict[type[RpcMessage], Callable[[MgmtServer, Any], RpcMessage]]] = {
    InqIfIdsRequest: MgmtServer._inq_if_ids,
    InqStatsRequest: MgmtServer._inq_stats,
    IsServerListeningRequest: MgmtServer._is_server_listening,
    StopServerListeningRequest: MgmtServer._stop_server_listening,
    InqPrincNameRequest: MgmtServer._inq_princ_name,
}

"""Makes clients speak the protocol of Exchange 2000: EcDoConnect and EcDoRpc, whose ROP buffers are never compressed.

A client that gets a fault for EcDoConnectEx ([MS-OXCRPC] 3.1.4.1) tries EcDoConnect. It would go on trying to upgrade
where that tells of a newer server, so that the server's version is replaced as well. Who answers must know these calls,
which the document reserves: this program's own server does.
"""

from __future__ import annotations

from typing import Final

from openchange_py.proxy.hooks import Module
from openchange_py.rpc.call import Call, FaultStatus, RpcFault
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import EMSMDB, EcDoConnectResponse, Version

_EC_DO_CONNECT: Final = 0
_EC_DO_CONNECT_EX: Final = 10

#: Exchange 2000 as it first came out, 6.0.4417.5, in the older form of the three words: 3.1.9.
EXCHANGE_2000: Final[Version] = (6, 4417, 5)


class DowngradeModule(Module):
    """EcDoConnectEx is no operation of this server, and this server is an Exchange 2000."""

    name = "downgrade"
    description = "makes clients use EcDoConnect and EcDoRpc, as with Exchange 2000"
    endpoint = EMSMDB.name

    def dispatch(self, call: Call) -> None:
        """Refuse EcDoConnectEx; it is not relayed."""
        if call.opnum == _EC_DO_CONNECT_EX:
            raise RpcFault(FaultStatus.OP_RANGE_ERROR, "the client is to use EcDoConnect")

    def ndr_push(self, call: Call) -> None:
        """The version in what EcDoConnect answers. No other response is decoded."""
        if call.opnum != _EC_DO_CONNECT:
            return
        response = call.response
        if isinstance(response, EcDoConnectResponse) and response.return_value == ErrorCode.Success:
            response.server_version = EXCHANGE_2000
            call.edited_response()

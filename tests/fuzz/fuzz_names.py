"""Target of the proxy's replacement of names: what a client sends, and what the server relayed to answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Final

from openchange_py.proxy.names import NameBook, OwnNames
from openchange_py.proxy.rewrite import Renamer
from openchange_py.rpc.call import Call, RpcFault, Session
from openchange_py.wire.ndr import RpcMessage
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxcrpc import EMSMDB, EcDoConnectExRequest, EcDoRpcExt2Request
from openchange_py.wire.oxcrpc_old import EcDoRpcRequest
from openchange_py.wire.oxnspi import NSPI
from openchange_py.wire.oxnspi_types import STAT
from openchange_py.wire.rpcheaderext import pack_payload
from tests.fuzz.target import target
from tests.proxy import named_exchange as ex
from tests.proxy.emsmdb_calls import logon, rops
from tests.proxy.parties import ALICE, ALICE_DN

_INTERFACES: Final = (NSPI, RFR, EMSMDB)
_OWN: Final = OwnNames("PROXY", "proxy.example.test", ("netbios:PROXY",))


class _Server:
    upstream = "upstream"
    server_names = (ex.NETBIOS, ex.FQDN, ex.ADDRESS)


def _seed(interface: int, request: RpcMessage, answer: Callable[[RpcMessage], RpcMessage]) -> bytes:
    [opnum] = [o for o, m in _INTERFACES[interface].methods.items() if m.request is type(request)]
    stub = request.pack()
    return bytes([interface, opnum]) + len(stub).to_bytes(2, "little") + stub + answer(request).pack()


def _seeds() -> Sequence[bytes]:
    """Every answer that is full of names, behind a call that gets it."""
    rows = ex.NspiQueryRowsRequest(ex.HANDLE, 0, STAT(), 0, None, 50, None)
    dn = (ex.GROUP + _OWN.netbios).encode()
    calls: list[tuple[int, RpcMessage]] = [
        (0, rows),
        (0, ex.NspiDNToMIdRequest(ex.HANDLE, 0, [dn, None])),
        (1, ex.RfrGetNewDSARequest(0, dn, None, None)),
        (1, ex.RfrGetFQDNFromServerDNRequest(0, len(dn) + 1, dn)),
        (2, EcDoConnectExRequest(*ex.CONNECT)),
    ]
    for payload in (rops(logon(ALICE_DN)), ex.naming_rops()):
        calls.append((2, EcDoRpcExt2Request(ex.HANDLE, 0, pack_payload(payload, xor=True), 0x8000)))
        calls.append((2, EcDoRpcRequest.of(ex.HANDLE, payload)))
    return [_seed(interface, request, ex.answer_to) for interface, request in calls]


@target("names", _seeds)
def fuzz_names(data: bytes) -> None:
    """Interface, opnum, 16 bits of size, a request of that size, and the answer to it."""
    if len(data) < 4:
        return
    interface, split = _INTERFACES[data[0] % len(_INTERFACES)], int.from_bytes(data[2:4], "little")
    stub, reply = data[4 : 4 + split], data[4 + split :]
    renamer, server = Renamer(NameBook(_OWN)), _Server()
    renamer.connected(server)
    call = Call(interface, data[1], stub, Session("fuzz", "client"), ALICE, reply=reply)

    async def work() -> None:
        await renamer.request(server, call, stub)
        with contextlib.suppress(RpcFault):
            await renamer.response(server, call)

    asyncio.run(work())

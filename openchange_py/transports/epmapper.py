"""Asking another machine's endpoint mapper where an interface is."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Final, TypeVar

from openchange_py.rpc.call import RpcFault
from openchange_py.transports.tcp_client import BindError, RpcClient
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.epm import EPMAPPER, EPT_MAP, EptMapRequest, EptMapResponse, EptStatus, Tower
from openchange_py.wire.ndr import NULL_HANDLE, RpcInterface, SyntaxId

T = TypeVar("T")

#: The endpoint mapper's port on every machine.
EPMAPPER_PORT: Final = 135
#: And its pipe.
EPMAPPER_PIPE: Final = "epmapper"


class NotRegistered(BindError):
    """The endpoint mapper does not know the interface."""


async def ept_map(
    host: str,
    port: int,
    interface: RpcInterface | SyntaxId,
    *,
    connect_timeout: float = 30.0,
    local_address: str | None = None,
) -> int:
    """The TCP port of `interface` on `host`, whose endpoint mapper listens on `port` (usually `EPMAPPER_PORT`).

    Raises `NotRegistered`, or `ConnectionLost` where the endpoint mapper can't be asked. Only the port counts: the
    address in its answer can be one that is not reached from here.
    """
    syntax = interface.syntax if isinstance(interface, RpcInterface) else interface
    client = await RpcClient.connect(
        host,
        port,
        EPMAPPER,
        connect_timeout=connect_timeout,
        call_timeout=connect_timeout,
        local_address=local_address,
    )
    return await ask_mapper(client, Tower.tcp(syntax, 0), lambda tower: tower.port)


async def ask_mapper(client: RpcClient, pattern: Tower, read: Callable[[Tower], T]) -> T:
    """What `read` finds in the first endpoint like `pattern`; `client` is closed behind that.

    Raises `NotRegistered`, `BindError`, `ConnectionLost`.
    """
    request, syntax = EptMapRequest(uuid.UUID(int=0), pattern, NULL_HANDLE, 1), pattern.interface
    try:
        response = EptMapResponse.unpack(await client.call(EPT_MAP, request.pack()))
        towers = [tower for tower in response.towers if tower is not None]
        found = [read(tower) for tower in towers if tower.interface.uuid == syntax.uuid]
    except (RpcFault, DecodeError) as error:
        raise BindError(f"{client.peer}: ept_map failed: {error}") from error
    finally:
        await client.close()
    if response.status != EptStatus.OK or not found:
        raise NotRegistered(f"{client.peer}: no endpoint of {syntax} (status 0x{response.status:08x})")
    return found[0]

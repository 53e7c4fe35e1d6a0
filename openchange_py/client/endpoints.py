"""What an endpoint mapper knows, and the file in which a server of this project says where it listens.

ept_lookup: C706 appendix O, [MS-RPCE] 2.2.1.2.4.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
from pathlib import Path
from typing import Any, Final

from openchange_py.client.connection import CONNECT_TIMEOUT, Server, unreachable
from openchange_py.client.errors import ClientError
from openchange_py.rpc.call import RpcFault
from openchange_py.transports.tcp_client import ConnectionLost, RpcClient
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.epm import (
    EPMAPPER,
    EPT_LOOKUP,
    EptEntry,
    EptLookupRequest,
    EptLookupResponse,
    EptStatus,
    FloorProtocol,
    InquiryType,
    Tower,
    VersionOption,
)
from openchange_py.wire.ndr import NULL_HANDLE, RpcInterface

_PAGE: Final = 100
#: More than any machine registers; a server that never ends its list is stopped here.
_MAXIMUM: Final = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class EndpointInfo:
    """One registered endpoint. `name` is empty for an interface unknown here, `endpoint` a port or a pipe's name."""

    name: str
    uuid: str
    version: str
    protocol: str
    address: str
    endpoint: str
    annotation: str


async def list_endpoints(server: Server, *, connect_timeout: float = CONNECT_TIMEOUT) -> list[EndpointInfo]:
    """Everything that the endpoint mapper of `server` has registered. Raises `ClientError`."""
    host, port = server.host, server.port
    try:
        client = await RpcClient.connect(
            host, port, EPMAPPER, connect_timeout=connect_timeout, call_timeout=connect_timeout
        )
    except ConnectionLost as error:
        raise unreachable(host, port, "its endpoint mapper", error) from error
    try:
        return [_info(entry) for entry in await _entries(client)]
    except (RpcFault, DecodeError) as error:
        raise ClientError(f"{client.peer}: ept_lookup failed: {error}") from error
    finally:
        await client.close()


async def _entries(client: RpcClient) -> list[EptEntry]:
    entries: list[EptEntry] = []
    handle = NULL_HANDLE
    while len(entries) < _MAXIMUM:
        request = EptLookupRequest(InquiryType.ALL, None, None, VersionOption.ALL, handle, _PAGE)
        response = EptLookupResponse.unpack(await client.call(EPT_LOOKUP, request.pack()))
        if response.status not in (EptStatus.OK, EptStatus.NOT_REGISTERED):
            raise ClientError(f"{client.peer}: ept_lookup failed with status 0x{response.status:08x}")
        entries += response.entries
        handle = response.entry_handle
        if handle.is_null or not response.entries or response.status != EptStatus.OK:
            break
    return entries


def _info(entry: EptEntry) -> EndpointInfo:
    annotation = entry.annotation.decode("latin-1")
    if entry.tower is None:
        return EndpointInfo("", "", "", "", "", "", annotation)
    syntax = entry.tower.interface
    known = RpcInterface.known.get(syntax.uuid)
    protocol, address, endpoint = _transport(entry.tower)
    version = f"{syntax.major}.{syntax.minor}"
    return EndpointInfo(known.name if known else "", str(syntax.uuid), version, protocol, address, endpoint, annotation)


def _transport(tower: Tower) -> tuple[str, str, str]:
    """Protocol sequence, host and endpoint of a tower's lower floors."""
    protocol, address, endpoint = "", "", ""
    for floor in tower.floors[2:]:
        if floor.protocol in (FloorProtocol.TCP, FloorProtocol.HTTP):
            protocol = "ncacn_ip_tcp" if floor.protocol == FloorProtocol.TCP else "ncacn_http"
            endpoint = str(int.from_bytes(floor.rhs, "big"))
        elif floor.protocol == FloorProtocol.NAMED_PIPE:
            protocol, endpoint = "ncacn_np", _name(floor.rhs)
        elif floor.protocol == FloorProtocol.IP and len(floor.rhs) == 4:
            address = str(ipaddress.IPv4Address(floor.rhs))
        elif floor.protocol == FloorProtocol.NETBIOS:
            address = _name(floor.rhs)
    return protocol, address, endpoint


def _name(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode("latin-1")


def read_ready_file(path: Path) -> Server:
    """The server that a file of `ocpy serve --ready-file` describes. Raises `ClientError`, `OSError`."""
    try:
        ready = json.loads(path.read_text("utf-8"))
        mapper, rpc = ready.get("endpoint_mapper") or {}, ready.get("rpc") or {}
        host = _reachable(str(rpc.get("host") or mapper["host"]))
        port = int(mapper["port"]) if mapper else Server(host).port
        ports = {name: found for name, place in (ready.get("interfaces") or {}).items() if (found := _port(place, rpc))}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ClientError(f"{path}: not what `ocpy serve --ready-file` writes ({error!r})") from error
    return Server(host, port, ports)


def read_https(path: Path) -> tuple[str, int]:
    """Host and port of HTTPS of the server that a ready file describes. Raises `ClientError`, `OSError`."""
    try:
        place = json.loads(path.read_text("utf-8"))["https"]
        return _reachable(str(place["host"])), int(place["port"])
    except (ValueError, KeyError, TypeError) as error:
        raise ClientError(f"{path}: names no HTTPS; is there a certificate, and `ocpy:https port` set?") from error


def read_metrics_url(path: Path) -> str:
    """Where the server that a ready file describes shows its metrics. Raises `ClientError`, `OSError`."""
    try:
        metrics = json.loads(path.read_text("utf-8"))["metrics"]
        host, port = _reachable(str(metrics["host"])), int(metrics["port"])
    except (ValueError, KeyError, TypeError) as error:
        raise ClientError(f"{path}: names no metrics; is `ocpy:metrics port` set?") from error
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"


def _port(place: Any, rpc: dict[str, Any]) -> int:
    """An interface's own port, otherwise the one of all RPC interfaces."""
    own = place.get("port") if isinstance(place, dict) else place if isinstance(place, int) else None
    return int(own or rpc.get("port") or 0)


def _reachable(host: str) -> str:
    """A server that listens everywhere is reached on this machine's loopback."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host or "localhost"
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"

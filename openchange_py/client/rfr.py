"""[MS-OXABREF] from the client's side: which server to ask."""

from __future__ import annotations

from openchange_py.client.connection import Channel
from openchange_py.client.errors import check_return
from openchange_py.wire.oxabref import (
    Name,
    RfrGetFQDNFromServerDNRequest,
    RfrGetFQDNFromServerDNResponse,
    RfrGetNewDSARequest,
    RfrGetNewDSAResponse,
)
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError


class RfrClient:
    """The two calls of the referral service, over a channel to it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def new_dsa(self, user_dn: str = "") -> str:
        """RfrGetNewDSA (3.1.4.1): the name of an address book server for that user. Raises `MapiError`."""
        request = RfrGetNewDSARequest(0, user_dn.encode("utf-8"), Name(b""), Name(b""))
        response = await self._channel.call(request, RfrGetNewDSAResponse)
        check_return(response.return_value, "RfrGetNewDSA")
        return _text(response.server.value if response.server is not None else None, "RfrGetNewDSA")

    async def fqdn_of(self, server_dn: str) -> str:
        """RfrGetFQDNFromServerDN (3.1.4.2): the host of a server's distinguished name. Raises `MapiError`."""
        raw = server_dn.encode("utf-8")
        request = RfrGetFQDNFromServerDNRequest(0, len(raw) + 1, raw)
        response = await self._channel.call(request, RfrGetFQDNFromServerDNResponse)
        check_return(response.return_value, "RfrGetFQDNFromServerDN")
        return _text(response.server_fqdn, "RfrGetFQDNFromServerDN")


def _text(value: bytes | None, call: str) -> str:
    if not value:
        raise MapiError(ErrorCode.NotFound, f"{call} named no server")
    return value.decode("utf-8", "replace")

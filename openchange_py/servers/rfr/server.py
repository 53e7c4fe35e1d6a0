"""Which server a client shall use: [MS-OXABREF]. This one, for every server of the organization that it may ask for.

In front of others this server is the way to them; alone there is no other.
"""

from __future__ import annotations

import logging

from openchange_py.addressbook.base import Directory, DirectoryError
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.servers.nspi.computed import is_server
from openchange_py.wire.oxabref import (
    RFR,
    Name,
    RfrGetFQDNFromServerDNRequest,
    RfrGetFQDNFromServerDNResponse,
    RfrGetNewDSARequest,
    RfrGetNewDSAResponse,
)
from openchange_py.wire.oxcdata.errors import ErrorCode

logger = logging.getLogger(__name__)


class RfrServer:
    """The local server of the referral interface. `fqdn` is where clients reach this server."""

    name = "rfr"
    interface = RFR

    def __init__(self, directory: Directory, fqdn: str) -> None:
        self._directory = directory
        self._fqdn = fqdn.encode("idna" if not fqdn.isascii() else "ascii")

    def call(self, call: Call) -> None:
        """Answer a call; runs in a worker thread."""
        if call.caller.is_anonymous:
            raise RpcFault(FaultStatus.ACCESS_DENIED, "referrals are for authenticated accounts")
        request = call.request
        if isinstance(request, RfrGetNewDSARequest):
            call.response = self._get_new_dsa(request)
        elif isinstance(request, RfrGetFQDNFromServerDNRequest):
            call.response = self._get_fqdn(call, request)
        else:
            raise RpcFault(FaultStatus.OP_RANGE_ERROR, call.name)

    def end_session(self, session: Session) -> None:
        """Nothing is kept."""

    def _get_new_dsa(self, request: RfrGetNewDSARequest) -> RfrGetNewDSAResponse:
        """3.1.4.1: flags, user DN and the unused parameter make no difference. No name without a place for it."""
        return RfrGetNewDSAResponse(None, None if request.server is None else Name(self._fqdn), ErrorCode.Success)

    def _get_fqdn(self, call: Call, request: RfrGetFQDNFromServerDNRequest) -> RfrGetFQDNFromServerDNResponse:
        """3.1.4.2: NotFound for a DN that is no server's."""
        try:
            entry = self._directory.by_legacy_dn(request.mailbox_server_dn.decode("ascii", "replace"))
        except DirectoryError as error:
            logger.error("%s: %s: %s", call.session, call.name, error)
            return RfrGetFQDNFromServerDNResponse(None, ErrorCode.GeneralFailure)
        if entry is None or not is_server(entry):
            return RfrGetFQDNFromServerDNResponse(None, ErrorCode.NotFound)
        return RfrGetFQDNFromServerDNResponse(self._fqdn, ErrorCode.Success)

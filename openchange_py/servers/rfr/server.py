"""Which server a client shall use: [MS-OXABREF].

In front of others this server is the way to all of them. Otherwise users are spread over the servers of their
organization whose address the directory has (networkAddress), each always to the same one while the servers are the
same: rendezvous hashing, so that a server that comes or goes moves only its own users.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection

from openchange_py.addressbook.base import AddressLists, Directory, DirectoryError, Entry
from openchange_py.addressbook.hosts import OwnNames, host_of, is_server
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
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
    """The local server of the referral interface.

    `netbios` and `fqdn` are this server's names, `relays` says that it is the way to all others; nobody is referred to
    those whose NetBIOS names are `excluded`.
    """

    name = "rfr"
    interface = RFR

    def __init__(
        self, directory: Directory, netbios: str, fqdn: str, *, relays: bool = False, excluded: Collection[str] = ()
    ) -> None:
        self._directory = directory
        self._own = OwnNames(netbios, fqdn, relays=relays)
        self._excluded = {name.casefold() for name in excluded}

    def call(self, call: Call) -> None:
        """Answer a call; runs in a worker thread."""
        if call.caller.is_anonymous:
            raise RpcFault(FaultStatus.ACCESS_DENIED, "referrals are for authenticated accounts")
        request = call.request
        if isinstance(request, RfrGetNewDSARequest):
            call.response = self._get_new_dsa(call, request)
        elif isinstance(request, RfrGetFQDNFromServerDNRequest):
            call.response = self._get_fqdn(call, request)
        else:
            raise RpcFault(FaultStatus.OP_RANGE_ERROR, call.name)

    def end_session(self, session: Session) -> None:
        """Nothing is kept."""

    def _get_new_dsa(self, call: Call, request: RfrGetNewDSARequest) -> RfrGetNewDSAResponse:
        """3.1.4.1: flags and the unused parameter make no difference. No name without a place for it."""
        if request.server is None:
            return RfrGetNewDSAResponse(None, None, ErrorCode.Success)
        host = self._own.fqdn if self._own.relays else self._chosen(call, request.user_dn)
        return RfrGetNewDSAResponse(None, Name(_encoded(host)), ErrorCode.Success)

    def _chosen(self, call: Call, user_dn: bytes) -> str:
        """The server for a user, or for the caller where the DN is empty.

        This one where there is no other, and where the directory cannot say: it is the one that answers.
        """
        try:
            hosts = [self._own.host(server) for server in self._lists(call).servers() if self._is_offered(server)]
        except DirectoryError as error:
            logger.error("%s: %s: %s", call.session, call.name, error)
            hosts = []
        user = user_dn.decode("ascii", "replace") or call.caller.account
        return max(hosts, key=lambda host: _weight(host, user.casefold()), default=self._own.fqdn)

    def _is_offered(self, server: Entry) -> bool:
        """Whether a server may be told: its address is known, and nobody took it out."""
        name = server.first("cn") or ""
        return name.casefold() not in self._excluded and (self._own.is_me(server) or bool(host_of(server)))

    def _get_fqdn(self, call: Call, request: RfrGetFQDNFromServerDNRequest) -> RfrGetFQDNFromServerDNResponse:
        """3.1.4.2: NotFound for a DN that is no server's of the caller's organization."""
        try:
            entry = self._lists(call).by_legacy_dn(request.mailbox_server_dn.decode("ascii", "replace"))
        except DirectoryError as error:
            logger.error("%s: %s: %s", call.session, call.name, error)
            return RfrGetFQDNFromServerDNResponse(None, ErrorCode.GeneralFailure)
        if entry is None or not is_server(entry):
            return RfrGetFQDNFromServerDNResponse(None, ErrorCode.NotFound)
        return RfrGetFQDNFromServerDNResponse(_encoded(self._own.host(entry)), ErrorCode.Success)

    def _lists(self, call: Call) -> AddressLists:
        """The address book of the caller's organization."""
        return self._directory.lists(self._directory.by_account(call.caller.account))


def _encoded(host: str) -> bytes:
    return host.encode("ascii" if host.isascii() else "idna")


def _weight(host: str, user: str) -> bytes:
    """What the servers compete with for a user: the same on every node, and as good as chance."""
    return hashlib.sha256(f"{host}\0{user}".encode()).digest()

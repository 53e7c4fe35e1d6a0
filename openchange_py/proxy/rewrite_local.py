"""The address book and referrals answered here, in front of servers that are relayed to.

The directory is the organization's: it knows on which server a mailbox is, and its clients shall come here for all of
them, as network addresses and referrals tell them already. So every server's name in an answer becomes this server's,
as in what is relayed, and this server's name in a request is the caller's own server, where the directory does not know
one of that name.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from typing import Final

from openchange_py.addressbook.base import Directory, DirectoryError
from openchange_py.proxy.dispatcher import LocalServer
from openchange_py.proxy.names import NameMap, OwnNames, UpstreamNames, servers_in
from openchange_py.proxy.rewrite import rewrite_address_book_request
from openchange_py.proxy.rewrite_nspi import response_rows, rewrite_response
from openchange_py.rpc.call import Call, Session
from openchange_py.rpc.security import Identity
from openchange_py.wire.ndr import RpcInterface, RpcMessage
from openchange_py.wire.oxnspi_types import PropertyRow_r

logger = logging.getLogger(__name__)

_SERVERS: Final = "/cn=servers/cn="
_ENCODINGS: Final = ("ascii", "utf-16-le")


class RenamedServer:
    """A `LocalServer` around another one, which answers for all servers of its directory under this server's name."""

    def __init__(self, server: LocalServer, own: OwnNames, directory: Directory) -> None:
        self._server = server
        self._own = own
        self._directory = directory
        self._map = functools.lru_cache(64)(self._make_map)
        #: How distinguished names of servers begin on the wire, and what stands there of this one's.
        self._any_server = [_SERVERS.encode(encoding) for encoding in _ENCODINGS]
        self._own_names = [name.lower() for name in (own.netbios, own.fqdn)]
        ends = (f"{_SERVERS}{name}{end}" for name in self._own_names for end in "/\0")
        self._own_server = [dn.encode(encoding) for dn in ends for encoding in _ENCODINGS]

    @property
    def name(self) -> str:
        """See `LocalServer`."""
        return self._server.name

    @property
    def interface(self) -> RpcInterface:
        """See `LocalServer`."""
        return self._server.interface

    def call(self, call: Call) -> None:
        """See `LocalServer`."""
        request = self._renamed_request(call)
        self._server.call(request)
        reply = request.reply_bytes()
        if request is not call:
            call.answer(reply)
        if self._names_others(reply.lower()):
            self._rename_response(call, reply)

    def end_session(self, session: Session) -> None:
        """See `LocalServer`."""
        self._server.end_session(session)

    def _names_others(self, lower: bytes) -> bool:
        """Whether there are servers beside this one in a reply, without decoding it."""
        return sum(map(lower.count, self._any_server)) > sum(map(lower.count, self._own_server))

    def _renamed_request(self, call: Call) -> Call:
        """The call itself where this server is not named in it, or the directory knows it."""
        lower = call.stub.lower()
        named = (name.encode(encoding) in lower for name in self._own_names for encoding in _ENCODINGS)
        if not any(named) or not call.has_request_codec:
            return call
        home = self._home_of(call.caller)
        if home is None:
            return call
        kind = type(call.request)
        message = kind.unpack(call.stub)
        if not rewrite_address_book_request(call.interface, message, self._map((home,))):
            return call
        return Call(call.interface, call.opnum, message.pack(), call.session, call.caller, call.call_id)

    def _home_of(self, caller: Identity) -> str | None:
        """The server that the caller means by this one's name; None where it means itself."""
        try:
            own_dn = self._directory.organization().server_dn(self._own.netbios)
            entry = None if self._directory.by_legacy_dn(own_dn) else self._directory.by_account(caller.account)
        except DirectoryError as error:
            logger.error("the server of %s can't be looked up: %s", caller, error)
            return None
        home = entry.first("msExchHomeServerName") if entry is not None else None
        return next(servers_in(home), None) if home else None

    def _rename_response(self, call: Call, reply: bytes) -> None:
        method = call.interface.methods[call.opnum]
        if method.response is None:
            return
        message = method.response.unpack(reply)
        names = self._map(tuple(sorted({name.upper() for name in _servers_of(message)})))
        if rewrite_response(message, names):
            call.answer(message.pack())

    def _make_map(self, servers: tuple[str, ...]) -> NameMap:
        names = UpstreamNames()
        for server in servers:
            names = names.with_name(server)
        return NameMap(self._own, names, names)


def _servers_of(message: RpcMessage) -> Iterator[str]:
    """The servers whose distinguished names stand in an answer."""
    for row in response_rows(message):
        for text in _texts(row):
            yield from servers_in(text)


def _texts(row: PropertyRow_r) -> Iterator[str]:
    for value in row.values or []:
        for text in value.value if isinstance(value.value, list) else [value.value]:
            if isinstance(text, str | bytes):
                yield text if isinstance(text, str) else text.decode("latin-1")

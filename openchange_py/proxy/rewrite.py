"""Relayed calls name this server to clients, and the upstream to the upstream.

Which calls hold names, and how they are found without decoding the others: a stub is searched for the names' bytes, in
8-bit and in Unicode, without case; only where one is found it is decoded, and only where something was replaced it is
made anew. Everything else passes as the bytes that came. Requests of EMSMDB name users, not servers: they pass as well.

A reply that can't be decoded passes too: what nobody here understands is not refused either where it holds no name.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from openchange_py.proxy import rewrite_emsmdb, rewrite_nspi
from openchange_py.proxy.names import NameBook, NameMap
from openchange_py.rpc.call import Call, FaultStatus, RpcFault
from openchange_py.rpc.security import Identity
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.ndr import RpcInterface, RpcMessage
from openchange_py.wire.oxabref import (
    Name,
    RfrGetFQDNFromServerDNRequest,
    RfrGetFQDNFromServerDNResponse,
    RfrGetNewDSARequest,
    RfrGetNewDSAResponse,
)

logger = logging.getLogger(__name__)

#: Bytes of a stub that are decoded and made anew in less time than it takes to hand them to a thread.
_QUICKLY_REWRITTEN: Final = 16384


class KnownServer(Protocol):
    """A connection to an upstream, as far as its names go."""

    @property
    def upstream(self) -> str:
        """The upstream's key."""

    @property
    def server_names(self) -> tuple[str, ...]:
        """What the server calls itself, and its address."""


class Renamer:
    """Rewrites calls between clients and upstreams, whose names are in `book`."""

    def __init__(self, book: NameBook) -> None:
        self.book = book

    def connected(self, client: KnownServer) -> None:
        """A connection was opened: what the server said of itself is known before its first call is rewritten."""
        self.book.learn(client.upstream, *client.server_names, first=True)

    def preferred(self, caller: Identity) -> str | None:
        """The upstream that has the caller's mailbox, as another one said with a redirect."""
        return self.book.redirect_of(caller.account)

    def renames_in_requests(self, call: Call) -> bool:
        """Whether requests of the call's interface hold names of servers."""
        return call.interface.name in _ADDRESS_BOOK

    async def request(self, client: KnownServer, call: Call, stub: bytes) -> bytes:
        """A request's stub with other names; as it is where it is malformed, or the names do not fit in it."""
        if not self.renames_in_requests(call):
            return stub
        names = self.book.names(client.upstream)
        method = call.interface.methods.get(call.opnum)
        if not names.may_come_in(stub):
            return stub
        if method is None or method.request is None:
            return stub
        kind = method.request

        def work() -> bytes:
            message = kind.unpack(stub)
            changed = rewrite_address_book_request(call.interface, message, names)
            return message.pack() if changed else stub

        try:
            return await _in_time(stub, work)
        except (DecodeError, EncodeError) as error:
            logger.warning("%s: %s passes as it is: %s", call.session, call.name, error)
            return stub

    async def response(self, client: KnownServer, call: Call) -> None:
        """Make the upstream's reply one that the client may see. Raises `RpcFault` where the names do not fit."""
        try:
            if call.interface.name == "exchange_emsmdb":
                await self._rewrite_emsmdb(client.upstream, call)
            elif call.interface.name in _ADDRESS_BOOK:
                await self._rewrite_address_book(client.upstream, call)
        except DecodeError as error:
            logger.warning("%s: answer to %s passes as it is: %s", call.session, call.name, error)
        except EncodeError as error:
            logger.error("%s: answer to %s can't be made anew with other names: %s", call.session, call.name, error)
            raise RpcFault(FaultStatus.CALL_FAILED, "names do not fit") from error

    async def _rewrite_emsmdb(self, upstream: str, call: Call) -> None:
        if call.opnum in _CONNECTING:
            rewrite_emsmdb.rewrite_connect(call, self.book.names(upstream))
        elif call.opnum in _CARRYING_ROPS and rewrite_emsmdb.may_name_servers(call):
            await rewrite_emsmdb.rewrite_rpc(call, self.book.names(upstream), self._redirected(call))

    async def _rewrite_address_book(self, upstream: str, call: Call) -> None:
        """Referrals are always decoded: they teach names."""
        reply, method = call.reply_bytes(), call.interface.methods.get(call.opnum)
        referral = call.interface.name == "exchange_ds_rfr"
        if method is None or method.response is None:
            return
        if not referral and not self.book.names(upstream).may_leave_in(reply):
            return
        kind = method.response

        def work() -> bytes:
            message = kind.unpack(reply)
            if isinstance(message, RfrGetNewDSAResponse | RfrGetFQDNFromServerDNResponse):
                changed = self._rewrite_referral(upstream, call, message)
            else:
                changed = self._rewrite_rows(upstream, message)
            return message.pack() if changed else reply

        call.answer(await _in_time(reply, work))

    def _rewrite_rows(self, upstream: str, message: RpcMessage) -> bool:
        """In place; whether it changed. A server's network addresses teach what else it is called."""
        names = self.book.names(upstream)
        for row in rewrite_nspi.response_rows(message):
            if rewrite_nspi.is_hidden_server(row, names):
                hosts = [host for value in row.values or [] for host in rewrite_nspi.network_hosts(value)]
                self.book.hide(*hosts)
        return rewrite_nspi.rewrite_response(message, self.book.names(upstream))

    def _rewrite_referral(
        self, upstream: str, call: Call, message: RfrGetNewDSAResponse | RfrGetFQDNFromServerDNResponse
    ) -> bool:
        """[MS-OXABREF] 3.1.4.1, 3.1.4.2. Whatever server the upstream refers to, this one is the way to it."""
        own = self.book.own
        before = message.pack()
        if isinstance(message, RfrGetNewDSAResponse):
            if message.server is not None and message.server.value:
                self.book.hide(_text(message.server.value))
                message.server = Name(own.fqdn.encode("ascii"))
            if message.unused is not None and message.unused.value:
                message.unused = Name(self.book.names(upstream).octets_to_client(message.unused.value))
        elif message.server_fqdn:
            self._rewrite_fqdn(upstream, call, message)
        return message.pack() != before

    def _rewrite_fqdn(self, upstream: str, call: Call, message: RfrGetFQDNFromServerDNResponse) -> None:
        """Of a server that must not be seen. Another one is none of the upstreams, and is answered for as it is."""
        names = self.book.names(upstream)
        assert message.server_fqdn is not None
        fqdn = _text(message.server_fqdn)
        request = call.request
        asked = request.mailbox_server_dn if isinstance(request, RfrGetFQDNFromServerDNRequest) else b""
        upstream_dn = names.to_upstream(_text(asked))
        if names.to_client(upstream_dn) != upstream_dn or names.hides(fqdn):
            self.book.hide(fqdn)
            message.server_fqdn = self.book.own.fqdn.encode("ascii")

    def _redirected(self, call: Call) -> Callable[[str], None]:
        """Remembers a redirect ([MS-OXCSTOR] 3.1.5.1), of whose server the client is told this server's name."""

        def remember(server: str) -> None:
            self.book.redirected(call.caller.account, server)
            at = self.book.redirect_of(call.caller.account)
            where = f"which is {at}" if at else "which is none that is relayed to"
            logger.warning("%s: %s of %s is redirected to %r, %s", call.session, call.name, call.caller, server, where)

        return remember


_ADDRESS_BOOK: Final = frozenset({"exchange_nsp", "exchange_ds_rfr"})
#: EcDoConnect and EcDoConnectEx, EcDoRpc and EcDoRpcExt2.
_CONNECTING: Final = frozenset({0, 10})
_CARRYING_ROPS: Final = frozenset({2, 11})


async def _in_time(stub: bytes, work: Callable[[], bytes]) -> bytes:
    """What `work` makes of a stub, in a thread where that takes long. Raises `DecodeError`, `EncodeError`."""
    return await asyncio.to_thread(work) if len(stub) > _QUICKLY_REWRITTEN else work()


def rewrite_address_book_request(interface: RpcInterface, message: RpcMessage, names: NameMap) -> bool:
    """Make a client's names the upstream's in a request of NSPI or RFR, in place; whether anything changed."""
    if interface.name == "exchange_nsp":
        return rewrite_nspi.rewrite_request(message, names)
    return _rewrite_referral_request(message, names)


def _rewrite_referral_request(message: RpcMessage, names: NameMap) -> bool:
    """User DN or server DN; whether it changed."""
    if isinstance(message, RfrGetNewDSARequest):
        before = message.user_dn, message.server
        message.user_dn = names.octets_to_upstream(message.user_dn)
        if message.server is not None and message.server.value:
            message.server = Name(names.name_to_upstream(_text(message.server.value)).encode("latin-1"))
        return (message.user_dn, message.server) != before
    if isinstance(message, RfrGetFQDNFromServerDNRequest):
        dn = names.octets_to_upstream(message.mailbox_server_dn)
        changed, message.mailbox_server_dn = dn != message.mailbox_server_dn, dn
        if changed:
            message.cb_mailbox_server_dn = len(dn) + 1
        return changed
    return False


def _text(value: bytes) -> str:
    return value.decode("latin-1")

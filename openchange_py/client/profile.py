"""All that one user has on a server: what real clients do from a name and a password to an open mailbox.

    async with Profile(connector) as profile:
        alice = await profile.me()                  # RfrGetNewDSA, NspiBind, NspiResolveNamesW
        mailbox = await profile.mailbox()           # EcDoConnectEx, RopLogon
        other = await profile.mailbox("bob")        # somebody else's, if the server allows it

[MS-OXABREF] 3.2, [MS-OXNSPI] 3.2, [MS-OXCRPC] 3.2; the host that the caller named is used whatever the referral says.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from openchange_py.client.connection import Channel, Connector
from openchange_py.client.emsmdb import EmsmdbClient
from openchange_py.client.errors import ClientError, NoSuchName, Unreachable
from openchange_py.client.mailbox import MailboxClient
from openchange_py.client.notifications import WAIT_TIMEOUT, Waiter
from openchange_py.client.nspi import NspiClient
from openchange_py.client.rfr import RfrClient
from openchange_py.rpc.call import RpcFault
from openchange_py.transports.tcp_client import ConnectionLost
from openchange_py.wire import proptags as p
from openchange_py.wire.ndr import RpcInterface
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxcdata.errors import MapiError
from openchange_py.wire.oxcdata.properties import PropertyMap
from openchange_py.wire.oxcrpc import ASYNCEMSMDB, EMSMDB
from openchange_py.wire.oxnspi import NSPI


class Profile:
    """One account's sessions with address book and mailboxes, each begun when it is first needed."""

    def __init__(self, connector: Connector, *, compress: bool = False, obfuscate: bool = False) -> None:
        self._connector = connector
        self._compress = compress
        self._obfuscate = obfuscate
        self._open = contextlib.AsyncExitStack()
        self._nspi: NspiClient | None = None
        self._emsmdb: EmsmdbClient | None = None
        self._me: PropertyMap | None = None
        self._logons = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def referral(self) -> str | None:
        """The address book server that the referral service names; None where there is no such service."""
        try:
            channel = await self._connector.connect(RFR)
        except Unreachable:
            return None
        try:
            return await RfrClient(channel).new_dsa()
        finally:
            await channel.close()

    async def address_book(self) -> NspiClient:
        """The bound NSPI session."""
        if self._nspi is None:
            nspi = NspiClient(await self._channel(NSPI))
            await nspi.bind()
            self._open.push_async_callback(_politely, nspi.unbind)
            self._nspi = nspi
        return self._nspi

    async def me(self) -> PropertyMap:
        """The entry of the account. Raises `NoSuchName`, `AmbiguousName`."""
        if self._me is None:
            account = self._connector.account
            if account is None:
                raise ClientError("nobody logs on here: there is no account")
            nspi = await self.address_book()
            try:
                self._me = await nspi.resolve(account.name)
            except NoSuchName:
                name, at, _ = account.name.partition("@")
                if not at:
                    raise
                self._me = await nspi.resolve(name)
        return self._me

    async def session(self) -> EmsmdbClient:
        """The EMSMDB session, connected as the account."""
        if self._emsmdb is None:
            user_dn = dn_of(await self.me())
            session = EmsmdbClient(await self._channel(EMSMDB), compress=self._compress, obfuscate=self._obfuscate)
            await session.connect(user_dn)
            self._open.push_async_callback(_politely, session.disconnect)
            self._emsmdb = session
        return self._emsmdb

    async def mailbox(self, owner: str | None = None) -> MailboxClient:
        """The mailbox of the account, or of a name or legacy distinguished name. Raises `MapiError`, `ClientError`."""
        if owner is None:
            dn = dn_of(await self.me())
        elif owner.startswith("/"):
            dn = owner
        else:
            dn = dn_of(await (await self.address_book()).resolve(owner))
        session = await self.session()
        mailbox = await MailboxClient.logon(session, dn, self._logons)
        self._logons += 1
        return mailbox

    async def waiter(self) -> Waiter:
        """What waits for notifications of the session. Raises `Unreachable` where the server has no such interface."""
        session = await self.session()
        beside, acxh = session.channel, await session.async_connect()
        channel = await self._connector.connect(ASYNCEMSMDB, beside=beside, call_timeout=WAIT_TIMEOUT)
        self._open.push_async_callback(channel.close)
        return Waiter(session, channel, acxh)

    async def _channel(self, interface: RpcInterface) -> Channel:
        channel = await self._connector.connect(interface)
        self._open.push_async_callback(channel.close)
        return channel


async def _politely(ending: Callable[[], Awaitable[None]]) -> None:
    """Say good-bye, to a server that may be gone."""
    with contextlib.suppress(ConnectionLost, RpcFault, MapiError, ClientError):
        await ending()


def dn_of(entry: PropertyMap) -> str:
    """The legacy distinguished name of an address book entry. Raises `ClientError` for one outside of Exchange."""
    dn = entry.get(p.PidTagEmailAddress)
    if not isinstance(dn, str) or entry.get(p.PidTagAddressType, "EX") != "EX":
        raise ClientError(f"{entry.get(p.PidTagDisplayName)} has no mailbox on this server")
    return dn

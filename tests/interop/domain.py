"""A server of ours in a Samba domain: rpcecho and endpoint mapper; Kerberos, NTLM pass-through and own accounts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from openchange_py.addressbook.base import Account, Entry
from openchange_py.auth import ntlm_crypto
from openchange_py.auth.accounts import LocalAuthenticator
from openchange_py.auth.failures import FailureTracker, Patience
from openchange_py.auth.kerberos import KerberosAcceptor, Keytab
from openchange_py.auth.netlogon import MachineAccount, NetlogonVerifier, SecureChannel
from openchange_py.auth.ntlm import ServerNames
from openchange_py.cli.domain import connect_netlogon
from openchange_py.rpc.call import Call
from openchange_py.rpc.epmapper import Endpoint, EpmapperServer
from openchange_py.rpc.interface import InlineHandler
from openchange_py.rpc.security import AuthType, Identity, SecurityContext
from openchange_py.transports.tcp import TcpServer
from tests.interop.rpc_test_server import LIMITS, Applications, sleeps
from tests.interop.samba_dc import (
    MACHINE_ACCOUNT,
    MACHINE_PASSWORD,
    REALM,
    SERVER_FQDN,
    SERVER_NAME,
    WORKGROUP,
    SambaDc,
    own_address,
)

T = TypeVar("T")

#: An account that the domain does not have, only we.
LOCAL_USER, LOCAL_PASSWORD = "erin", "Local-Passw0rd"


class DomainAccounts:
    """What a directory would tell: the domain's users without their hashes, and one of our own."""

    def __init__(self) -> None:
        self._accounts = {name: Account(name, WORKGROUP, None) for name in ("alice", "bob", "carol")}
        self._accounts[LOCAL_USER] = Account(LOCAL_USER, WORKGROUP, ntlm_crypto.nt_hash(LOCAL_PASSWORD))

    def account(self, name: str) -> Account | None:
        return self._accounts.get(name.casefold())

    def by_account(self, account: str) -> Entry | None:
        return None


class Recording(Applications):
    """rpcecho and the others; remembers the callers of all calls, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.callers: list[Identity] = []

    async def handle(self, call: Call) -> bytes:
        self.callers.append(call.caller)
        return await super().handle(call)


class RecordingAuthenticator:
    """Remembers which mechanisms were asked for, in order."""

    def __init__(self, inner: LocalAuthenticator) -> None:
        self.mechanisms: list[AuthType] = []
        self._inner = inner

    def acceptor(self, auth_type: AuthType, peer: str, logon: object = None) -> SecurityContext | None:
        self.mechanisms.append(auth_type)
        return self._inner.acceptor(auth_type, peer)


class DomainServer:
    """Runs in a thread and on an address of its own, with the endpoint mapper on port 135."""

    def __init__(self, dc: SambaDc) -> None:
        self.address = own_address(96)
        self.applications = Recording()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="domain server")
        self._thread.start()
        self.channel = SecureChannel(
            [dc.address], MachineAccount(MACHINE_ACCOUNT, MACHINE_PASSWORD, WORKGROUP), connect_netlogon
        )
        self.authenticator = RecordingAuthenticator(self._authenticator(Keytab(dc.keytab)))
        self._servers: list[TcpServer] = []
        self.port = self.run(self._start())

    @property
    def caller(self) -> Identity:
        """Who made the last call."""
        return self.applications.callers[-1]

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run on the server's event loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    def stop(self) -> None:
        for server in self._servers:
            self.run(server.stop())
        self.run(self.channel.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def _authenticator(self, keytab: Keytab) -> LocalAuthenticator:
        accounts, failures = DomainAccounts(), FailureTracker(Patience(tolerated=1000))
        return LocalAuthenticator(
            accounts,
            ServerNames(SERVER_NAME, SERVER_FQDN, WORKGROUP),
            allow_anonymous=True,
            failures=failures,
            pass_through=NetlogonVerifier(self.channel, accounts, failures, self.loop),
            kerberos=lambda peer, _: KerberosAcceptor(keytab, accounts, REALM, WORKGROUP, peer),
        )

    async def _start(self) -> int:
        applications = TcpServer(self.applications, self.authenticator, limits=LIMITS, waits=sleeps)
        _, port = await applications.start(self.address, 0)
        endpoints = [Endpoint(interface, port, self.address) for interface in self.applications.interfaces()]
        epmapper = TcpServer(InlineHandler([EpmapperServer(endpoints)]), self.authenticator)
        await epmapper.start(self.address, 135)
        self._servers = [applications, epmapper]
        return port

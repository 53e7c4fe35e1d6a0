"""Who authenticates toward the server relayed to; where it is and how it is talked to is `upstream.py`'s."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from openchange_py.auth.channel_binding import ChannelBindings
from openchange_py.auth.kerberos_initiator import (
    Delegate,
    InitiatorCredential,
    KerberosCredential,
    KerberosInitiator,
    SharedCredential,
)
from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.auth.spnego import Mechanism
from openchange_py.config.routes import Credentials, MachineLogon
from openchange_py.rpc.call import Call
from openchange_py.rpc.security import AuthLevel, AuthType, SecurityError

#: Seconds: clients don't wait much longer for a call.
_LONGEST_WAIT: Final = 10.0


class UpstreamCredentials(Protocol):
    """Where the relay gets the security context of a new upstream connection from."""

    async def context(
        self,
        call: Call,
        target: str,
        level: AuthLevel,
        mechanism: AuthType | None = None,
        bindings: ChannelBindings | None = None,
    ) -> Mechanism:
        """A fresh initiator for the connection that `call` needs, first of perhaps many.

        `target` is the upstream's service principal, `exchangeMDB/exch1.example.test`. `mechanism` is the one that
        the binding demands: NTLMSSP, KERBEROS, or None where it leaves the choice. `bindings` are for the tickets of
        a logon over HTTP. Raises `SecurityError`.
        """
        ...


class KerberosLogons:
    """Makes Kerberos initiators that have their ticket, in a few threads of their own: a KDC may let them wait.

    After one that did (longer than `timeout` seconds, or ten) none is asked for `pause` seconds, so that whoever can
    log on otherwise does not wait for it each time.
    """

    def __init__(self, timeout: float, threads: int = 4, pause: float = 10.0) -> None:
        self._timeout = min(timeout, _LONGEST_WAIT)
        self._pause = pause
        #: On the loop's clock.
        self._ask_again = 0.0
        self._threads = ThreadPoolExecutor(threads, "kerberos")

    async def initiator(
        self,
        credential: InitiatorCredential,
        target: str,
        level: AuthLevel,
        delegate: Delegate = Delegate.NO,
        bindings: ChannelBindings | None = None,
    ) -> KerberosInitiator:
        """Raises `SecurityError` where there is no ticket, or not in time."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._ask_again:
            raise SecurityError("the KDC did not answer a moment ago")
        made = KerberosInitiator(credential, target, level=level, delegate=delegate, bindings=bindings)
        try:
            async with asyncio.timeout(self._timeout):
                await loop.run_in_executor(self._threads, made.prepare)
        except TimeoutError as error:
            self._ask_again = loop.time() + self._pause
            raise SecurityError(f"no ticket for {target} within {self._timeout:g} s") from error
        return made


class SpecifiedAccount:
    """One account for all, by name and password: NTLM, or Kerberos where the binding demands it."""

    def __init__(self, credentials: Credentials, logons: KerberosLogons | None = None) -> None:
        self._logons = logons
        self._credentials = credentials
        self._ntlm = NtlmCredential.from_password(credentials.username, credentials.domain, credentials.password)
        self._kerberos: SharedCredential | None = None
        if credentials.principal:
            self._kerberos = SharedCredential(KerberosCredential(credentials.principal, credentials.password))

    @property
    def name_and_password(self) -> tuple[str, str]:
        """For HTTP's Basic: `DOMAIN\\name`, and the password."""
        given = self._credentials
        return f"{given.domain}\\{given.username}" if given.domain else given.username, given.password

    async def context(
        self,
        call: Call,
        target: str,
        level: AuthLevel,
        mechanism: AuthType | None = None,
        bindings: ChannelBindings | None = None,
    ) -> Mechanism:
        """See `UpstreamCredentials.context`."""
        if mechanism != AuthType.KERBEROS:
            return NtlmInitiator(self._ntlm, level=level, target_name=target)
        if self._kerberos is None or self._logons is None:
            raise SecurityError("no realm is known to log on to")
        return await self._logons.initiator(self._kerberos, target, level, bindings=bindings)


class MachineAccount:
    """The machine's account for all, with Kerberos by keytab or password, or NTLM by password."""

    def __init__(self, machine: MachineLogon, logons: KerberosLogons) -> None:
        self._logons = logons
        self._ntlm: NtlmCredential | None = None
        if machine.password:
            self._ntlm = NtlmCredential.from_password(machine.account, machine.domain, machine.password)
        self._kerberos: SharedCredential | None = None
        if machine.keytab is not None or (machine.password and machine.realm):
            password = "" if machine.keytab is not None else machine.password
            self._kerberos = SharedCredential(KerberosCredential(machine.principal, password, keytab=machine.keytab))
        #: A keytab is there for Kerberos; a password alone works without a KDC.
        self._prefers_kerberos = machine.keytab is not None

    async def context(
        self,
        call: Call,
        target: str,
        level: AuthLevel,
        mechanism: AuthType | None = None,
        bindings: ChannelBindings | None = None,
    ) -> Mechanism:
        """See `UpstreamCredentials.context`."""
        if mechanism is None:
            mechanism = AuthType.KERBEROS if self._prefers_kerberos else AuthType.NTLMSSP
        if mechanism == AuthType.KERBEROS:
            if self._kerberos is None:
                raise SecurityError("the machine account has no keytab, and no realm for its password")
            return await self._logons.initiator(self._kerberos, target, level, bindings=bindings)
        if self._ntlm is None:
            raise SecurityError("the machine account has a keytab and no password: NTLM needs one")
        return NtlmInitiator(self._ntlm, level=level, target_name=target)

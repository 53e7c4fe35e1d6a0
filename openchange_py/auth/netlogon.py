"""NTLM pass-through: a domain controller checks what a client proved. [MS-NRPC] 3.1.4, 3.5.4.5, [MS-APDS] 3.1.5.

The project's own client: the answer decides who is let in, so its signature has to be verified, which impacket's does
not. A secure channel is established with the machine account's password, kept, and made anew when it is lost.
Not done: changing the machine account's password, finding controllers in DNS, users of trusted domains.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import hmac
import logging
import os
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from openchange_py.addressbook.base import Account, DirectoryError
from openchange_py.auth.accounts import AccountSource, account_name
from openchange_py.auth.failures import FailureTracker
from openchange_py.auth.ntlm import NtlmLogin
from openchange_py.auth.schannel import SchannelInitiator, netlogon_credential, session_key
from openchange_py.rpc.call import RpcFault
from openchange_py.rpc.peers import address_of
from openchange_py.rpc.security import AuthLevel, Authority, Identity, SecurityContext, SecurityError
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.netlogon import (
    CLIENT_FLAGS,
    NETR_LOGON_SAM_LOGON_EX,
    NETR_SERVER_AUTHENTICATE3,
    NETR_SERVER_REQ_CHALLENGE,
    WORKSTATION_CHANNEL,
    NegotiateFlags,
    NetrLogonSamLogonExRequest,
    NetrLogonSamLogonExResponse,
    NetrServerAuthenticate3Request,
    NetrServerAuthenticate3Response,
    NetrServerReqChallengeRequest,
    NetrServerReqChallengeResponse,
    UserFlags,
)

logger = logging.getLogger(__name__)

#: ParameterControl (2.2.1.4.15): machine accounts of servers and workstations may log on, too.
_PARAMETER_CONTROL: Final = 0x20 | 0x800
#: Seconds after a failure in which no controller is asked again, so that a dead one does not hold up every client.
_RETRY_AFTER: Final = 5.0
#: Another process with the same machine account can come between: NetrServerReqChallenge remembers one per name.
_ROUNDS: Final = 2

#: [MS-ERREF] 2.3.1, why a controller refuses a logon. The first are wrong guesses.
_GUESSES: Final = {0xC000006A: "wrong password", 0xC0000064: "no such account", 0xC000006D: "wrong name or password"}
_REFUSALS: Final = {
    0xC0000022: "access denied",
    0xC000006E: "account restriction",
    0xC000006F: "not at this hour",
    0xC0000070: "not from this workstation",
    0xC0000071: "the password has expired",
    0xC0000072: "the account is disabled",
    0xC0000193: "the account has expired",
    0xC0000224: "the password must be changed",
    0xC0000234: "the account is locked out",
}


class ChannelFailed(Exception):
    """No domain controller could be asked; the text says which, and why."""


class Caller(Protocol):
    """A connection bound to Netlogon. `call` may raise `OSError`, `RpcFault`."""

    @property
    def connected(self) -> bool: ...
    async def call(self, opnum: int, stub: bytes) -> bytes: ...
    async def close(self) -> None: ...


class Connect(Protocol):
    """Makes a `Caller` for a host; with `context`, protected at `level`. Bounded in time; may raise `OSError`."""

    async def __call__(self, host: str, context: SecurityContext | None, level: AuthLevel) -> Caller: ...


@dataclasses.dataclass(frozen=True, slots=True)
class MachineAccount:
    """This server's account in the domain: `EXCH1$`, its password, the domain's NetBIOS name."""

    account: str
    password: str = dataclasses.field(repr=False)
    workgroup: str

    @property
    def computer(self) -> str:
        return self.account.rstrip("$")


class SecureChannel:
    """The way to a domain controller, the first of `controllers` that answers. Lives on one event loop."""

    def __init__(
        self,
        controllers: Sequence[str],
        machine: MachineAccount,
        connect: Connect,
        *,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.machine = machine
        self._controllers = tuple(controllers)
        self._connect = connect
        self._clock = clock
        self._random = random
        self._turn = asyncio.Lock()
        self._caller: Caller | None = None
        self._failed_at: float | None = None
        self._failure = ""

    async def logon(self, request: NetrLogonSamLogonExRequest) -> NetrLogonSamLogonExResponse:
        """Ask; a channel that was lost is made anew, once. Raises `ChannelFailed`."""
        failure: Exception | None = None
        for _ in range(2):
            caller = await self._established()
            try:
                return NetrLogonSamLogonExResponse.unpack(await caller.call(NETR_LOGON_SAM_LOGON_EX, request.pack()))
            except (OSError, RpcFault, DecodeError) as error:
                logger.warning("secure channel lost: %s", error)
                failure = error
                await self._drop(caller)
        raise ChannelFailed(f"the domain controller gave no answer: {failure}")

    async def close(self) -> None:
        """Close the connection; a later `logon` makes a new one."""
        async with self._turn:
            if self._caller is not None:
                await self._drop(self._caller)

    async def _drop(self, caller: Caller) -> None:
        if self._caller is caller:
            self._caller = None
        await caller.close()

    async def _established(self) -> Caller:
        async with self._turn:
            if self._caller is not None and self._caller.connected:
                return self._caller
            self._caller = None
            if self._failed_at is not None and self._clock() < self._failed_at + _RETRY_AFTER:
                raise ChannelFailed(self._failure)
            self._caller = await self._first_that_answers()
            self._failed_at = None
            return self._caller

    async def _first_that_answers(self) -> Caller:
        problems: dict[str, str] = {}
        for host in self._controllers * _ROUNDS:
            try:
                caller = await self._establish(host)
            except (OSError, RpcFault, DecodeError, EncodeError, ChannelFailed) as error:
                problems[host] = str(error)
            else:
                logger.info("secure channel to %s as %s", host, self.machine.account)
                return caller
        self._failure = "; ".join(f"{host}: {problem}" for host, problem in problems.items())
        self._failed_at = self._clock()
        raise ChannelFailed(self._failure)

    async def _establish(self, host: str) -> Caller:
        plain = await self._connect(host, None, AuthLevel.NONE)
        try:
            key = await self._agree_on_key(plain)
        finally:
            await plain.close()
        context = SchannelInitiator(key, self.machine.workgroup, self.machine.computer)
        return await self._connect(host, context, AuthLevel.PRIVACY)

    async def _agree_on_key(self, plain: Caller) -> bytes:
        """3.1.4.1: both prove that they know the machine account's password."""
        machine, own = self.machine, self._random(8)
        request = NetrServerReqChallengeRequest(None, machine.computer, own)
        challenge = NetrServerReqChallengeResponse.unpack(await plain.call(NETR_SERVER_REQ_CHALLENGE, request.pack()))
        if challenge.status:
            raise ChannelFailed(f"NetrServerReqChallenge: status 0x{challenge.status:08x}")
        key = session_key(machine.password, own, challenge.server_challenge)
        proof = NetrServerAuthenticate3Request(
            None,
            machine.account,
            WORKSTATION_CHANNEL,
            machine.computer,
            netlogon_credential(own, key),
            CLIENT_FLAGS,
        )
        answer = NetrServerAuthenticate3Response.unpack(await plain.call(NETR_SERVER_AUTHENTICATE3, proof.pack()))
        if answer.status:
            raise ChannelFailed(
                f"the machine account {machine.account} was refused (status 0x{answer.status:08x}): does it exist in "
                f"{machine.workgroup}, and is its password right?"
            )
        expected = netlogon_credential(challenge.server_challenge, key)
        if not hmac.compare_digest(answer.server_credential, expected):
            raise ChannelFailed("the controller does not know the machine account's password: is it one?")
        if not answer.negotiate_flags & NegotiateFlags.AES:
            raise ChannelFailed("the controller does not do AES")
        return key


class NetlogonVerifier:
    """An `NtlmVerifier` that asks a domain controller. Only accounts of its domain that the directory has are let in.

    `verify` waits for `loop`, on which the channel lives, at most `timeout` seconds: call it in another thread.
    """

    def __init__(
        self,
        channel: SecureChannel,
        accounts: AccountSource,
        failures: FailureTracker,
        loop: asyncio.AbstractEventLoop,
        *,
        timeout: float = 15.0,
    ) -> None:
        self._channel = channel
        self._accounts = accounts
        self._failures = failures
        self._loop = loop
        self._timeout = timeout

    def verify(self, login: NtlmLogin) -> tuple[Identity, bytes]:
        """See `NtlmVerifier.verify`."""
        refusal, account, response = self._check(login)
        if account is None or response is None:
            logger.warning("%s: logon of %.80r refused: %s", login.peer, login.user_name, refusal)
            raise SecurityError("logon refused")
        logger.info("%s: logon of %s from workstation %.80r", login.peer, account.name, login.workstation)
        domain = account.domain or self._channel.machine.workgroup
        return Identity(account.name, domain, authority=Authority.DOMAIN), response.user_session_key

    def _check(self, login: NtlmLogin) -> tuple[str, Account | None, NetrLogonSamLogonExResponse | None]:
        """Why the logon is refused, or the account and the controller's answer."""
        name, address = account_name(login.user_name), address_of(login.peer)
        if name is None:
            return "not a name", None, None
        name = self._known_name(name)
        if wait := self._failures.wait(name, address):
            return f"too many failures from {address}, next try in {wait:.0f} s", None, None
        try:
            response = self._ask(login)
        except (ChannelFailed, EncodeError) as error:
            logger.error("logons cannot be checked: %s", error)
            return "no domain controller could be asked", None, None
        if response.status:
            return self._refused(response.status, name, address), None, None
        self._failures.succeeded(name, address)
        refusal, account = self._account(response)
        return refusal, account, response

    def _known_name(self, name: str) -> str:
        """The account's own, whichever of its names the client used: another one is no new chance."""
        try:
            account = self._accounts.account(name)
        except DirectoryError:
            return name  # the controller may be asked all the same; nobody is let in before the directory is back
        return account.name if account is not None else name

    def _ask(self, login: NtlmLogin) -> NetrLogonSamLogonExResponse:
        request = NetrLogonSamLogonExRequest(
            None,
            self._channel.machine.computer,
            # As the client sent it: it is part of what was hashed.
            login.domain_name,
            _PARAMETER_CONTROL,
            login.user_name,
            login.workstation,
            login.server_challenge,
            login.nt_proof_str + login.client_challenge,
            b"",
        )
        future = asyncio.run_coroutine_threadsafe(self._channel.logon(request), self._loop)
        try:
            return future.result(self._timeout)
        except (TimeoutError, concurrent.futures.CancelledError):
            future.cancel()
            raise ChannelFailed(f"no answer within {self._timeout:g} s") from None

    def _refused(self, status: int, name: str, address: str) -> str:
        if status not in _GUESSES:
            return _REFUSALS.get(status, f"status 0x{status:08x}")
        wait = self._failures.failed(name, address)
        return f"{_GUESSES[status]}; next try in {wait:.0f} s" if wait else _GUESSES[status]

    def _account(self, response: NetrLogonSamLogonExResponse) -> tuple[str, Account | None]:
        """The account of whoever the controller let in: a name says nothing without its domain."""
        domain = self._channel.machine.workgroup
        if response.user_flags & UserFlags.GUEST or len(response.user_session_key) != 16:
            return "a guest", None
        if response.logon_domain_name.casefold() != domain.casefold():
            return f"of the domain {response.logon_domain_name!r}, not {domain!r}", None
        try:
            account = self._accounts.account(response.effective_name)
        except DirectoryError as error:
            logger.error("the directory failed: %s", error)
            return "the directory failed", None
        if account is None:
            return f"the directory has no account {response.effective_name!r}", None
        return ("", account) if account.enabled else ("the account is disabled", None)

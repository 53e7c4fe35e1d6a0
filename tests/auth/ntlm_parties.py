"""The two sides of an NTLM exchange, for tests: an acceptor with accounts, and impacket's client."""

from __future__ import annotations

import dataclasses
from typing import Any

from impacket import ntlm as impacket_ntlm

from openchange_py.addressbook.base import Account
from openchange_py.auth import ntlm_crypto
from openchange_py.auth.accounts import LocalAuthenticator
from openchange_py.auth.ntlm import NtlmAcceptor, ServerNames
from openchange_py.rpc.security import AuthType

NAMES = ServerNames("EXCH1", "exch1.example.test", "EXAMPLE")
PASSWORD = "Secret-ä1"
PEER = "192.0.2.7:49152"


class Accounts:
    """Four accounts: `alice` and `erin`, who may log on, `carol`, disabled, and `dave`, whose hash is not known."""

    def __init__(self) -> None:
        known = ntlm_crypto.nt_hash(PASSWORD)
        self._accounts = {
            "alice": Account("alice", "EXAMPLE", known),
            "alice@example.test": Account("alice", "EXAMPLE", known),
            "erin": Account("erin", "EXAMPLE", known),
            "carol": Account("carol", "EXAMPLE", known, enabled=False),
            "dave": Account("dave", "EXAMPLE", None),
        }
        self.asked: list[str] = []

    def account(self, name: str) -> Account | None:
        self.asked.append(name)
        return self._accounts.get(name.casefold())


def authenticator(**options: Any) -> LocalAuthenticator:
    """An authenticator over `Accounts`."""
    return LocalAuthenticator(Accounts(), NAMES, **options)


def acceptor(source: LocalAuthenticator | None = None, peer: str = PEER) -> NtlmAcceptor:
    """A fresh context for a client at `peer`."""
    context = (source or authenticator()).acceptor(AuthType.NTLMSSP, peer)
    assert isinstance(context, NtlmAcceptor)
    return context


@dataclasses.dataclass
class ImpacketSession:
    """impacket's end of the session security, by its own functions."""

    flags: int
    session_key: bytes
    numbers: dict[str, int] = dataclasses.field(default_factory=lambda: {"Client": 0, "Server": 0})
    handles: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for mode in ("Client", "Server"):
            self.handles[mode] = impacket_ntlm.ARC4.new(self._seal_key(mode)).encrypt

    def _seal_key(self, mode: str) -> bytes:
        key: bytes = impacket_ntlm.SEALKEY(self.flags, self.session_key, mode)
        return key

    def _sign_key(self, mode: str) -> bytes:
        key: bytes = impacket_ntlm.SIGNKEY(self.flags, self.session_key, mode)
        return key

    def seal(self, mode: str, before: bytes, body: bytes, after: bytes) -> tuple[bytes, bytes]:
        number = self.numbers[mode]
        self.numbers[mode] += 1
        sealed, signature = impacket_ntlm.SEAL(
            self.flags,
            self._sign_key(mode),
            self._seal_key(mode),
            before + body + after,
            body,
            number,
            self.handles[mode],
        )
        return sealed, signature.getData()

    def sign(self, mode: str, message: bytes) -> bytes:
        number = self.numbers[mode]
        self.numbers[mode] += 1
        signature = impacket_ntlm.SIGN(self.flags, self._sign_key(mode), message, number, self.handles[mode])
        data: bytes = signature.getData()
        return data


def impacket_logon(
    context: NtlmAcceptor, user: str, password: str, domain: str = "", **options: Any
) -> tuple[bytes, ImpacketSession]:
    """The AUTHENTICATE_MESSAGE that impacket answers the acceptor with, not yet given to it."""
    type1 = impacket_ntlm.getNTLMSSPType1("PC", domain, signingRequired=True, use_ntlmv2=True)
    type2 = context.step(type1.getData())
    type3, key = impacket_ntlm.getNTLMSSPType3(type1, type2, user, password, domain, use_ntlmv2=True, **options)
    return type3.getData(), ImpacketSession(type3["flags"], key)

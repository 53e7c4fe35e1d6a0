"""Who may log in: accounts of a directory, checked here or by a domain controller.

Where an account's NT hash is known here, or told by an LDAP directory (`ldap_passwords.py`), it decides alone; for the
others `netlogon.py` asks a domain controller, where there is one, and `kerberos.py` takes tickets.
"""

from __future__ import annotations

import dataclasses
import hmac
import logging
import os
from collections.abc import Callable
from typing import Final, Protocol

from openchange_py.addressbook.base import Account, DirectoryError
from openchange_py.auth import ntlm_crypto
from openchange_py.auth.channel_binding import ChannelBindings
from openchange_py.auth.failures import FailureTracker
from openchange_py.auth.ntlm import NtlmAcceptor, NtlmLogin, NtlmVerifier, ServerNames, filetime_now
from openchange_py.auth.spnego import Mechanism, SpnegoAcceptor
from openchange_py.rpc.peers import address_of
from openchange_py.rpc.security import AuthLevel, AuthType, Identity, Logon, SecurityContext, SecurityError
from openchange_py.wire.ntlm import NtlmV2ClientChallenge, TargetInfo

logger = logging.getLogger(__name__)

#: A userPrincipalName has at most this many characters.
_LONGEST_NAME: Final = 1024


class AccountSource(Protocol):
    """Where accounts come from; a `Directory` is one."""

    def account(self, name: str) -> Account | None:
        """By account name, or by `name@domain`; None for an unknown one. May raise `DirectoryError`."""
        ...


class PasswordSource(Protocol):
    """Where NT hashes are kept that the accounts' own source does not tell."""

    def complete(self, account: Account) -> Account:
        """The account with its NT hash, and disabled where it is there; as it was where it is not known there.

        May block, and raise `DirectoryError`.
        """
        ...


def account_name(user_name: str) -> str | None:
    """The name to look up for `alice`, `DOMAIN\\alice` or `alice@example.test`; None for what cannot be a name."""
    name = user_name.rpartition("\\")[2]
    # isprintable() rules out control characters and lone surrogates, which no directory can look up.
    return name if 0 < len(name) <= _LONGEST_NAME and name.isprintable() else None


def stored_nt_hash(accounts: AccountSource, passwords: PasswordSource | None, name: str) -> bytes | None:
    """The NT hash of an account that may log on, with which one can log on elsewhere; None where nobody tells it.

    Raises `SecurityError` where the directory fails. May block.
    """
    try:
        account = accounts.account(name)
        if account is not None and account.nt_hash is None and passwords is not None:
            account = passwords.complete(account)
    except DirectoryError as error:
        raise SecurityError(f"the directory failed: {error}") from error
    return account.nt_hash if account is not None and account.enabled else None


class StoredHashVerifier:
    """Checks NTLM proofs against the NT hashes of an `AccountSource`, or of `passwords` for who has none there.

    `pass_through` is asked for who has no hash in either.

    Whatever the reason of a refusal, the client learns the same and the same work was done; the log tells more.
    """

    def __init__(
        self,
        accounts: AccountSource,
        failures: FailureTracker,
        workgroup: str = "",
        pass_through: NtlmVerifier | None = None,
        passwords: PasswordSource | None = None,
    ) -> None:
        self._accounts = accounts
        self._passwords = passwords
        self._failures = failures
        self._pass_through = pass_through
        #: The domain of accounts whose directory names none.
        self._workgroup = workgroup
        self._decoy = os.urandom(16)

    def verify(self, login: NtlmLogin) -> tuple[Identity, bytes]:
        """See `NtlmVerifier.verify`."""
        account = self._look_up(login)
        if self._pass_through is not None and (account is None or account.nt_hash is None):
            return self._pass_through.verify(login)
        password_hash = account.nt_hash if account is not None and account.nt_hash is not None else self._decoy
        key = ntlm_crypto.ntowf_v2(password_hash, login.user_name, login.domain_name)
        proof = ntlm_crypto.nt_proof_str(key, login.server_challenge, login.client_challenge)
        proven = hmac.compare_digest(proof, login.nt_proof_str)
        base_key = ntlm_crypto.session_base_key(key, proof)
        address, name = address_of(login.peer), account.name if account is not None else login.user_name
        reason = self._refusal(account, proven, name, address)
        if reason is not None or account is None:
            logger.warning("%s: logon of %.80r refused: %s", login.peer, login.user_name, reason)
            raise SecurityError("logon refused")
        self._failures.succeeded(name, address)
        logger.info("%s: logon of %s from workstation %.80r", login.peer, account.name, login.workstation)
        return Identity(account.name, account.domain or self._workgroup), base_key

    def _look_up(self, login: NtlmLogin) -> Account | None:
        name = account_name(login.user_name)
        try:
            account = self._accounts.account(name) if name is not None else None
            if self._passwords is None or account is None or account.nt_hash is not None:
                return account
            # Who has to wait is refused anyhow: the other directory is not bothered.
            waits = self._failures.wait(account.name, address_of(login.peer))
            return account if waits else self._passwords.complete(account)
        except DirectoryError as error:
            logger.error("%s: logon of %.80r: the directory failed: %s", login.peer, login.user_name, error)
            raise SecurityError("logon refused") from error

    def _refusal(self, account: Account | None, proven: bool, name: str, address: str) -> str | None:
        """Why the logon is refused, for the log; None where it is not. Counts wrong guesses."""
        wait = self._failures.wait(name, address)
        if wait:
            return f"too many failures from {address}, next try in {wait:.0f} s"
        if account is None:
            reason = "no such account"
        elif account.nt_hash is None:
            return "the directory has no NT hash of this account"
        elif not proven:
            reason = "wrong password"
        elif not account.enabled:
            return "the account is disabled"
        else:
            return None
        wait = self._failures.failed(name, address)
        return f"{reason}; next try in {wait:.0f} s" if wait else reason


class LocalAuthenticator:
    """An `Authenticator` (see `rpc.security`): NTLM over accounts known here, bare or in SPNEGO, and Kerberos.

    `passwords` tells NT hashes of accounts whose own source does not; `pass_through`, which shares `failures`, checks
    NTLM proofs of the others.
    `kerberos` makes a Kerberos acceptor for a client at an address, and for its TLS channel; without it Kerberos is not
    offered.
    """

    def __init__(
        self,
        accounts: AccountSource,
        names: ServerNames,
        *,
        allow_anonymous: bool = False,
        failures: FailureTracker | None = None,
        passwords: PasswordSource | None = None,
        pass_through: NtlmVerifier | None = None,
        kerberos: Callable[[str, ChannelBindings | None], Mechanism] | None = None,
    ) -> None:
        failures = failures if failures is not None else FailureTracker()
        self._verifier = StoredHashVerifier(accounts, failures, names.workgroup, pass_through, passwords)
        self._names = names
        self._allow_anonymous = allow_anonymous
        self._kerberos = kerberos
        #: Puts another context in the place of one that is made here, for logons that somebody else decides.
        self.passing: Callable[[SecurityContext, str, Logon], SecurityContext] | None = None

    def acceptor(self, auth_type: AuthType, peer: str, logon: Logon | None = None) -> SecurityContext | None:
        """A fresh context for a mechanism, or for SPNEGO with all of them; None for what is not offered."""
        context = self.over(auth_type, peer, None)
        if context is None or logon is None or self.passing is None:
            return context
        return self.passing(context, peer, logon)

    def over(self, auth_type: AuthType, peer: str, bindings: ChannelBindings | None) -> SecurityContext | None:
        """As `acceptor`, for a client on a TLS channel; it is always decided here."""
        if auth_type == AuthType.KERBEROS:
            return self._kerberos(peer, bindings) if self._kerberos is not None else None
        if auth_type not in (AuthType.NTLMSSP, AuthType.SPNEGO):
            return None
        ntlm = NtlmAcceptor(
            self._verifier,
            self._names,
            peer,
            allow_anonymous=self._allow_anonymous,
            channel_bindings=bindings.ntlm_hash if bindings is not None else None,
            bindings_required=bindings is not None and bindings.required,
        )
        if auth_type == AuthType.NTLMSSP:
            return ntlm
        return SpnegoAcceptor([ntlm] if self._kerberos is None else [self._kerberos(peer, bindings), ntlm])

    def check_password(self, user_name: str, password: str, peer: str) -> Identity:
        """Who proves to be somebody with a password itself. Raises `SecurityError`. May block.

        What he would prove with NTLM is made here, and checked by whoever checks NTLM, a domain controller perhaps.
        """
        domain, _, name = user_name.rpartition("\\")
        filetime = filetime_now()
        pairs = TargetInfo.unpack(self._names.target_info(filetime)).av_pairs
        blob = NtlmV2ClientChallenge.new(filetime, os.urandom(8), pairs).pack()
        challenge = os.urandom(8)
        try:
            key = ntlm_crypto.ntowf_v2(ntlm_crypto.nt_hash(password), name, domain)
        except UnicodeError as error:
            raise SecurityError("a password or name that is no text") from error
        proof = ntlm_crypto.nt_proof_str(key, challenge, blob)
        identity, _ = self._verifier.verify(NtlmLogin(name, domain, "", challenge, proof, blob, peer))
        return dataclasses.replace(identity, level=AuthLevel.CONNECT)

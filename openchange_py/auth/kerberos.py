"""Kerberos as a security context: [MS-KILE], RFC 4121, by the machine's MIT or Heimdal library. The server's side.

The library is reached through the optional package `gssapi`; without it nothing here is offered. Messages are protected
as [MS-RPCE] 2.2.2.11 and Windows lay them out: `GSS_C_DCE_STYLE`, everything that sealing adds in one header.
Not done: principals of other realms (trusts), the groups of the PAC.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

from openchange_py.addressbook.base import Account, DirectoryError, Entry
from openchange_py.auth.channel_binding import ChannelBindings
from openchange_py.auth.gss_acceptor import AcceptorKeys, DceAcceptor
from openchange_py.auth.krb5 import Received, read_ap_req
from openchange_py.rpc.security import AuthLevel, Authority, AuthType, Delegated, Identity, SecurityError
from openchange_py.wire.kerberos import GssFlags
from openchange_py.wire.spnego import KERBEROS_OID, MS_KERBEROS_OID, unframed_ap_req

try:
    import gssapi
    from gssapi import raw as gss
except ImportError:  # the package is optional, and refuses to load without the system's library
    gssapi = gss = None

logger = logging.getLogger(__name__)

#: A message out of its turn was removed, repeated or inserted: without both nobody would notice.
_DEMANDED: Final = ("replay_detection", "out_of_sequence_detection")
#: RFC 2744 3.9.1: GSS_S_DEFECTIVE_TOKEN.
_DEFECTIVE_TOKEN: Final = 9 << 16
#: GSS_C_INQ_SSPI_SESSION_KEY, as MIT's and Heimdal's libraries know it.
_SESSION_KEY: Final = "1.2.840.113554.1.2.2.5.5"
#: name@REALM without the escapes of RFC 1964 2.1.3, and no service/host.
_USER_PRINCIPAL: Final = re.compile(r"([^@/\\\s]{1,256})@([^@/\\\s]{1,256})")


class KerberosUnavailable(Exception):
    """Kerberos cannot be offered or used here; the text says why and what to do."""


def require_library() -> None:
    """Raise `KerberosUnavailable` where the `gssapi` package is not installed."""
    if gss is None:
        raise KerberosUnavailable(
            "the Python package gssapi is not installed: pip install 'openchange-py[kerberos]' "
            "(it is compiled: Debian's libkrb5-dev, python3-dev and gcc are needed)"
        )


class Keytab:
    """The server's long-term keys. Later changes of the file are seen. Raises `KerberosUnavailable`."""

    def __init__(self, path: Path) -> None:
        require_library()
        self.path = path
        try:
            path.open("rb").close()  # or the library tells of a missing file nothing but "no credentials"
            #: For two legs or one, where only the replay cache tells a new AP-REQ from one that was overheard.
            self.credential = self._acquire({})
            #: For three legs, of which the last proves it without a cache.
            self.dce_style_credential = self._acquire({b"rcache": b"none:"})
        except (OSError, gss.GSSError) as error:
            raise KerberosUnavailable(f"{path}: {error}") from error

    @functools.cached_property
    def keys(self) -> AcceptorKeys:
        """For clients that forward tickets in DCE style. Raises `SecurityError`."""
        return AcceptorKeys(self.path)

    def _acquire(self, store: dict[bytes, bytes]) -> Any:
        store = {b"keytab": b"FILE:" + str(self.path).encode(), **store}
        return gss.acquire_cred_from(store, mechs=[mechanism()], usage="accept").creds


def mechanism() -> Any:
    """GSSAPI's name of Kerberos."""
    return gssapi.OID.from_int_seq(KERBEROS_OID)


class KerberosContext:
    """What acceptor and initiator share: message protection once the exchange is complete."""

    auth_type = AuthType.KERBEROS
    #: Header signing is negotiated, [MS-RPCE] 3.3.1.5.2.2.
    always_signs_headers = False
    mech_types: tuple[str, ...] = (MS_KERBEROS_OID, KERBEROS_OID)

    def __init__(self) -> None:
        require_library()
        self.complete = False
        self.identity: Identity | None = None
        self._context: Any = None
        self._over = False
        self._seals = self._detects = False
        self._sizes: dict[bool, int] = {}

    def _established(self, flags: Any) -> None:
        """The exchange is done: what was agreed on, `flags` of GSSAPI."""
        flag = gssapi.RequirementFlag
        self._seals = flag.dce_style in flags and flag.confidentiality in flags
        self._detects = all(flag[name] in flags for name in _DEMANDED)
        self.complete = True

    def signature_size(self, level: AuthLevel) -> int:
        """See `SecurityContext.signature_size`: it depends on the kind of key."""
        if level < AuthLevel.CALL:
            return 0
        sealing = level >= AuthLevel.PRIVACY
        if sealing not in self._sizes:
            self._sizes[sealing] = self._seal_size() if sealing else self._sign_size()
        return self._sizes[sealing]

    def _sign_size(self) -> int:
        iov = gss.IOV(b"", gss.IOVBufferType.mic_token, std_layout=False)
        gss.get_mic_iov_length(self._protecting(), iov)
        return _length(iov[1])

    def _seal_size(self) -> int:
        iov = gss.IOV(b"", gss.IOVBufferType.header, std_layout=False)
        # A trial wrap_iov would use up a sequence number.
        gss.wrap_iov_length(self._sealing(), iov)
        return _length(iov[1])

    def sign(self, message: bytes) -> bytes:
        """See `SecurityContext.sign`."""
        context = self._protecting()
        try:
            signature: bytes = gss.get_mic(context, message)
        except gss.GSSError as error:
            raise SecurityError(f"signing failed: {error}") from error
        return signature

    def verify(self, message: bytes, signature: bytes) -> None:
        """See `SecurityContext.verify`."""
        context = self._protecting()
        try:
            gss.verify_mic(context, message, signature)
        except gss.GSSError as error:
            raise SecurityError(f"wrong signature: {error}") from error

    def seal(self, before: bytes, body: bytes, after: bytes) -> tuple[bytes, bytes]:
        """See `SecurityContext.seal`."""
        context = self._sealing()
        iov = gss.IOV(*_layout(before, body, after), gss.IOVBufferType.header, std_layout=False)
        try:
            if not gss.wrap_iov(context, iov, confidential=True):
                raise SecurityError("the Kerberos library did not encrypt")
        except gss.GSSError as error:
            raise SecurityError(f"sealing failed: {error}") from error
        return iov[1].value, iov[3].value

    def unseal(self, before: bytes, sealed: bytes, after: bytes, signature: bytes) -> bytes:
        """See `SecurityContext.unseal`."""
        context = self._sealing()
        header = (gss.IOVBufferType.header, False, signature)
        iov = gss.IOV(*_layout(before, sealed, after), header, std_layout=False)
        try:
            done = gss.unwrap_iov(context, iov)
        except gss.GSSError as error:
            raise SecurityError(f"unsealing failed: {error}") from error
        if not done.encrypted:
            raise SecurityError("the message was signed and not sealed")
        body: bytes = iov[1].value
        return body

    @property
    def can_sign_mech_list(self) -> bool:
        """See `Mechanism.can_sign_mech_list`."""
        return self.complete

    def sign_mech_list(self, mech_types: bytes) -> bytes:
        """See `Mechanism.sign_mech_list`."""
        return self.sign(mech_types)

    def verify_mech_list(self, mech_types: bytes, signature: bytes) -> None:
        """See `Mechanism.verify_mech_list`."""
        self.verify(mech_types, signature)

    @property
    def session_key(self) -> bytes:
        """See `KeyedContext.session_key`: [MS-KILE] 3.1.1.2, the subkey."""
        try:
            found = gss.inquire_sec_context_by_oid(self._protecting(), gssapi.OID.from_int_seq(_SESSION_KEY))
        except gss.GSSError as error:
            raise SecurityError(f"no session key: {error}") from error
        return bytes(found[0])

    def _begin(self) -> None:
        if self._over or self.complete:
            raise SecurityError("the Kerberos exchange is over")

    def _protecting(self) -> Any:
        if not self.complete:
            raise SecurityError("the Kerberos exchange is not complete")
        if not self._detects:
            raise SecurityError("replay and sequence detection were not negotiated")
        return self._context

    def _sealing(self) -> Any:
        context = self._protecting()
        if not self._seals:
            raise SecurityError("sealing in DCE style was not negotiated")
        return context


def _layout(before: bytes, body: bytes, after: bytes) -> list[Any]:
    kind = gss.IOVBufferType
    return [(kind.sign_only, False, before), (kind.data, False, body), (kind.sign_only, False, after)]


def _length(buffer: Any) -> int:
    return len(buffer.value or b"")


class PrincipalSource(Protocol):
    """Where accounts come from; a `Directory` is one."""

    def account(self, name: str) -> Account | None: ...
    def by_account(self, account: str) -> Entry | None: ...


class KerberosAcceptor(KerberosContext):
    """The server's side: one or two tokens of the client, by `GSS_C_DCE_STYLE`.

    Only users of `realm` who have an account are let in, by sAMAccountName or else by userPrincipalName: the same order
    as the KDC's ([MS-KILE] 3.3.5.6.1). `workgroup` is the domain of accounts whose directory names none.
    `delegated` makes of a client's AP-REQ what the identity carries to act for him elsewhere; without it what he
    forwards is wiped. A ticket for another channel than `bindings` is refused.
    """

    def __init__(
        self,
        keytab: Keytab,
        accounts: PrincipalSource,
        realm: str,
        workgroup: str,
        peer: str,
        *,
        delegated: Callable[[Received], Delegated] | None = None,
        bindings: ChannelBindings | None = None,
    ) -> None:
        super().__init__()
        self._bindings = bindings
        self._keytab = keytab
        self._accounts = accounts
        self._realm = realm
        self._workgroup = workgroup
        self._peer = peer
        self._make_delegated = delegated
        #: What the first leg brought; nobody's before the last.
        self._delegated: Delegated | None = None
        self._forwards = False
        self._dce: DceAcceptor | None = None

    def step(self, token: bytes) -> bytes:
        """See `SecurityContext.step`. After an error the context is of no more use."""
        self._begin()
        self._over = True
        if self._context is None and self._dce is None:
            self._read(unframed_ap_req(token) or token)
        try:
            return self._step_forwarding(self._dce, token) if self._dce is not None else self._step(token)
        except gss.GSSError as error:
            raise SecurityError(f"Kerberos: {error}") from error

    def _step(self, token: bytes) -> bytes:
        result = self._accept(token)
        self._context = result.context
        self._over = False
        if not result.more_steps:
            self._finish(gss.display_name(result.initiator_name, name_type=False).name, result.flags)
        return result.token or b""

    def _step_forwarding(self, acceptor: DceAcceptor, token: bytes) -> bytes:
        answer = acceptor.step(unframed_ap_req(token) or token)
        self._over = False
        if acceptor.accepted is not None:
            principal, flags, exported = acceptor.accepted
            self._context = gss.import_sec_context(exported)
            self._finish(principal, gssapi.IntEnumFlagSet(gssapi.RequirementFlag, flags))
        return answer

    def _finish(self, principal: bytes, flags: Any) -> None:
        # Nobody is let in half: the account is known before the context can be used.
        self._over = True
        if self._bindings is not None and self._bindings.required and gssapi.RequirementFlag.channel_bound not in flags:
            logger.warning("%s: Kerberos logon does not name the TLS channel that it is for", self._peer)
            raise SecurityError("the logon does not name its TLS channel")
        self.identity = self._identify(principal.decode("utf-8", "replace"))
        self._established(flags)

    def _accept(self, token: bytes) -> Any:
        """One step of GSSAPI. In DCE style the first token is a bare AP-REQ, which impacket frames nevertheless."""
        framed = self._context is None and unframed_ap_req(token)
        try:
            return gss.accept_sec_context(
                framed or token, self._keytab.dce_style_credential, self._context, channel_bindings=self._channel()
            )
        except gss.GSSError as error:
            if not framed or error.maj_code != _DEFECTIVE_TOKEN:
                raise
        # Not in DCE style, then.
        return gss.accept_sec_context(token, self._keytab.credential, channel_bindings=self._channel())

    def _channel(self) -> Any:
        if self._bindings is None:
            return None
        return gss.ChannelBindings(application_data=self._bindings.application_data)

    def _read(self, ap_req: bytes) -> None:
        """Look what the client delegates; what can't be read is for GSSAPI to refuse."""
        try:
            received = read_ap_req(self._keytab.path, ap_req)
        except SecurityError as error:
            logger.debug("%s: AP-REQ not read: %s", self._peer, error)
            return
        self._forwards = received.forwarded is not None
        if received.problem:
            logger.warning("%s: what the client forwards can't be used: %s", self._peer, received.problem)
        in_dce_style = GssFlags.DCE_STYLE in received.flags and self._bindings is None
        if GssFlags.DELEGATE in received.flags and in_dce_style:
            self._dce = DceAcceptor(self._keytab.keys)
        if self._make_delegated is not None:
            self._delegated = self._make_delegated(received)
        elif received.forwarded is not None:
            received.forwarded.close()

    def _identify(self, principal: str) -> Identity:
        refusal, account = self._look_up(principal)
        if account is None:
            logger.warning("%s: Kerberos logon of %.200r refused: %s", self._peer, principal, refusal)
            raise SecurityError("logon refused")
        also = " with a forwarded ticket" if self._forwards else ""
        logger.info("%s: Kerberos logon of %s as %s%s", self._peer, principal, account.name, also)
        return Identity(
            account.name, account.domain or self._workgroup, AuthLevel.CONNECT, Authority.DOMAIN, self._delegated
        )

    def _look_up(self, principal: str) -> tuple[str, Account | None]:
        """The principal's account, or why there is none."""
        match = _USER_PRINCIPAL.fullmatch(principal)
        if match is None:
            return "not the name of a user", None
        name, realm = match.groups()
        if realm != self._realm:
            return f"not of the realm {self._realm}", None
        try:
            account = self._accounts.account(name) or self._by_principal(f"{name}@{realm.lower()}")
        except DirectoryError as error:
            logger.error("the directory failed: %s", error)
            return "the directory failed", None
        if account is None:
            return "no such account", None
        return ("", account) if account.enabled else ("the account is disabled", None)

    def _by_principal(self, name: str) -> Account | None:
        """By userPrincipalName alone: a mail address of one can be the principal of another."""
        account = self._accounts.account(name)
        entry = self._accounts.by_account(account.name) if account is not None else None
        names = [str(value).casefold() for value in entry.all("userPrincipalName")] if entry is not None else []
        return account if name.casefold() in names else None

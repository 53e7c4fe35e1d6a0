"""The client's side of Kerberos: whose logon it is, and the security context that makes it. [MS-KILE], RFC 4121.

Inside SPNEGO: `SpnegoInitiator(KerberosInitiator(credential, target_name))`.
"""

from __future__ import annotations

import dataclasses
import enum
import secrets
import threading
from pathlib import Path
from typing import Any, Final, Protocol

from openchange_py.auth.channel_binding import ChannelBindings
from openchange_py.auth.kerberos import KerberosContext, mechanism, require_library
from openchange_py.rpc.security import AuthLevel, SecurityError

try:
    import gssapi
    from gssapi import raw as gss
except ImportError:  # as in `kerberos`
    gssapi = gss = None

#: GSS_KRB5_CRED_NO_CI_FLAGS_X, as MIT's and Heimdal's libraries know it.
_NO_CI_FLAGS: Final = "1.2.752.43.13.29"
#: Credential caches of this process alone.
_PRIVATE_CACHE: Final = f"MEMORY:ocpy-{secrets.token_hex(8)}"


#: The service class of an interface's principal, as Exchange registers them and Outlook asks for them.
SERVICES: Final = {
    "exchange_emsmdb": "exchangeMDB",
    "exchange_async_emsmdb": "exchangeMDB",
    "exchange_nsp": "exchangeAB",
    "exchange_ds_rfr": "exchangeRFR",
}

#: That of SMB.
SMB_SERVICE: Final = "cifs"
#: That of web servers, whatever is spoken over HTTP.
WEB_SERVICE: Final = "HTTP"


class Delegate(enum.Enum):
    """Whether an initiator forwards the client's TGT (RFC 4121 4.1.1, GSS_C_DELEG_FLAG)."""

    NO = enum.auto()
    #: Where the KDC says that the server may have it: RFC 4120 2.8, OK-AS-DELEGATE; RFC 5896.
    OK_AS_DELEGATE = enum.auto()
    ALWAYS = enum.auto()


class InitiatorCredential(Protocol):
    """Whose logon a `KerberosInitiator` makes."""

    def acquire(self) -> Any:
        """GSSAPI's credential; raises `SecurityError`. May ask the KDC, and so block."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class KerberosCredential:
    """Who logs on: with a password, with the keys of a keytab, or with a credential cache's tickets (`FILE:/tmp/...`).

    Without a principal it is the cache's; without all of them, what the environment has (KRB5CCNAME).
    """

    principal: str = ""
    password: str = dataclasses.field(default="", repr=False)
    ccache: str = ""
    keytab: Path | None = None

    def acquire(self) -> Any:
        """See `InitiatorCredential.acquire`. Tickets got with a password or keytab stay in memory."""
        require_library()
        try:
            name = gssapi.Name(self.principal, gssapi.NameType.kerberos_principal) if self.principal else None
            if self.password:
                return gss.acquire_cred_with_password(
                    name, self.password.encode(), mechs=[mechanism()], usage="initiate"
                ).creds
            return gss.acquire_cred_from(self._store(), name, mechs=[mechanism()], usage="initiate").creds
        except gss.GSSError as error:
            raise SecurityError(
                f"Kerberos credential of {self.principal or self.ccache or 'nobody'}: {error}"
            ) from error

    def _store(self) -> dict[bytes, bytes] | None:
        if self.keytab is not None:
            # A cache of its own: the default one is somebody's, and on disk. The library renews what is in it.
            cache = f"{_PRIVATE_CACHE}-{self.principal}".encode()
            return {b"client_keytab": b"FILE:" + str(self.keytab).encode(), b"ccache": cache}
        return {b"ccache": self.ccache.encode()} if self.ccache else None


def principal_of(credential: InitiatorCredential) -> str:
    """Whose logon it makes, `alice@EXAMPLE.TEST`. Raises `SecurityError`, `KerberosUnavailable`; may block."""
    acquired = credential.acquire()
    try:
        name = gss.inquire_cred(acquired, lifetime=False, usage=False, mechs=False).name
        principal: str = gss.display_name(name, name_type=False).name.decode("utf-8", "replace")
    except gss.GSSError as error:
        raise SecurityError(f"Kerberos credential: {error}") from error
    return principal


class SharedCredential:
    """A credential for many connections: acquired with the first, and again shortly before its tickets expire."""

    #: Seconds: what a logon may take after the credential was looked at.
    _MARGIN: Final = 300

    def __init__(self, credential: InitiatorCredential) -> None:
        self._credential = credential
        self._acquired: Any = None
        self._guard = threading.Lock()

    def acquire(self) -> Any:
        """See `InitiatorCredential.acquire`. Asked by several threads at a time, only one asks the KDC."""
        with self._guard:
            if self._acquired is None or _lifetime(self._acquired) < self._MARGIN:
                self._acquired = _promising_no_more_than_asked(self._credential.acquire())
            return self._acquired


def _lifetime(credential: Any) -> int:
    """Seconds that it is still good for; none where it expired."""
    try:
        left: int | None = gss.inquire_cred(credential, name=False, usage=False, mechs=False).lifetime
    except gss.GSSError:
        return 0
    return left or 0


class KerberosInitiator(KerberosContext):
    """The client's side, DCE style: b"" gives the AP-REQ, the server's AP-REP the third token.

    Toward SMB and web servers (`cifs/...`, `HTTP/...`) there is no third token: DCE style is RPC's. The server proves
    who it is in any case. `bindings` say which TLS channel the logon is for.

    `target_name` is an SPN such as `exchangeMDB/exch1.example.test`. `delegate` forwards the client's TGT, so that
    the server can act for him; with `OK_AS_DELEGATE` only where the KDC trusts that server with it.
    """

    def __init__(
        self,
        credential: InitiatorCredential,
        target_name: str,
        *,
        level: AuthLevel = AuthLevel.PRIVACY,
        delegate: Delegate = Delegate.NO,
        bindings: ChannelBindings | None = None,
    ) -> None:
        super().__init__()
        self._bindings = None
        if bindings is not None:
            self._bindings = gss.ChannelBindings(application_data=bindings.application_data)
        self._credential: InitiatorCredential | None = credential
        self._acquired: Any = None
        self._target = gssapi.Name(target_name, gssapi.NameType.kerberos_principal)
        flag = gssapi.RequirementFlag
        self._flags = flag.mutual_authentication | flag.replay_detection
        if target_name.partition("/")[0] not in (SMB_SERVICE, WEB_SERVICE):
            self._flags |= flag.dce_style
        self._flags |= flag.out_of_sequence_detection | flag.integrity
        if level >= AuthLevel.PRIVACY:
            self._flags |= flag.confidentiality
        if delegate is not Delegate.NO:
            self._flags |= flag.delegate_to_peer if delegate is Delegate.ALWAYS else flag.ok_as_delegate
        self._prepared: bytes | None = None

    def prepare(self) -> None:
        """Make the first token now, in a thread that may wait for the KDC; `step` then gives it at once.

        Raises `SecurityError`.
        """
        self._prepared = self._initiate(b"")

    def step(self, token: bytes) -> bytes:
        """See `SecurityContext.step`. After an error the context is of no more use."""
        prepared, self._prepared = self._prepared, None
        return self._initiate(token) if token or prepared is None else prepared

    def _initiate(self, token: bytes) -> bytes:
        self._begin()
        self._over = True
        if self._acquired is None:
            assert self._credential is not None
            self._acquired = _promising_no_more_than_asked(self._credential.acquire())
        try:
            result = gss.init_sec_context(
                self._target,
                self._acquired,
                self._context,
                mech=mechanism(),
                flags=self._flags,
                channel_bindings=self._bindings,
                input_token=token or None,
            )
        except gss.GSSError as error:
            raise SecurityError(f"Kerberos: {error}") from error
        self._context = result.context
        self._over = False
        if not result.more_steps:
            self._established(result.flags)
            # The tickets have done what they are for; whoever keeps the context need not keep them.
            self._acquired = self._credential = None
        return result.token or b""


def _promising_no_more_than_asked(credential: Any) -> Any:
    """Have the library announce confidentiality only where it was asked for, not always.

    A Samba server takes the announcement at its word, and can't sign its answers at the level sign then.
    """
    try:
        gss.set_cred_option(gssapi.OID.from_int_seq(_NO_CI_FLAGS), credential)
    except gss.GSSError as error:
        raise SecurityError(f"Kerberos credential: {error}") from error
    return credential

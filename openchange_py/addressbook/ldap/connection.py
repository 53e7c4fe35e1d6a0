"""Connections to LDAP servers: TLS with a checked certificate, a bind, the next server where one does not answer.

`ldap3` (LGPL, pure Python) is the client. Kerberos goes over TLS or `ldapi` only: the released `ldap3` has no security
layer of its own, and a Samba controller takes that where its `ldap server require strong auth` is
`allow_sasl_over_tls`. Not done: referrals (nobody else is given the password), TLS client certificates.
"""

from __future__ import annotations

import dataclasses
import logging
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import ldap3

from openchange_py.addressbook.base import DirectoryError

logger = logging.getLogger(__name__)

#: The protocol's usual ports.
_LDAP_PORT, _LDAPS_PORT = 389, 636
#: As much of an error's text as is shown: ldap3's are long where certificates are in them.
_LONGEST_TEXT: Final = 300


class DirectoryAway(DirectoryError):
    """No server of the directory answers, or none lets us in; the message says what each said."""


@dataclasses.dataclass(frozen=True, slots=True)
class KerberosBind:
    """SASL GSSAPI: as `principal` with the keys of `keytab`, or where that is None with tickets that somebody got.

    Those are in the cache that krb5.conf and `KRB5CCNAME` name.
    """

    principal: str = ""
    keytab: Path | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ExternalBind:
    """SASL EXTERNAL over `ldapi`: as the user that this process runs as."""


@dataclasses.dataclass(frozen=True, slots=True)
class LdapServers:
    """Where the directory is and how it is asked: `urls` in turn, below `base`, as `bind_dn` or by `sasl`.

    URLs are `ldap://HOST`, `ldaps://HOST`, with a port where it is not the usual one, or `ldapi://%2Fpath%2Fof%2Fsocket`.
    `start_tls` protects `ldap://`; `ca_file` has the certificates to trust, the system's where it is None. An empty
    `base` is the one that the server names.
    """

    urls: Sequence[str]
    base: str
    bind_dn: str
    password: str = dataclasses.field(repr=False)
    start_tls: bool = True
    ca_file: Path | None = None
    sasl: KerberosBind | ExternalBind | None = None

    @property
    def who(self) -> str:
        """As whom it is asked, as the log says it."""
        match self.sasl:
            case None:
                return self.bind_dn or "nobody"
            case KerberosBind(principal, _):
                return f"{principal or 'the default principal'} (Kerberos)"
            case _:
                return "this process's user"


def connect(servers: LdapServers, seconds: float, *, read_only: bool = False, what: str = "directory") -> Any:
    """An `ldap3.Connection` to the first server that answers, bound; each step takes at most `seconds`.

    `DirectoryAway` says what each server said. Nothing is said in the clear before TLS is there.
    """
    problems = []
    for url in servers.urls:
        try:
            connection = _connect(servers, url, seconds, read_only)
        except Exception as error:  # ldap3 raises its own errors, OSErrors, and on garbage whatever came up
            problems.append(f"{url}: {error_text(error)}")
        else:
            logger.info("%s %s as %s", what, url, servers.who)
            return connection
    raise DirectoryAway("; ".join(problems))


def _connect(servers: LdapServers, url: str, seconds: float, read_only: bool) -> Any:
    connection = ldap3.Connection(
        _server(servers, url, seconds),
        auto_referrals=False,  # nobody else is given the password
        read_only=read_only,
        receive_timeout=max(1, round(seconds)),  # ldap3 takes whole seconds alone
        check_names=False,
        return_empty_attributes=False,
        **_credentials(servers),
    )
    try:
        connection.open()
        if servers.start_tls and urlsplit(url).scheme == "ldap":
            connection.start_tls()
        if not connection.bind():
            raise DirectoryError(f"bind as {servers.who} refused: {connection.result['description']}")
    except BaseException:
        close(connection)
        raise
    return connection


def _server(servers: LdapServers, url: str, seconds: float) -> Any:
    parts = urlsplit(url)
    if parts.scheme == "ldapi":
        return ldap3.Server(url, get_info=ldap3.NONE, connect_timeout=seconds)
    encrypted = parts.scheme == "ldaps"
    if not encrypted and not servers.start_tls and isinstance(servers.sasl, KerberosBind):
        raise DirectoryError("Kerberos needs ldaps:// or StartTLS: without it nothing that follows would be protected")
    ca_file = None if servers.ca_file is None else str(servers.ca_file)
    return ldap3.Server(
        parts.hostname,
        parts.port or (_LDAPS_PORT if encrypted else _LDAP_PORT),
        use_ssl=encrypted,
        tls=ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=ca_file),
        get_info=ldap3.NONE,
        connect_timeout=seconds,
    )


def _credentials(servers: LdapServers) -> dict[str, Any]:
    match servers.sasl:
        case None:
            return {"user": servers.bind_dn, "password": servers.password}
        case ExternalBind():
            return {"authentication": ldap3.SASL, "sasl_mechanism": ldap3.EXTERNAL, "sasl_credentials": ""}
        case KerberosBind(principal, keytab):
            found: dict[str, Any] = {"authentication": ldap3.SASL, "sasl_mechanism": ldap3.KERBEROS}
            if keytab is not None:
                # A cache of our own: tickets of a keytab are got again, nobody else's cache is touched.
                found["cred_store"] = {"client_keytab": str(keytab), "ccache": "MEMORY:openchange-py-ldap"}
            return found | ({"user": principal} if principal else {})


def error_text(error: BaseException) -> str:
    """What is told of an error, with its kind where it is none of ours."""
    return str(error) if isinstance(error, DirectoryError) else f"{type(error).__name__}: {error}"[:_LONGEST_TEXT]


def close(connection: Any) -> None:
    """Let go of a connection, whatever its state."""
    try:
        connection.unbind()
    except Exception as error:  # it was given up already
        logger.debug("directory: %s", error)

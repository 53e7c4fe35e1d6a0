"""Bearer tokens: JSON Web Tokens of an OpenID Connect issuer (RFC 7519, RFC 6750, OpenID Connect Core 3.1.3.7).

Signatures are checked by PyJWT with the issuer's public keys, RSA or elliptic curves; a shared secret signs nothing
here. The account is what a claim names, and must be in the directory.
Not done: HTTP proxies on the way to the keys, finding them by the issuer's discovery document, encrypted tokens, proof
of possession.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import jwt

from openchange_py.addressbook.base import Account, DirectoryError
from openchange_py.auth.accounts import AccountSource, PasswordSource, account_name
from openchange_py.rpc.security import AuthLevel, Identity, SecurityError

logger = logging.getLogger(__name__)

_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "ES512")
#: Clocks of issuers differ from ours by so many seconds at most.
_LEEWAY: Final = 60
_LARGEST_SET: Final = 1 << 20
#: For connecting and the whole answer of a URL.
FETCH_SECONDS: Final = 5.0


class KeySetError(Exception):
    """The issuer's keys cannot be read; the text says why."""


class KeySet:
    """The issuer's public keys (RFC 7517), of a file or of a URL: read when needed, and again when they may be new.

    A file is read again once it changed. A URL is asked again after `longest` seconds, and for a key that nobody knows
    after `shortest`, so that tokens of invented keys do not ask it each time. Safe from several threads: one of them
    asks, and the others wait for it only where they know no such key yet.
    """

    def __init__(
        self,
        source: Path | str,
        *,
        shortest: float = 60.0,
        longest: float = 3600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._shortest, self._longest = shortest, longest
        self._clock = clock
        self._guard = threading.Lock()
        self._keys: dict[str, Any] = {}
        self._read_at: float | None = None
        #: Set once whoever asks the URL has its answer.
        self._answered = threading.Event()
        self._answered.set()
        self._stamp: tuple[int, int] | None = None

    def key(self, key_id: str) -> Any:
        """The key of that id, or the only one where the token names none. Raises `KeySetError`."""
        if isinstance(self._source, Path):
            with self._guard:
                self._refresh_file(self._source)
        else:
            self._refresh_url(self._source, key_id)
        keys = self._keys
        if key_id in keys:
            return keys[key_id]
        if not key_id and len(keys) == 1:
            return next(iter(keys.values()))
        raise KeySetError(f"no key {key_id[:80]!r} in {self._source}")

    def _refresh_url(self, url: str, key_id: str) -> None:
        with self._guard:
            now, known = self._clock(), key_id in self._keys
            age = float("inf") if self._read_at is None else now - self._read_at
            due = age >= (self._longest if known else self._shortest) and self._answered.is_set()
            if due:
                self._read_at = now
                self._answered.clear()
        if not due:
            if not known:
                self._answered.wait(FETCH_SECONDS)
            return
        try:
            self._keys = parse_keys(fetch(url))
        except KeySetError as error:
            if not self._keys:
                raise
            logger.warning("%s; the keys that were there before stay in force", error)
        finally:
            self._answered.set()

    def _refresh_file(self, path: Path) -> None:
        try:
            status = path.stat()
            stamp = status.st_mtime_ns, status.st_size
            if stamp != self._stamp:
                self._keys = parse_keys(path.read_bytes()[: _LARGEST_SET + 1])
                self._stamp = stamp
        except OSError as error:
            raise KeySetError(f"{path}: {error.strerror}") from error


def parse_keys(data: bytes) -> dict[str, Any]:
    """The usable keys of a JWK set by id. Raises `KeySetError`."""
    if len(data) > _LARGEST_SET:
        raise KeySetError("a key set of more than 1 MiB")
    try:
        entries = json.loads(data)["keys"]
        found = {}
        for entry in entries:
            if entry.get("use", "sig") != "sig" or entry.get("kty") not in ("RSA", "EC"):
                continue
            found[str(entry.get("kid", ""))] = jwt.PyJWK(entry).key
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, jwt.PyJWTError) as error:
        raise KeySetError(f"no JSON Web Key set: {error}") from error
    if not found:
        raise KeySetError("a key set without keys to check signatures with")
    return found


def check_source(text: str) -> Path | str:
    """A file's path, or a URL, which nobody on the way must be able to change. Raises `ValueError`."""
    parts = urlsplit(text)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")):
        return text
    if text.startswith("/"):
        return Path(text)
    raise ValueError(f"{text!r} is neither an absolute path nor an https:// URL")


def fetch(url: str, seconds: float = FETCH_SECONDS) -> bytes:
    """What a URL answers, in so many seconds in all. Raises `KeySetError`.

    Redirections are not followed: they may lead to where anybody on the way can change the keys.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=seconds)
    late = threading.Event()
    timer = threading.Timer(seconds, _cut, [connection, late])
    timer.daemon = True
    timer.start()
    try:
        connection.request("GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
        answer = connection.getresponse()
        if answer.status != http.HTTPStatus.OK:
            raise KeySetError(f"{url}: status {answer.status}, where 200 is due")
        data = answer.read(_LARGEST_SET + 1)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise KeySetError(f"{url}: {f'no answer within {seconds:g} s' if late.is_set() else error}") from error
    finally:
        timer.cancel()
        connection.close()
    if late.is_set():
        raise KeySetError(f"{url}: no answer within {seconds:g} s")
    return data


def _cut(connection: http.client.HTTPConnection, late: threading.Event) -> None:
    """End what a connection waits for, however slowly something comes."""
    late.set()
    with contextlib.suppress(OSError, AttributeError):  # it may not be connected, or be closed already
        connection.sock.shutdown(socket.SHUT_RDWR)


@dataclasses.dataclass(frozen=True, slots=True)
class Issuer:
    """Whose tokens are taken, and whom they must be for. `claims` name the account, the first that is there counts."""

    issuer: str
    audiences: Sequence[str]
    claims: Sequence[str] = ("upn",)
    #: Where clients get tokens, which they are told.
    authorization_uri: str = ""


class BearerTokens:
    """Makes identities of tokens."""

    def __init__(
        self,
        issuer: Issuer,
        keys: KeySet,
        accounts: AccountSource,
        workgroup: str,
        passwords: PasswordSource | None = None,
    ) -> None:
        self._issuer = issuer
        self._keys = keys
        self._accounts = accounts
        self._workgroup = workgroup
        self._passwords = passwords

    def challenge(self, realm: str) -> str:
        """What a client is asked with: whose token, and for whom ([MS-XOAUTH] 2.2.3.1 names the parameters)."""
        issuer = self._issuer
        fields = {"realm": realm, "client_id": next(iter(issuer.audiences), ""), "trusted_issuers": issuer.issuer}
        if issuer.authorization_uri:
            fields["authorization_uri"] = issuer.authorization_uri
        return "Bearer " + ", ".join(f'{name}="{_quoted(value)}"' for name, value in fields.items())

    def identity(self, token: str) -> Identity:
        """Whose token it is. Raises `SecurityError`. May block."""
        claims = self._claims(token)
        named = next((claims[claim] for claim in self._issuer.claims if claims.get(claim)), None)
        name = account_name(named) if isinstance(named, str) else None
        account = self._account(name) if name is not None else None
        if account is None:
            raise SecurityError(f"a good token of {str(named)[:80]!r}, for whom there is no account, or a disabled one")
        logger.info("token of %s taken as %s", name, account.name)
        return Identity(account.name, account.domain or self._workgroup, AuthLevel.CONNECT)

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            key_id = jwt.get_unverified_header(token).get("kid", "")
            if not isinstance(key_id, str):
                raise SecurityError("a key id that is no text")
            claims: dict[str, Any] = jwt.decode(
                token,
                self._keys.key(key_id),
                algorithms=list(_ALGORITHMS),
                audience=list(self._issuer.audiences),
                issuer=self._issuer.issuer,
                leeway=_LEEWAY,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (jwt.PyJWTError, KeySetError, ValueError, TypeError, RecursionError) as error:
            raise SecurityError(f"bearer token: {error}") from error
        return claims

    def _account(self, name: str) -> Account | None:
        try:
            account = self._accounts.account(name)
            if account is not None and account.nt_hash is None and self._passwords is not None:
                account = self._passwords.complete(account)
        except DirectoryError as error:
            raise SecurityError(f"the directory failed: {error}") from error
        return account if account is not None and account.enabled else None


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')

"""Credential caches in memory, and what GSSAPI keeps back of a client's AP-REQ. By MIT's libkrb5, through ctypes.

In DCE style MIT's `gss_accept_sec_context` returns from the first leg without the delegated credential, and from the
second there is nothing to return. So the AP-REQ is read once more here, with public functions of the same library.
Nothing is written to disk. Not done: Heimdal's library, whose structures are others.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
import weakref
from collections.abc import Iterator
from ctypes import POINTER, byref, c_char_p, c_int, c_int32, c_void_p
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

from openchange_py.auth.krb5_structures import Authenticator, Creds, Data, Keyblock, Ticket, Times
from openchange_py.rpc.security import SecurityError
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.kerberos import GSS_CHECKSUM_TYPE, GssFlags, delegated_credential, gss_flags, ticket_of

#: Where MIT's GSSAPI looks for the service that may use a cache's ticket for constrained delegation.
_IMPERSONATOR: Final = b"proxy_impersonator"
#: No replay cache, no clock: GSSAPI looks at both.
_NO_FLAGS: Final = c_int32(0)
_FORWARDABLE: Final = 0x40000000


class Krb5Unavailable(SecurityError):
    """There is no libkrb5 of MIT's here."""


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        return ctypes.CDLL("libkrb5.so.3")
    except OSError as error:
        raise Krb5Unavailable(f"delegation needs MIT's Kerberos library: {error}") from error


class _Krb5:
    """One use of the library, by one thread: what was allocated is freed at its end."""

    def __init__(self) -> None:
        self._library = _library()
        self._context = c_void_p()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        code = self._library.krb5_init_context(byref(self._context))
        if code:
            raise SecurityError(f"krb5_init_context: error {code}")
        self._stack.callback(self._library.krb5_free_context, self._context)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def call(self, function: str, *arguments: Any) -> None:
        """Raises `SecurityError` with the library's text."""
        code = getattr(self._library, function)(self._context, *arguments)
        if code:
            raise SecurityError(f"{function}: {self._message(code)}")

    def free(self, function: str, *arguments: Any) -> None:
        """Free something at the end."""
        self._stack.callback(getattr(self._library, function), self._context, *arguments)

    def principal(self, name: str) -> c_void_p:
        """The structure of `name@REALM`."""
        parsed = c_void_p()
        self.call("krb5_parse_name", c_char_p(name.encode()), byref(parsed))
        self.free("krb5_free_principal", parsed)
        return parsed

    def name(self, principal: c_void_p) -> str:
        """The text of a principal."""
        text = c_char_p()
        self.call("krb5_unparse_name", principal, byref(text))
        try:
            return (text.value or b"").decode("utf-8", "replace")
        finally:
            self._library.krb5_free_unparsed_name(self._context, text)

    def same(self, one: c_void_p, other: c_void_p) -> bool:
        """Two principals are one."""
        return bool(self._library.krb5_principal_compare(self._context, one, other))

    def open_cache(self, name: str) -> c_void_p:
        """An open handle of a credential cache."""
        cache = c_void_p()
        self.call("krb5_cc_resolve", c_char_p(name.encode()), byref(cache))
        self.free("krb5_cc_close", cache)
        return cache

    def cache_name(self, cache: c_void_p) -> str:
        """`MEMORY:NAME`."""
        text = c_char_p()
        self.call("krb5_cc_get_full_name", cache, byref(text))
        try:
            return (text.value or b"").decode()
        finally:
            self._library.krb5_free_string(self._context, text)

    def _message(self, code: int) -> str:
        function = self._library.krb5_get_error_message
        function.restype = c_void_p
        text = function(self._context, c_int32(code))
        try:
            return ctypes.string_at(text).decode("utf-8", "replace")
        finally:
            self._library.krb5_free_error_message(self._context, c_void_p(text))


class CredentialCache:
    """Tickets of one client, in the memory of this process; wiped by `close`, or when nobody has it any more."""

    def __init__(self, client: str) -> None:
        self.client = client
        with _Krb5() as krb5:
            cache = c_void_p()
            krb5.call("krb5_cc_new_unique", c_char_p(b"MEMORY"), None, byref(cache))
            krb5.free("krb5_cc_close", cache)
            self.name = krb5.cache_name(cache)
            self._finalizer = weakref.finalize(self, _destroy, self.name)
            krb5.call("krb5_cc_initialize", cache, krb5.principal(client))

    def close(self) -> None:
        """Wipe the tickets. Whoever still wants to use them gets an error."""
        self._finalizer()

    @property
    def closed(self) -> bool:
        """The tickets are wiped."""
        return not self._finalizer.alive


def _destroy(name: str) -> None:
    with contextlib.suppress(SecurityError), _Krb5() as krb5:
        cache = c_void_p()
        krb5.call("krb5_cc_resolve", c_char_p(name.encode()), byref(cache))
        krb5.call("krb5_cc_destroy", cache)


@dataclasses.dataclass(frozen=True, slots=True)
class ServiceTicket:
    """A client's ticket for this server, as he used it: the evidence that constrained delegation asks for."""

    client: str
    ticket: bytes = dataclasses.field(repr=False)
    enctype: int = 0
    key: bytes = dataclasses.field(default=b"", repr=False)
    times: tuple[int, int, int, int] = (0, 0, 0, 0)
    flags: int = 0

    @property
    def forwardable(self) -> bool:
        """A KDC takes it as evidence: the client's account may be delegated, and his own TGT was forwardable."""
        return bool(self.flags & _FORWARDABLE)


@dataclasses.dataclass(frozen=True, slots=True)
class Received:
    """What a client's AP-REQ brought: his ticket, and the TGT that he forwarded."""

    ticket: ServiceTicket
    flags: GssFlags
    forwarded: CredentialCache | None
    #: Why there is none, though the client forwards.
    problem: str = ""


def read_ap_req(keytab: Path, ap_req: bytes) -> Received:
    """Read an AP-REQ. Whether it is a new one is not asked. Raises `SecurityError`.

    A TGT of somebody else than the client is not taken.
    """
    with _Krb5() as krb5:
        auth, table, ticket = c_void_p(), c_void_p(), POINTER(Ticket)()
        krb5.call("krb5_auth_con_init", byref(auth))
        krb5.free("krb5_auth_con_free", auth)
        krb5.call("krb5_auth_con_setflags", auth, _NO_FLAGS)
        krb5.call("krb5_kt_resolve", c_char_p(b"FILE:" + str(keytab).encode()), byref(table))
        krb5.free("krb5_kt_close", table)
        data, _buffer = Data.of(ap_req)
        krb5.call("krb5_rd_req", byref(auth), byref(data), None, table, None, byref(ticket))
        krb5.free("krb5_free_ticket", ticket)
        try:
            received = _service_ticket(krb5, ticket.contents, ticket_of(ap_req))
            checksum = _checksum(krb5, auth)
            flags = gss_flags(checksum)
        except DecodeError as error:
            raise SecurityError(f"malformed AP-REQ: {error}") from error
        try:
            message = delegated_credential(checksum)
            forwarded = None if message is None else _forwarded(krb5, auth, received.client, message)
        except (DecodeError, SecurityError) as error:
            return Received(received, flags, None, str(error))
        return Received(received, flags, forwarded)


def _service_ticket(krb5: _Krb5, ticket: Ticket, der: bytes) -> ServiceTicket:
    part = ticket.enc_part2.contents
    key, times = part.session.contents, part.times
    return ServiceTicket(
        krb5.name(c_void_p(part.client)),
        der,
        key.enctype,
        ctypes.string_at(key.contents, key.length),
        (times.authtime, times.starttime, times.endtime, times.renew_till),
        part.flags,
    )


def _checksum(krb5: _Krb5, auth: c_void_p) -> bytes:
    authenticator = POINTER(Authenticator)()
    krb5.call("krb5_auth_con_getauthenticator", auth, byref(authenticator))
    krb5.free("krb5_free_authenticator", authenticator)
    checksum = authenticator.contents.checksum
    if not checksum or checksum.contents.type != GSS_CHECKSUM_TYPE:
        raise SecurityError("the authenticator has no checksum of GSSAPI's")
    return ctypes.string_at(checksum.contents.contents, checksum.contents.length)


def _forwarded(krb5: _Krb5, auth: c_void_p, client: str, message: bytes) -> CredentialCache:
    found = _krb_cred(krb5, auth, message)
    krb5.free("krb5_free_tgt_creds", found)
    cache = CredentialCache(client)
    handle, principal = krb5.open_cache(cache.name), krb5.principal(client)
    for creds in _until_null(found):
        if not krb5.same(c_void_p(creds.client), principal):
            raise SecurityError(f"{client} forwarded a ticket of {krb5.name(c_void_p(creds.client))}")
        krb5.call("krb5_cc_store_cred", handle, byref(creds))
    return cache


def _krb_cred(krb5: _Krb5, auth: c_void_p, message: bytes) -> Any:
    """The tickets in a KRB-CRED; without encryption of its own too, as it came inside the authenticator's.

    Heimdal's clients send it so, Samba's among them.
    """
    data, _buffer = Data.of(message)
    found = POINTER(POINTER(Creds))()
    try:
        krb5.call("krb5_rd_cred", auth, byref(data), byref(found), None)
    except SecurityError:
        keyless = c_void_p()
        krb5.call("krb5_auth_con_init", byref(keyless))
        krb5.free("krb5_auth_con_free", keyless)
        krb5.call("krb5_auth_con_setflags", keyless, _NO_FLAGS)
        krb5.call("krb5_rd_cred", keyless, byref(data), byref(found), None)
    return found


def _until_null(array: Any) -> Iterator[Creds]:
    index = 0
    while array[index]:
        yield array[index].contents
        index += 1


class InitialTicket(NamedTuple):
    """A TGT, and when it expires (seconds since 1970)."""

    cache: CredentialCache
    end_time: int


def initial_ticket(principal: str, keytab: Path) -> InitialTicket:
    """A forwardable TGT of a keytab's principal: the KDC is asked. Raises `SecurityError`."""
    cache = CredentialCache(principal)
    with _Krb5() as krb5:
        options, table, creds = c_void_p(), c_void_p(), Creds()
        krb5.call("krb5_get_init_creds_opt_alloc", byref(options))
        krb5.free("krb5_get_init_creds_opt_free", options)
        _library().krb5_get_init_creds_opt_set_forwardable(options, c_int(1))
        krb5.call("krb5_kt_resolve", c_char_p(b"FILE:" + str(keytab).encode()), byref(table))
        krb5.free("krb5_kt_close", table)
        name = krb5.principal(principal)
        krb5.call("krb5_get_init_creds_keytab", byref(creds), name, table, c_int32(0), None, options)
        krb5.free("krb5_free_cred_contents", byref(creds))
        krb5.call("krb5_cc_store_cred", krb5.open_cache(cache.name), byref(creds))
        # A 32-bit number of krb5.h that is unsigned since 2038 came near.
        return InitialTicket(cache, creds.times.endtime & 0xFFFFFFFF)


def evidence_cache(evidence: ServiceTicket, service: CredentialCache) -> CredentialCache:
    """What MIT's GSSAPI does constrained delegation with: the client's ticket, beside the service's own TGT."""
    cache = CredentialCache(evidence.client)
    with _Krb5() as krb5:
        handle = krb5.open_cache(cache.name)
        krb5.call("krb5_cc_copy_creds", krb5.open_cache(service.name), handle)
        impersonator, _name = Data.of(service.client.encode())
        krb5.call("krb5_cc_set_config", handle, None, c_char_p(_IMPERSONATOR), byref(impersonator))
        ticket, _ticket = Data.of(evidence.ticket)
        key, _key = Data.of(evidence.key)
        creds = Creds(
            client=krb5.principal(evidence.client),
            server=krb5.principal(service.client),
            keyblock=Keyblock(0, evidence.enctype, key.length, key.data),
            times=Times(*evidence.times),
            ticket_flags=evidence.flags,
            ticket=ticket,
        )
        krb5.call("krb5_cc_store_cred", handle, byref(creds))
    return cache

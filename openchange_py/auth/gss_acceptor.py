"""Accepting a client's tokens in DCE style without taking what he delegates. By MIT's libgssapi_krb5, through ctypes.

`gss_accept_sec_context` makes a credential cache of a forwarded TGT whenever its caller asks for a delegated
credential, which the package `gssapi` always does; in DCE style it gives it to nobody, and the cache stays in memory as
long as the process lives. So clients that forward are accepted here, with that one argument NULL, and the context that
comes of it is handed to the package by gss_export_sec_context.
"""

from __future__ import annotations

import ctypes
import functools
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_size_t, c_uint32, c_void_p
from pathlib import Path
from typing import Any, Final, NamedTuple

from openchange_py.rpc.security import SecurityError

_INDEFINITE: Final = 0xFFFFFFFF
_ACCEPT: Final = 2
_MECHANISM_STATUS: Final = 2
_CONTINUE_NEEDED: Final = 1
#: RFC 2744 3.9.1: calling and routine errors.
_ERRORS: Final = 0xFFFF0000


class _Buffer(Structure):
    _fields_ = [("length", c_size_t), ("value", c_void_p)]

    def bytes(self) -> bytes:
        return ctypes.string_at(self.value, self.length) if self.length else b""


class _KeyValue(Structure):
    _fields_ = [("key", c_char_p), ("value", c_char_p)]


class _Store(Structure):
    _fields_ = [("count", c_uint32), ("elements", POINTER(_KeyValue))]


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        return ctypes.CDLL("libgssapi_krb5.so.2")
    except OSError as error:
        raise SecurityError(f"a client that forwards a ticket needs MIT's Kerberos library here: {error}") from error


def _check(what: str, major: int, minor: c_uint32) -> None:
    if major & _ERRORS:
        raise SecurityError(f"{what}: {_status(minor)}")


def _status(code: c_uint32) -> str:
    library, unused, more, text = _library(), c_uint32(), c_uint32(), _Buffer()
    library.gss_display_status(byref(unused), code, c_int(_MECHANISM_STATUS), None, byref(more), byref(text))
    try:
        return text.bytes().decode("utf-8", "replace")
    finally:
        library.gss_release_buffer(byref(unused), byref(text))


class AcceptorKeys:
    """The keys of a keytab, for `DceAcceptor`s in any thread. Three legs need no replay cache."""

    def __init__(self, keytab: Path) -> None:
        self.handle = c_void_p()
        library, minor = _library(), c_uint32()
        pairs = (_KeyValue * 2)(_KeyValue(b"keytab", b"FILE:" + str(keytab).encode()), _KeyValue(b"rcache", b"none:"))
        mechanisms = c_void_p.in_dll(library, "gss_mech_set_krb5")
        major = library.gss_acquire_cred_from(
            byref(minor),
            None,
            c_uint32(_INDEFINITE),
            mechanisms,
            c_int(_ACCEPT),
            byref(_Store(2, pairs)),
            byref(self.handle),
            None,
            None,
        )
        _check("Kerberos keys", major, minor)

    def __del__(self) -> None:
        if self.handle:
            _library().gss_release_cred(byref(c_uint32()), byref(self.handle))


class Accepted(NamedTuple):
    """The end of the exchange: the client's name, GSSAPI's flags, and the context for gss_import_sec_context."""

    principal: bytes
    flags: int
    exported: bytes


class DceAcceptor:
    """One exchange."""

    def __init__(self, keys: AcceptorKeys) -> None:
        self._keys = keys
        self._context = c_void_p()
        #: After the last step.
        self.accepted: Accepted | None = None

    def __del__(self) -> None:
        if self._context:
            _library().gss_delete_sec_context(byref(c_uint32()), byref(self._context), None)

    def step(self, token: bytes) -> bytes:
        """The next token; raises `SecurityError`."""
        library, minor, flags, name, answer = _library(), c_uint32(), c_uint32(), c_void_p(), _Buffer()
        buffer = ctypes.create_string_buffer(token, len(token))
        major = library.gss_accept_sec_context(
            byref(minor),
            byref(self._context),
            self._keys.handle,
            byref(_Buffer(len(token), ctypes.cast(buffer, c_void_p))),
            None,
            byref(name),
            None,
            byref(answer),
            byref(flags),
            None,
            None,
        )
        try:
            _check("Kerberos", major, minor)
            if not major & _CONTINUE_NEEDED:
                self.accepted = Accepted(self._display(name), flags.value, self._export())
            return answer.bytes()
        finally:
            library.gss_release_name(byref(minor), byref(name))
            library.gss_release_buffer(byref(minor), byref(answer))

    def _display(self, name: c_void_p) -> bytes:
        return self._buffer("gss_display_name", name, None)

    def _export(self) -> bytes:
        """The library forgets the context with it."""
        return self._buffer("gss_export_sec_context", byref(self._context), last=True)

    def _buffer(self, function: str, *arguments: Any, last: bool = False) -> bytes:
        library, minor, text = _library(), c_uint32(), _Buffer()
        given = (*arguments, byref(text)) if last else (arguments[0], byref(text), *arguments[1:])
        major = getattr(library, function)(byref(minor), *given)
        try:
            _check(function, major, minor)
            return text.bytes()
        finally:
            library.gss_release_buffer(byref(minor), byref(text))

"""The Netlogon security support provider, the client's side: [MS-NRPC] 3.3, with AES and HMAC-SHA256 alone.

It protects the calls of a secure channel with the session key that the channel was established with. RC4 and DES, the
choices of older controllers, are not done: they are refused as they have been by default since 2022.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable
from typing import Any, Final

from Cryptodome.Cipher import AES

from openchange_py.auth.ntlm_crypto import nt_hash
from openchange_py.rpc.security import AuthLevel, AuthType, Identity, SecurityError
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.netlogon import SEALED, SIGNATURE_SIZE, SIGNED, is_nl_auth_response, pack_nl_auth_message

_CHECKSUM_SIZE: Final = 8
_FROM_CLIENT: Final = 0x80


def session_key(password: str, client_challenge: bytes, server_challenge: bytes) -> bytes:
    """3.1.4.3.1: of the machine account's password and both challenges, 16 bytes."""
    return hmac.digest(nt_hash(password), client_challenge + server_challenge, "sha256")[:16]


def netlogon_credential(challenge: bytes, key: bytes) -> bytes:
    """3.1.4.4.1: proves that whoever sends it knows the session key, 8 bytes."""
    credential: bytes = _cipher(key, bytes(16)).encrypt(challenge)
    return credential


def _cipher(key: bytes, iv: bytes) -> Any:
    return AES.new(key, AES.MODE_CFB, iv, segment_size=8)


class SchannelInitiator:
    """A `SecurityContext` over an established secure channel's session key. `random` is for tests."""

    auth_type = AuthType.NETLOGON
    always_signs_headers = False

    def __init__(
        self, key: bytes, workgroup: str, computer: str, *, random: Callable[[int], bytes] = os.urandom
    ) -> None:
        self.complete = False
        self.identity: Identity | None = None
        self._key = key
        self._seal_key = bytes(octet ^ 0xF0 for octet in key)
        self._names = workgroup, computer
        self._random = random
        self._started = False
        #: 3.3.1: counts the messages of both directions.
        self._sequence = 0

    def step(self, token: bytes) -> bytes:
        """See `SecurityContext.step`: one token each."""
        if not self._started and not token:
            self._started = True
            try:
                return pack_nl_auth_message(*self._names)
            except UnicodeEncodeError as error:
                raise SecurityError(f"no NetBIOS name: {error}") from error
        try:
            if self.complete or not self._started or not is_nl_auth_response(token):
                raise SecurityError("no such Netlogon token is due")
        except DecodeError as error:
            raise SecurityError(f"malformed Netlogon token: {error}") from error
        self.complete = True
        return b""

    def signature_size(self, level: AuthLevel) -> int:
        """See `SecurityContext.signature_size`."""
        return SIGNATURE_SIZE if level >= AuthLevel.CALL else 0

    def sign(self, message: bytes) -> bytes:
        """See `SecurityContext.sign`: 3.3.4.2.1 without confidentiality."""
        return self._signature(SIGNED, message, b"", self._next(_FROM_CLIENT), b"")

    def verify(self, message: bytes, signature: bytes) -> None:
        """See `SecurityContext.verify`."""
        self._check(SIGNED, message, b"", self._next(0), signature)

    def seal(self, before: bytes, body: bytes, after: bytes) -> tuple[bytes, bytes]:
        """See `SecurityContext.seal`: 3.3.4.2.1."""
        sequence, confounder = self._next(_FROM_CLIENT), self._random(8)
        cipher = _cipher(self._seal_key, sequence * 2)
        hidden, sealed = cipher.encrypt(confounder), cipher.encrypt(body)
        return sealed, self._signature(SEALED, before + body + after, confounder, sequence, hidden)

    def unseal(self, before: bytes, sealed: bytes, after: bytes, signature: bytes) -> bytes:
        """See `SecurityContext.unseal`: 3.3.4.2.2."""
        sequence = self._next(0)
        cipher = _cipher(self._seal_key, sequence * 2)
        confounder = cipher.decrypt(signature[24:32])
        body: bytes = cipher.decrypt(sealed)
        self._check(SEALED, before + body + after, confounder, sequence, signature)
        return body

    def _next(self, direction: int) -> bytes:
        """The sequence number of the next message, 3.3.4.2.1 step 5: both halves with their high octets first."""
        if not self.complete:
            raise SecurityError("the Netlogon exchange is not complete")
        number, self._sequence = self._sequence, self._sequence + 1
        return (number & 0xFFFFFFFF).to_bytes(4, "big") + bytes([direction, 0, 0, 0])

    def _checksum(self, algorithms: bytes, message: bytes, confounder: bytes) -> bytes:
        return hmac.digest(self._key, algorithms + confounder + message, hashlib.sha256)[:_CHECKSUM_SIZE]

    def _signature(self, algorithms: bytes, message: bytes, confounder: bytes, sequence: bytes, hidden: bytes) -> bytes:
        checksum = self._checksum(algorithms, message, confounder)
        number: bytes = _cipher(self._key, checksum * 2).encrypt(sequence)
        return (algorithms + number + checksum + hidden).ljust(SIGNATURE_SIZE, b"\0")

    def _check(self, algorithms: bytes, message: bytes, confounder: bytes, sequence: bytes, signature: bytes) -> None:
        if len(signature) != SIGNATURE_SIZE or signature[:8] != algorithms:
            raise SecurityError("no AES signature")
        checksum = self._checksum(algorithms, message, confounder)
        if not hmac.compare_digest(checksum, signature[16:24]):
            raise SecurityError("wrong signature")
        if _cipher(self._key, checksum * 2).decrypt(signature[8:16]) != sequence:
            raise SecurityError("a message out of its turn")

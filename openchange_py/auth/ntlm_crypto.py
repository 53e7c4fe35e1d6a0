"""The computations of NTLMv2: [MS-NLMP] 3.3.2 (responses), 3.4 (session security).

Only what NTLM version 2 with extended session security needs. Not done: LM, NTLM version 1, and session keys
weaker than 128 bits, which are refused and never computed.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import struct
from typing import Final

from Cryptodome.Hash import MD4
from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext

from openchange_py.rpc.security import SecurityError
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ntlm import MIC_OFFSET, MIC_SIZE, NtlmsspMessageSignature

SIGNATURE_SIZE: Final = 16
_CHECKSUM_SIZE: Final = 8
_USELESS: Final = "an earlier message of this direction had a wrong signature"
#: NTLMSSP_MESSAGE_SIGNATURE (2.2.2.9.2), which is made for every PDU: version, checksum, sequence number.
_SIGNATURE: Final = struct.Struct("<I8sI")
_SEQUENCE_NUMBER: Final = struct.Struct("<I")

#: Letters that Python maps to upper case and the NT upcase table leaves alone.
_UNCHANGED: Final = frozenset("\u00b5\u0131\u017f\u0345\u1fbe")


class Side(enum.Enum):
    """Who sends, for the keys of one direction (3.4.5.2, 3.4.5.3: Mode)."""

    CLIENT = b"client-to-server"
    SERVER = b"server-to-client"


def nt_hash(password: str) -> bytes:
    """NTOWFv1 (3.3.1): MD4 over the password in UTF-16LE, 16 bytes."""
    return MD4.new(password.encode("utf-16-le", "surrogatepass")).digest()  # noqa: S303  the protocol's choice


def hmac_md5(key: bytes, data: bytes) -> bytes:
    """HMAC_MD5 (section 6)."""
    return hmac.digest(key, data, "md5")


def rc4(key: bytes, data: bytes) -> bytes:
    """RC4K (section 6)."""
    return _cipher(key).update(data)


def _cipher(key: bytes) -> CipherContext:
    """An RC4 stream, which encrypts and decrypts alike."""
    return Cipher(ARC4(key), None).encryptor()


def nt_uppercase(text: str) -> str:
    """Upper case as Windows has it: one character for one, and only in the basic plane."""
    return "".join(_nt_uppercase_letter(letter) for letter in text)


def _nt_uppercase_letter(letter: str) -> str:
    upper = letter.upper()
    return letter if len(upper) != 1 or letter in _UNCHANGED or ord(letter) > 0xFFFF else upper


def ntowf_v2(password_hash: bytes, user: str, domain: str) -> bytes:
    """NTOWFv2 (3.3.2): ResponseKeyNT, from the NT hash and the names as the client sent them."""
    return hmac_md5(password_hash, (nt_uppercase(user) + domain).encode("utf-16-le", "surrogatepass"))


def nt_proof_str(response_key: bytes, server_challenge: bytes, client_challenge: bytes) -> bytes:
    """NTProofStr (3.3.2), over the client challenge's bytes as they came."""
    return hmac_md5(response_key, server_challenge + client_challenge)


def lm_v2_response(response_key: bytes, server_challenge: bytes, challenge_from_client: bytes) -> bytes:
    """LMv2_RESPONSE (2.2.2.4): sent to servers that give no timestamp."""
    return hmac_md5(response_key, server_challenge + challenge_from_client) + challenge_from_client


def session_base_key(response_key: bytes, proof: bytes) -> bytes:
    """SessionBaseKey (3.3.2), which for NTLMv2 is the key exchange key too (3.4.5.1)."""
    return hmac_md5(response_key, proof)


def message_integrity_code(exported_key: bytes, negotiate: bytes, challenge: bytes, authenticate: bytes) -> bytes:
    """The MIC of an AUTHENTICATE_MESSAGE (3.1.5.1.2) over the three messages, its own field taken as zero."""
    cleared = authenticate[:MIC_OFFSET] + bytes(MIC_SIZE) + authenticate[MIC_OFFSET + MIC_SIZE :]
    return hmac_md5(exported_key, negotiate + challenge + cleared)


def sign_key(exported_key: bytes, side: Side) -> bytes:
    """SIGNKEY (3.4.5.2)."""
    return _md5(exported_key + b"session key to " + side.value + b" signing key magic constant\0")


def seal_key(exported_key: bytes, side: Side) -> bytes:
    """SEALKEY (3.4.5.3) for 128-bit keys."""
    return _md5(exported_key + b"session key to " + side.value + b" sealing key magic constant\0")


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


class Direction:
    """Session security of the messages that one side sends: keys, RC4 state and sequence number (3.4.2 to 3.4.4).

    Either end keeps one per side: the sender calls `sign` and `seal`, the receiver `verify` and `unseal`.
    `key_exchange` says whether the checksum is encrypted too.
    """

    def __init__(self, exported_key: bytes, side: Side, *, key_exchange: bool) -> None:
        self._inner, self._outer = _hmac_states(sign_key(exported_key, side))
        self._seal_key = seal_key(exported_key, side)
        self._key_exchange = key_exchange
        self._broken = False
        self.sequence_number = 0
        self.restart_cipher()

    def restart_cipher(self) -> None:
        """RC4 as at the beginning: [MS-SPNG] 3.3.5.1 wants it behind the mechListMIC."""
        self._crypt = _cipher(self._seal_key).update

    def sign(self, message: bytes) -> bytes:
        """The signature of the next message."""
        return self._signature(message)

    def seal(self, before: bytes, body: bytes, after: bytes) -> tuple[bytes, bytes]:
        """The encrypted body, and the signature over before + body + after."""
        sealed = self._crypt(body)  # before the checksum, which is encrypted behind it
        return sealed, self._signature(b"".join((before, body, after)))

    def verify(self, message: bytes, signature: bytes) -> None:
        """Check the next message's signature; after a wrong one the direction is of no more use."""
        if self._broken:
            raise SecurityError(_USELESS)
        self._compare(self._signature(message), signature)

    def unseal(self, before: bytes, sealed: bytes, after: bytes, signature: bytes) -> bytes:
        """The decrypted body, its signature checked."""
        if self._broken:
            raise SecurityError(_USELESS)
        body = self._crypt(sealed)
        self._compare(self._signature(b"".join((before, body, after))), signature)
        return body

    def _signature(self, message: bytes) -> bytes:
        """The signature of the next message, whose number is then taken: HMAC_MD5 over both, its first 8 bytes."""
        number = self.sequence_number
        self.sequence_number = (number + 1) & 0xFFFFFFFF
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(_SEQUENCE_NUMBER.pack(number))
        inner.update(message)
        outer.update(inner.digest())
        checksum = outer.digest()[:_CHECKSUM_SIZE]
        return _SIGNATURE.pack(1, self._crypt(checksum) if self._key_exchange else checksum, number)

    def _compare(self, expected: bytes, signature: bytes) -> None:
        if not hmac.compare_digest(expected, signature):
            self._broken = True
            raise SecurityError(_difference(signature, (self.sequence_number - 1) & 0xFFFFFFFF))


def _hmac_states(key: bytes) -> tuple[hashlib._Hash, hashlib._Hash]:
    """HMAC_MD5 with its key already in it (RFC 2104): the inner and the outer hash. Keys of up to 64 bytes."""
    padded = key.ljust(64, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in padded) for pad in (0x36, 0x5C))
    return hashlib.md5(inner, usedforsecurity=False), hashlib.md5(outer, usedforsecurity=False)


def _difference(signature: bytes, expected_number: int) -> str:
    """What is wrong with a signature, for the log."""
    try:
        number = NtlmsspMessageSignature.unpack(signature).seq_num
    except DecodeError as error:
        return f"malformed signature: {error}"
    if number != expected_number:
        return f"signature of message {number} where message {expected_number} is due"
    return "wrong signature"

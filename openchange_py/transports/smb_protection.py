"""The keys of an SMB session, and what they protect: [MS-SMB2] 3.1.4.1 (signing), 3.1.4.2 (keys), 3.1.4.3 (sealing).

Not done: signatures with AES-GMAC, which are not offered.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from openchange_py.rpc.security import SecurityError
from openchange_py.wire.buffer import Reader
from openchange_py.wire.smb2 import (
    SEALED,
    SEALED_HEADER_SIZE,
    SEALED_NONCE,
    SEALED_SIGNATURE,
    SIGNATURE,
    Cipher,
    Dialect,
    SealedHeader,
)

_TAG: Final = 16
#: Bytes of a cipher's nonce; the rest of the header's field is zero.
_CCM_NONCE: Final = 11
_GCM_NONCE: Final = 12
#: 2.2.41, Flags: encrypted.
_ENCRYPTED: Final = 1

#: Labels and contexts of 3.2.5.3.1: signatures, encryption to the server, and from it. 3.1.1 has its hash as context.
_LABELS: Final = {
    False: ((b"SMB2AESCMAC\0", b"SmbSign\0"), (b"SMB2AESCCM\0", b"ServerIn \0"), (b"SMB2AESCCM\0", b"ServerOut\0")),
    True: ((b"SMBSigningKey\0", b""), (b"SMBC2SCipherKey\0", b""), (b"SMBS2CCipherKey\0", b"")),
}


class PreauthHash:
    """3.1.1: the hash of all messages up to the keys, which nobody on the way can have changed then."""

    def __init__(self, value: bytes = bytes(64)) -> None:
        self.value = value

    def add(self, message: bytes) -> None:
        """One more message, without what TCP has in front of it."""
        self.value = hashlib.sha512(self.value + message).digest()


class Protection:
    """The keys of one session. `cipher` None: nothing can be encrypted. `client` tells whose side it is."""

    def __init__(
        self, dialect: int, session_key: bytes, context: bytes, cipher: int | None, *, client: bool = True
    ) -> None:
        key = session_key[:16].ljust(16, b"\0")
        self._cmac = dialect >= Dialect.SMB_3_0
        signing, outgoing, incoming = _LABELS[dialect == Dialect.SMB_3_1_1]
        if not client:
            outgoing, incoming = incoming, outgoing
        self._signing_key = _derived(key, *signing, context, 16) if self._cmac else key
        self._cipher = cipher
        self._numbers = 0
        self._sealing: AESCCM | AESGCM | None = None
        self._unsealing: AESCCM | AESGCM | None = None
        if cipher is not None and self._cmac:
            long = cipher in (Cipher.AES_256_CCM, Cipher.AES_256_GCM)
            base = session_key if long else key
            make = AESGCM if cipher in (Cipher.AES_128_GCM, Cipher.AES_256_GCM) else AESCCM
            self._sealing, self._unsealing = (
                make(_derived(base, *labels, context, 32 if long else 16)) for labels in (outgoing, incoming)
            )

    @property
    def can_seal(self) -> bool:
        """Whether there is encryption."""
        return self._sealing is not None

    def signed(self, message: bytes) -> bytes:
        """The message with its signature; its flags say already that it has one."""
        blank = message[: SIGNATURE.start] + bytes(_TAG) + message[SIGNATURE.stop :]
        return blank[: SIGNATURE.start] + self._signature(blank) + blank[SIGNATURE.stop :]

    def verify(self, message: bytes) -> None:
        """Raises `SecurityError`."""
        blank = message[: SIGNATURE.start] + bytes(_TAG) + message[SIGNATURE.stop :]
        if not hmac.compare_digest(self._signature(blank), message[SIGNATURE]):
            raise SecurityError("a signature of SMB is wrong")

    def _signature(self, message: bytes) -> bytes:
        if not self._cmac:
            return hmac.digest(self._signing_key, message, "sha256")[:_TAG]
        made = CMAC(AES(self._signing_key))
        made.update(message)
        return made.finalize()

    def sealed(self, message: bytes, session_id: int) -> bytes:
        """The message encrypted, behind its header. Raises `SecurityError` where there is no encryption."""
        if self._sealing is None:
            raise SecurityError("the server does not encrypt")
        self._numbers += 1
        nonce = self._numbers.to_bytes(self._nonce_size, "little")
        field = nonce.ljust(16, b"\0")
        header = SealedHeader(SEALED, bytes(16), field, len(message), 0, _ENCRYPTED, session_id).pack()
        done = self._sealing.encrypt(nonce, message, header[SEALED_NONCE.start :])
        return header[: SEALED_SIGNATURE.start] + done[-_TAG:] + header[SEALED_SIGNATURE.stop :] + done[:-_TAG]

    def unsealed(self, data: bytes) -> bytes:
        """The message inside. Raises `SecurityError`, `DecodeError`."""
        header = SealedHeader.read(Reader(data))
        if self._unsealing is None:
            raise SecurityError("an encrypted message, and encryption was not agreed on")
        nonce = header.nonce[: self._nonce_size]
        body = data[SEALED_HEADER_SIZE:] + header.signature
        try:
            return self._unsealing.decrypt(nonce, body, data[SEALED_NONCE.start : SEALED_HEADER_SIZE])
        except InvalidTag as error:
            raise SecurityError("an encrypted message of SMB was changed on the way") from error

    @property
    def _nonce_size(self) -> int:
        return _CCM_NONCE if self._cipher in (Cipher.AES_128_CCM, Cipher.AES_256_CCM) else _GCM_NONCE


def _derived(key: bytes, label: bytes, context: bytes, preauth: bytes, size: int) -> bytes:
    """SP 800-108 in counter mode with HMAC-SHA256; one round is enough for both sizes."""
    data = (1).to_bytes(4, "big") + label + b"\0" + (context or preauth) + (size * 8).to_bytes(4, "big")
    return hmac.digest(key, data, "sha256")[:size]

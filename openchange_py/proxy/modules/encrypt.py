"""Encryption between two hops: ROP buffers sealed with a key that both hops have in a file, and nobody else.

    near the client                          near the server
    modules = encrypt                        modules = encrypt
    mpm_encrypt:key file = /etc/.../hop.key  mpm_encrypt:key file = /etc/.../hop.key
                                             mpm_encrypt:lasthop = yes

Each process seals under a key of its own (HKDF-SHA256 of the shared key, with a random stream id) and a counter, which
is the nonce. A blob is: version 1, key id (4 bytes), stream id (16), time (8, ms), counter (8), ciphertext with its tag
(16). What stands in front of the ciphertext is authenticated with it, and so is the direction, which of how many
buffers of its call it is, in which session context, and in a response the request that it answers: none can be put in
another's place, nor one account's among another's.

Replay: the last hop takes each counter of a stream once, nothing older than `mpm_encrypt:max age`, and nothing from
before its own start, when it could not know any more what it had taken. So both clocks must agree within `max age`, and
better than that for the moment behind a restart.

EcDoConnectEx, the address book and referral pass as they are: they have the protection of the RPC connection.
"""

from __future__ import annotations

import enum
import logging
import secrets
import struct
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from openchange_py.config.options import Option, boolean, choice, optional_path, seconds
from openchange_py.config.settings import Settings
from openchange_py.proxy.hop import RESPONSE, HopModule
from openchange_py.proxy.hop_keys import KEY_SIZE, KeyFile
from openchange_py.wire.buffer import DecodeError, Reader
from openchange_py.wire.rop.container import ContainerId

logger = logging.getLogger(__name__)

VERSION: Final = 1
_HEADER: Final = struct.Struct("<B4s16sQQ")
_TAG_SIZE: Final = 16
#: Counters below the highest one seen that may still come, as calls overtake each other.
WINDOW: Final = 4096
#: Streams that are known at a time; each near hop's process is one.
MAXIMUM_STREAMS: Final = 1024

Aead = AESGCM | ChaCha20Poly1305


class Cipher(enum.Enum):
    """Authenticated encryption."""

    CHACHA20_POLY1305 = "chacha20-poly1305"
    AES_256_GCM = "aes-256-gcm"


LASTHOP = Option("mpm_encrypt:lasthop", boolean, False, "this is the hop near the server: it decrypts requests")
KEY_FILE = Option(
    "mpm_encrypt:key file", optional_path, None, "the keys that both hops share; `ocpy hopkey` makes them"
)
CIPHER = Option(
    "mpm_encrypt:cipher",
    choice(Cipher, {cipher.value: cipher for cipher in Cipher}),
    Cipher.CHACHA20_POLY1305,
    "what seals, the same at both hops",
)
MAX_AGE = Option(
    "mpm_encrypt:max age", seconds, 300.0, "older requests are refused: how far the hops' clocks may differ"
)


class Header(NamedTuple):
    """What stands in front of the ciphertext."""

    version: int
    key_id: bytes
    stream: bytes
    time: int
    counter: int


class EncryptModule(HopModule):
    """What travels between two hops is nobody else's to read, to change or to send again."""

    name = "encrypt"
    description = "encrypts ROP buffers between two hops"
    container = ContainerId.Encrypted
    overhead = _HEADER.size + _TAG_SIZE
    strict = True
    options = (LASTHOP, KEY_FILE, CIPHER, MAX_AGE)

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._clock = clock
        self._stream = secrets.token_bytes(16)
        self._counter = 0
        #: By key and stream: a key that took another's place in the file under its id is another one.
        self._sealers: OrderedDict[tuple[bytes, bytes], Aead] = OrderedDict()
        self._seen: OrderedDict[bytes, _Window] = OrderedDict()
        self._started = int(clock() * 1000)

    def init(self, settings: Settings) -> None:
        """Read the options and the keys."""
        path = settings[KEY_FILE]
        if path is None:
            raise settings.error(KEY_FILE, "is needed; `ocpy hopkey create FILE` makes one")
        self.lasthop = settings[LASTHOP]
        self._max_age = int(settings[MAX_AGE] * 1000)
        self._cipher = settings[CIPHER]
        self._keys = KeyFile(path, lambda news: logger.warning("module encrypt: %s", news))

    def wrap(self, payload: bytes, direction: bytes, exchange: Any) -> tuple[bytes, Any]:
        """Sealed under the first key; `exchange` is the header of the request that a response answers."""
        key_id, key = next(iter(self._keys.keys.items()))
        self._counter += 1
        header = _HEADER.pack(VERSION, key_id, self._stream, int(self._clock() * 1000), self._counter)
        sealer = self._sealer(key, self._stream)
        return header + sealer.encrypt(_nonce(self._counter), payload, _bound(header, direction, exchange)), header

    def open(self, blob: bytes, direction: bytes, exchange: Any) -> tuple[bytes, Any]:
        """What was sealed, if it was sealed by who has the key, for this direction and exchange, and is new."""
        reader = Reader(blob)
        header = Header._make(reader.fields(_HEADER))
        if header.version != VERSION:
            raise DecodeError(f"version {header.version} of encryption", 0)
        key = self._keys.keys.get(header.key_id)
        if key is None:
            raise DecodeError(f"key {header.key_id.hex()} is not in the key file", 1)
        front = blob[: _HEADER.size]
        sealer = self._sealer(key, header.stream)
        try:
            opened = sealer.decrypt(_nonce(header.counter), reader.rest(), _bound(front, direction, exchange))
        except InvalidTag:
            raise DecodeError("sealed with another key, for something else, or changed on its way", 0) from None
        if not direction.startswith(RESPONSE):  # a response answers one request, which is new each time
            self._check_new(header)
        return opened, front

    def _check_new(self, header: Header) -> None:
        now = int(self._clock() * 1000)
        if abs(now - header.time) > self._max_age:
            raise DecodeError(f"sealed {(now - header.time) / 1000:.0f} s ago; do the clocks of both hops agree?", 21)
        if header.time < self._started:
            raise DecodeError("sealed before this hop was started, when it may have been received already", 21)
        window = self._seen.get(header.stream)
        if window is None:
            window = self._seen[header.stream] = _Window()
            self._forget_streams(now)
        self._seen.move_to_end(header.stream)
        window.take(header.counter, now)

    def _forget_streams(self, now: int) -> None:
        """Only such as have nothing under way any more: what they sent is too old by itself."""
        for stream, window in list(self._seen.items())[:-1]:
            if len(self._seen) <= MAXIMUM_STREAMS or now - window.used <= self._max_age:
                return
            del self._seen[stream]

    def _sealer(self, key: bytes, stream: bytes) -> Aead:
        sealer = self._sealers.get((key, stream))
        if sealer is None:
            info = b"openchange_py encrypt " + self._cipher.value.encode()
            own = HKDF(SHA256(), KEY_SIZE, stream, info).derive(key)
            sealer = ChaCha20Poly1305(own) if self._cipher is Cipher.CHACHA20_POLY1305 else AESGCM(own)
            self._sealers[key, stream] = sealer
            if len(self._sealers) > MAXIMUM_STREAMS:
                self._sealers.popitem(last=False)
        return sealer


class _Window:
    """Which counters of a stream were taken: the highest, and a bit for each of those below it."""

    __slots__ = ("_bits", "_highest", "used")

    def __init__(self) -> None:
        self._highest = self._bits = 0
        self.used = 0

    def take(self, counter: int, now: int) -> None:
        """Take one; `DecodeError` for one that was taken, or is so far behind that nobody knows."""
        self.used = now
        ahead = counter - self._highest
        if ahead > 0:
            self._bits = (self._bits << min(ahead, WINDOW) | 1) & (1 << WINDOW) - 1
            self._highest = counter
        elif -ahead >= WINDOW or self._bits >> -ahead & 1:
            raise DecodeError(f"message {counter} was received already", 29)
        else:
            self._bits |= 1 << -ahead


def _nonce(counter: int) -> bytes:
    return bytes(4) + counter.to_bytes(8, "little")


def _bound(header: bytes, direction: bytes, request: bytes | None) -> bytes:
    """What is authenticated with the ciphertext."""
    return header + direction + (request or b"")

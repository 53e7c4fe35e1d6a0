"""The messages of NTLMSSP: [MS-NLMP] 2.2.

Decoded and packed again, a message gives the same bytes where its payload has no gaps: descriptors that point
elsewhere than this module would put them are remembered. Not done: the connectionless variant's differences,
LM and NTLM version 1 responses (they stay bytes, and nobody here accepts them).
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Sequence
from typing import Annotated, Final

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.codecs import U8, U16, U32, U64, Codec, Converted, Fixed, Rest, Structure, structure, u32

SIGNATURE: Final = b"NTLMSSP\0"
#: Where the MIC stands in an AUTHENTICATE_MESSAGE that has one (2.2.1.3).
MIC_OFFSET: Final = 72
MIC_SIZE: Final = 16
#: Version with its reserved bytes (2.2.2.10).
VERSION_SIZE: Final = 8
#: The document leaves the OEM code page open; this one maps all 256 values both ways.
OEM_CODE_PAGE: Final = "cp437"


class MessageType(enum.IntEnum):
    """2.2.1: MessageType."""

    NEGOTIATE = 1
    CHALLENGE = 2
    AUTHENTICATE = 3


class NegotiateFlags(enum.IntFlag):
    """2.2.2.5: NEGOTIATE."""

    UNICODE = 0x00000001
    OEM = 0x00000002
    REQUEST_TARGET = 0x00000004
    SIGN = 0x00000010
    SEAL = 0x00000020
    DATAGRAM = 0x00000040
    LM_KEY = 0x00000080
    NTLM = 0x00000200
    ANONYMOUS = 0x00000800
    OEM_DOMAIN_SUPPLIED = 0x00001000
    OEM_WORKSTATION_SUPPLIED = 0x00002000
    ALWAYS_SIGN = 0x00008000
    TARGET_TYPE_DOMAIN = 0x00010000
    TARGET_TYPE_SERVER = 0x00020000
    EXTENDED_SESSIONSECURITY = 0x00080000
    IDENTIFY = 0x00100000
    REQUEST_NON_NT_SESSION_KEY = 0x00400000
    TARGET_INFO = 0x00800000
    VERSION = 0x02000000
    KEY_128 = 0x20000000
    KEY_EXCH = 0x40000000
    KEY_56 = 0x80000000


class AvId(enum.IntEnum):
    """2.2.2.1: AV_PAIR."""

    EOL = 0
    NB_COMPUTER_NAME = 1
    NB_DOMAIN_NAME = 2
    DNS_COMPUTER_NAME = 3
    DNS_DOMAIN_NAME = 4
    DNS_TREE_NAME = 5
    FLAGS = 6
    TIMESTAMP = 7
    SINGLE_HOST = 8
    TARGET_NAME = 9
    CHANNEL_BINDINGS = 10


class MsvAvFlags(enum.IntFlag):
    """2.2.2.1: the value of MsvAvFlags."""

    CONSTRAINED = 1
    MIC_PROVIDED = 2
    UNTRUSTED_SPN = 4


@structure
class Version(Structure):
    """2.2.2.10: for debugging only; nobody may act on it."""

    product_major_version: U8
    product_minor_version: U8
    product_build: U16
    reserved: Annotated[bytes, Fixed("3s")] = b"\0\0\0"
    ntlm_revision_current: U8 = 15


@dataclasses.dataclass(frozen=True, slots=True)
class AvPair:
    """2.2.2.1: one attribute. Unknown ids are kept."""

    av_id: int
    value: bytes


def av_value(pairs: Iterable[AvPair], av_id: AvId) -> bytes | None:
    """The value of the first pair of that id."""
    return next((pair.value for pair in pairs if pair.av_id == av_id), None)


def av_flags(pairs: Iterable[AvPair]) -> MsvAvFlags:
    """MsvAvFlags; none set where the attribute is missing or is not four bytes long."""
    value = av_value(pairs, AvId.FLAGS)
    return MsvAvFlags(int.from_bytes(value, "little") if value is not None and len(value) == 4 else 0)


class AvPairsCodec(Codec):
    """A sequence of AV_PAIRs up to and including MsvAvEOL, which is not part of the value."""

    minimum_size = 4

    def read(self, reader: Reader) -> list[AvPair]:
        pairs: list[AvPair] = []
        while True:
            av_id = reader.u16()
            value = reader.take(reader.u16())
            if av_id == AvId.EOL:
                if value:
                    raise DecodeError("MsvAvEOL with a value", reader.pos)
                return pairs
            pairs.append(AvPair(av_id, value))

    def write(self, writer: Writer, value: Sequence[AvPair]) -> None:
        for pair in (*value, AvPair(AvId.EOL, b"")):
            writer.u16(pair.av_id)
            writer.u16(len(pair.value))
            writer += pair.value


AvPairs = Annotated[list[AvPair], AvPairsCodec()]
Flags = Annotated[NegotiateFlags, Converted(u32, NegotiateFlags)]


@structure
class TargetInfo(Structure):
    """The payload of CHALLENGE_MESSAGE's TargetInfo (2.2.1.2)."""

    av_pairs: AvPairs
    #: What servers pad the list with.
    padding: Rest = b""


@structure
class NtlmV2ClientChallenge(Structure):
    """2.2.2.7: what the client's proof is made over. To verify the proof, take the bytes as they came."""

    resp_type: U8
    hi_resp_type: U8
    reserved1: U16
    reserved2: U32
    time_stamp: U64
    challenge_from_client: Annotated[bytes, Fixed("8s")]
    reserved3: U32
    av_pairs: AvPairs
    #: Behind MsvAvEOL: four zero bytes from Windows, none or eight from others.
    padding: Rest

    @classmethod
    def new(cls, time_stamp: int, challenge_from_client: bytes, av_pairs: list[AvPair]) -> NtlmV2ClientChallenge:
        """Version 1.1, padded as Windows does it. `time_stamp` is a FILETIME."""
        return cls(1, 1, 0, 0, time_stamp, challenge_from_client, 0, av_pairs, bytes(4))


@structure
class NtlmsspMessageSignature(Structure):
    """2.2.2.9.2: NTLMSSP_MESSAGE_SIGNATURE for Extended Session Security."""

    checksum: Annotated[bytes, Fixed("8s")]
    seq_num: U32

    @classmethod
    def read(cls, reader: Reader) -> NtlmsspMessageSignature:
        version = reader.u32()
        if version != 1:
            raise DecodeError(f"signature version {version}", reader.pos - 4)
        return cls(reader.take(8), reader.u32())

    def write(self, writer: Writer) -> None:
        writer.u32(1)
        writer += self.checksum
        writer.u32(self.seq_num)


@dataclasses.dataclass(frozen=True, slots=True)
class Descriptor:
    """Length, maximum length and offset of a payload field, as they stood in a decoded message."""

    length: int
    maximum_length: int
    offset: int

    @classmethod
    def read(cls, reader: Reader) -> Descriptor:
        return cls(reader.u16(), reader.u16(), reader.u32())

    def write(self, writer: Writer) -> None:
        writer.u16(self.length)
        writer.u16(self.maximum_length)
        writer.u32(self.offset)


Descriptors = tuple[Descriptor, ...]


def _payload(data: bytes, descriptors: Descriptors, fixed_size: int) -> list[bytes]:
    """The payload fields. `fixed_size` is the least size of what stands in front of the payload."""
    fields = []
    for descriptor in descriptors:
        end = descriptor.offset + descriptor.length
        if descriptor.length and not fixed_size <= descriptor.offset <= end <= len(data):
            raise DecodeError(f"payload {descriptor.offset}..{end} outside {fixed_size}..{len(data)}")
        fields.append(data[descriptor.offset : end] if descriptor.length else b"")
    return fields


def _payload_start(data: bytes, descriptors: Descriptors) -> int:
    """Where the payload begins, which tells whether the optional fields in front of it are there."""
    return min((descriptor.offset for descriptor in descriptors if descriptor.length), default=len(data))


def _place(fields: Sequence[bytes], start: int, placed: Descriptors) -> Descriptors:
    """Descriptors for the fields: those of decoding while they still fit, else one behind the other."""
    if len(placed) == len(fields) and all(old.length == len(new) for old, new in zip(placed, fields, strict=True)):
        return placed
    descriptors = []
    for field in fields:
        if len(field) > 0xFFFF:
            raise EncodeError(f"a payload field of {len(field)} bytes")
        descriptors.append(Descriptor(len(field), len(field), start))
        start += len(field)
    return tuple(descriptors)


def _write_payload(writer: Writer, base: int, fields: Sequence[bytes], descriptors: Descriptors) -> None:
    ends = [base + descriptor.offset + descriptor.length for descriptor in descriptors if descriptor.length]
    writer += bytes(max(0, max(ends, default=0) - len(writer)))
    for field, descriptor in zip(fields, descriptors, strict=True):
        if field:
            writer[base + descriptor.offset : base + descriptor.offset + len(field)] = field


def _read_header(reader: Reader, expected: MessageType) -> None:
    if reader.take(len(SIGNATURE)) != SIGNATURE:
        raise DecodeError("no NTLMSSP signature", reader.pos - len(SIGNATURE))
    message_type = reader.u32()
    if message_type != expected:
        raise DecodeError(f"MessageType {message_type} where {expected.name} ({expected}) is due", reader.pos - 4)


def _read_optional_version(reader: Reader, header_size: int, payload_start: int) -> Version | None:
    return Version.read(reader) if payload_start >= header_size + VERSION_SIZE else None


def _encode(text: str, flags: int) -> bytes:
    try:
        if flags & NegotiateFlags.UNICODE:
            return text.encode("utf-16-le", "surrogatepass")
        return text.encode(OEM_CODE_PAGE)
    except UnicodeError as error:
        raise EncodeError(str(error)) from error


def _decode(data: bytes, flags: int) -> str:
    try:
        return data.decode("utf-16-le", "surrogatepass") if flags & NegotiateFlags.UNICODE else data.decode("cp437")
    except UnicodeError as error:
        raise DecodeError(f"a name of {len(data)} bytes is not UTF-16") from error


def _remembered() -> Descriptors:
    return dataclasses.field(default=(), repr=False, compare=False, kw_only=True)


@structure
class NegotiateMessage(Structure):
    """2.2.1.1: the client begins. Domain and workstation are OEM text, whatever the flags say."""

    negotiate_flags: Flags
    domain_name: str = ""
    workstation: str = ""
    version: Version | None = None
    descriptors: Descriptors = _remembered()

    @classmethod
    def read(cls, reader: Reader) -> NegotiateMessage:
        data = reader.data[reader.pos : reader.end]
        _read_header(reader, MessageType.NEGOTIATE)
        flags = NegotiateFlags(reader.u32())
        descriptors = (Descriptor.read(reader), Descriptor.read(reader))
        version = _read_optional_version(reader, 32, _payload_start(data, descriptors))
        domain, workstation = (_decode(field, 0) for field in _payload(data, descriptors, 32))
        reader.skip(reader.remaining)
        return cls(flags, domain, workstation, version, descriptors=descriptors)

    def write(self, writer: Writer) -> None:
        base = len(writer)
        fields = [_encode(self.domain_name, 0), _encode(self.workstation, 0)]
        descriptors = _place(fields, 40 if self.version else 32, self.descriptors)
        writer += SIGNATURE
        writer.u32(MessageType.NEGOTIATE)
        writer.u32(self.negotiate_flags)
        for descriptor in descriptors:
            descriptor.write(writer)
        if self.version is not None:
            self.version.write(writer)
        _write_payload(writer, base, fields, descriptors)


@structure
class ChallengeMessage(Structure):
    """2.2.1.2: the server's challenge. `target_info` stays bytes: the client's proof repeats them."""

    negotiate_flags: Flags
    server_challenge: bytes
    target_name: str = ""
    target_info: bytes = b""
    version: Version | None = None
    reserved: bytes = bytes(8)
    descriptors: Descriptors = _remembered()

    @property
    def av_pairs(self) -> list[AvPair]:
        """The attributes of the target; `DecodeError` where they are malformed."""
        return TargetInfo.unpack(self.target_info).av_pairs if self.target_info else []

    @classmethod
    def read(cls, reader: Reader) -> ChallengeMessage:
        data = reader.data[reader.pos : reader.end]
        _read_header(reader, MessageType.CHALLENGE)
        name_at = Descriptor.read(reader)
        flags = NegotiateFlags(reader.u32())
        challenge, reserved = reader.take(8), reader.take(8)
        descriptors = (name_at, Descriptor.read(reader))
        version = _read_optional_version(reader, 48, _payload_start(data, descriptors))
        name, info = _payload(data, descriptors, 48)
        reader.skip(reader.remaining)
        return cls(flags, challenge, _decode(name, flags), info, version, reserved, descriptors=descriptors)

    def write(self, writer: Writer) -> None:
        if len(self.server_challenge) != 8 or len(self.reserved) != 8:
            raise EncodeError("ServerChallenge and Reserved have 8 bytes")
        base = len(writer)
        fields = [_encode(self.target_name, self.negotiate_flags), self.target_info]
        descriptors = _place(fields, 56 if self.version else 48, self.descriptors)
        writer += SIGNATURE
        writer.u32(MessageType.CHALLENGE)
        descriptors[0].write(writer)
        writer.u32(self.negotiate_flags)
        writer += self.server_challenge + self.reserved
        descriptors[1].write(writer)
        if self.version is not None:
            self.version.write(writer)
        _write_payload(writer, base, fields, descriptors)


@structure
class AuthenticateMessage(Structure):
    """2.2.1.3: the client's proof. A `mic` on the wire needs the `version` in front of it."""

    negotiate_flags: Flags
    domain_name: str = ""
    user_name: str = ""
    workstation: str = ""
    lm_challenge_response: bytes = b""
    nt_challenge_response: bytes = b""
    encrypted_random_session_key: bytes = b""
    version: Version | None = None
    mic: bytes | None = None
    descriptors: Descriptors = _remembered()

    @property
    def client_challenge(self) -> bytes:
        """The bytes of the NTLMv2 client challenge behind the proof; empty for NTLM version 1 and no response."""
        return self.nt_challenge_response[16:] if len(self.nt_challenge_response) > 24 else b""

    @classmethod
    def read(cls, reader: Reader) -> AuthenticateMessage:
        data = reader.data[reader.pos : reader.end]
        _read_header(reader, MessageType.AUTHENTICATE)
        lm, nt, domain, user, workstation, key = descriptors = tuple(Descriptor.read(reader) for _ in range(6))
        flags = NegotiateFlags(reader.u32())
        start = _payload_start(data, descriptors)
        version = _read_optional_version(reader, 64, start)
        mic = reader.take(MIC_SIZE) if start >= MIC_OFFSET + MIC_SIZE else None
        fields = _payload(data, (domain, user, workstation, lm, nt, key), 64)
        reader.skip(reader.remaining)
        names = [_decode(name, flags) for name in fields[:3]]
        message = cls(flags, names[0], names[1], names[2], fields[3], fields[4], fields[5], version, mic)
        message.descriptors = descriptors
        return message

    def write(self, writer: Writer) -> None:
        base = len(writer)
        optional = self._optional_fields()
        names = [_encode(text, self.negotiate_flags) for text in (self.domain_name, self.user_name, self.workstation)]
        secrets = [self.lm_challenge_response, self.nt_challenge_response, self.encrypted_random_session_key]
        # On the wire the names' descriptors stand behind those of the responses, in the payload before them.
        lm, nt, domain, user, workstation, key = self.descriptors or (Descriptor(-1, 0, 0),) * 6
        placed = (domain, user, workstation, lm, nt, key)
        domain, user, workstation, lm, nt, key = _place([*names, *secrets], 64 + len(optional), placed)
        writer += SIGNATURE
        writer.u32(MessageType.AUTHENTICATE)
        for descriptor in (lm, nt, domain, user, workstation, key):
            descriptor.write(writer)
        writer.u32(self.negotiate_flags)
        writer += optional
        _write_payload(writer, base, [*names, *secrets], (domain, user, workstation, lm, nt, key))

    def _optional_fields(self) -> bytes:
        if self.mic is not None and (self.version is None or len(self.mic) != MIC_SIZE):
            raise EncodeError(f"a MIC has {MIC_SIZE} bytes and stands behind a Version")
        return (self.version.pack() if self.version is not None else b"") + (self.mic or b"")


NtlmMessage = NegotiateMessage | ChallengeMessage | AuthenticateMessage

_MESSAGES: Final[dict[int, type[NegotiateMessage] | type[ChallengeMessage] | type[AuthenticateMessage]]] = {
    MessageType.NEGOTIATE: NegotiateMessage,
    MessageType.CHALLENGE: ChallengeMessage,
    MessageType.AUTHENTICATE: AuthenticateMessage,
}


def unpack_message(data: bytes) -> NtlmMessage:
    """The message that `data` holds, whichever of the three it is."""
    reader = Reader(data, min(len(SIGNATURE), len(data)))
    message_type = reader.u32()
    kind = _MESSAGES.get(message_type)
    if kind is None:
        raise DecodeError(f"MessageType {message_type} is unknown", len(SIGNATURE))
    return kind.unpack(data)

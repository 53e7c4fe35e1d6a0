"""The few calls of the Netlogon protocol that an NTLM pass-through needs: [MS-NRPC] 2.2, 3.5.4.

Not done: every other call, other logon and validation levels than those named, and of a validation everything but who
logged on (groups, SIDs, profile).
"""

from __future__ import annotations

import enum
from typing import Final, Self

from openchange_py.wire.buffer import DecodeError, Reader, Writer
from openchange_py.wire.ndr import NdrReader, NdrWriter, RpcInterface, RpcMessage, rpc_message

NETLOGON: Final = RpcInterface("netlogon", "12345678-1234-abcd-ef00-01234567cffb", 1)

#: NETLOGON_SECURE_CHANNEL_TYPE (2.2.1.3.13): WorkstationSecureChannel, a member server's.
WORKSTATION_CHANNEL: Final = 2
#: NETLOGON_LOGON_INFO_CLASS (2.2.1.4.16): NetlogonNetworkTransitiveInformation.
NETWORK_TRANSITIVE: Final = 6
#: NETLOGON_VALIDATION_INFO_CLASS (2.2.1.4.17): NetlogonValidationSamInfo4.
SAM_INFO4: Final = 6
#: A SAM_INFO4 has six strings before its counters, and twelve behind its SIDs.
_STRINGS_BEFORE, _STRINGS_BEHIND = 6, 12


class NegotiateFlags(enum.IntFlag):
    """3.1.4.2: those that matter here."""

    STRONG_KEYS = 0x00004000
    AES = 0x01000000
    SECURE_RPC = 0x40000000


#: What a client asks for: everything that Windows 7 and later know.
CLIENT_FLAGS: Final = 0x613FFFFF


class UserFlags(enum.IntFlag):
    """2.2.1.4.13: UserFlags."""

    GUEST = 0x01


@rpc_message
class NetrServerReqChallengeRequest(RpcMessage):
    """3.5.4.4.1. Names as text, the challenge 8 bytes."""

    primary_name: str | None
    computer_name: str
    client_challenge: bytes

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(_optional_string(reader), reader.wchar_string(), reader.take(8))

    def write(self, writer: NdrWriter) -> None:
        _write_optional_string(writer, self.primary_name)
        writer.wchar_string(self.computer_name)
        writer += self.client_challenge


@rpc_message
class NetrServerReqChallengeResponse(RpcMessage):
    """The server's challenge, 8 bytes, and an NTSTATUS."""

    server_challenge: bytes
    status: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(reader.take(8), reader.u32())

    def write(self, writer: NdrWriter) -> None:
        writer += self.server_challenge
        writer.u32(self.status)


@rpc_message
class NetrServerAuthenticate3Request(RpcMessage):
    """3.5.4.4.2."""

    primary_name: str | None
    account_name: str
    secure_channel_type: int
    computer_name: str
    client_credential: bytes
    negotiate_flags: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(
            _optional_string(reader),
            reader.wchar_string(),
            reader.enum(),
            reader.wchar_string(),
            reader.take(8),
            reader.u32(),
        )

    def write(self, writer: NdrWriter) -> None:
        _write_optional_string(writer, self.primary_name)
        writer.wchar_string(self.account_name)
        writer.enum(self.secure_channel_type)
        writer.wchar_string(self.computer_name)
        writer += self.client_credential
        writer.u32(self.negotiate_flags)


@rpc_message
class NetrServerAuthenticate3Response(RpcMessage):
    """The server's credential, 8 bytes, the flags that both know, the account's RID, and an NTSTATUS."""

    server_credential: bytes
    negotiate_flags: int
    account_rid: int
    status: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        return cls(reader.take(8), reader.u32(), reader.u32(), reader.u32())

    def write(self, writer: NdrWriter) -> None:
        writer += self.server_credential
        for value in (self.negotiate_flags, self.account_rid, self.status):
            writer.u32(value)


@rpc_message
class NetrLogonSamLogonExRequest(RpcMessage):
    """3.5.4.5.1 with a NETLOGON_NETWORK_INFO (2.2.1.4.5), to be answered with a NETLOGON_VALIDATION_SAM_INFO4."""

    logon_server: str | None
    computer_name: str | None
    logon_domain_name: str
    parameter_control: int
    user_name: str
    workstation: str
    lm_challenge: bytes
    nt_challenge_response: bytes
    lm_challenge_response: bytes
    extra_flags: int = 0

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        server, computer = _optional_string(reader), _optional_string(reader)
        levels = reader.enum(), _union_level(reader)
        if levels != (NETWORK_TRANSITIVE, NETWORK_TRANSITIVE) or not reader.pointer():
            raise DecodeError(f"logon information of level {levels}", reader.pos)
        domain, control = _counted_header(reader, 2), reader.u32()
        reader.take(8)  # Reserved
        user, workstation = _counted_header(reader, 2), _counted_header(reader, 2)
        challenge = reader.take(8)
        nt, lm = _counted_header(reader, 1), _counted_header(reader, 1)
        names = [_unicode_target(reader, there) for there in (domain, user, workstation)]
        nt_response, lm_response = (_counted_target(reader, there, 1) for there in (nt, lm))
        if (validation := reader.enum()) != SAM_INFO4:
            raise DecodeError(f"validation of level {validation}", reader.pos)
        responses = (challenge, nt_response, lm_response)
        return cls(server, computer, names[0], control, names[1], names[2], *responses, extra_flags=reader.u32())

    def write(self, writer: NdrWriter) -> None:
        _write_optional_string(writer, self.logon_server)
        _write_optional_string(writer, self.computer_name)
        writer.enum(NETWORK_TRANSITIVE)
        writer.gap()
        writer.enum(NETWORK_TRANSITIVE)
        writer.pointer(True)
        names = [_utf16(name) for name in (self.logon_domain_name, self.user_name, self.workstation)]
        responses = [self.nt_challenge_response, self.lm_challenge_response]
        _write_counted_header(writer, names[0])
        writer.u32(self.parameter_control)
        writer.u32(0)
        writer.u32(0)
        for name in names[1:]:
            _write_counted_header(writer, name)
        writer += self.lm_challenge
        for response in responses:
            _write_counted_header(writer, response)
        for name in names:
            _write_counted_target(writer, name, 2)
        for response in responses:
            _write_counted_target(writer, response, 1)
        writer.enum(SAM_INFO4)
        writer.u32(self.extra_flags)


@rpc_message
class NetrLogonSamLogonExResponse(RpcMessage):
    """Who logged on (a NETLOGON_VALIDATION_SAM_INFO4, 2.2.1.4.13), and an NTSTATUS.

    `user_session_key`, 16 bytes, is the SessionBaseKey of an NTLMv2 logon. Where the logon was refused, it and the
    names are empty.
    """

    effective_name: str
    logon_domain_name: str
    user_flags: int
    user_session_key: bytes
    status: int

    @classmethod
    def read(cls, reader: NdrReader) -> Self:
        level = _union_level(reader)
        found: tuple[str, str, int, bytes] = ("", "", 0, b"")
        if reader.pointer():
            if level != SAM_INFO4:
                raise DecodeError(f"validation of level {level}", reader.pos)
            found = _read_sam_info4(reader)
        # What is left is of no interest up to the call's own result, which is the stub's end.
        return cls(*found, status=Reader(reader.rest()[-4:]).u32())

    def write(self, writer: NdrWriter) -> None:
        writer.gap()
        writer.enum(SAM_INFO4)
        if writer.pointer(bool(self.effective_name)):
            self._write_sam_info4(writer)
        writer.u8(1)  # Authoritative
        writer.u32(0)  # ExtraFlags
        writer.u32(self.status)

    def _write_sam_info4(self, writer: NdrWriter) -> None:
        name, domain = _utf16(self.effective_name), _utf16(self.logon_domain_name)
        writer += bytes(6 * 8)  # times
        _write_counted_header(writer, name)
        writer += bytes((_STRINGS_BEFORE - 1) * 2 * writer.wide + 4)  # empty strings; LogonCount, BadPasswordCount
        writer += bytes(3 * 4)  # UserId, PrimaryGroupId, GroupCount
        writer.pointer(False)
        writer.u32(self.user_flags)
        writer += self.user_session_key
        _write_counted_header(writer, b"")
        _write_counted_header(writer, domain)
        writer.pointer(False)  # LogonDomainId
        writer += bytes(8 + 8 + 16 + 8 + 4)  # LMKey to SidCount
        writer.pointer(False)
        writer += bytes(_STRINGS_BEHIND * 2 * writer.wide)
        _write_counted_target(writer, name, 2)
        _write_counted_target(writer, domain, 2)


def _union_level(reader: NdrReader) -> int:
    """Which arm a union of pointers has."""
    reader.gap()
    return reader.enum()


def _read_sam_info4(reader: NdrReader) -> tuple[str, str, int, bytes]:
    """Up to LogonDomainName: names, UserFlags, UserSessionKey."""
    reader.align(4)
    reader.take(6 * 8)
    before = [_counted_header(reader, 2) for _ in range(_STRINGS_BEFORE)]
    reader.take(4)
    reader.take(3 * 4)
    groups = reader.pointer()
    user_flags, key = reader.u32(), reader.take(16)
    server, domain, _ = _counted_header(reader, 2), _counted_header(reader, 2), reader.pointer()
    reader.take(8 + 8 + 16 + 8 + 4)
    reader.pointer()
    reader.take(_STRINGS_BEHIND * 2 * reader.wide)
    effective_name, *_ = [_unicode_target(reader, there) for there in before]
    if groups:
        reader.take(8 * reader.conformance(8))
    _unicode_target(reader, server)
    return effective_name, _unicode_target(reader, domain), user_flags, key


# RPC_UNICODE_STRING and STRING: byte counts and a pointer, the characters behind all members.


def _counted_header(reader: NdrReader, unit: int) -> int | None:
    """How many bytes the target has; None for a null pointer."""
    reader.align(reader.wide)
    length, maximum = reader.u16(), reader.u16()
    there = reader.pointer()
    if length > maximum or length % unit or (length and not there):
        raise DecodeError(f"counted string of {length} bytes in {maximum}", reader.pos - 8)
    return length if there else None


def _counted_target(reader: NdrReader, length: int | None, unit: int) -> bytes:
    if length is None:
        return b""
    maximum = reader.size()
    actual = reader.varying(maximum, unit)
    if actual * unit != length:
        raise DecodeError(f"counted string of {length} bytes has {actual * unit}", reader.pos)
    return reader.take(length)


def _unicode_target(reader: NdrReader, length: int | None) -> str:
    return _counted_target(reader, length, 2).decode("utf-16-le", "surrogatepass")


def _write_counted_header(writer: NdrWriter, value: bytes) -> None:
    writer.align(writer.wide)
    writer.u16(len(value))
    writer.u16(len(value))
    writer.pointer(bool(value))


def _write_counted_target(writer: NdrWriter, value: bytes, unit: int) -> None:
    if value:
        writer.fixed_counts(len(value) // unit)
        writer += value


def _utf16(value: str) -> bytes:
    return value.encode("utf-16-le", "surrogatepass")


def _optional_string(reader: NdrReader) -> str | None:
    return reader.wchar_string() if reader.pointer() else None


def _write_optional_string(writer: NdrWriter, value: str | None) -> None:
    if writer.pointer(value is not None) and value is not None:
        writer.wchar_string(value)


NETR_SERVER_REQ_CHALLENGE: Final = 4
NETR_SERVER_AUTHENTICATE3: Final = 26
NETR_LOGON_SAM_LOGON_EX: Final = 39

NETLOGON.declare(
    NETR_SERVER_REQ_CHALLENGE,
    "NetrServerReqChallenge",
    NetrServerReqChallengeRequest,
    NetrServerReqChallengeResponse,
)
NETLOGON.declare(
    NETR_SERVER_AUTHENTICATE3,
    "NetrServerAuthenticate3",
    NetrServerAuthenticate3Request,
    NetrServerAuthenticate3Response,
)
NETLOGON.declare(
    NETR_LOGON_SAM_LOGON_EX, "NetrLogonSamLogonEx", NetrLogonSamLogonExRequest, NetrLogonSamLogonExResponse
)


# The tokens of the Netlogon security support provider.

NEGOTIATE_REQUEST: Final = 0
NEGOTIATE_RESPONSE: Final = 1
#: Bytes of an NL_AUTH_SHA2_SIGNATURE.
SIGNATURE_SIZE: Final = 56
#: SignatureAlgorithm HMAC-SHA256; SealAlgorithm AES-128 or none; Pad; Flags (2.2.1.3.3).
SEALED: Final = bytes.fromhex("13001a00ffff0000")
SIGNED: Final = bytes.fromhex("1300ffffffff0000")


def pack_nl_auth_message(workgroup: str, computer: str) -> bytes:
    """NL_AUTH_MESSAGE (2.2.1.3.1), a negotiate request with the NetBIOS names of domain and computer."""
    writer = Writer()
    writer.u32(NEGOTIATE_REQUEST)
    writer.u32(0x1 | 0x2)
    writer += workgroup.encode("ascii") + b"\0" + computer.encode("ascii") + b"\0"
    return bytes(writer)


def is_nl_auth_response(token: bytes) -> bool:
    """The token is an NL_AUTH_MESSAGE that answers a request; raises `DecodeError` for too short a one."""
    return Reader(token).u32() == NEGOTIATE_RESPONSE

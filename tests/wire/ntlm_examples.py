"""NTLM messages that several tests use: [MS-NLMP] 4.2.1 and 4.2.4, and those that real clients and servers sent."""

from __future__ import annotations

import dataclasses

from tests.conftest import json_lines, shared_path

# 4.2.1: common values.
USER, DOMAIN, PASSWORD, SERVER, WORKSTATION = "User", "Domain", "Password", "Server", "COMPUTER"
RANDOM_SESSION_KEY = b"\x55" * 16
CLIENT_CHALLENGE = b"\xaa" * 8
SERVER_CHALLENGE = bytes.fromhex("0123456789abcdef")

# 4.2.4: NTLMv2.
TARGET_INFO = bytes.fromhex("02000c0044006f006d00610069006e0001000c005300650072007600650072000000 0000")
CHALLENGE_MESSAGE = bytes.fromhex(
    "4e544c4d53535000020000000c000c003800000033828ae20123456789abcdef0000000000000000240024004400000006007017"
    "0000000f53006500720076006500720002000c0044006f006d00610069006e0001000c0053006500720076006500720000000000"
)
TEMP = bytes.fromhex("01010000000000000000000000000000aaaaaaaaaaaaaaaa00000000") + TARGET_INFO + bytes(4)
NTOWF_V2 = bytes.fromhex("0c868a403bfd7a93a3001ef22ef02e3f")
SESSION_BASE_KEY = bytes.fromhex("8de40ccadbc14a82f15cb0ad0de95ca3")
LM_V2_RESPONSE = bytes.fromhex("86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa")
NT_PROOF_STR = bytes.fromhex("68cd0ab851e51c96aabc927bebef6a1c")
ENCRYPTED_SESSION_KEY = bytes.fromhex("c5dad2544fc9799094ce1ce90bc9d03e")
AUTHENTICATE_MESSAGE = bytes.fromhex(
    "4e544c4d5353500003000000180018006c00000054005400840000000c000c00480000000800080054000000100010005c000000"
    "10001000d8000000358288e20501280a0000000f44006f006d00610069006e00550073006500720043004f004d00500055005400"
    "45005200"
    "86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa"
    "68cd0ab851e51c96aabc927bebef6a1c01010000000000000000000000000000aaaaaaaaaaaaaaaa00000000"
    "02000c0044006f006d00610069006e0001000c005300650072007600650072000000000000000000"
    "c5dad2544fc9799094ce1ce90bc9d03e"
)
# 4.2.4.4: GSS_WrapEx.
PLAINTEXT = "Plaintext".encode("utf-16-le")
CLIENT_SIGN_KEY = bytes.fromhex("4788dc861b4782f35d43fd98fe1a2d39")
CLIENT_SEAL_KEY = bytes.fromhex("59f600973cc4960a25480a7c196e4c58")
SEALED = bytes.fromhex("54e50165bf1936dc996020c1811b0f06fb5f")
SIGNATURE = bytes.fromhex("010000007fb38ec5c55d497600000000")

#: The account of all recorded logons.
RECORDED_PASSWORD = "Secret-1"


@dataclasses.dataclass(frozen=True)
class RecordedExchange:
    """The three messages of one connection, as they came."""

    where: str
    client: str
    negotiate: bytes
    challenge: bytes
    authenticate: bytes


def recorded_tokens() -> list[tuple[str, bytes]]:
    """Every NTLM message of the recorded binds, each with where it comes from."""
    return [(f"{where} {pdu}", token) for where, _, pdu, token in _tokens()]


def recorded_exchanges() -> list[RecordedExchange]:
    """The connections whose three messages were all recorded."""
    found: dict[tuple[str, str], dict[str, bytes]] = {}
    for where, client, pdu, token in _tokens():
        found.setdefault((where, client), {})[pdu] = token
    return [
        RecordedExchange(where, client, tokens["bind"], tokens["bind_ack"], tokens["auth3"])
        for (where, client), tokens in found.items()
        if len(tokens) == 3
    ]


def _tokens() -> list[tuple[str, str, str, bytes]]:
    tokens = []
    for name in ("binds-libmapi.jsonl", "binds-impacket.jsonl"):
        for line in json_lines(shared_path("wire") / name):
            pdu = bytes.fromhex(line["pdu_hex"])
            auth_length = int.from_bytes(pdu[10:12], "little")
            if auth_length:
                where = f"{line['scenario']} connection {line['connection']}"
                tokens.append((where, line["client"], line["pdu"], pdu[-auth_length:]))
    return tokens

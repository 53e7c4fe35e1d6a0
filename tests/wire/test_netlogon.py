"""Netlogon codecs, held against impacket's; a real domain controller is in tests/interop."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from impacket.dcerpc.v5 import nrpc

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.ndr import RpcMessage
from openchange_py.wire.ndr64 import Ndr64Reader, Ndr64Writer
from openchange_py.wire.netlogon import (
    NETLOGON,
    NetrLogonSamLogonExRequest,
    NetrLogonSamLogonExResponse,
    NetrServerAuthenticate3Request,
    NetrServerAuthenticate3Response,
    NetrServerReqChallengeRequest,
    NetrServerReqChallengeResponse,
    is_nl_auth_response,
    pack_nl_auth_message,
)

CHALLENGE = bytes(range(8))
LOGON = NetrLogonSamLogonExRequest(None, "EXCH1", "EXAMPLE", 0x820, "älice", "PC", CHALLENGE, b"proof and blob", b"")
MESSAGES: list[RpcMessage] = [
    NetrServerReqChallengeRequest(None, "EXCH1", CHALLENGE),
    NetrServerReqChallengeRequest("\\\\dc", "EXCH1", CHALLENGE),
    NetrServerReqChallengeResponse(CHALLENGE, 0xC0000022),
    NetrServerAuthenticate3Request(None, "EXCH1$", 2, "EXCH1", CHALLENGE, 0x613FFFFF),
    NetrServerAuthenticate3Response(CHALLENGE, 0x613FFFFF, 1105, 0),
    LOGON,
    NetrLogonSamLogonExRequest("dc", None, "", 0, "", "", CHALLENGE, b"", b""),
    NetrLogonSamLogonExResponse("alice", "EXAMPLE", 0x20, bytes(range(16)), 0),
    NetrLogonSamLogonExResponse("", "", 0, b"", 0xC000006A),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_round_trip(message: RpcMessage) -> None:
    assert type(message).unpack(message.pack()) == message


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_round_trip_in_ndr64(message: RpcMessage) -> None:
    """That Samba reads it is seen in tests/interop/test_ndr64.py."""
    stub = message.pack(Ndr64Writer)
    assert type(message).unpack(stub, Ndr64Reader) == message
    for end in range(0 if isinstance(message, NetrLogonSamLogonExRequest) else len(stub), len(stub)):
        with pytest.raises(DecodeError):
            type(message).unpack(stub[:end], Ndr64Reader)


def test_impacket_reads_a_challenge_and_an_authentication() -> None:
    challenge = nrpc.NetrServerReqChallenge(NetrServerReqChallengeRequest(None, "EXCH1", CHALLENGE).pack())
    assert challenge["ComputerName"] == "EXCH1\0"
    assert challenge["ClientChallenge"] == CHALLENGE
    stub = NetrServerAuthenticate3Request(None, "EXCH1$", 2, "EXCH1", CHALLENGE, 0x613FFFFF).pack()
    authenticate = nrpc.NetrServerAuthenticate3(stub)
    assert authenticate["AccountName"] == "EXCH1$\0"
    assert authenticate["SecureChannelType"] == 2
    assert authenticate["ClientCredential"] == CHALLENGE
    assert authenticate["NegotiateFlags"] == 0x613FFFFF


def impacket_logon() -> nrpc.NetrLogonSamLogonEx:
    request = nrpc.NetrLogonSamLogonEx()
    request["LogonServer"] = nrpc.NULL
    request["ComputerName"] = "EXCH1\0"
    request["LogonLevel"] = request["LogonInformation"]["tag"] = 6
    network = request["LogonInformation"]["LogonNetworkTransitive"]
    network["Identity"]["LogonDomainName"] = "EXAMPLE"
    network["Identity"]["ParameterControl"] = 0x820
    network["Identity"]["UserName"] = "älice"
    network["Identity"]["Workstation"] = "PC"
    network["LmChallenge"] = CHALLENGE
    network["NtChallengeResponse"] = b"proof and blob"
    network["LmChallengeResponse"] = b"\x01"
    request["ValidationLevel"] = 6
    request["ExtraFlags"] = 0
    return request


def test_a_logon_as_impacket_writes_it() -> None:
    read = NetrLogonSamLogonExRequest.unpack(impacket_logon().getData())
    assert (read.logon_domain_name, read.user_name, read.workstation) == ("EXAMPLE", "älice", "PC")
    assert (read.lm_challenge, read.nt_challenge_response) == (CHALLENGE, b"proof and blob")
    assert read.parameter_control == 0x820


def test_impacket_reads_a_logon_and_its_answer() -> None:
    network = nrpc.NetrLogonSamLogonEx(LOGON.pack())["LogonInformation"]["LogonNetworkTransitive"]
    assert network["Identity"]["UserName"] == "älice"
    assert "".join(network["NtChallengeResponse"]) == "proof and blob"
    answer = nrpc.NetrLogonSamLogonExResponse(
        NetrLogonSamLogonExResponse("alice", "EXAMPLE", 0x20, bytes(range(16)), 0).pack()
    )
    validation = answer["ValidationInformation"]["ValidationSam4"]
    assert validation["EffectiveName"] == "alice"
    assert validation["LogonDomainName"] == "EXAMPLE"
    assert bytes(validation["UserSessionKey"]) == bytes(range(16))
    assert answer["ErrorCode"] == 0


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_every_truncation_is_an_error(message: RpcMessage) -> None:
    """Of a logon's answer what stands behind the names is of no interest, only that there is a status at the end."""
    packed = message.pack()
    ends = range(len(packed))
    if isinstance(message, NetrLogonSamLogonExResponse) and message.effective_name:
        ends = range(packed.index("EXAMPLE".encode("utf-16-le")) + len("EXAMPLE") * 2 + 4)
    elif isinstance(message, NetrLogonSamLogonExResponse):
        ends = range(12)
    for end in ends:
        with pytest.raises(DecodeError):
            type(message).unpack(packed[:end])


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(MESSAGES), st.data())
def test_garbage_and_truncation_give_a_value_or_an_error(message: RpcMessage, data: st.DataObject) -> None:
    golden = message.pack()
    stub = data.draw(st.binary(max_size=200) | st.integers(0, len(golden)).map(lambda end: golden[:end]))
    try:
        type(message).unpack(stub).pack()
    except (DecodeError, EncodeError):
        return


def test_a_string_that_claims_more_than_is_there() -> None:
    stub = bytearray(LOGON.pack())
    at = stub.index("älice".encode("utf-16-le")) - 12
    stub[at + 8 : at + 12] = (0x7FFFFFFF).to_bytes(4, "little")
    with pytest.raises(DecodeError):
        NetrLogonSamLogonExRequest.unpack(bytes(stub))


def test_methods_are_declared() -> None:
    assert NETLOGON.method_name(39) == "NetrLogonSamLogonEx"


def test_nl_auth_message() -> None:
    token = pack_nl_auth_message("EXAMPLE", "EXCH1")
    assert token == bytes.fromhex("00000000 03000000") + b"EXAMPLE\0EXCH1\0"
    assert not is_nl_auth_response(token)
    assert is_nl_auth_response(b"\x01" + bytes(11))
    with pytest.raises(DecodeError):
        is_nl_auth_response(b"\x01")

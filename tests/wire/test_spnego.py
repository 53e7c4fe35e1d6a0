"""RFC 4178 4.2 tokens: bytes worked out by hand from its ASN.1, impacket's reading of them, and garbage."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from impacket import spnego as impacket_spnego

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.spnego import (
    KERBEROS_OID,
    MS_KERBEROS_OID,
    NTLMSSP_OID,
    NegState,
    NegTokenInit,
    NegTokenResp,
    pack_mech_types,
    unframed_ap_req,
)

NTLM_LIST = bytes.fromhex("300c060a2b06010401823702020a")
INIT = bytes.fromhex("601c06062b0601050502a0123010a00e300c060a2b06010401823702020a")
RESP = bytes.fromhex("a1193017a0030a0101a10c060a2b06010401823702020aa2020400")


def test_mech_types() -> None:
    assert pack_mech_types([NTLMSSP_OID]) == NTLM_LIST
    several = [MS_KERBEROS_OID, KERBEROS_OID, NTLMSSP_OID]
    assert NegTokenInit(pack_mech_types(several)).mech_types == several
    with pytest.raises(EncodeError):
        pack_mech_types(["one.two"])


def test_init() -> None:
    token = NegTokenInit(NTLM_LIST)
    assert token.pack() == INIT
    assert NegTokenInit.unpack(INIT) == token
    full = NegTokenInit(NTLM_LIST, b"token" * 100, b"mic", b"\0\x80")
    assert NegTokenInit.unpack(full.pack()) == full


def test_resp() -> None:
    token = NegTokenResp(NegState.ACCEPT_INCOMPLETE, NTLMSSP_OID, b"")
    assert token.pack() == RESP
    assert NegTokenResp.unpack(RESP) == token
    full = NegTokenResp(NegState.REQUEST_MIC, NTLMSSP_OID, b"x" * 70000, b"mic")
    assert NegTokenResp.unpack(full.pack()) == full
    assert NegTokenResp.unpack(NegTokenResp().pack()) == NegTokenResp()


def test_impacket_reads_and_writes_the_same() -> None:
    theirs = impacket_spnego.SPNEGO_NegTokenInit()
    theirs["MechTypes"] = [impacket_spnego.TypesMech["NTLMSSP - Microsoft NTLM Security Support Provider"]]
    theirs["MechToken"] = b"NTLMSSP token"
    assert NegTokenInit.unpack(theirs.getData()) == NegTokenInit(NTLM_LIST, b"NTLMSSP token")
    read = impacket_spnego.SPNEGO_NegTokenResp(NegTokenResp(NegState.ACCEPT_INCOMPLETE, NTLMSSP_OID, b"abc").pack())
    assert read["NegState"] == b"\x01"
    assert read["ResponseToken"] == b"abc"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        INIT + b"\0",
        INIT.replace(bytes.fromhex("2b0601050502"), bytes.fromhex("2b0601050503")),
        bytes.fromhex("600c06062b0601050502a0023000"),
        bytes.fromhex("601206062b0601050502a0083006a0043002 3000"),
        bytes.fromhex("601006062b0601050502a0063004a0023000"),
        b"\x60\x80" + INIT[2:],
        b"\x60\x85\0\0\0\0\x1e" + INIT[2:],
        b"\x60\x84\xff\xff\xff\xff" + INIT[2:],
    ],
)
def test_malformed_init(data: bytes) -> None:
    with pytest.raises(DecodeError):
        NegTokenInit.unpack(data)


@pytest.mark.parametrize(
    "data",
    [
        bytes.fromhex("a1073005a0030a0104"),  # negState 4
        bytes.fromhex("a1083006a0040a020101"),  # two octets
        bytes.fromhex("a10c300aa0030a0101a0030a0101"),  # twice
        bytes.fromhex("a10c300aa2030401 61a0030a0101"),  # out of order
        bytes.fromhex("a1073005a4030a0101"),  # unknown element
        bytes.fromhex("a1123010a10e060c2a868080808080808080807f"),  # an arc without end
        bytes.fromhex("a1083006a10406022a86"),  # half an arc
        bytes.fromhex("a1063004a1020600"),  # no arc
    ],
)
def test_malformed_resp(data: bytes) -> None:
    with pytest.raises(DecodeError):
        NegTokenResp.unpack(data)


@pytest.mark.parametrize("data", [INIT, RESP])
def test_truncated(data: bytes) -> None:
    kind = NegTokenInit if data is INIT else NegTokenResp
    for end in range(len(data)):
        with pytest.raises(DecodeError):
            kind.unpack(data[:end])


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([INIT, RESP, b""]), st.data())
def test_garbage_gives_a_token_or_decode_error(golden: bytes, data: st.DataObject) -> None:
    damaged = bytearray(golden) or bytearray(data.draw(st.binary(max_size=60)))
    for _ in range(data.draw(st.integers(0, 4)) if damaged else 0):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    for kind in (NegTokenInit, NegTokenResp):
        try:
            token = kind.unpack(bytes(damaged))
        except DecodeError:
            continue
        assert kind.unpack(token.pack()) == token


AP_REQ = bytes.fromhex("600f06092a864886f71201020201006e00")


def test_the_ap_req_of_a_framed_kerberos_token() -> None:
    assert unframed_ap_req(AP_REQ) == b"\x6e\0"
    assert unframed_ap_req(AP_REQ.replace(b"\1\0\x6e", b"\2\0\x6e")) is None  # an AP-REP
    assert unframed_ap_req(INIT) is None  # of SPNEGO
    assert unframed_ap_req(b"\x6e\0") is None  # bare
    for end in range(len(AP_REQ)):
        assert unframed_ap_req(AP_REQ[:end]) is None

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.oxabref import (
    RFR,
    Name,
    RfrGetFQDNFromServerDNRequest,
    RfrGetFQDNFromServerDNResponse,
    RfrGetNewDSARequest,
    RfrGetNewDSAResponse,
)
from tests.conftest import json_lines, shared_path


def test_every_recorded_call_is_decoded_and_packed_to_the_same_bytes() -> None:
    count = 0
    for path in sorted(shared_path("wire").glob("calls-*.jsonl*")):
        for call in json_lines(path):
            if call["interface"] != "rfr":
                continue
            method = RFR.methods[call["opnum"]]
            assert method.name == call["call"]
            for side, kind in (("request", method.request), ("response", method.response)):
                stub = bytes.fromhex(call[f"{side}_stub_hex"] or "")
                if stub:
                    count += 1
                    assert kind.unpack(stub).pack() == stub, f"{path.name} {side}"
                else:
                    assert call["fault"]
    assert count > 100


def test_the_interface() -> None:
    assert str(RFR.syntax) == "1544f5e0-613c-11d1-93df-00c04fd7bd09/1.0"
    assert [RFR.method_name(opnum) for opnum in range(2)] == ["RfrGetNewDSA", "RfrGetFQDNFromServerDN"]


def test_a_new_dsa_as_libmapi_asks_and_a_server_answers() -> None:
    # calls-profile-tcp-badname: an empty user DN, no unused parameter, a place for the server's name.
    stub = bytes.fromhex("00000000 01000000 00000000 01000000 00000000 00000000 00000200 00000000")
    assert RfrGetNewDSARequest.unpack(stub) == RfrGetNewDSARequest(0, b"", None, Name(None))
    assert RfrGetNewDSAResponse(None, Name(b"ab"), 0).pack().hex() == (
        "0000000000000200040002000300000000000000030000006162000000000000"
    )


def test_the_fqdn_of_a_server() -> None:
    dn = b"/o=First/cn=SRV"
    request = RfrGetFQDNFromServerDNRequest(0, len(dn) + 1, dn)
    assert request.pack().hex() == "0000000010000000100000000000000010000000" + dn.hex() + "00"
    assert RfrGetFQDNFromServerDNRequest.unpack(request.pack()) == request
    response = RfrGetFQDNFromServerDNResponse(b"srv.example.test", 0)
    assert RfrGetFQDNFromServerDNResponse.unpack(response.pack()) == response


def test_a_shorter_string_in_its_place_is_accepted() -> None:
    request = RfrGetFQDNFromServerDNRequest(0, 40, b"/o=First/cn=SRV")
    assert RfrGetFQDNFromServerDNRequest.unpack(request.pack()) == request


@pytest.mark.parametrize("size", [9, 1025])
def test_a_size_out_of_range_is_refused(size: int) -> None:
    stub = RfrGetFQDNFromServerDNRequest(0, size, b"x" * (size - 1)).pack()
    with pytest.raises(DecodeError, match="cb_mailbox_server_dn"):
        RfrGetFQDNFromServerDNRequest.unpack(stub)


def test_another_maximum_count_than_the_size_is_refused() -> None:
    stub = bytearray(RfrGetFQDNFromServerDNRequest(0, 16, b"/o=First/cn=SRV").pack())
    stub[8] = 17
    with pytest.raises(DecodeError, match="mailbox_server_dn"):
        RfrGetFQDNFromServerDNRequest.unpack(bytes(stub))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([RfrGetNewDSARequest, RfrGetNewDSAResponse, RfrGetFQDNFromServerDNRequest]), st.binary())
def test_any_garbage_gives_a_message_or_a_decode_error(kind: type, data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        assert isinstance(kind.unpack(data), kind)

"""AP-REQ and GSSAPI's checksum, by bytes put together from RFC 4120 and RFC 4121."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.kerberos import delegated_credential, ticket_of

TICKET = bytes.fromhex("6109 3007 a003 020105 0500")
#: [APPLICATION 14] SEQUENCE { pvno 5, msg-type 14, ap-options, ticket, authenticator (left out) }.
AP_REQ = bytes.fromhex("6e22 3020 a003 020105 a103 02010e a207 0305 00 20000000 a30b".replace(" ", "")) + TICKET
BINDINGS = bytes.fromhex("10000000") + bytes(16)


def test_the_ticket_of_an_ap_req() -> None:
    assert ticket_of(AP_REQ) == TICKET


@pytest.mark.parametrize("size", range(len(AP_REQ)))
def test_a_cut_ap_req(size: int) -> None:
    with pytest.raises(DecodeError):
        ticket_of(AP_REQ[:size])


@given(st.binary(max_size=64))
def test_garbage(garbage: bytes) -> None:
    for read in (ticket_of, delegated_credential):
        try:
            read(garbage)
        except DecodeError:
            continue


def test_a_checksum_without_delegation() -> None:
    assert delegated_credential(BINDINGS + bytes.fromhex("3e100000")) is None


def test_a_checksum_with_delegation() -> None:
    checksum = BINDINGS + bytes.fromhex("3f100000 0100 0300 aabbcc") + b"extensions"
    assert delegated_credential(checksum) == bytes.fromhex("aabbcc")


@pytest.mark.parametrize(
    "checksum",
    [
        bytes.fromhex("11000000") + bytes(17) + bytes(4),
        BINDINGS + bytes.fromhex("01000000 0200 0300 aabbcc"),
        BINDINGS + bytes.fromhex("01000000 0100 0400 aabbcc"),
        BINDINGS,
    ],
    ids=["bindings of 17 bytes", "DlgOpt 2", "cut", "no flags"],
)
def test_what_is_no_checksum_of_gssapi(checksum: bytes) -> None:
    with pytest.raises(DecodeError):
        delegated_credential(checksum)

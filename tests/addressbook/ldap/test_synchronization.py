"""RFC 4533's messages: section 2 gives their ASN.1, X.690 the bytes."""

from __future__ import annotations

import pytest

from openchange_py.addressbook.base import DirectoryError
from openchange_py.addressbook.ldap.synchronization import elements, read_refresh, request_control

STATE, DONE, INFO = (f"1.3.6.1.4.1.4203.1.9.1.{number}" for number in (2, 3, 4))
FIRST, SECOND, THIRD = (bytes([number]) * 16 for number in (1, 2, 3))


def entry(identity: bytes, state: int, dn: bytes = b"cn=a") -> dict[str, object]:
    value = bytes.fromhex(f"30 15 0a01{state:02x} 0410") + identity
    return {"type": "searchResEntry", "raw_dn": dn, "controls": {STATE: {"value": value}}}


def identities(*which: bytes, deletes: bool) -> dict[str, object]:
    uuids = b"".join(b"\x04\x10" + one for one in which)
    content = (b"\x01\x01\xff" if deletes else b"") + b"\x31" + bytes([len(uuids)]) + uuids
    value = b"\xa3" + bytes([len(content)]) + content
    return {"type": "intermediateResponse", "responseName": INFO, "responseValue": value}


def done(value: str) -> dict[str, object]:
    return {"type": "searchResDone", "controls": {DONE: {"value": bytes.fromhex(value)}}}


def test_the_request() -> None:
    control = request_control("rid=000,csn=x")
    assert bytes(control["controlValue"]) == bytes.fromhex("3012 0a0101 040d") + b"rid=000,csn=x"
    assert bytes(request_control("x" * 200)["controlValue"])[:10] == bytes.fromhex("308200cf 0a0101 048200")


def test_a_server_that_tells_what_was_deleted() -> None:
    told = read_refresh([entry(FIRST, 2), identities(SECOND, deletes=True), entry(THIRD, 3), done("3003 0101ff")])
    assert told.changed == {FIRST: "cn=a"}
    assert told.deleted == {SECOND, THIRD}
    assert told.tells_deletions


def test_a_server_that_tells_what_is_left() -> None:
    told = read_refresh([identities(FIRST, SECOND, deletes=False), entry(THIRD, 1), done("3003 0401 78")])
    assert (told.present, told.deleted, set(told.changed)) == ({FIRST, SECOND}, set(), {THIRD})
    assert not told.tells_deletions


def test_other_messages_mean_nothing() -> None:
    other = {"type": "intermediateResponse", "responseName": "1.2.3", "responseValue": b"\xa3\x7f"}
    cookie = {"type": "intermediateResponse", "responseName": INFO, "responseValue": b"\x80\x01x"}
    told = read_refresh([other, cookie, {"type": "searchResEntry", "raw_dn": b""}, {"type": "searchResRef"}])
    assert (told.changed, told.present, told.deleted) == ({}, set(), set())


def test_long_lengths() -> None:
    content = b"x" * 300
    assert list(elements(b"\x04\x82\x01\x2c" + content)) == [(4, content)]


@pytest.mark.parametrize("data", ["04", "0405 61", "0480", "0485 0000000001 61", "0482 01", "04ff"])
def test_what_is_cut_off(data: str) -> None:
    with pytest.raises(DirectoryError, match="cut off"):
        list(elements(bytes.fromhex(data)))


@pytest.mark.parametrize("value", [b"", b"\x30\x00", b"\x30\x05\x0a\x01\x01\x04\x00"])
def test_an_entry_that_is_none(value: bytes) -> None:
    with pytest.raises(DirectoryError, match="synchronization"):
        read_refresh([{"type": "searchResEntry", "raw_dn": b"", "controls": {STATE: {"value": value}}}])

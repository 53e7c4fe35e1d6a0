"""Where context handles stand, held against the codecs that know."""

from __future__ import annotations

import uuid

import pytest

from openchange_py.proxy.handles import (
    handle_given,
    handle_space,
    handle_taken,
    makes_handle,
    opens_handle,
    repeatable,
    takes_handle,
)
from openchange_py.wire.buffer import DecodeError
from tests.proxy.emsmdb_calls import HANDLE, connected, rpc_answer
from tests.proxy.recordings import recorded_calls

RAW_HANDLE = bytes(4) + HANDLE.uuid.bytes_le

RECORDINGS = [
    "calls-session-tcp-seal-2010.jsonl",
    "calls-profile-tcp-seal-2010.jsonl",
    "calls-notify-tcp-seal-2010.jsonl",
    "calls-folders-tcp-connect-2000.jsonl",
]


def test_emsmdb() -> None:
    assert handle_given("exchange_emsmdb", 10, connected()) == RAW_HANDLE
    assert handle_given("exchange_emsmdb", 11, rpc_answer()) == RAW_HANDLE
    assert handle_taken("exchange_emsmdb", 10, b"") is None
    assert makes_handle("exchange_emsmdb", 14)
    assert not makes_handle("exchange_emsmdb", 1)


@pytest.mark.parametrize("server_guid", [b"", uuid.UUID(int=5).bytes_le])
def test_nspi_bind_has_its_handle_behind_the_server_guid(server_guid: bytes) -> None:
    pointer = (0x20000 if server_guid else 0).to_bytes(4, "little")
    assert handle_given("exchange_nsp", 0, pointer + server_guid + RAW_HANDLE + bytes(4)) == RAW_HANDLE


def test_what_opens_a_handle_beside_those_there_are() -> None:
    opening = {
        (name, opnum)
        for name in ("exchange_emsmdb", "exchange_async_emsmdb", "exchange_nsp", "exchange_ds_rfr")
        for opnum in range(21)
        if opens_handle(name, opnum)
    }
    assert opening == {("exchange_emsmdb", opnum) for opnum in (0, 10, 14)} | {("exchange_nsp", 0)}


def test_asynchronous_calls_have_the_mailbox_calls_handles() -> None:
    assert handle_space("exchange_async_emsmdb") == handle_space("exchange_emsmdb")
    assert len({handle_space(name) for name in ("exchange_emsmdb", "exchange_nsp", "exchange_ds_rfr")}) == 3


def test_what_writes_or_hangs_on_a_mailbox_session_is_not_repeated() -> None:
    assert [opnum for opnum in range(21) if not repeatable("exchange_nsp", opnum)] == [11, 14]
    assert [opnum for opnum in range(16) if repeatable("exchange_emsmdb", opnum)] == [6]
    assert not repeatable("exchange_async_emsmdb", 0)


def test_calls_without_handles() -> None:
    assert not takes_handle("exchange_ds_rfr", 0)
    assert handle_taken("exchange_ds_rfr", 0, b"") is None
    assert handle_given("exchange_emsmdb", 6, bytes(4)) is None
    assert handle_given("exchange_nsp", 3, bytes(40)) is None


@pytest.mark.parametrize("stub", [b"", bytes(19)])
def test_short_stubs(stub: bytes) -> None:
    with pytest.raises(DecodeError):
        handle_taken("exchange_emsmdb", 11, stub)
    with pytest.raises(DecodeError):
        handle_given("exchange_nsp", 0, stub)


@pytest.mark.parametrize("name", RECORDINGS)
def test_recorded_calls_use_the_handles_that_were_given(name: str) -> None:
    """The offsets are right where every handle that real clients send is one that the server gave before."""
    given: set[bytes] = set()
    used = 0
    for call in recorded_calls(name):
        taken = handle_taken(call.interface.name, call.opnum, call.stub)
        if taken is not None:
            assert taken in given
            used += 1
        if call.reply and (handle := handle_given(call.interface.name, call.opnum, call.reply)) is not None:
            given.add(handle)
    assert used

"""Framing, joining and cutting of fragments."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.rpc.fragments import Assembly, Framer, agreed_size, fragment_size, fragments_of
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.pdu import Pfc, Request, Response
from tests.rpc.parties import pdus

SMALL = Request(call_id=1, context_id=0, opnum=3, stub=b"stub").pack()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 60), max_size=12))
def test_pdus_come_out_whole_however_they_arrive(cuts: list[int]) -> None:
    stream, framer, found = SMALL * 4, Framer(), []
    for cut in [*cuts, len(stream)]:
        framer.feed(stream[:cut])
        stream = stream[cut:]
        while (pdu := framer.next()) is not None:
            found.append(pdu)
    assert found == [SMALL] * 4


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\5\0\0\3\x10" + bytes(20)], ids=["http", "length 0"])
def test_what_is_no_pdu_is_noticed_at_once(data: bytes) -> None:
    framer = Framer()
    framer.feed(data)
    with pytest.raises(DecodeError):
        framer.next()


@pytest.mark.parametrize("size", [0, 1, 1408, 1409, 2816, 2817, 100_000])
def test_a_stub_is_cut_to_size_and_only_its_ends_are_marked(size: int) -> None:
    stub = bytes(i % 251 for i in range(size))
    cut = pdus(fragments_of(Response(call_id=5, context_id=2, stub=stub, alloc_hint=size), 1432, None))
    assert all(len(pdu.pack()) <= 1432 for pdu in cut)
    assert b"".join(pdu.stub for pdu in cut) == stub  # type: ignore[attr-defined]
    assert len(cut) == max(1, -(-size // 1408))
    assert [pdu.flags & Pfc.WHOLE for pdu in cut] == (
        [Pfc.WHOLE] if len(cut) == 1 else [Pfc.FIRST_FRAG, *[0] * (len(cut) - 2), Pfc.LAST_FRAG]
    )
    assert [pdu.alloc_hint for pdu in cut] == [size - 1408 * i for i in range(len(cut))]  # type: ignore[attr-defined]


@pytest.mark.parametrize("parts", [[], [b""], [b"12345"], [b"", b"12345", b""], [b"12", b"3", b"45"]])
def test_the_fragments_of_a_call_are_joined(parts: list[bytes]) -> None:
    call = Assembly(Request(call_id=1, context_id=7, opnum=0, stub=b""), None, None)
    for part in parts:
        call.add(part)
    assert call.stub() == b"".join(parts)
    assert (call.size, call.call_id, call.context_id, call.auth) == (len(b"".join(parts)), 1, 7, None)


def test_tiny_fragments_take_little_memory() -> None:
    call = Assembly(Request(call_id=1, context_id=0, opnum=0, stub=b""), None, None)
    tracemalloc.start()
    for _ in range(100_000):
        call.add(b"x")
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert call.stub() == b"x" * 100_000
    assert taken < 200_000


@pytest.mark.parametrize(("ours", "theirs", "agreed"), [(5840, 4280, 4280), (4280, 5840, 4280), (5840, 0, 1432)])
def test_fragment_size(ours: int, theirs: int, agreed: int) -> None:
    assert fragment_size(ours, theirs) == agreed


@pytest.mark.parametrize(
    ("xmit", "recv", "agreed"),
    [(65535, 65535, 5840), (5840, 5840, 5840), (3199, 65535, 3192), (65535, 3199, 3192), (0, 4280, 2048)],
)
def test_a_server_agrees_on_one_size_for_both_directions(xmit: int, recv: int, agreed: int) -> None:
    assert agreed_size(5840, xmit, recv) == agreed

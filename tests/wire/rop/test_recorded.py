"""Every recorded ROP buffer is decoded, and packed again to the same bytes.

The recordings are of real clients against a real server. Each session is walked in the order of its calls, since
responses cannot be read without what was said before: columns of tables, recipients of messages, kinds of logons.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.rop.base import REQUESTS, RESPONSES
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import HandleStates
from openchange_py.wire.rop.dissect import describe_buffer
from openchange_py.wire.rop.ids import RopId
from tests.conftest import SHARED, json_lines, shared_path

#: RopIds at which a buffer of the recordings stops being decoded, and why.
TAILS: Final = {
    ("request", 0xF0): "the probe sends an id that no document has, to see what the server does",
}

#: Requests of the recordings that are not what the document says.
BROKEN: Final = {
    "0d00600000010000000000000d00000000": "the probe's RopGetPerUserLongTermIds has 8 bytes where DatabaseGuid has 16",
}

#: ROPs that no request, or no response, is declared for, and why.
WITHOUT_REQUEST: Final = {
    RopId.Notify: "sent by the server alone",
    RopId.Pending: "sent by the server alone",
    RopId.Backoff: "sent by the server alone",
    RopId.BufferTooSmall: "sent by the server alone",
}
WITHOUT_RESPONSE: Final = {
    RopId.Release: "has none",
}


class Walk:
    """One recording's sessions, and what was found in their buffers."""

    def __init__(self) -> None:
        self.sessions: collections.defaultdict[str, HandleStates] = collections.defaultdict(HandleStates)
        self.rops: collections.Counter[str] = collections.Counter()
        self.tails: collections.Counter[tuple[str, int]] = collections.Counter()
        self.broken: set[str] = set()

    def call(self, recorded: dict[str, Any]) -> None:
        """Decode one call's buffers; a response buffer beyond the last request's goes on with that one's."""
        states = self.sessions[_session(recorded)]
        requests = [self.request(bytes.fromhex(text), states) for text in recorded["rop_request_hex"]]
        for number, text in enumerate(recorded.get("rop_response_hex") or ()):
            data = bytes.fromhex(text)
            chained = number >= len(requests)
            request = requests[min(number, len(requests) - 1)]
            self.found("response", RopBuffer.unpack_response(data, request, states, chained=chained), data)

    def request(self, data: bytes, states: HandleStates) -> RopBuffer:
        try:
            buffer = RopBuffer.unpack_request(data, states)
        except DecodeError:
            self.broken.add(data.hex())
            return RopBuffer([], [])
        self.found("request", buffer, data)
        return buffer

    def found(self, direction: str, buffer: RopBuffer, data: bytes) -> None:
        assert buffer.pack().hex() == data.hex(), buffer
        assert all(describe_buffer(buffer))
        self.rops[direction] += len(buffer.rops)
        if buffer.tail:
            self.tails[direction, buffer.tail[0]] += 1


def _session(recorded: dict[str, Any]) -> str:
    """The context handle of the call, or the cookie that stands for it."""
    stub = recorded.get("request_stub_hex")
    if stub is not None:
        return str(stub[:40])
    cookies = [value for name, value in recorded["request_headers"] if name.lower() == "cookie"]
    return str(cookies[0].split(";")[0])


def recordings() -> Iterator[Path]:
    for pattern in ("calls-*.jsonl*", "mapihttp-*.jsonl*"):
        yield from sorted((SHARED / "wire").glob(pattern))


@pytest.fixture(scope="module")
def walk() -> Walk:
    shared_path("wire")
    walk = Walk()
    for path in recordings():
        walk.sessions.clear()
        for recorded in json_lines(path):
            if recorded.get("rop_request_hex"):
                walk.call(recorded)
    return walk


def test_every_recorded_buffer_is_decoded_and_packed_to_the_same_bytes(walk: Walk) -> None:
    left = set(walk.tails) - set(TAILS)
    names = [f"{direction} Rop{RopId(rop_id).name if rop_id in set(RopId) else rop_id}" for direction, rop_id in left]
    assert not names, f"not decoded, though not listed: {sorted(names)}"
    assert walk.broken <= set(BROKEN)


def test_no_exception_is_listed_that_is_not_needed_any_more(walk: Walk) -> None:
    assert set(TAILS) <= set(walk.tails)
    assert set(BROKEN) <= walk.broken


def test_as_many_rops_are_decoded_as_the_recordings_hold(walk: Walk) -> None:
    assert dict(walk.rops) == {"request": 2932, "response": 2228}


def test_every_rop_has_its_codec() -> None:
    assert {rop_id for rop_id in RopId if rop_id not in REQUESTS} == set(WITHOUT_REQUEST)
    assert {rop_id for rop_id in RopId if rop_id not in RESPONSES} == set(WITHOUT_RESPONSE)

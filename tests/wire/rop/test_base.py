"""How ROPs are declared."""

from __future__ import annotations

import pytest

import openchange_py.wire.rop
from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.codecs import structure
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.rop.base import (
    FAILURES,
    REQUESTS,
    RESPONSES,
    BackoffRop,
    RopBackoffResponse,
    RopBufferTooSmallResponse,
    RopFailure,
    RopHandleRequest,
    RopReleaseRequest,
    RopRequest,
    RopResponse,
    read_text,
    rop_request,
    rop_response,
    write_text,
)
from openchange_py.wire.rop.ids import RopId
from tests.wire.rop.rop_checks import Example, check_example, check_truncations

EXAMPLES: list[Example] = [
    ("01 00 02", RopReleaseRequest(0, 2)),
    ("ff 0080 01 00 02", RopBufferTooSmallResponse(0x8000, b"\x01\x00\x02")),
    (
        "f9 01 e8030000 02 02 64000000 15 c8000000 0200 aabb",
        RopBackoffResponse(1, 1000, [BackoffRop(2, 100), BackoffRop(0x15, 200)], b"\xaa\xbb"),
    ),
]


@pytest.mark.parametrize(("text", "rop"), EXAMPLES)
def test_examples(text: str, rop: object) -> None:
    check_example(text, rop)  # type: ignore[arg-type]
    check_truncations(text, rop)  # type: ignore[arg-type]


def test_every_document_registers_its_rops() -> None:
    modules = {kind.__module__.rpartition(".")[2] for kind in (*REQUESTS.values(), *RESPONSES.values())}
    assert modules - {"base"} == set(openchange_py.wire.rop.__all__)


def test_rops_are_named_and_registered_by_their_id() -> None:
    for rop_id, request in REQUESTS.items():
        assert (request.rop_id, request.__name__) == (rop_id, f"Rop{RopId(rop_id).name}Request")
    for rop_id, response in RESPONSES.items():
        assert (response.rop_id, response.__name__) == (rop_id, f"Rop{RopId(rop_id).name}Response")
    for (rop_id, _), failure in FAILURES.items():
        assert failure.rop_id == rop_id
        assert failure.__name__.startswith(f"Rop{RopId(rop_id).name}")


def test_rops_are_mutable_and_slotted() -> None:
    for kind in (*REQUESTS.values(), *RESPONSES.values(), *FAILURES.values()):
        assert all("__slots__" in base.__dict__ for base in kind.__mro__[:-1]), kind
    request = RopReleaseRequest(0, 2)
    request.input_handle_index = 3
    assert request.pack() == b"\x01\x00\x03"


def test_an_id_is_taken_once() -> None:
    @structure
    class Another(RopHandleRequest):
        pass

    @structure
    class AnotherResponse(RopResponse):
        pass

    with pytest.raises(TypeError, match="is taken"):
        rop_request(RopId.Release)(Another)
    with pytest.raises(TypeError, match="is taken"):
        rop_response(RopId.OpenFolder)(AnotherResponse)


def test_a_request_says_which_object_it_acts_on() -> None:
    @structure
    class Nowhere(RopRequest):
        pass

    with pytest.raises(TypeError, match="no input_handle_index"):
        rop_request(RopId.Pending)(Nowhere)


def test_a_rop_is_not_read_as_another() -> None:
    with pytest.raises(DecodeError, match="RopId 0x02 is not RopReleaseRequest"):
        RopReleaseRequest.unpack(b"\x02\x00\x00")
    with pytest.raises(DecodeError):
        RopReleaseRequest.unpack(b"")


def test_a_failure_keeps_its_rop() -> None:
    failure = RopFailure(3, ErrorCode.NotFound, RopId.OpenFolder)
    assert failure.pack() == bytes.fromhex("02 03 0f010480")
    assert RopFailure.of(Reader(bytes.fromhex("03 0f010480")), 0x02) == failure


@pytest.mark.parametrize(("unicode", "text", "wire"), [(1, "é", b"\xe9\0\0\0"), (0, b"\xe9", b"\xe9\0")])
def test_texts_by_flag(unicode: int, text: str | bytes, wire: bytes) -> None:
    writer = Writer()
    write_text(writer, unicode, text)
    assert bytes(writer) == wire
    assert read_text(Reader(wire), unicode) == text
    with pytest.raises(EncodeError):
        write_text(writer, 1 - unicode, text)

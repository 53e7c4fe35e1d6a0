"""Property problems."""

from __future__ import annotations

from hypothesis import given, settings

from openchange_py.wire.codecs import Structure, structure
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.problems import PropertyProblem, PropertyProblems16
from openchange_py.wire.proptags import PidTagSubject
from tests.wire.oxcdata.strategies import bytes_or_decode_error, garbage


@structure
class Response(Structure):
    """As RopSetProperties and others end."""

    problems: PropertyProblems16


def test_wire_form() -> None:
    """The layout of [MS-OXCDATA] 2.7, written out by hand."""
    value = Response([PropertyProblem(3, PidTagSubject, ErrorCode.AccessDenied)])
    raw = "01 00 03 00 1f 00 37 00 05 00 07 80"
    assert value.pack().hex(" ") == raw
    read = Response.unpack(bytes.fromhex(raw))
    assert read == value
    assert read.problems[0].property_tag.name == "PidTagSubject"


@settings(max_examples=100, deadline=None)
@given(garbage)
def test_garbage_is_problems_or_a_decode_error(data: bytes) -> None:
    bytes_or_decode_error(data, Response.read)

"""NDR: alignment, pointers whose referents survive, conformance that bytes must justify, what a stub is."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.ndr import (
    FIRST_REFERENT,
    NULL_HANDLE,
    ContextHandle,
    NdrReader,
    NdrWriter,
    RpcInterface,
    RpcMessage,
    SyntaxId,
    rpc_message,
)

GUID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")

#: Primitive, value, its natural alignment, its bytes.
ALIGNED = [
    ("u16", 0x0102, 2, "0201"),
    ("i16", -2, 2, "feff"),
    ("u32", 0x01020304, 4, "04030201"),
    ("i32", -2, 4, "feffffff"),
    ("u64", 1, 8, "0100000000000000"),
    ("guid", GUID, 4, "33221100554477668899aabbccddeeff"),
]


@rpc_message
class Names(RpcMessage):
    """[string] char *first, [unique, string] wchar_t *second, [unique, size_is(n)] long *numbers."""

    first: bytes
    second: str | None
    numbers: list[int] | None

    @classmethod
    def read(cls, reader: NdrReader) -> Names:
        first = reader.char_string()
        second = reader.wchar_string() if reader.pointer() else None
        numbers = None
        if reader.pointer():
            numbers = [reader.u32() for _ in range(reader.conformance(4, 100))]
        return cls(first, second, numbers)

    def write(self, writer: NdrWriter) -> None:
        writer.char_string(self.first)
        if writer.pointer(self.second is not None):
            writer.wchar_string(self.second or "")
        if writer.pointer(self.numbers is not None):
            writer.u32(len(self.numbers or []))
            for number in self.numbers or []:
                writer.u32(number)


#: "ab", "c", [7]; pointers as Windows has them.
STUB = "030000000000000003000000616200000000020002000000000000000200000063000000040002000100000007000000"


@pytest.mark.parametrize(("name", "value", "alignment", "hexed"), ALIGNED)
@pytest.mark.parametrize("before", range(9))
def test_primitives_stand_at_their_natural_alignment(
    name: str, value: Any, alignment: int, hexed: str, before: int
) -> None:
    writer = NdrWriter()
    writer += b"\xaa" * before
    getattr(writer, name)(value)
    padding = -before % alignment
    assert writer.hex() == "aa" * before + "00" * padding + hexed
    reader = NdrReader(bytes(writer))
    reader.skip(before)
    assert getattr(reader, name)() == value
    reader.expect_end()


def test_padding_is_skipped_whatever_is_in_it() -> None:
    """A sender need not clear it: C706 14.2.2."""
    reader = NdrReader(bytes.fromhex("01abcdef02000000"))
    assert (reader.u8(), reader.u32()) == (1, 2)


def test_padding_that_is_cut_off_is_an_error() -> None:
    reader = NdrReader(b"\1\0")
    reader.u8()
    with pytest.raises(DecodeError, match="3 bytes needed, 1 left at offset 1"):
        reader.u32()


def test_golden_stub() -> None:
    assert Names(b"ab", "c", [7]).pack().hex() == STUB
    assert Names.unpack(bytes.fromhex(STUB)) == Names(b"ab", "c", [7])


def test_null_pointers_take_four_bytes() -> None:
    stub = Names(b"", None, None).pack()
    assert stub.hex() == "010000000000000001000000000000000000000000000000"
    assert Names.unpack(stub) == Names(b"", None, None)


def test_a_decoded_stub_packs_to_the_same_bytes_whatever_its_referents() -> None:
    stub = bytes.fromhex(STUB[:32] + "efbeadde" + STUB[40:72] + "01000000" + STUB[80:])
    message = Names.unpack(stub)
    assert message.referents == (0xDEADBEEF, 1)
    assert message.pack() == stub


def test_an_edited_stub_keeps_its_referents_and_gets_new_ones_beyond_them() -> None:
    message = Names.unpack(bytes.fromhex(STUB[:32] + "10000200" + STUB[40:72] + "00000000"))
    message.numbers = [7]
    again = Names.unpack(message.pack())
    assert again == Names(b"ab", "c", [7])
    assert again.referents == (FIRST_REFERENT + 0x10, FIRST_REFERENT + 0x14)


def test_generated_referents_are_never_null_and_differ() -> None:
    writer = NdrWriter((0xFFFFFFFC,))
    referents = [writer.referent() for _ in range(4)]
    assert 0 not in referents
    assert len(set(referents)) == 4


@pytest.mark.parametrize(
    ("stub", "words"),
    [
        ("ffffffff00000000ffffffff", "4294967295 elements announced"),
        ("0200000001000000010000006100", "offset 1, count 1 in an array of 2"),
        ("0100000000000000020000006100", "offset 0, count 2 in an array of 1"),
        ("0200000000000000020000006162", "string without terminating zero"),
        ("000000000000000000000000", "string without terminating zero"),
    ],
)
def test_strings_that_are_not_what_they_announce(stub: str, words: str) -> None:
    with pytest.raises(DecodeError, match=words):
        NdrReader(bytes.fromhex(stub)).char_string()


def test_wide_strings_count_characters() -> None:
    stub = bytes.fromhex("0300000000000000030000003dd8e7dc0000")
    assert NdrReader(stub).wchar_string() == "\U0001f4e7"
    writer = NdrWriter()
    writer.wchar_string("\U0001f4e7")
    assert writer == stub
    with pytest.raises(DecodeError, match="3 elements announced, 4 bytes left"):
        NdrReader(stub[:-2]).wchar_string()
    with pytest.raises(DecodeError, match="without terminating zero"):
        NdrReader(stub[:-2] + b"a\0").wchar_string()


def test_a_lone_surrogate_comes_back_as_it_went_in() -> None:
    stub = bytes.fromhex("0200000000000000020000003dd80000")
    writer = NdrWriter()
    writer.wchar_string(NdrReader(stub).wchar_string())
    assert writer == stub


def test_strings_with_zeros_in_them_are_refused() -> None:
    with pytest.raises(EncodeError, match="zero byte"):
        NdrWriter().char_string(b"a\0")
    with pytest.raises(EncodeError, match="zero character"):
        NdrWriter().wchar_string("a\0")


def test_conformance_has_a_documents_limit_and_the_bytes() -> None:
    assert NdrReader(bytes.fromhex("02000000") + bytes(8)).conformance(4, 2) == 2
    with pytest.raises(DecodeError, match="array of 3 elements, at most 2 allowed at offset 0"):
        NdrReader(bytes.fromhex("03000000") + bytes(12)).conformance(4, 2)
    with pytest.raises(DecodeError, match="3 elements announced, 8 bytes left"):
        NdrReader(bytes.fromhex("03000000") + bytes(8)).conformance(4)
    with pytest.raises(DecodeError, match="offset 0, count 3 in an array of 2"):
        NdrReader(bytes.fromhex("0000000003000000") + bytes(12)).varying(2, 4)


def test_padding_in_front_of_a_verification_trailer_is_kept() -> None:
    """[MS-RPCE] 2.2.2.13: the trailer is aligned to 4 and cut off before; what stands between is not ours to lose."""
    stub = Names(b"ab", None, None).pack()

    @rpc_message
    class Flag(RpcMessage):
        value: int

        @classmethod
        def read(cls, reader: NdrReader) -> Flag:
            return cls(reader.u8())

        def write(self, writer: NdrWriter) -> None:
            writer.u8(self.value)

    assert Flag.unpack(b"\1").pack() == b"\1"
    assert Flag.unpack(b"\1abc").pack() == b"\1abc"
    for wrong in (b"\1ab", b"\1abcd"):
        with pytest.raises(DecodeError):
            Flag.unpack(wrong)
    with pytest.raises(DecodeError, match="4 bytes left over"):
        Names.unpack(stub + bytes(4))


def test_context_handles() -> None:
    handle = ContextHandle(1, GUID)
    writer = NdrWriter()
    handle.write(writer)
    assert writer.hex() == "0100000033221100554477668899aabbccddeeff"
    assert ContextHandle.read(NdrReader(bytes(writer))) == handle
    assert not handle.is_null
    assert NULL_HANDLE.is_null
    assert not ContextHandle(0, GUID).is_null


def test_an_interface_knows_its_calls_by_the_documents_names() -> None:
    name, number = "a test's interface", "10000000-1111-2222-3333-444444444444"
    interface = RpcInterface(name, number, 1, 2)
    try:
        method = interface.declare(3, "Greet", Names, None)
        assert dataclasses.astuple(method)[:2] == (3, "Greet")
        assert (interface.method_name(3), interface.method_name(4)) == ("Greet", "opnum 4")
        assert str(interface.syntax) == f"{number}/1.2"
        assert RpcInterface.known[interface.syntax.uuid] is interface
        with pytest.raises(ValueError, match="opnum 3 is Greet already"):
            interface.declare(3, "Again")
    finally:
        del RpcInterface.known[interface.syntax.uuid]


def test_syntaxes_are_compared_with_their_version() -> None:
    assert SyntaxId(GUID, 1, 0) == SyntaxId(GUID, 1, 0) != SyntaxId(GUID, 1, 1)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=80),
    st.integers(0, 52),
    st.binary(max_size=4),
)
def test_any_garbage_gives_a_value_or_decode_error(garbage: bytes, at: int, patch: bytes) -> None:
    good = bytes.fromhex(STUB)
    for stub in (garbage, good[:at] + garbage, good[:at] + patch + good[at + len(patch) :]):
        try:
            message = Names.unpack(stub)
        except DecodeError:
            continue
        assert len(message.numbers or []) * 4 <= len(stub)


@settings(max_examples=200, deadline=None)
@given(
    st.builds(
        Names,
        st.binary(max_size=6).map(lambda raw: raw.replace(b"\0", b"")),
        st.none() | st.text(st.characters(exclude_characters="\0"), max_size=4),
        st.none() | st.lists(st.integers(0, (1 << 32) - 1), max_size=4),
    )
)
def test_what_is_packed_unpacks(message: Names) -> None:
    assert Names.unpack(message.pack()) == message

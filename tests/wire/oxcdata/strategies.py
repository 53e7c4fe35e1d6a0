"""What Hypothesis draws the structures of [MS-OXCDATA] from, and the two properties that each codec has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, Reader, Writer
from openchange_py.wire.oxcdata import restrictions as r
from openchange_py.wire.oxcdata import ruleactions as a
from openchange_py.wire.oxcdata.properties import MULTIPLE_FLAG, PropertyTag, PropertyType, TaggedPropertyValue

u8 = st.integers(0, 0xFF)
u16 = st.integers(0, 0xFFFF)
u32 = st.integers(0, 0xFFFFFFFF)
u64 = st.integers(0, 0xFFFFFFFFFFFFFFFF)
i64 = st.integers(-(1 << 63), (1 << 63) - 1)
binaries = st.binary(max_size=40)
texts8 = st.binary(max_size=20).map(lambda raw: raw.replace(b"\0", b""))
#: Lone surrogates too: servers and clients send them.
texts = st.text(st.characters(exclude_characters="\0"), max_size=20).filter(
    lambda text: text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass") == text
)

SINGLE: dict[PropertyType, st.SearchStrategy[Any]] = {
    PropertyType.Null: st.none(),
    PropertyType.Integer16: st.integers(-(1 << 15), (1 << 15) - 1),
    PropertyType.Integer32: st.integers(-(1 << 31), (1 << 31) - 1),
    PropertyType.Floating32: st.floats(width=32, allow_nan=False),
    PropertyType.Floating64: st.floats(allow_nan=False),
    PropertyType.Currency: i64,
    PropertyType.FloatingTime: st.floats(allow_nan=False),
    PropertyType.ErrorCode: u32,
    PropertyType.Boolean: st.booleans(),
    PropertyType.Object: binaries,
    PropertyType.Integer64: u64,
    PropertyType.String8: texts8,
    PropertyType.String: texts,
    PropertyType.Time: u64,
    PropertyType.Guid: st.uuids(),
    PropertyType.ServerId: binaries,
    PropertyType.Binary: binaries,
}

#: Of every type whose values hold no others.
PLAIN: dict[int, st.SearchStrategy[Any]] = {
    **SINGLE,
    **{
        kind: st.lists(SINGLE[PropertyType(kind & ~MULTIPLE_FLAG)], max_size=4)
        for kind in PropertyType
        if kind & MULTIPLE_FLAG
    },
}

tags = u32.map(PropertyTag)
plain_tags = st.builds(lambda number, kind: PropertyTag(number << 16 | kind), u16, st.sampled_from(sorted(PLAIN)))


@st.composite
def tagged_values(draw: st.DrawFn) -> TaggedPropertyValue:
    tag = draw(plain_tags)
    return TaggedPropertyValue(tag, draw(PLAIN[tag.type]))


restrictions: st.SearchStrategy[r.Restriction] = st.recursive(
    st.one_of(
        st.builds(r.ContentRestriction, u16, u16, tags, tagged_values()),
        st.builds(r.PropertyRestriction, u8, tags, tagged_values()),
        st.builds(r.ComparePropertiesRestriction, u8, tags, tags),
        st.builds(r.BitMaskRestriction, u8, tags, u32),
        st.builds(r.SizeRestriction, u8, tags, u32),
        st.builds(r.ExistRestriction, tags),
    ),
    lambda inner: st.one_of(
        st.builds(r.AndRestriction, st.lists(inner, max_size=3)),
        st.builds(r.OrRestriction, st.lists(inner, max_size=3)),
        st.builds(r.NotRestriction, inner),
        st.builds(r.SubObjectRestriction, tags, inner),
        st.builds(r.CommentRestriction, st.lists(tagged_values(), max_size=2), st.none() | inner),
        st.builds(r.CountRestriction, u32, inner),
    ),
    max_leaves=6,
)

_moves = st.builds(a.MoveCopyActionData, u8, binaries, binaries)
_replies = st.builds(a.ReplyActionData, u64, u64, st.uuids())
_forwards = st.builds(
    a.ForwardActionData,
    st.lists(st.builds(a.RecipientBlockData, u8, st.lists(tagged_values(), max_size=3)), max_size=3),
)
_tags = st.builds(a.TagActionData, tagged_values())
_blocks = st.one_of(
    st.builds(a.ActionBlock, st.sampled_from([1, 2]), u32, u32, _moves),
    st.builds(a.ActionBlock, st.sampled_from([3, 4]), u32, u32, _replies),
    st.builds(a.ActionBlock, st.just(6), u32, u32, st.builds(a.BounceActionData, u32)),
    st.builds(a.ActionBlock, st.sampled_from([7, 8]), u32, u32, _forwards),
    st.builds(a.ActionBlock, st.just(9), u32, u32, _tags),
    st.builds(a.ActionBlock, st.sampled_from([5, 10, 11, 99]), u32, u32, binaries),
)
rule_actions: st.SearchStrategy[a.RuleAction] = st.builds(a.RuleAction, st.lists(_blocks, max_size=3))

#: Bytes that often get past the first field: small numbers are counts, types and flags.
garbage = st.one_of(
    st.binary(max_size=200),
    st.lists(st.sampled_from([0, 1, 2, 3, 4, 5, 8, 10, 0x1F, 0x80, 0xFF]) | u8, max_size=200).map(bytes),
)


def bytes_or_decode_error(
    data: bytes, read: Callable[[Reader], Any], write: Callable[[Writer, Any], None] = lambda w, v: v.write(w)
) -> None:
    """Whatever the bytes are, there is a value that is written as the bytes it was read from, or a `DecodeError`."""
    reader = Reader(data)
    try:
        value = read(reader)
    except DecodeError as error:
        offset = error.offset
    else:
        offset = reader.pos
        writer = Writer()
        write(writer, value)
        assert bytes(writer) == data[: reader.pos], value
    assert offset is None or 0 <= offset <= len(data)


def unpack_or_decode_error(data: bytes, unpack: Callable[[bytes], Any]) -> None:
    """The same for what `pack` and `unpack` cover as a whole."""
    try:
        value = unpack(data)
    except DecodeError:
        return
    assert value.pack() == data

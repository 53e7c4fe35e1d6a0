import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.ndr import NdrReader, NdrWriter
from openchange_py.wire.oxnspi_restrictions import (
    MAXIMUM_DEPTH,
    AndRestriction_r,
    BitMaskRestriction_r,
    ComparePropsRestriction_r,
    ContentRestriction_r,
    ExistRestriction_r,
    NotRestriction_r,
    OrRestriction_r,
    PropertyRestriction_r,
    Restriction_r,
    SizeRestriction_r,
    SubRestriction_r,
    read_restriction,
    write_restriction,
)
from openchange_py.wire.oxnspi_types import PropertyValue_r


def packed(restriction: Restriction_r) -> bytes:
    writer = NdrWriter()
    write_restriction(writer, restriction)
    return bytes(writer)


def unpacked(data: bytes) -> Restriction_r:
    reader = NdrReader(data)
    restriction = read_restriction(reader)
    reader.expect_end()
    return restriction


U32 = st.integers(0, 0xFFFFFFFF)
VALUE = st.none() | st.builds(PropertyValue_r, st.just(0x3001001F), st.just("a") | st.none())
LEAVES = st.one_of(
    st.builds(ContentRestriction_r, U32, U32, VALUE),
    st.builds(PropertyRestriction_r, U32, U32, VALUE),
    st.builds(ComparePropsRestriction_r, U32, U32, U32),
    st.builds(BitMaskRestriction_r, U32, U32, U32),
    st.builds(SizeRestriction_r, U32, U32, U32),
    st.builds(ExistRestriction_r, U32, U32, U32),
)
RESTRICTIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(AndRestriction_r, st.none() | st.lists(inner, max_size=3)),
        st.builds(OrRestriction_r, st.none() | st.lists(inner, max_size=3)),
        st.builds(NotRestriction_r, st.none() | inner),
        st.builds(SubRestriction_r, U32, st.none() | inner),
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(RESTRICTIONS)
def test_every_kind_comes_back(restriction: Restriction_r) -> None:
    assert unpacked(packed(restriction)) == restriction


def test_the_name_resolution_of_libmapi() -> None:
    # From NspiGetMatches in calls-profile-tcp-badname: PidTagAnr equals a text.
    data = bytes.fromhex(
        "04000000 04000000 04000000 1f000c36 00000200 1f000c36 00000000 1f000000 04000200"
        "0b000000 00000000 0b000000 6e006f00730075006300680075007300650072000000"
    )
    restriction = unpacked(data)
    assert restriction == PropertyRestriction_r(4, 0x360C001F, PropertyValue_r(0x360C001F, "nosuchuser"))
    assert packed(restriction) == data


def test_heads_of_neighbours_come_before_what_they_point_at() -> None:
    inner = NotRestriction_r(ExistRestriction_r(0, 0x3001001F, 0))
    assert packed(AndRestriction_r([inner, inner])).hex() == (
        "00000000 00000000 02000000 00000200 02000000"
        "02000000 02000000 04000200 02000000 02000000 08000200"
        "08000000 08000000 00000000 1f000130 00000000"
        "08000000 08000000 00000000 1f000130 00000000"
    ).replace(" ", "")


def nested(depth: int) -> Restriction_r:
    restriction: Restriction_r = ExistRestriction_r(0, 0x3001001F, 0)
    for _ in range(depth):
        restriction = NotRestriction_r(restriction)
    return restriction


def test_depth_is_bounded_both_ways() -> None:
    assert unpacked(packed(nested(MAXIMUM_DEPTH))) == nested(MAXIMUM_DEPTH)
    with pytest.raises(EncodeError):
        packed(nested(MAXIMUM_DEPTH + 1))
    endless = bytes.fromhex("02000000 02000000 00000200") * 5000
    with pytest.raises(DecodeError, match="deep"):
        unpacked(endless)


@pytest.mark.parametrize(
    "data",
    [
        "0a000000 0a000000 00000000 00000000 00000000",  # no such kind
        "00000000 01000000 00000000 00000000",  # kind and content differ
        "00000000 00000000 ffff0000 00000200 ffff0000",  # more neighbours than bytes
        "00000000 00000000 02000000 00000000",  # neighbours behind a null pointer
    ],
)
def test_what_is_no_restriction_is_refused(data: str) -> None:
    with pytest.raises(DecodeError):
        unpacked(bytes.fromhex(data))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_garbage_gives_a_restriction_or_a_decode_error(data: bytes) -> None:
    try:
        restriction = unpacked(data)
    except DecodeError:
        return
    assert unpacked(packed(restriction)) == restriction

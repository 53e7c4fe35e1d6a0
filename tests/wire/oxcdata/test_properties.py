"""Property tags and types."""

from __future__ import annotations

from openchange_py.wire.codecs import Structure, structure
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyTag32, PropertyType
from openchange_py.wire.proptags import PidTagSubject


@structure
class Field(Structure):
    """A structure with a property tag."""

    tag: PropertyTag32


def test_a_tag_is_its_id_and_its_type() -> None:
    tag = PropertyTag(0x0037001F)
    assert (tag.id, tag.type) == (0x0037, PropertyType.String)
    assert tag.with_type(PropertyType.String8) == 0x0037001E
    assert tag.with_type(PropertyType.String8).id == tag.id
    assert {tag: 1}[PidTagSubject] == 1


def test_a_tag_in_a_structure_knows_its_name() -> None:
    raw = bytes.fromhex("1f 00 37 00")
    assert Field.unpack(raw).tag.name == "PidTagSubject"
    assert Field(PidTagSubject).pack() == raw

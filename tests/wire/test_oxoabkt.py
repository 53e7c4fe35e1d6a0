"""Golden bytes: the example of [MS-OXOABKT] 4.2 as far as it is printed, and templates written by hand."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openchange_py.wire import proptags as p
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.oxcdata.properties import PropertyType
from openchange_py.wire.oxoabkt import (
    Control,
    ControlFlags,
    ControlType,
    Opcode,
    pack_script,
    pack_template,
    unpack_script,
    unpack_template,
)


def encode(text: str) -> bytes:
    return text.encode("cp1252")


def decode(raw: bytes) -> str:
    return raw.decode("cp1252", "replace")


NAME_8 = p.PidTagDisplayName.with_type(PropertyType.String8)


def test_the_first_rows_of_the_document_s_example() -> None:
    """4.2: 0x41 rows, whose texts begin at 0x92C with `General` (8 bytes), so that `Name` stands at 0x934.

    The flags of the page are what the document shows; it gives them no meaning.
    """
    page = Control(0, 0, 0, 0, ControlType.PAGE, 0x00000CE4, text="General")
    box = Control(6, 0x167, 3, 0x29, ControlType.GROUP_BOX, text="Name")
    others = [Control(0xC, 0x46, 0xF, 8, ControlType.LABEL, text=f"label {number}") for number in range(0x3F)]
    data = pack_template([page, box, *others], encode)
    words = (
        "01000000 41000000"  # Type, cRows
        "00000000 00000000 00000000 00000000 08000000 e40c0000 00000000 00000000 2c090000"
        "06000000 67010000 03000000 29000000 06000000 00000000 00000000 00000000 34090000"
    )
    assert data.startswith(bytes.fromhex(words))
    assert data[0x92C:0x939] == b"General\0Name\0"
    assert unpack_template(data, decode) == [page, box, *others]


def test_a_template_of_four_controls() -> None:
    # The shape of KB 216120's example: page, label, edit control with the characters that it accepts.
    controls = [
        Control(0, 0, 0, 0, ControlType.PAGE, text="Büro"),
        Control(12, 50, 20, 8, ControlType.LABEL, text="&Name:"),
        Control(75, 141, 18, 12, ControlType.EDIT, ControlFlags.EDITABLE | ControlFlags.REQUIRED, NAME_8, 256, "*"),
        Control(75, 141, 32, 12, ControlType.EDIT, 0, NAME_8, 256, "*"),
    ]
    data = pack_template(controls, encode)
    assert data.hex() == (
        "01000000 04000000"
        "00000000 00000000 00000000 00000000 08000000 00000000 00000000 00000000 98000000"
        "0c000000 32000000 14000000 08000000 00000000 00000000 00000000 00000000 9d000000"
        "4b000000 8d000000 12000000 0c000000 01000000 06000000 1e000130 00010000 a4000000"
        "4b000000 8d000000 20000000 0c000000 01000000 00000000 1e000130 00010000 a4000000"
        "42fc726f00 264e616d653a00 2a00"
    ).replace(" ", "")
    assert unpack_template(data, decode) == controls


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("02000000 00000000", "type 2"),
        ("01000000 01000000", "1 elements announced"),
        ("01000000 ffffffff", "4294967295 elements"),
        ("01000000 01000000" + "00000000" * 8 + "2c000000", "a text at 44 of 44"),
        ("01000000 01000000" + "00000000" * 8 + "08000000" + "00", "a text at 8"),
        ("01000000 01000000" + "00000000" * 8 + "2c000000" + "41", "without terminating zero"),
    ],
)
def test_damaged_templates_are_refused(data: str, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        unpack_template(bytes.fromhex(data), decode)


def test_a_text_with_a_zero_cannot_be_written() -> None:
    with pytest.raises(EncodeError):
        pack_template([Control(0, 0, 0, 0, ControlType.LABEL, text="a\0b")], encode)


@given(st.binary(max_size=200))
def test_any_garbage_gives_a_value_or_a_decode_error(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        unpack_template(data, decode)
    with contextlib.suppress(DecodeError):
        assert pack_script(unpack_script(data)) == data


def test_a_script_that_emits_a_property() -> None:
    script = [(Opcode.EMIT_PROPERTY, 0x6800001E), (Opcode.HALT,)]
    data = pack_script(script)
    assert data.hex() == "03000000 02000000 1e000068 00000000".replace(" ", "")
    assert unpack_script(data) == script


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("01000000", "1 elements announced"),
        ("01000000 02000000", "4 bytes needed"),
        ("01000000 02000080", "instruction 0x80000002"),
        ("00000000 00000000", "left over"),
    ],
)
def test_damaged_scripts_are_refused(data: str, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        unpack_script(bytes.fromhex(data))


def test_an_instruction_has_its_number_of_operands() -> None:
    with pytest.raises(EncodeError, match="0 operands of EMIT_PROPERTY"):
        pack_script([(Opcode.EMIT_PROPERTY,)])

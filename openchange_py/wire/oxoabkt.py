"""[MS-OXOABKT] 2.2.2: the binary form of address book templates, dialogs that clients build from data.

`PidTagTemplateData` is a `TRowSet` of controls with their texts behind it, `PidTagScriptData` a program that makes an
address of what was entered. Texts are 8-bit, in a code page that the data does not name.
"""

from __future__ import annotations

import dataclasses
import enum
import struct
from collections.abc import Callable, Sequence
from typing import Final

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer

#: TRowSet.ulType, 2.2.2.1.1.
_ROW_SET_TYPE: Final = 1

_ROW = struct.Struct("<9I")


class ControlType(enum.IntEnum):
    """2.2.2.1.2: what a row of a template is."""

    LABEL = 0x0
    EDIT = 0x1
    LIST_BOX = 0x2
    CHECK_BOX = 0x5
    GROUP_BOX = 0x6
    BUTTON = 0x7
    PAGE = 0x8
    MULTI_VALUED_LIST_BOX = 0xB
    MULTI_VALUED_DROP_DOWN = 0xC


class ControlFlags(enum.IntFlag):
    """2.2.2.1.2: how an edit control behaves."""

    MULTI_LINE = 0x01
    EDITABLE = 0x02
    REQUIRED = 0x04
    SET_IMMEDIATE = 0x08
    PASSWORD_EDIT = 0x10
    ACCEPT_DBCS = 0x20
    SET_SELECTION = 0x40


@dataclasses.dataclass(frozen=True, slots=True)
class Control:
    """2.2.2.1.2 TRow with its CNTRL (2.2.2.1.3): a control of a dialog, in dialog units.

    `tag` is the property that it shows, `size` how many characters may be entered, `text` its label, or what an edit
    control accepts. An `&` in a label stands before its shortcut key.
    """

    x: int
    width: int
    y: int
    height: int
    type: int
    flags: int = 0
    tag: int = 0
    size: int = 0
    text: str = ""


def pack_template(controls: Sequence[Control], encode: Callable[[str], bytes]) -> bytes:
    """PidTagTemplateData; equal texts stand in it once. `EncodeError` for a text with a zero in it."""
    writer, texts = Writer(), Writer()
    base = 8 + _ROW.size * len(controls)
    offsets: dict[bytes, int] = {}
    writer.u32(_ROW_SET_TYPE)
    writer.u32(len(controls))
    for control in controls:
        raw = encode(control.text)
        if raw not in offsets:
            offsets[raw] = base + len(texts)
            texts.string8(raw)
        place = (control.x, control.width, control.y, control.height)
        writer.fixed(_ROW, *place, control.type, control.flags, control.tag, control.size, offsets[raw])
    return bytes(writer + texts)


def unpack_template(data: bytes, decode: Callable[[bytes], str]) -> list[Control]:
    """The controls of PidTagTemplateData; `DecodeError`."""
    reader = Reader(data)
    kind, count = reader.u32(), reader.u32()
    if kind != _ROW_SET_TYPE:
        raise DecodeError(f"a row set of type {kind}", 0)
    rows = [reader.fields(_ROW) for _ in range(reader.count(count, _ROW.size))]
    controls = []
    for x, width, y, height, control, flags, tag, size, offset in rows:
        if not reader.pos <= offset < len(data):
            raise DecodeError(f"a text at {offset} of {len(data)} bytes", reader.pos)
        text = decode(Reader(data, offset).string8())
        controls.append(Control(x, width, y, height, control, flags, tag, size, text))
    return controls


class Opcode(enum.IntEnum):
    """2.2.2.2: instructions whose operands are properties. Those with texts as operands have higher bits too."""

    HALT = 0x0
    ERROR = 0x1
    EMIT_PROPERTY = 0x2


#: How many operands each has.
_OPERANDS: Final = {Opcode.HALT: 0, Opcode.ERROR: 0, Opcode.EMIT_PROPERTY: 1}


def pack_script(instructions: Sequence[tuple[int, ...]]) -> bytes:
    """PidTagScriptData: opcodes with their operands, behind the number of words; `EncodeError`."""
    writer = Writer()
    writer.u32(sum(map(len, instructions)))
    for instruction in instructions:
        if len(instruction) - 1 != _OPERANDS.get(Opcode(instruction[0])):
            raise EncodeError(f"{len(instruction) - 1} operands of {Opcode(instruction[0]).name}")
        for word in instruction:
            writer.u32(word)
    return bytes(writer)


def unpack_script(data: bytes) -> list[tuple[int, ...]]:
    """The instructions of PidTagScriptData; `DecodeError` where it has others than `Opcode`."""
    reader = Reader(data)
    words = reader.sub(reader.count(reader.u32(), 4) * 4)
    reader.expect_end()
    instructions = []
    while words.remaining:
        code = words.u32()
        if code not in _OPERANDS:
            raise DecodeError(f"instruction 0x{code:08X}", words.pos - 4)
        instructions.append((code, *(words.u32() for _ in range(_OPERANDS[Opcode(code)]))))
    return instructions

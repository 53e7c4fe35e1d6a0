"""How a template is declared, and where its controls stand: [MS-OXOABKT] 2.2.2.1.

A dialog is pages of boxes of lines; a line has one field over the whole width, or two beside each other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Final

from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType
from openchange_py.wire.oxoabkt import Control, ControlFlags, ControlType

#: Dialog units. A box has a frame with its title; a line is the height of an edit control and the gap below it.
_LEFT, _WIDTH = 6, 359
_INSET, _TITLE, _LINE, _GAP = 6, 12, 14, 4
_EDIT, _LABEL = 12, 8
_LABEL_WIDTH, _HALF_WIDTH = 58, 174

#: The most characters that an edit control takes, where nothing else is said.
_SIZE: Final = 256

#: What a client may enter into an edit control: anything (2.2.2.1.3.2).
_ANY: Final = "*"

_STRINGS_8 = {
    PropertyType.String: PropertyType.String8,
    PropertyType.MultipleString: PropertyType.MultipleString8,
}
_CONTROLS = {
    PropertyType.Object: ControlType.LIST_BOX,
    PropertyType.MultipleString: ControlType.MULTI_VALUED_LIST_BOX,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """A property with its label, which a list that fills its box does without. `lines` is its height."""

    label: str
    tag: PropertyTag
    lines: int = 1
    flags: int = 0

    @property
    def type(self) -> ControlType:
        """What shows the property: by its type."""
        return _CONTROLS.get(PropertyType(self.tag.type), ControlType.EDIT)


Line = tuple[Field] | tuple[Field, Field]


@dataclasses.dataclass(frozen=True, slots=True)
class Box:
    """Lines in a frame with a title."""

    title: str
    lines: tuple[Line, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """A page of a dialog, which its tab names."""

    title: str
    boxes: tuple[Box, ...]


def box(title: str, *lines: Field | Line) -> Box:
    """A box whose lines are fields of the whole width or pairs of them."""
    return Box(title, tuple((line,) if isinstance(line, Field) else line for line in lines))


def page(title: str, *boxes: Box) -> Page:
    return Page(title, boxes)


def controls(pages: tuple[Page, ...], translate: Callable[[str], str]) -> list[Control]:
    """The rows of the template, its texts translated."""
    return list(_pages(pages, translate))


def _pages(pages: tuple[Page, ...], translate: Callable[[str], str]) -> Iterator[Control]:
    for one in pages:
        yield Control(0, 0, 0, 0, ControlType.PAGE, text=translate(one.title))
        y = _GAP
        for part in one.boxes:
            height = _TITLE + sum(_LINE * max(field.lines for field in line) for line in part.lines) + _GAP
            yield Control(_LEFT, _WIDTH, y, height, ControlType.GROUP_BOX, text=translate(part.title))
            yield from _lines(part, y + _TITLE, translate)
            y += height + _GAP


def _lines(part: Box, y: int, translate: Callable[[str], str]) -> Iterator[Control]:
    for line in part.lines:
        for column, field in enumerate(line):
            x = _LEFT + _INSET + column * (_HALF_WIDTH + _INSET)
            end = _LEFT + _WIDTH - _INSET if column == len(line) - 1 else x + _HALF_WIDTH - _INSET
            yield from _field(field, x, end, y, translate)
        y += _LINE * max(field.lines for field in line)


def _field(field: Field, x: int, end: int, y: int, translate: Callable[[str], str]) -> Iterator[Control]:
    """A label and what shows the property, from x to the end."""
    kind = field.type
    tag = field.tag.with_type(_STRINGS_8.get(PropertyType(field.tag.type), field.tag.type))
    if field.label:
        yield Control(x, _LABEL_WIDTH, y + 2, _LABEL, ControlType.LABEL, text=translate(field.label))
        x += _LABEL_WIDTH + 2
    height = _EDIT + _LINE * (field.lines - 1)
    if kind != ControlType.EDIT:
        yield Control(x, end - x, y, height, kind, field.flags, tag)
        return
    flags = field.flags | (ControlFlags.MULTI_LINE if field.lines > 1 else 0)
    yield Control(x, end - x, y, height, kind, flags, tag, _SIZE, _ANY)

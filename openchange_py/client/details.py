"""A person, group or server as a details dialog shows it: the server's template filled in ([MS-OXOABKT] 3.1.4.2)."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from openchange_py.client.errors import NoSuchName
from openchange_py.client.nspi import NspiClient
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag, PropertyType
from openchange_py.wire.oxoabkt import Control, ControlType

#: Names of a list that are shown; a list with more only says so.
LIST_LIMIT: Final = 500

_UNICODE = {
    PropertyType.String8: PropertyType.String,
    PropertyType.MultipleString8: PropertyType.MultipleString,
}


@dataclasses.dataclass(slots=True)
class Field:
    """What stands beside a label, or alone in its box: lines of text."""

    label: str
    lines: list[str]


@dataclasses.dataclass(slots=True)
class Box:
    """Fields in a frame."""

    title: str
    fields: list[Field] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True)
class Page:
    """A page of the dialog."""

    title: str
    boxes: list[Box] = dataclasses.field(default_factory=list)


async def details(nspi: NspiClient, name: str, locale_id: int) -> list[Page]:
    """The dialog for the one entry that a name means, fields without a value included.

    Raises `NoSuchName`, `AmbiguousName`; `MapiError` (InvalidLocale) where the server has no such dialog.
    """
    entry = await nspi.resolve(name)
    (mid,) = await nspi.dn_to_mid([str(entry.get(p.PidTagEmailAddress, ""))])
    if not mid:
        raise NoSuchName(f"the address book has no object behind {name!r}")
    controls = await nspi.template(int(entry.get(p.PidTagDisplayType, 0)), locale_id)
    shown = [control for control in controls if control.type in (ControlType.EDIT, ControlType.MULTI_VALUED_LIST_BOX)]
    values = await nspi.get_props(mid, list(dict.fromkeys(_unicode(control.tag) for control in shown)))
    lists = {
        control.tag: await nspi.linked(mid, PropertyTag(control.tag), LIST_LIMIT)
        for control in controls
        if control.type == ControlType.LIST_BOX
    }
    return _pages(controls, values, lists)


def _unicode(tag: int) -> PropertyTag:
    found = PropertyTag(tag)
    return found.with_type(_UNICODE.get(PropertyType(found.type), found.type))


def _pages(controls: list[Control], values: PropertyMap, lists: dict[int, list[str] | None]) -> list[Page]:
    """The dialog's text; a label is that of the control behind it."""
    pages: list[Page] = []
    label = ""
    for control in controls:
        text = control.text.replace("&&", "\0").replace("&", "").replace("\0", "&")
        if control.type == ControlType.PAGE or not pages:
            pages.append(Page(text if control.type == ControlType.PAGE else ""))
        if control.type == ControlType.GROUP_BOX or (control.type != ControlType.PAGE and not pages[-1].boxes):
            pages[-1].boxes.append(Box(text if control.type == ControlType.GROUP_BOX else ""))
        if control.type == ControlType.LABEL:
            label = text
        elif control.type == ControlType.LIST_BOX:
            names = lists[control.tag]
            lines = [f"(more than {LIST_LIMIT})"] if names is None else names
            pages[-1].boxes[-1].fields.append(Field(label, lines))
            label = ""
        elif control.type in (ControlType.EDIT, ControlType.MULTI_VALUED_LIST_BOX):
            pages[-1].boxes[-1].fields.append(Field(label, _lines(values.get(_unicode(control.tag)))))
            label = ""
    return pages


def _lines(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [line for one in values if one is not None for line in str(one).splitlines()]

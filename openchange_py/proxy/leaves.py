"""The values that decoded structures are made of in the end, each with what tells its meaning.

    replace_leaves(message, lambda leaf: b"" if isinstance(leaf.value, bytes) else leaf.value)     # in place
    for leaf in leaves(message): ...

Rows know their properties by the columns beside them, property values by their tags. Nothing here knows what is in
which call or ROP: a new structure is walked like the others.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from openchange_py.wire.ndr import ContextHandle
from openchange_py.wire.oxabref import Name
from openchange_py.wire.oxcdata.properties import PropertyTag, TaggedPropertyValue
from openchange_py.wire.oxcdata.rows import Absent, PropertyError, PropertyRow
from openchange_py.wire.oxnspi_types import PropertyValue_r

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Leaf:
    """A value that is no structure and no list. `owner` is the structure that has it as its field `name`."""

    value: Any
    name: str
    tag: PropertyTag | None
    owner: Any


Change = Callable[[Leaf], Any]


def replace_leaves(value: T, change: Change) -> T:
    """The value with other leaves: changed in place where it can be, and given back."""
    return _Walk(change).value(value, Leaf(None, "", None, None))  # type: ignore[no-any-return]


def leaves(value: Any) -> Iterator[Leaf]:
    """All of them, in order."""
    found: list[Leaf] = []

    def keep(leaf: Leaf) -> Any:
        found.append(leaf)
        return leaf.value

    replace_leaves(value, keep)
    return iter(found)


class _Walk:
    def __init__(self, change: Change) -> None:
        self._change = change

    def value(self, value: Any, at: Leaf, columns: Sequence[PropertyTag] | None = None) -> Any:
        if isinstance(value, list | tuple):
            walked = [self.value(item, at, columns) for item in value]
            return walked if isinstance(value, list) else tuple(walked)
        if isinstance(value, Name):
            return Name(self.value(value.value, at))
        if isinstance(value, PropertyRow):
            return self._row(value, at, columns)
        if dataclasses.is_dataclass(value) and not isinstance(value, ContextHandle | type):
            return self._structure(value)
        if value is None or isinstance(value, PropertyTag | Absent):
            return value
        return self._change(dataclasses.replace(at, value=value))

    def _row(self, row: PropertyRow, at: Leaf, columns: Sequence[PropertyTag] | None) -> PropertyRow:
        tags = list(columns or ())
        if len(tags) < len(row.values):
            tags = [None] * len(row.values)  # type: ignore[list-item]
        row.values = [
            self.value(cell, dataclasses.replace(at, tag=tag)) for tag, cell in zip(tags, row.values, strict=False)
        ]
        return row

    def _structure(self, value: Any) -> Any:
        if isinstance(value, PropertyError):
            return value
        columns = getattr(value, "columns", None)
        tag = _tag_of(value)
        changed = {}
        for field in dataclasses.fields(value):
            before = getattr(value, field.name)
            at = Leaf(None, field.name, tag, value)
            after = self.value(before, at, columns if _are_tags(columns) else None)
            if after is not before:
                changed[field.name] = after
        return _with(value, changed)


def _tag_of(value: Any) -> PropertyTag | None:
    if isinstance(value, TaggedPropertyValue):
        return value.tag
    if isinstance(value, PropertyValue_r):
        return PropertyTag(value.prop_tag)
    tag = getattr(value, "property_tag", None)  # of RopOpenStream, and of some restrictions
    return tag if isinstance(tag, PropertyTag) else None


def _are_tags(columns: Any) -> bool:
    return isinstance(columns, list | tuple) and all(isinstance(tag, PropertyTag) for tag in columns)


def _with(value: Any, changed: dict[str, Any]) -> Any:
    try:
        for name, item in changed.items():
            setattr(value, name, item)
    except dataclasses.FrozenInstanceError:
        return dataclasses.replace(value, **changed)
    return value

"""From an object's properties to the values a client asked for: [MS-OXCPRPT] 3.2.5.1-3.

The store has texts as `str` and large values as `Content`; a client may want a text in its code page, a value under
a tag without type, and never more than its buffer holds. For the rows of tables see `rows`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from openchange_py.servers.emsmdb.codepages import narrow, widen
from openchange_py.store.base import Content
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag, PropertyType, PropertyValue
from openchange_py.wire.oxcdata.rows import NOT_FOUND, PropertyError
from openchange_py.wire.oxcdata.values import TypedPropertyValue

#: NotEnoughMemory: the client opens the value as a stream.
TOO_LARGE: Final = PropertyError(ErrorCode.OutOfMemory)

#: Types of values that the store keeps.
KEPT_TYPES: Final = frozenset(int(kind) for kind in PropertyType) - {
    PropertyType.Unspecified,
    PropertyType.Null,
    PropertyType.ErrorCode,
    PropertyType.Restriction,
    PropertyType.RuleAction,
}

_OF_UNICODE: Final[dict[int, PropertyType]] = {
    PropertyType.String8: PropertyType.String,
    PropertyType.MultipleString8: PropertyType.MultipleString,
}
_TO_8_BIT: Final[dict[int, int]] = {int(wide): int(narrow_) for narrow_, wide in _OF_UNICODE.items()}


def is_content(value: object) -> bool:
    """Whether a value is one that is read in pieces."""
    return hasattr(value, "read") and hasattr(value, "size")


def as_stored(tag: PropertyTag) -> PropertyTag:
    """The tag that the store has the property under: it keeps texts as Unicode."""
    wide = _OF_UNICODE.get(tag.type)
    return tag if wide is None else tag.with_type(wide)


def to_store(tag: PropertyTag, value: PropertyValue, codec: str) -> tuple[PropertyTag, PropertyValue]:
    """The tag and value as the store has them, of those that a client sent."""
    stored = as_stored(tag)
    if stored == tag:
        return tag, value
    if isinstance(value, list):
        return stored, [widen(text, codec) for text in value]
    return stored, widen(value, codec)


def terminated(text: str) -> str:
    """The text up to a zero character, which would end it on the wire."""
    return text.partition("\0")[0] if "\0" in text else text


def value_size(value: PropertyValue) -> int:
    """About how many bytes the value takes on the wire."""
    if isinstance(value, TypedPropertyValue):
        return 2 + value_size(value.value)
    if isinstance(value, str):
        return 2 * len(value) + 2
    if isinstance(value, bytes):
        return len(value) + 2
    if isinstance(value, list):
        return 4 + sum(map(value_size, value))
    return 16


class ValueReader:
    """Reads wanted properties from property maps, in the client's form.

    `limit` is the most bytes that one value may have; a larger one reads as an error, and the client opens it as a
    stream. `unicode` is for texts under tags without type.
    """

    def __init__(self, codec: str, *, unicode: bool = True, limit: int) -> None:
        self._codec = codec
        self._unicode = unicode
        self._limit = limit

    def row(self, properties: PropertyMap, tags: Iterable[PropertyTag]) -> list[PropertyValue]:
        """A value, `PropertyError` or (for a tag without type) `TypedPropertyValue` per tag, in order."""
        by_id: dict[int, PropertyTag] = {}
        values = []
        for tag in tags:
            if tag.type != PropertyType.Unspecified:
                values.append(self.value(properties, tag))
                continue
            by_id = by_id or {known.id: known for known in properties}
            values.append(self._untyped(properties, by_id.get(tag.id)))
        return values

    def value(self, properties: PropertyMap, tag: PropertyTag) -> PropertyValue:
        """One value in the client's form."""
        stored = as_stored(tag)
        value = properties.get(stored)
        if value is None:
            return NOT_FOUND
        if is_content(value):
            value = TOO_LARGE if value.size > self._limit else whole(value, stored.type)
        if isinstance(value, PropertyError):
            return value
        if stored.type in _TO_8_BIT:
            value = self._text(value, narrowed=stored != tag)
        return TOO_LARGE if value_size(value) > self._limit else value

    def _text(self, value: Any, *, narrowed: bool) -> PropertyValue:
        """A text, or a list of texts, as the wire can have it."""
        if isinstance(value, list):
            return [self._text(text, narrowed=narrowed) for text in value]
        text = terminated(value)
        return narrow(text, self._codec) if narrowed else text

    def _untyped(self, properties: PropertyMap, found: PropertyTag | None) -> TypedPropertyValue:
        """The value with the type that it has; texts as the client wants them ([MS-OXCPRPT] 3.2.5.1)."""
        if found is None:
            return TypedPropertyValue(PropertyType.ErrorCode, NOT_FOUND)
        kind = self.shown_type(found.type)
        value = self.value(properties, found.with_type(kind))
        if isinstance(value, PropertyError):
            return TypedPropertyValue(PropertyType.ErrorCode, value)
        return TypedPropertyValue(kind, value)

    def shown_type(self, kind: int) -> int:
        """String as String8 where the client doesn't take Unicode."""
        return kind if self._unicode else _TO_8_BIT.get(kind, kind)


def whole(content: Content, kind: int) -> PropertyValue:
    """All of a large value."""
    raw = content.read(0, content.size)
    return raw[: len(raw) & ~1].decode("utf-16-le", "surrogatepass") if kind == PropertyType.String else raw

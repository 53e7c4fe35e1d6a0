"""From an object's properties to the values a client asked for: [MS-OXCPRPT] 3.2.5.1-3, [MS-OXCTABL] 3.2.5.5.

The store has texts as `str` and large values as `Content`; a client may want a text in its code page, a value under
a tag without type, and never more than its buffer holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from openchange_py.store.base import Content
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag, PropertyType, PropertyValue
from openchange_py.wire.oxcdata.rows import NOT_FOUND, PropertyError
from openchange_py.wire.oxcdata.values import TypedPropertyValue

#: What a table's row may show of a text (characters) or of bytes: [MS-OXCTABL] 3.2.5.5 allows 255 and 510.
TABLE_TEXT: Final = 255
TABLE_BYTES: Final = 510

#: NotEnoughMemory: the client opens the value as a stream.
TOO_LARGE: Final = PropertyError(ErrorCode.OutOfMemory)

_OF_UNICODE: Final = {
    PropertyType.String8: PropertyType.String,
    PropertyType.MultipleString8: PropertyType.MultipleString,
}
_TO_8_BIT: Final = {unicode: narrow for narrow, unicode in _OF_UNICODE.items()}


def is_content(value: object) -> bool:
    """Whether a value is one that is read in pieces."""
    return hasattr(value, "read") and hasattr(value, "size")


def narrow(value: Any, codec: str) -> Any:
    """A text, or a list of texts, in a code page."""
    if isinstance(value, list):
        return [text.encode(codec, "replace") for text in value]
    return value.encode(codec, "replace")


def value_size(value: PropertyValue) -> int:
    """About how many bytes the value takes on the wire."""
    if isinstance(value, str):
        return 2 * len(value) + 2
    if isinstance(value, bytes):
        return len(value) + 2
    if isinstance(value, list):
        return 4 + sum(map(value_size, value))
    return 8


def by_id(properties: PropertyMap) -> dict[int, PropertyTag]:
    """The tag that each property id stands under."""
    return {tag.id: tag for tag in properties}


class ValueReader:
    """Reads wanted properties from property maps, in the client's form.

    `limit` is the most bytes that one value may have (0: no limit); a larger one reads as an error, and the client
    opens it as a stream. With `shorten`, for tables, it is cut to what a row shows instead.
    """

    def __init__(self, codec: str, *, unicode: bool = True, limit: int = 0, shorten: bool = False) -> None:
        self._codec = codec
        self._unicode = unicode
        self._limit = limit
        self._shorten = shorten

    def row(self, properties: PropertyMap, tags: Iterable[PropertyTag]) -> list[PropertyValue]:
        """A value, `PropertyError` or (for a tag without type) `TypedPropertyValue` per tag, in order."""
        return [self.value(properties, tag) for tag in tags]

    def value(self, properties: PropertyMap, tag: PropertyTag) -> PropertyValue:
        """One value in the client's form."""
        kind = tag & 0xFFFF
        if kind == PropertyType.Unspecified:
            return self._untyped(properties, tag)
        stored = _OF_UNICODE.get(kind)  # type: ignore[call-overload]  # an int serves as the key
        value = properties.get(tag if stored is None else tag.with_type(stored))
        if value is None:
            return NOT_FOUND
        value = self._sized(value, kind if stored is None else stored)
        if stored is None or value is TOO_LARGE:
            return value
        return narrow(value, self._codec)

    def _untyped(self, properties: PropertyMap, tag: PropertyTag) -> PropertyValue:
        """The value with the type that it has; texts as the client wants them ([MS-OXCPRPT] 2.2.2.1)."""
        found = by_id(properties).get(tag.id)
        if found is None:
            return TypedPropertyValue(PropertyType.ErrorCode, NOT_FOUND)
        kind = self.shown_type(found.type)
        value = self.value(properties, found.with_type(kind))
        if isinstance(value, PropertyError):
            return TypedPropertyValue(PropertyType.ErrorCode, value)
        return TypedPropertyValue(kind, value)

    def shown_type(self, kind: int) -> int:
        """String as String8 where the client doesn't take Unicode."""
        return kind if self._unicode else int(_TO_8_BIT.get(kind, kind))  # type: ignore[call-overload]

    def _sized(self, value: PropertyValue, kind: int) -> PropertyValue:
        if is_content(value):
            return self._of_content(value, kind)
        if self._shorten:
            return _shortened(value)
        if self._limit and value_size(value) > self._limit:
            return TOO_LARGE
        return value

    def _of_content(self, content: Content, kind: int) -> PropertyValue:
        if not self._shorten:
            return TOO_LARGE if not self._limit or content.size > self._limit else _whole(content, kind)
        if kind == PropertyType.String:
            return content.read(0, 2 * TABLE_TEXT).decode("utf-16-le", "replace")
        return content.read(0, TABLE_BYTES) if kind == PropertyType.Binary else TOO_LARGE


def _whole(content: Content, kind: int) -> PropertyValue:
    raw = content.read(0, content.size)
    return raw.decode("utf-16-le", "surrogatepass") if kind == PropertyType.String else raw


def _shortened(value: PropertyValue) -> PropertyValue:
    if isinstance(value, str):
        return value if len(value) <= TABLE_TEXT else value[:TABLE_TEXT]
    if isinstance(value, bytes):
        return value if len(value) <= TABLE_BYTES else value[:TABLE_BYTES]
    return value

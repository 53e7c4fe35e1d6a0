"""The working copy of an object's properties, between opening it and saving it: [MS-OXCPRPT] 3.2.5.4-5, 3.2.5.11-13.

What a client sets, deletes or writes as a stream is seen under the same handle at once, and nowhere else before it is
saved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from openchange_py.servers.emsmdb.objects.base import PropertyObject
from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.servers.emsmdb.values import KEPT_TYPES, as_stored, is_content, to_store, value_size, whole
from openchange_py.store.base import Content, WritableContent
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.problems import PropertyProblem
from openchange_py.wire.oxcdata.properties import (
    PropertyMap,
    PropertyTag,
    PropertyType,
    PropertyValue,
    TaggedPropertyValue,
)

#: Bytes of an object's properties that RopSetProperties can set; larger values are written as streams.
MOST_IN_MEMORY: Final = 8 << 20
#: A value that stays in a row. What was written as a stream and is no larger becomes one of those.
_SMALL: Final = 8192
#: What a text in a code page may have: it is converted in memory.
LARGEST_NARROW: Final = 16 << 20
#: What a text may have that tables sort by, such as a subject.
LARGEST_SHORT: Final = 64 << 10

#: Texts of which the store keeps a column: they are short, and held in memory.
_SHORT: Final = frozenset(
    {
        p.PidTagSubject.id,
        p.PidTagSubjectPrefix.id,
        p.PidTagNormalizedSubject.id,
        p.PidTagMessageClass.id,
        p.PidTagSenderName.id,
        p.PidTagSentRepresentingName.id,
        p.PidTagInternetMessageId.id,
    }
)


class WorkingObject(PropertyObject):
    """A message or an attachment: its properties as this handle sees them."""

    __slots__ = ("_by_id", "_held", "_narrow", "touched", "values", "writable")

    #: What the server decides; a client can't set or delete it.
    computed: frozenset[int] = frozenset()

    def __init__(self, logon: Logon, *, writable: bool) -> None:
        super().__init__(logon)
        self.values: PropertyMap = {}
        self.writable = writable
        self.touched = False
        self._by_id: dict[int, PropertyTag] | None = None
        self._narrow: set[PropertyTag] = set()
        self._held = 0

    @property
    def weight(self) -> int:
        return self._held

    def new_content(self, base: Content | None) -> WritableContent:
        """A large value to be written, which goes away with the message where it is not saved."""
        raise NotImplementedError

    def load(self, values: PropertyMap) -> None:
        """What is saved of it, without changes."""
        self.values = dict(values)
        self.touched = False
        self._by_id = None
        self._narrow = set()
        self._held = 0

    def check_writable(self) -> None:
        """`AccessDenied` where it was opened to be read."""
        if not self.writable:
            raise MapiError(ErrorCode.AccessDenied, "opened read-only")

    def set_properties(self, values: Sequence[TaggedPropertyValue]) -> list[PropertyProblem]:
        """Set all that can be set; what can't, and why."""
        return self._each([one.tag for one in values], lambda index: self._set(values[index].tag, values[index].value))

    def delete_properties(self, tags: Sequence[PropertyTag]) -> list[PropertyProblem]:
        """Delete all that can be deleted; what is not there is no problem."""
        return self._each(tags, lambda index: self.drop(tags[index].id))

    def _each(self, tags: Sequence[PropertyTag], action: Callable[[int], None]) -> list[PropertyProblem]:
        self.check_writable()
        problems = []
        for index, tag in enumerate(tags):
            try:
                if tag.id in self.computed:
                    raise MapiError(ErrorCode.ComputedValue, f"{tag!r}")
                action(index)
            except MapiError as error:
                problems.append(PropertyProblem(index, tag, int(error.code)))
        return problems

    def _set(self, tag: PropertyTag, value: PropertyValue) -> None:
        if tag.type not in KEPT_TYPES:
            raise MapiError(ErrorCode.InvalidType, f"{tag!r}")
        stored, kept = to_store(tag, value, self.codec)
        size = value_size(kept)
        if self._held + size > MOST_IN_MEMORY:
            raise MapiError(ErrorCode.OutOfMemory, f"{self._held} bytes of properties are set")
        self.put(stored, kept)
        self._held += size
        self.property_was_set(stored)

    def property_was_set(self, tag: PropertyTag) -> None:
        """Keep other properties true that say the same."""

    def put(self, tag: PropertyTag, value: PropertyValue) -> None:
        """Have a value in the place of the property's value of whatever type."""
        if self._tags.get(tag.id) != tag:
            self.drop(tag.id)
        self._tags[tag.id] = tag
        self.values[tag] = value
        self.touched = True

    def drop(self, property_id: int) -> None:
        """Have no value of that property."""
        known = self._tags.pop(property_id, None)
        if known is not None:
            del self.values[known]
            self._narrow.discard(known)
            self.touched = True

    @property
    def _tags(self) -> dict[int, PropertyTag]:
        """The tags of the values by property id; an object that is only read needs them not."""
        if self._by_id is None:
            self._by_id = {known.id: known for known in self.values}
        return self._by_id

    def content_to_write(self, tag: PropertyTag, *, empty: bool = False) -> WritableContent:
        """The property's value as bytes that can be written; `empty`: as a new value.

        Two streams of one property under one handle write the same bytes.
        """
        self.check_writable()
        if tag.id in self.computed:
            raise MapiError(ErrorCode.AccessDenied, f"{tag!r} is computed")
        if not empty and (value := self.being_written(tag)) is not None:
            return value
        known = tag.id in self._tags and not empty
        content = self.new_content(self.content(tag) if known else None)
        self.put(tag, content)
        if tag.type == PropertyType.String8:
            self._narrow.add(tag)
        self.property_was_set(tag)
        return content

    def being_written(self, tag: PropertyTag) -> WritableContent | None:
        """What streams write of the property and no draft has yet."""
        value = self.values.get(tag)
        return value if getattr(value, "frozen", True) is False else None

    def content(self, tag: PropertyTag) -> Content:
        """The property's value as a stream's bytes; a text has no terminating zero there. `NotFound`."""
        if tag in self._narrow:
            return self.values[tag]  # type: ignore[no-any-return]  # a Content
        return super().content(tag)

    def stream_limit(self, tag: PropertyTag) -> int | None:
        """The most bytes that may be written of that property, where its kind decides."""
        if tag.id in _SHORT:
            return LARGEST_SHORT
        return LARGEST_NARROW if tag.type == PropertyType.String8 else None

    def current(self) -> PropertyMap:
        """All values, texts as the store has them."""
        if not self._narrow:
            return self.values
        values = {tag: value for tag, value in self.values.items() if tag not in self._narrow}
        for tag in self._narrow:
            stored, text = to_store(tag, whole(self.values[tag], tag.type), self.codec)
            values[stored] = text
        return values

    def draft_values(self) -> PropertyMap:
        """All values to be saved. What was written as a stream is written no more under this draft's value."""
        draft: PropertyMap = {}
        for tag, value in self.current().items():
            kept = value
            if is_content(value):
                if value.size <= _SMALL or tag.id in _SHORT:
                    kept = whole(value, tag.type)
                elif hasattr(value, "frozen"):
                    value.frozen = True
            draft[as_stored(tag)] = kept
        return draft

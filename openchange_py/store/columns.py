"""A message's properties that stand in columns of their own, or follow from them.

Adding a column: one line of `schema.py`, one line here, one migration.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Column, Text

from openchange_py.store.base import StoreError
from openchange_py.store.ids import global_id, object_id
from openchange_py.store.schema import messages
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag, PropertyType, PropertyValue

#: [MS-OXCMSG] 2.2.1.6 (PidTagMessageFlags).
MF_READ = 0x00000001
MF_UNSENT = 0x00000008
MF_HAS_ATTACHMENTS = 0x00000010
MF_ASSOCIATED = 0x00000040
#: Bits that follow from other columns.
MF_COMPUTED = MF_READ | MF_HAS_ATTACHMENTS | MF_ASSOCIATED

_C = messages.c


@dataclasses.dataclass(frozen=True)
class HotColumn:
    """A property that a draft sets and a column keeps. `order` is what a database sorts it by."""

    tag: PropertyTag
    column: Column[Any]
    order: Column[Any] | None = None
    default: PropertyValue = None

    def value(self, properties: PropertyMap) -> PropertyValue:
        """What the column keeps of a draft's properties."""
        value = properties.get(self.tag)
        if value is None:
            return self.default
        if isinstance(self.column.type, Text):
            return stored_text(self.tag, value)
        if not isinstance(value, int):
            raise StoreError(f"{self.tag!r}: {type(value).__name__} where an integer is needed")
        bits = 32 if self.tag.type == PropertyType.Integer32 else 64
        return (value + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)


def stored_text(tag: PropertyTag, value: PropertyValue) -> str:
    """A text that both databases take: no zero character, no lone surrogates."""
    if not isinstance(value, str):
        raise StoreError(f"{tag!r}: {type(value).__name__} where a text is needed")
    text: str = value.replace("\0", "")
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


HOT_COLUMNS = (
    HotColumn(proptags.PidTagMessageClass, _C.message_class, default="IPM.Note"),
    HotColumn(proptags.PidTagSubjectPrefix, _C.subject_prefix),
    HotColumn(proptags.PidTagNormalizedSubject, _C.normalized_subject, _C.sort_subject),
    HotColumn(proptags.PidTagSenderName, _C.sender_name, _C.sort_sender),
    HotColumn(proptags.PidTagSentRepresentingName, _C.sent_representing_name, _C.sort_sent_representing),
    HotColumn(proptags.PidTagInternetMessageId, _C.internet_message_id),
    HotColumn(proptags.PidTagMessageDeliveryTime, _C.delivery_time, _C.delivery_time),
    HotColumn(proptags.PidTagClientSubmitTime, _C.client_submit_time, _C.client_submit_time),
    HotColumn(proptags.PidTagImportance, _C.importance, _C.importance, 1),
    HotColumn(proptags.PidTagSensitivity, _C.sensitivity, _C.sensitivity, 0),
    HotColumn(proptags.PidTagMessageStatus, _C.status, _C.status, 0),
)

Compute = Callable[..., PropertyValue]


@dataclasses.dataclass(frozen=True)
class Derived:
    """A property that columns tell: `compute(replica_guid, *columns)`; None where the message has no such property."""

    columns: tuple[Column[Any], ...]
    compute: Compute
    order: Column[Any] | None = None


def _same(_replica: uuid.UUID, value: PropertyValue) -> PropertyValue:
    return value


def _id(_replica: uuid.UUID, counter: int | None) -> int | None:
    return None if counter is None else object_id(counter)


def _key(replica: uuid.UUID, counter: int | None) -> bytes | None:
    return None if counter is None else global_id(replica, counter)


def _subject(_replica: uuid.UUID, prefix: str | None, normalized: str | None) -> str | None:
    return None if normalized is None else (prefix or "") + normalized


def _size(_replica: uuid.UUID, size: int) -> int:
    return min(size, 0x7FFFFFFF)


def _flags(_replica: uuid.UUID, flags: int, is_read: bool, has_attachments: bool, associated: bool) -> int:
    return flags & ~MF_COMPUTED | MF_READ * is_read | MF_HAS_ATTACHMENTS * has_attachments | MF_ASSOCIATED * associated


def _constant(value: PropertyValue) -> Derived:
    return Derived((), lambda _replica: value)


def _of_column(column: Column[Any], *, ordered: bool = False) -> Derived:
    return Derived((column,), _same, column if ordered else None)


DERIVED: dict[PropertyTag, Derived] = {
    proptags.PidTagMid: Derived((_C.mid,), _id),
    proptags.PidTagInstID: Derived((_C.mid,), _id),
    proptags.PidTagInstanceNum: _constant(0),
    proptags.PidTagFolderId: Derived((_C.folder_id,), _id),
    proptags.PidTagParentFolderId: Derived((_C.folder_id,), _id),
    proptags.PidTagSourceKey: Derived((_C.mid,), _key),
    proptags.PidTagParentSourceKey: Derived((_C.folder_id,), _key),
    proptags.PidTagChangeNumber: Derived((_C.change_number,), _id, _C.change_number),
    proptags.PidTagChangeKey: _of_column(_C.change_key),
    proptags.PidTagPredecessorChangeList: _of_column(_C.predecessor_change_list),
    proptags.PidTagCreationTime: _of_column(_C.creation_time, ordered=True),
    proptags.PidTagLastModificationTime: _of_column(_C.last_modification_time, ordered=True),
    proptags.PidTagLocalCommitTime: _of_column(_C.last_modification_time, ordered=True),
    proptags.PidTagSubject: Derived((_C.subject_prefix, _C.normalized_subject), _subject, _C.sort_subject),
    proptags.PidTagMessageSize: Derived((_C.size,), _size, _C.size),
    proptags.PidTagMessageSizeExtended: _of_column(_C.size, ordered=True),
    proptags.PidTagMessageFlags: Derived((_C.flags, _C.is_read, _C.has_attachments, _C.associated), _flags),
    proptags.PidTagRead: _of_column(_C.is_read, ordered=True),
    proptags.PidTagHasAttachments: _of_column(_C.has_attachments, ordered=True),
    proptags.PidTagAssociated: _of_column(_C.associated),
    proptags.PidTagDisplayTo: _of_column(_C.display_to),
    proptags.PidTagDisplayCc: _of_column(_C.display_cc),
    proptags.PidTagDisplayBcc: _of_column(_C.display_bcc),
    # [MS-OXCPRPT] 2.2.1.1: modify, read, delete.
    proptags.PidTagAccess: _constant(7),
    proptags.PidTagAccessLevel: _constant(1),
    # [MS-OXCPRPT] 2.2.1.7: a Message object.
    proptags.PidTagObjectType: _constant(5),
    **{hot.tag: _of_column(hot.column) for hot in HOT_COLUMNS},
}

#: What a table can be sorted by in the database.
ORDER: dict[PropertyTag, Column[Any]] = {
    **{tag: derived.order for tag, derived in DERIVED.items() if derived.order is not None},
    **{hot.tag: hot.order for hot in HOT_COLUMNS if hot.order is not None},
}


@dataclasses.dataclass(frozen=True)
class RowPlan:
    """How to read some properties: the columns to select, and which properties the packed rest has to give.

    `plain` properties are a column's value, `single` ones are computed from one column, `computed` from others.
    """

    columns: tuple[Column[Any], ...]
    plain: tuple[tuple[PropertyTag, int], ...]
    single: tuple[tuple[PropertyTag, Compute, int], ...]
    computed: tuple[tuple[PropertyTag, Compute, tuple[int, ...]], ...]
    packed: frozenset[PropertyTag]

    def values(self, replica: uuid.UUID, row: Sequence[Any]) -> PropertyMap:
        """The properties that the columns tell."""
        result = {tag: value for tag, place in self.plain if (value := row[place]) is not None}
        for tag, compute, place in self.single:
            value = compute(replica, row[place])
            if value is not None:
                result[tag] = value
        for tag, compute, places in self.computed:
            value = compute(replica, *[row[place] for place in places])
            if value is not None:
                result[tag] = value
        return result


@lru_cache(maxsize=512)
def row_plan(tags: tuple[PropertyTag, ...]) -> RowPlan:
    """The plan for those properties. Columns begin with `mid`."""
    columns: list[Column[Any]] = [_C.mid]
    places: dict[str, int] = {_C.mid.name: 0}
    plain, single, computed = [], [], []
    for tag in dict.fromkeys(tags):
        derived = DERIVED.get(tag)
        if derived is None:
            continue
        for column in derived.columns:
            if column.name not in places:
                places[column.name] = len(columns)
                columns.append(column)
        where = tuple(places[column.name] for column in derived.columns)
        if derived.compute is _same:
            plain.append((tag, where[0]))
        elif len(where) == 1:
            single.append((tag, derived.compute, where[0]))
        else:
            computed.append((tag, derived.compute, where))
    packed = frozenset(tag for tag in tags if tag not in DERIVED)
    return RowPlan(tuple(columns), tuple(plain), tuple(single), tuple(computed), packed)


#: All that columns tell of a message.
FULL_PLAN = row_plan(tuple(DERIVED))

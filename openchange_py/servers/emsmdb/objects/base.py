"""What all server objects have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from openchange_py.servers.emsmdb.codepages import codec_of, narrow
from openchange_py.servers.emsmdb.values import as_stored, is_content, whole
from openchange_py.store.base import Content
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag, PropertyType

if TYPE_CHECKING:
    from openchange_py.servers.emsmdb.objects.logon import Logon


class ServerObject:
    """One open object of a session, opened under a logon."""

    __slots__ = ("logon",)

    def __init__(self, logon: Logon | None = None) -> None:
        self.logon = logon

    @property
    def mailbox_logon(self) -> Logon:
        """The logon that this object was opened under."""
        assert self.logon is not None
        return self.logon

    @property
    def weight(self) -> int:
        """About how many bytes it keeps in memory that are its own alone; 0 where that is little."""
        return 0

    def close(self) -> None:
        """It is released, or its session ends: give back what it has outside of memory."""

    @property
    def code_page(self) -> int:
        """What 8-bit texts of the object are in: of a message what it was opened with, else the logon's."""
        return self.mailbox_logon.settings.code_page

    @property
    def codec(self) -> str:
        """The Python codec of the code page."""
        return codec_of(self.code_page)


class PropertyObject(ServerObject):
    """An object with properties: a logon, folder, message or attachment."""

    __slots__ = ()

    #: What types of properties can be opened as streams: [MS-OXCPRPT] 2.2.14.
    stream_types: ClassVar[frozenset[PropertyType]] = frozenset()

    def properties(self, tags: Sequence[PropertyTag] | None = None) -> PropertyMap:
        """Values by tag, computed ones too; `tags` says which are wanted where that saves work.

        Texts are `str` under a String tag; a value too large for a row is a `store.base.Content`.
        """
        raise NotImplementedError

    def content(self, tag: PropertyTag) -> Content:
        """A property's value as its stream's bytes; a text has no terminating zero there. `NotFound`."""
        stored = as_stored(tag)
        value = self.properties([tag]).get(stored)
        if value is None:
            raise MapiError(ErrorCode.NotFound, f"{tag!r}")
        if is_content(value):
            if stored == tag:
                return value  # type: ignore[no-any-return]
            value = whole(value, stored.type)
        if isinstance(value, str):
            value = value.encode("utf-16-le", "surrogatepass") if stored == tag else narrow(value, self.codec)
        return BytesContent(value)


class BytesContent:
    """A value that is in memory, with the interface of one that is not."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size(self) -> int:
        return len(self._data)

    def read(self, offset: int, count: int) -> bytes:
        return self._data[offset : offset + count]

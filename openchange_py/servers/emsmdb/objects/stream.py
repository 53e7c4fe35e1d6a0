"""The stream object: [MS-OXCPRPT] 1.3 and 3.2.5.11 ff."""

from __future__ import annotations

from typing import Final

from openchange_py.servers.emsmdb.objects.base import BytesContent, ServerObject
from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.servers.emsmdb.objects.working import WorkingObject
from openchange_py.store.base import Content, WritableContent
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.rop.oxcprpt_streams import Origin

#: [MS-OXCPRPT] 3.2.5.18.
LARGEST_STREAM: Final = 1 << 31


class StreamObject(ServerObject):
    """A property's value, read as a stream. The position may stand behind the end."""

    __slots__ = ("_content", "position")

    def __init__(self, logon: Logon, content: Content) -> None:
        super().__init__(logon)
        self._content = content
        self.position = 0

    @property
    def content(self) -> Content:
        """The bytes as they are now."""
        return self._content

    @property
    def weight(self) -> int:
        """A value from the store is read piecewise, and weighs nothing."""
        return self._content.size if isinstance(self._content, BytesContent) else 0

    def read(self, count: int) -> bytes:
        """Up to `count` bytes from the position, which moves."""
        content = self.content
        data = content.read(self.position, count) if self.position < content.size else b""
        self.position += len(data)
        return data

    def write(self, data: bytes) -> int:
        """Write at the position, which moves; how many bytes were written."""
        raise MapiError(ErrorCode.StorageAccessDenied, "the stream is read-only")

    def resize(self, size: int) -> None:
        """Cut the value off, or extend it with zeros."""
        raise MapiError(ErrorCode.StorageAccessDenied, "the stream is read-only")

    def seek(self, origin: int, offset: int) -> int:
        """Move; `StreamSeekError` out of range, `StorageInvalidParameter` for an origin that is none (3.2.5.18)."""
        places: dict[int, int] = {
            Origin.Beginning: 0,
            Origin.Current: self.position,
            Origin.End: self.content.size,
        }
        base = places.get(origin)
        if base is None:
            raise MapiError(ErrorCode.StorageInvalidParameter, f"no such origin: {origin}")
        position = base + offset
        if not 0 <= position <= LARGEST_STREAM:
            raise MapiError(ErrorCode.StreamSeekError, f"position {position}")
        self.position = position
        return position


class WritableStream(StreamObject):
    """A stream that is open for writing. What it writes is the property's value at once, for its object's handle.

    Before the first write it reads what is there; a value that is saved meanwhile is copied before it is written again.
    """

    __slots__ = ("_largest", "_tag", "_target")

    def __init__(self, target: WorkingObject, tag: PropertyTag, content: Content, largest: int) -> None:
        super().__init__(target.mailbox_logon, content)
        self._target = target
        self._tag = tag
        self._largest = min(largest, target.stream_limit(tag) or largest)

    @property
    def content(self) -> Content:
        """The bytes as they are now, whichever stream wrote them."""
        return self._target.being_written(self._tag) or self._content

    def write(self, data: bytes) -> int:
        """Write at the position, which moves; `TooBig` where not all of it may be written: then nothing is."""
        if self.position + len(data) > self._largest:
            raise MapiError(ErrorCode.TooBig, f"a stream has at most {self._largest} bytes here")
        self._writable().write(self.position, data)
        self.position += len(data)
        return len(data)

    def resize(self, size: int) -> None:
        """Cut the value off, or extend it with zeros; `StreamSizeError` beyond what a stream may have."""
        if size > self._largest:
            raise MapiError(ErrorCode.StreamSizeError, f"a stream has at most {self._largest} bytes here")
        self._writable().resize(size)

    def _writable(self) -> WritableContent:
        content = self._target.content_to_write(self._tag)
        self._content = content
        return content

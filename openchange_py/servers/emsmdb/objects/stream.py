"""The stream object: [MS-OXCPRPT] 1.3 and 3.2.5.11 ff."""

from __future__ import annotations

from openchange_py.servers.emsmdb.objects.base import ServerObject
from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.store.base import Content
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError

#: RopSeekStream's Origin: [MS-OXCPRPT] 2.2.21.1.
_FROM_BEGINNING, _FROM_CURRENT, _FROM_END = range(3)

#: [MS-OXCPRPT] 3.2.5.18.
_LARGEST_POSITION = 1 << 31


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


class StreamObject(ServerObject):
    """A property's value, read as a stream.

    The position may stand behind the end; a stream that can be written would be extended up to it.
    """

    __slots__ = ("content", "position")

    def __init__(self, logon: Logon, content: Content) -> None:
        super().__init__(logon)
        self.content = content
        self.position = 0

    @property
    def weight(self) -> int:
        """A value from the store is read piecewise, and weighs nothing."""
        return self.content.size if isinstance(self.content, BytesContent) else 0

    def read(self, count: int) -> bytes:
        """Up to `count` bytes from the position, which moves."""
        data = self.content.read(self.position, count) if self.position < self.content.size else b""
        self.position += len(data)
        return data

    def seek(self, origin: int, offset: int) -> int:
        """Move; `StreamSeekError` out of range, `StorageInvalidParameter` for an origin that is none (3.2.5.18)."""
        base = {_FROM_BEGINNING: 0, _FROM_CURRENT: self.position, _FROM_END: self.content.size}.get(origin)
        if base is None:
            raise MapiError(ErrorCode.StorageInvalidParameter, f"no such origin: {origin}")
        position = base + offset
        if not 0 <= position <= _LARGEST_POSITION:
            raise MapiError(ErrorCode.StreamSeekError, f"position {position}")
        self.position = position
        return position

"""TypedString: [MS-OXCDATA] 2.11.7, a text in the shortest of several forms."""

from __future__ import annotations

import enum

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.codecs import Structure, structure


class StringType(enum.IntEnum):
    """[MS-OXCDATA] 2.11.7."""

    NoString = 0
    Empty = 1
    String8 = 2
    #: UTF-16 without the high bytes, which are all zero.
    ReducedUnicode = 3
    Unicode = 4


@structure
class TypedString(Structure):
    """`value` is None for NoString, bytes for String8 (in a code page that is not told), otherwise str."""

    string_type: int
    value: str | bytes | None

    @classmethod
    def of(cls, text: str | None) -> TypedString:
        """The shortest Unicode form."""
        if text is None:
            return cls(StringType.NoString, None)
        if not text:
            return cls(StringType.Empty, "")
        reducible = max(text) <= "\xff"
        return cls(StringType.ReducedUnicode if reducible else StringType.Unicode, text)

    def text(self, encoding: str = "latin-1") -> str:
        """As a text; an 8-bit one decoded by `encoding`, what is wrong in it replaced. None is the empty text."""
        if isinstance(self.value, bytes):
            return self.value.decode(encoding, "replace")
        return self.value or ""

    @classmethod
    def read(cls, reader: Reader) -> TypedString:
        kind = reader.u8()
        if kind > StringType.Unicode:
            raise DecodeError(f"StringType 0x{kind:02X} is unknown", reader.pos - 1)
        kind = StringType(kind)
        if kind == StringType.NoString:
            return cls(kind, None)
        if kind == StringType.Empty:
            return cls(kind, "")
        if kind == StringType.Unicode:
            return cls(kind, reader.utf16())
        raw = reader.string8()
        return cls(kind, raw if kind == StringType.String8 else raw.decode("latin-1"))

    def write(self, writer: Writer) -> None:
        value = self.value
        writer.u8(self.string_type)
        match self.string_type, value:
            case (StringType.NoString, None) | (StringType.Empty, "" | b""):
                pass
            case StringType.String8, bytes():
                writer.string8(value)
            case StringType.ReducedUnicode, str() if not value or max(value) <= "\xff":
                writer.string8(value.encode("latin-1"))
            case StringType.Unicode, str():
                writer.utf16(value)
            case _:
                raise EncodeError(f"{value!r:.60} as a string of type {self.string_type}")

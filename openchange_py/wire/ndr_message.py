"""RPC calls declared once: a message's annotations are its parameters, in stub order.

    @ndr_message
    class NspiCompareMIdsRequest(RpcMessage):
        h_rpc: Handle
        reserved: Dword
        stat: Annotated[STAT, Stat()]
        mid1: Dword
        mid2: Dword

A call whose layout does not follow from its parameters' types writes `read` and `write` by hand.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
from typing import Annotated, Any, Self, TypeVar, dataclass_transform

from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import ContextHandle, NdrReader, NdrWriter, RpcMessage


class Parameter:
    """How one parameter stands in a stub, its pointers' targets behind it."""

    #: Whether a request or response made here may leave it out: it is None then.
    optional = False

    def read(self, reader: NdrReader) -> Any:
        raise NotImplementedError

    def write(self, writer: NdrWriter, value: Any) -> None:
        raise NotImplementedError


class By(Parameter):
    """A parameter read and written by two functions."""

    def __init__(self, read: Callable[[NdrReader], Any], write: Callable[[NdrWriter, Any], None]) -> None:
        self._read = read
        self._write = write

    def read(self, reader: NdrReader) -> Any:
        return self._read(reader)

    def write(self, writer: NdrWriter, value: Any) -> None:
        self._write(writer, value)


class Unique(Parameter):
    """A unique pointer; None where it is null."""

    optional = True

    def __init__(self, target: Parameter) -> None:
        self._target = target

    def read(self, reader: NdrReader) -> Any:
        return self._target.read(reader) if reader.pointer() else None

    def write(self, writer: NdrWriter, value: Any) -> None:
        if writer.pointer(value is not None):
            self._target.write(writer, value)


dword = By(NdrReader.u32, NdrWriter.u32)
long = By(NdrReader.i32, NdrWriter.i32)
handle = By(ContextHandle.read, lambda writer, value: value.write(writer))
char_string = By(NdrReader.char_string, NdrWriter.char_string)

Dword = Annotated[int, dword]
Long = Annotated[int, long]
Handle = Annotated[ContextHandle, handle]
#: Bytes in a code page that the string does not tell, without the terminating zero.
CharString = Annotated[bytes, char_string]


class TailedMessage(RpcMessage):
    """A request that may have bytes behind its parameters, which stay with it.

    The Windows runtime ignores them, and impacket needs that: its NspiGetSpecialTable has a pointer too many.
    Calls that anybody may make of any server (endpoint mapper, mgmt) take them as well.
    """

    __slots__ = ("tail",)

    tail: bytes

    @classmethod
    def unpack(cls, stub: bytes, reads: type[NdrReader] = NdrReader) -> Self:
        reader = reads(stub)
        message = cls.read(reader)
        message.tail = reader.rest()
        message.referents = tuple(reader.referents)
        return message

    def pack(self, writes: type[NdrWriter] = NdrWriter) -> bytes:
        return RpcMessage.pack(self, writes) + getattr(self, "tail", b"")


M = TypeVar("M", bound=RpcMessage)


@dataclass_transform()
def ndr_message(cls: type[M]) -> type[M]:
    """Make a slotted dataclass of an `RpcMessage` and give it `read` and `write` from its annotations."""
    made: Any = dataclasses.dataclass(slots=True)(cls)
    hints = typing.get_type_hints(made, include_extras=True)
    layout = [(field.name, _parameter(made, field.name, hints[field.name])) for field in dataclasses.fields(made)]

    def read(kind: Any, reader: NdrReader) -> Any:
        values = {}
        for name, parameter in layout:
            try:
                values[name] = parameter.read(reader)
            except DecodeError as error:
                raise error.within(name) from None
        return kind(**values)

    def write(self: Any, writer: NdrWriter) -> None:
        for name, parameter in layout:
            parameter.write(writer, getattr(self, name))

    made.read = classmethod(read)
    made.write = write
    return typing.cast("type[M]", made)


def _parameter(cls: type, name: str, hint: Any) -> Parameter:
    for extra in getattr(hint, "__metadata__", ()):
        if isinstance(extra, Parameter):
            return extra
    raise TypeError(f"{cls.__name__}.{name}: {hint!r} has no layout")

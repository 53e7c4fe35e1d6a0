"""How a ROP is declared: [MS-OXCROPS] 2.2.

One request and one response per RopId, in the file of the document that defines the ROP:

    @rop_request(RopId.OpenFolder)
    @structure
    class RopOpenFolderRequest(RopOpenRequest):        # logon_id, input_handle_index, output_handle_index
        folder_id: FolderId64
        open_mode_flags: U8

    @rop_response(RopId.OpenFolder)
    @structure
    class RopOpenFolderResponse(RopResponse):          # handle_index, return_value, then the success fields
        has_rules: Bool8
        is_ghosted: Bool8

`read` and `write` cover the bytes behind the RopId; `pack` and `unpack` a whole ROP with its RopId.

- Requests derive from `RopOpenRequest` (input and output handle index), `RopHandleRequest` (input handle index
  alone) or, where the header is another one, from `RopRequest` (LogonId alone); those declare their own index
  fields, and give `input_handle_index` as a property. A field `output_handle_index` means: the ROP makes a handle.
- A response with a non-zero ReturnValue ends there and is read as `RopFailure`, except where a class is registered
  for that error (`@rop_failure(RopId.Logon, ErrorCode.WrongServer)`) or where the response has one layout whatever
  the ReturnValue is: `success_only: ClassVar[bool] = False` on the class.
- A layout with conditions: `read` and `write` by hand on the class, as in every `@structure`.
- A layout that depends on more than its own bytes: `read_in(cls, reader, context)` by hand instead of `read` (it is
  what the buffer calls), with the `RopContext`: the request that is answered (`context.answered(RopXRequest)`),
  the columns of its table (`context.columns()`), whether a LogonId is of a private mailbox. What `write` needs
  again is kept in a field of the object that is not on the wire (such as `columns`). `REQUEST_HEADER`,
  `OPEN_HEADER` and `RESPONSE_HEADER` are the fixed beginnings of hand-written layouts.
  Where the context does not know, it raises `MissingContext`, and the rest of the buffer stays bytes.
- A response that teaches something to later ROPs (RopSetColumns) has `learn(self, context)`, called when it is a
  success.
- Responses that answer no request (RopNotify, RopPending, RopBackoff, RopBufferTooSmall): `@rop_response` on a class
  derived from `RopUnsolicited`, which has neither handle_index nor return_value.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Self, TypeVar

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader, Writer
from openchange_py.wire.codecs import U8, U16, U32, Bytes16, Codec, Counted, Fixed, Rest, Structure, structure, u8, u16
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxcdata.rows import PropertyRow, read_row, write_row
from openchange_py.wire.rop.context import HandleStates, RopContext
from openchange_py.wire.rop.ids import RopId

#: For `reader.fields(...)` and `writer.fixed(...)` of hand-written layouts, behind the RopId.
REQUEST_HEADER: Final = struct.Struct("<BB")  # logon_id, input_handle_index
OPEN_HEADER: Final = struct.Struct("<BBB")  # logon_id, input_handle_index, output_handle_index
RESPONSE_HEADER: Final = struct.Struct("<BI")  # handle_index, return_value

#: A cell takes a byte at least, except one of type Null, with which no table of sense is full.
CELLS_PER_BYTE: Final = 8

_NAMES: Final = {int(member): member for member in RopId}
_ERRORS: Final = {int(member): member for member in ErrorCode}


class Rop(Structure):
    """A request or a response in a ROP buffer."""

    __slots__ = ()
    rop_id: ClassVar[int]

    @classmethod
    def read_in(cls, reader: Reader, context: RopContext) -> Self:
        """Read what stands behind the RopId; by default the context does not matter."""
        return cls.read(reader)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read one whole ROP, from its RopId on, outside of any session."""
        reader = Reader(data)
        rop_id = reader.u8()
        if rop_id != cls.rop_id:
            raise DecodeError(f"RopId 0x{rop_id:02X} is not {cls.__name__}", 0)
        value = cls.read_in(reader, RopContext(HandleStates()))
        reader.expect_end()
        return value

    def pack(self) -> bytes:
        """The whole ROP, from its RopId on."""
        writer = Writer()
        writer.u8(self.rop_id)
        self.write(writer)
        return bytes(writer)


@structure
class RopRequest(Rop):
    """What every request has: [MS-OXCROPS] 2.2.2. Every subclass has at least an `input_handle_index`."""

    #: The RopId of its response, which is its own except for RopGetMessageStatus.
    response_id: ClassVar[int]

    logon_id: U8

    if TYPE_CHECKING:

        @property
        def input_handle_index(self) -> int:
            """Where the handle table has the object that the ROP acts on (for RopLogon: the one it makes)."""


@structure
class RopHandleRequest(RopRequest):
    """A request that acts on one object: the header of most ROPs."""

    input_handle_index: U8


@structure
class RopOpenRequest(RopHandleRequest):
    """A request that acts on one object and makes another one."""

    output_handle_index: U8


@structure
class RopResponse(Rop):
    """What every response has. `handle_index` is that index of the request which the ROP's document names."""

    #: False where the response has one layout, whatever the ReturnValue is.
    success_only: ClassVar[bool] = True

    handle_index: U8
    return_value: U32

    def learn(self, context: RopContext) -> None:
        """Keep what later ROPs need to be decoded. Called for a ReturnValue of 0."""


class RopUnsolicited(Rop):
    """A response that answers no request."""

    __slots__ = ()


@structure
class RopFailure(RopResponse):
    """A response that ends after its ReturnValue, which is not 0: `RopFailure(index, code, RopId.OpenFolder)`."""

    rop_id: Annotated[int, Fixed("B")]  # type: ignore[misc]  # of the instance here

    @classmethod
    def read(cls, reader: Reader) -> Self:
        raise NotImplementedError("only `of` knows the RopId of a failure")

    def write(self, writer: Writer) -> None:
        writer.fixed(RESPONSE_HEADER, self.handle_index, self.return_value)

    @classmethod
    def of(cls, reader: Reader, rop_id: int) -> RopFailure:
        """Read what stands behind the RopId."""
        index, code = reader.fields(RESPONSE_HEADER)
        return RopFailure(index, _ERRORS.get(code, code), _NAMES.get(rop_id, rop_id))


REQUESTS: Final[dict[int, type[RopRequest]]] = {}
RESPONSES: Final[dict[int, type[RopResponse] | type[RopUnsolicited]]] = {}
FAILURES: Final[dict[tuple[int, int], type[RopResponse]]] = {}

Q = TypeVar("Q", bound=RopRequest)
P = TypeVar("P", bound=RopResponse | RopUnsolicited)
F = TypeVar("F", bound=RopResponse)


def rop_request(rop_id: RopId, answered_by: RopId | None = None) -> Callable[[type[Q]], type[Q]]:
    """Register the class as that ROP's request. `answered_by`: the RopId of its response, where it is another one."""

    def register(cls: type[Q]) -> type[Q]:
        if rop_id in REQUESTS or not hasattr(cls, "input_handle_index"):
            raise TypeError(f"{cls.__name__}: {rop_id!r} is taken, or it has no input_handle_index")
        cls.rop_id = rop_id
        cls.response_id = rop_id if answered_by is None else answered_by
        REQUESTS[int(rop_id)] = cls
        return cls

    return register


def rop_response(rop_id: RopId) -> Callable[[type[P]], type[P]]:
    """Register the class as that ROP's response: the one of success, unless it is not `success_only`."""

    def register(cls: type[P]) -> type[P]:
        if rop_id in RESPONSES:
            raise TypeError(f"{cls.__name__}: {rop_id!r} is taken")
        cls.rop_id = rop_id
        RESPONSES[int(rop_id)] = cls  # type: ignore[assignment]  # either of the two, which mypy doesn't see of P
        return cls

    return register


def rop_failure(rop_id: RopId, code: ErrorCode) -> Callable[[type[F]], type[F]]:
    """Register the class as that ROP's response for one ReturnValue that is not 0."""

    def register(cls: type[F]) -> type[F]:
        if (rop_id, code) in FAILURES:
            raise TypeError(f"{cls.__name__}: {rop_id!r} {code!r} is taken")
        cls.rop_id = rop_id
        FAILURES[int(rop_id), int(code)] = cls
        return cls

    return register


class TagsCodec(Codec):
    """Property tags behind their count."""

    def __init__(self, prefix: Fixed) -> None:
        self._prefix = prefix
        self.minimum_size = prefix.minimum_size

    def read(self, reader: Reader) -> list[PropertyTag]:
        count = reader.count(self._prefix.read(reader), 4)
        pos = reader.pos
        reader.pos = pos + 4 * count
        return list(map(PropertyTag, struct.unpack_from(f"<{count}I", reader.data, pos)))

    def write(self, writer: Writer, value: list[PropertyTag]) -> None:
        self._prefix.write(writer, len(value))
        try:
            writer += struct.pack(f"<{len(value)}I", *value)
        except struct.error as error:
            raise EncodeError(f"property tags: {error}") from error


property_tags16: Final = TagsCodec(u16)
PropertyTags16 = Annotated[list[PropertyTag], property_tags16]


@rop_request(RopId.Release)
@structure
class RopReleaseRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.15.3. It has no response."""


@rop_response(RopId.BufferTooSmall)
@structure
class RopBufferTooSmallResponse(RopUnsolicited):
    """[MS-OXCROPS] 2.2.15.1: the responses did not fit; what was not executed, and the size that it needs (bytes)."""

    size_needed: U16
    request_buffers: Rest


@structure
class BackoffRop(Structure):
    """[MS-OXCROPS] 2.2.15.2.1.1: how long (ms) that ROP shall not be sent."""

    rop_id_backoff: U8
    duration: U32


@rop_response(RopId.Backoff)
@structure
class RopBackoffResponse(RopUnsolicited):
    """[MS-OXCROPS] 2.2.15.2: the server is busy; wait `duration` ms, and longer for the ROPs named."""

    logon_id: U8
    duration: U32
    backoff_rop_data: Annotated[list[BackoffRop], Counted(u8, BackoffRop)]
    additional_data: Bytes16


def read_text(reader: Reader, unicode: int) -> str | bytes:
    """A zero-terminated string: UTF-16LE (str) by a flag such as UseUnicodeStrings, otherwise 8-bit (bytes)."""
    return reader.utf16() if unicode else reader.string8()


def write_text(writer: Writer, unicode: int, value: str | bytes) -> None:
    """What `read_text` reads. Raises `EncodeError` where flag and kind of string differ."""
    if isinstance(value, str) != bool(unicode):
        raise EncodeError(f"{value!r} does not agree with a Unicode flag of {unicode}")
    if isinstance(value, str):
        writer.utf16(value)
    else:
        writer.string8(value)


def read_rows(reader: Reader, count: int, columns: Sequence[PropertyTag]) -> list[PropertyRow]:
    """That many PropertyRows ([MS-OXCDATA] 2.8.1), one behind the other."""
    if count * len(columns) > CELLS_PER_BYTE * reader.remaining:
        raise DecodeError(f"{count} rows of {len(columns)} columns in {reader.remaining} bytes", reader.pos)
    return [read_row(reader, columns) for _ in range(reader.count(count, 1))]


def write_rows(writer: Writer, rows: Sequence[PropertyRow], columns: Sequence[PropertyTag] | None) -> None:
    """What `read_rows` reads. Raises `EncodeError` for rows whose columns nobody told."""
    if columns is None and rows:
        raise EncodeError("rows without their columns")
    for row in rows:
        write_row(writer, columns or (), row)

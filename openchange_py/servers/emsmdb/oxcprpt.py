"""[MS-OXCPRPT]: reading properties and streams.

Not done yet: everything that writes, copies or deletes; named properties (their ids are not mapped); bodies in
other formats than they were saved in ([MS-OXCMSG] 2.2.1.56).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from openchange_py.servers.emsmdb.codepages import narrow
from openchange_py.servers.emsmdb.objects.base import PropertyObject
from openchange_py.servers.emsmdb.objects.stream import BytesContent, StreamObject
from openchange_py.servers.emsmdb.registry import RopCall, handles
from openchange_py.servers.emsmdb.values import TOO_LARGE, ValueReader, as_stored, is_content, value_size, whole
from openchange_py.store.base import Content
from openchange_py.wire.buffer import Writer
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import (
    PropertyMap,
    PropertyTag,
    PropertyType,
    PropertyValue,
    TaggedPropertyValue,
)
from openchange_py.wire.oxcdata.rows import PropertyError, PropertyRow, write_flagged
from openchange_py.wire.oxcdata.values import TypedPropertyValue
from openchange_py.wire.rop.oxcprpt import (
    RopGetPropertiesAllRequest,
    RopGetPropertiesAllResponse,
    RopGetPropertiesListRequest,
    RopGetPropertiesListResponse,
    RopGetPropertiesSpecificRequest,
    RopGetPropertiesSpecificResponse,
)
from openchange_py.wire.rop.oxcprpt_streams import (
    OpenModeFlags,
    RopGetStreamSizeRequest,
    RopGetStreamSizeResponse,
    RopOpenStreamRequest,
    RopOpenStreamResponse,
    RopReadStreamRequest,
    RopReadStreamResponse,
    RopSeekStreamRequest,
    RopSeekStreamResponse,
)

#: What a response has besides the values, and a value besides its bytes (tag, flag, count), at the most.
_HEADER: Final = 8
_OVERHEAD: Final = 8
#: A tag, beyond the flag that stands in its place in a row; an error in the place of a value.
_TAG: Final = 3
_ERROR_SIZE: Final = 8

_READ_HEADER: Final = 8
_LARGEST_READ: Final = 0xFFFF
#: [MS-OXCPRPT] 3.2.5.18.
_LARGEST_STREAM: Final = 1 << 31


@handles(RopGetPropertiesSpecificRequest)
def get_properties_specific(
    call: RopCall, request: RopGetPropertiesSpecificRequest
) -> RopGetPropertiesSpecificResponse:
    """RopGetPropertiesSpecific: [MS-OXCPRPT] 3.2.5.1."""
    tags = request.property_tags
    opened = call.object(request, PropertyObject)
    reader = _value_reader(call, opened, request.property_size_limit, request.want_unicode)
    values = _fitting(tags, reader.row(opened.properties(tags), tags), call.space)
    row = PropertyRow.of(values)
    return RopGetPropertiesSpecificResponse(request.input_handle_index, ErrorCode.Success, row, tags)


def _value_reader(call: RopCall, opened: PropertyObject, size_limit: int, want_unicode: int) -> ValueReader:
    room = max(call.space - _HEADER, 1)
    limit = min(size_limit, room) if size_limit else room
    return ValueReader(opened.codec, unicode=bool(want_unicode), limit=limit)


def _fitting(tags: Sequence[PropertyTag], values: list[PropertyValue], space: int) -> list[PropertyValue]:
    """The values; where they do not all fit into the response, the largest read as errors and are streams then."""
    if _HEADER + sum(_OVERHEAD + value_size(value) for value in values) <= space:
        return values
    sizes = [_TAG + _written_size(tag, value) for tag, value in zip(tags, values, strict=True)]
    excess = _HEADER + sum(sizes) - space
    for index in sorted(range(len(values)), key=sizes.__getitem__, reverse=True):
        if excess <= 0:
            break
        excess -= sizes[index] - _ERROR_SIZE
        values[index] = _too_large(values[index])
    return values


def _written_size(tag: PropertyTag, value: PropertyValue) -> int:
    writer = Writer()
    write_flagged(writer, tag.type, value)
    return len(writer)


def _too_large(value: PropertyValue) -> PropertyValue:
    if isinstance(value, TypedPropertyValue):
        return TypedPropertyValue(PropertyType.ErrorCode, TOO_LARGE)
    return TOO_LARGE


@handles(RopGetPropertiesAllRequest)
def get_properties_all(call: RopCall, request: RopGetPropertiesAllRequest) -> RopGetPropertiesAllResponse:
    """RopGetPropertiesAll: [MS-OXCPRPT] 3.2.5.2."""
    opened = call.object(request, PropertyObject)
    properties = opened.properties()
    reader = _value_reader(call, opened, request.property_size_limit, request.want_unicode)
    tags = [tag.with_type(reader.shown_type(tag.type)) for tag in sorted(properties)]
    values = _fitting(tags, reader.row(properties, tags), call.space)
    tagged = [_tagged(tag, value) for tag, value in zip(tags, values, strict=True)]
    return RopGetPropertiesAllResponse(request.input_handle_index, ErrorCode.Success, tagged)


def _tagged(tag: PropertyTag, value: PropertyValue) -> TaggedPropertyValue:
    """A value that is too large has type ErrorCode ([MS-OXCPRPT] 2.2.3.2)."""
    if isinstance(value, PropertyError):
        return TaggedPropertyValue(tag.with_type(PropertyType.ErrorCode), value.code)
    return TaggedPropertyValue(tag, value)


@handles(RopGetPropertiesListRequest)
def get_properties_list(call: RopCall, request: RopGetPropertiesListRequest) -> RopGetPropertiesListResponse:
    """RopGetPropertiesList: [MS-OXCPRPT] 3.2.5.3."""
    properties = call.object(request, PropertyObject).properties()
    return RopGetPropertiesListResponse(request.input_handle_index, ErrorCode.Success, sorted(properties))


@handles(RopOpenStreamRequest)
def open_stream(call: RopCall, request: RopOpenStreamRequest) -> RopOpenStreamResponse:
    """RopOpenStream: [MS-OXCPRPT] 3.2.5.11. Streams are read-only here: BestAccess gets that, ReadWrite is denied."""
    opened = call.object(request, PropertyObject)
    tag = PropertyTag(request.property_tag)
    if tag.type not in opened.stream_types:
        raise MapiError(ErrorCode.NotSupported, f"{tag!r} of a {type(opened).__name__} can't be a stream")
    if request.open_mode_flags > OpenModeFlags.BestAccess:
        raise MapiError(ErrorCode.InvalidParameter, f"OpenModeFlags {request.open_mode_flags}")
    if request.open_mode_flags == OpenModeFlags.Create:
        raise MapiError(ErrorCode.AccessDenied, "streams can't be written yet")
    content = _content(opened.properties([tag]), tag, opened.codec)
    if request.open_mode_flags == OpenModeFlags.ReadWrite:
        raise MapiError(ErrorCode.AccessDenied, "streams can't be written yet")
    if content.size > _LARGEST_STREAM:
        raise MapiError(ErrorCode.StreamSizeError, f"{content.size} bytes")
    call.open(request.output_handle_index, StreamObject(opened.mailbox_logon, content))
    return RopOpenStreamResponse(request.output_handle_index, ErrorCode.Success, content.size)


def _content(properties: PropertyMap, tag: PropertyTag, codec: str) -> Content:
    """A property's value as its stream's bytes; a text has no terminating zero there."""
    stored = as_stored(tag)
    value: Any = properties.get(stored)
    if value is None:
        raise MapiError(ErrorCode.NotFound, f"{tag!r}")
    if is_content(value):
        if stored == tag:
            return value  # type: ignore[no-any-return]
        value = whole(value, stored.type)
    if isinstance(value, str):
        value = value.encode("utf-16-le", "surrogatepass") if stored == tag else narrow(value, codec)
    return BytesContent(value)


@handles(RopReadStreamRequest)
def read_stream(call: RopCall, request: RopReadStreamRequest) -> RopReadStreamResponse:
    """RopReadStream: [MS-OXCPRPT] 3.2.5.12. As much as was asked for and fits."""
    stream = call.object(request, StreamObject)
    room = min(call.space - _READ_HEADER, _LARGEST_READ)
    if room <= 0 < request.count:
        raise MapiError(ErrorCode.BufferTooSmall, "not one byte fits")
    return RopReadStreamResponse(request.input_handle_index, ErrorCode.Success, stream.read(min(request.count, room)))


@handles(RopSeekStreamRequest)
def seek_stream(call: RopCall, request: RopSeekStreamRequest) -> RopSeekStreamResponse:
    """RopSeekStream: [MS-OXCPRPT] 3.2.5.18."""
    position = call.object(request, StreamObject).seek(request.origin, request.offset)
    return RopSeekStreamResponse(request.input_handle_index, ErrorCode.Success, position)


@handles(RopGetStreamSizeRequest)
def get_stream_size(call: RopCall, request: RopGetStreamSizeRequest) -> RopGetStreamSizeResponse:
    """RopGetStreamSize: [MS-OXCPRPT] 3.2.5.16."""
    stream = call.object(request, StreamObject)
    return RopGetStreamSizeResponse(request.input_handle_index, ErrorCode.Success, stream.content.size)

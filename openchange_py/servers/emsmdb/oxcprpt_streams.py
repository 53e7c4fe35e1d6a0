"""[MS-OXCPRPT]: properties as streams.

Not done yet: streams of folders can't be written; RopCopyToStream, RopCloneStream, locking regions, and
RopWriteStreamExtended over several packed buffers.
"""

from __future__ import annotations

from typing import Final

from openchange_py.servers.emsmdb.objects.base import PropertyObject
from openchange_py.servers.emsmdb.objects.stream import LARGEST_STREAM, StreamObject, WritableStream
from openchange_py.servers.emsmdb.objects.working import WorkingObject
from openchange_py.servers.emsmdb.registry import RopCall, handles
from openchange_py.store.base import Content
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.rop.oxcprpt_streams import (
    OpenModeFlags,
    RopCommitStreamRequest,
    RopCommitStreamResponse,
    RopGetStreamSizeRequest,
    RopGetStreamSizeResponse,
    RopOpenStreamRequest,
    RopOpenStreamResponse,
    RopReadStreamRequest,
    RopReadStreamResponse,
    RopSeekStreamRequest,
    RopSeekStreamResponse,
    RopSetStreamSizeRequest,
    RopSetStreamSizeResponse,
    RopWriteAndCommitStreamRequest,
    RopWriteAndCommitStreamResponse,
    RopWriteStreamExtendedRequest,
    RopWriteStreamExtendedResponse,
    RopWriteStreamRequest,
    RopWriteStreamResponse,
    WriteRequest,
)

_READ_HEADER: Final = 8
_LARGEST_READ: Final = 0xFFFF


@handles(RopOpenStreamRequest)
def open_stream(call: RopCall, request: RopOpenStreamRequest) -> RopOpenStreamResponse:
    """RopOpenStream: [MS-OXCPRPT] 3.2.5.11."""
    opened = call.object(request, PropertyObject)
    tag = PropertyTag(request.property_tag)
    if tag.type not in opened.stream_types:
        raise MapiError(ErrorCode.NotSupported, f"{tag!r} of a {type(opened).__name__} can't be a stream")
    if request.open_mode_flags > OpenModeFlags.BestAccess:
        raise MapiError(ErrorCode.InvalidParameter, f"OpenModeFlags {request.open_mode_flags}")
    content = _content(opened, tag, request.open_mode_flags)
    if content.size > LARGEST_STREAM:
        raise MapiError(ErrorCode.StreamSizeError, f"{content.size} bytes")
    if _may_write(opened, tag) and request.open_mode_flags != OpenModeFlags.ReadOnly:
        assert isinstance(opened, WorkingObject)
        stream: StreamObject = WritableStream(opened, tag, content, call.session.largest_message)
    else:
        stream = StreamObject(opened.mailbox_logon, content)
    call.open(request.output_handle_index, stream)
    return RopOpenStreamResponse(request.output_handle_index, ErrorCode.Success, content.size)


def _content(opened: PropertyObject, tag: PropertyTag, mode: int) -> Content:
    """The value in that mode; ReadWrite and Create are denied where the object, or the property, can't be written."""
    if mode == OpenModeFlags.Create and isinstance(opened, WorkingObject):
        return opened.content_to_write(tag, empty=True)
    if mode == OpenModeFlags.Create:
        raise MapiError(ErrorCode.AccessDenied, f"streams of a {type(opened).__name__} can't be written yet")
    content = opened.content(tag)
    if mode == OpenModeFlags.ReadWrite and not _may_write(opened, tag):
        raise MapiError(ErrorCode.AccessDenied, f"{tag!r} of a {type(opened).__name__} can't be written")
    return content


def _may_write(opened: PropertyObject, tag: PropertyTag) -> bool:
    return isinstance(opened, WorkingObject) and opened.writable and tag.id not in opened.computed


@handles(RopReadStreamRequest)
def read_stream(call: RopCall, request: RopReadStreamRequest) -> RopReadStreamResponse:
    """RopReadStream: [MS-OXCPRPT] 3.2.5.12. As much as was asked for and fits."""
    stream = call.object(request, StreamObject)
    room = min(call.space - _READ_HEADER, _LARGEST_READ)
    if room <= 0 < request.count:
        raise MapiError(ErrorCode.BufferTooSmall, "not one byte fits")
    return RopReadStreamResponse(request.input_handle_index, ErrorCode.Success, stream.read(min(request.count, room)))


def _write(call: RopCall, request: WriteRequest) -> int:
    stream = call.object(request, StreamObject)
    call.session.objects.check_weight()
    return stream.write(bytes(request.data))


@handles(RopWriteStreamRequest)
def write_stream(call: RopCall, request: RopWriteStreamRequest) -> RopWriteStreamResponse:
    """RopWriteStream: [MS-OXCPRPT] 3.2.5.13."""
    return RopWriteStreamResponse(request.input_handle_index, ErrorCode.Success, _write(call, request))


@handles(RopWriteStreamExtendedRequest)
def write_stream_extended(call: RopCall, request: RopWriteStreamExtendedRequest) -> RopWriteStreamExtendedResponse:
    """RopWriteStreamExtended: [MS-OXCPRPT] 3.2.5.14; each of its buffers is answered by itself."""
    return RopWriteStreamExtendedResponse(request.input_handle_index, ErrorCode.Success, _write(call, request))


@handles(RopCommitStreamRequest)
def commit_stream(call: RopCall, request: RopCommitStreamRequest) -> RopCommitStreamResponse:
    """RopCommitStream: [MS-OXCPRPT] 3.2.5.15. What a stream of a message wrote is the property's value already."""
    call.object(request, StreamObject)
    return RopCommitStreamResponse(request.input_handle_index, ErrorCode.Success)


@handles(RopWriteAndCommitStreamRequest)
def write_and_commit_stream(call: RopCall, request: RopWriteAndCommitStreamRequest) -> RopWriteAndCommitStreamResponse:
    """RopWriteAndCommitStream: [MS-OXCPRPT] 3.2.5.23."""
    return RopWriteAndCommitStreamResponse(request.input_handle_index, ErrorCode.Success, _write(call, request))


@handles(RopSetStreamSizeRequest)
def set_stream_size(call: RopCall, request: RopSetStreamSizeRequest) -> RopSetStreamSizeResponse:
    """RopSetStreamSize: [MS-OXCPRPT] 3.2.5.17."""
    call.object(request, StreamObject).resize(request.stream_size)
    return RopSetStreamSizeResponse(request.input_handle_index, ErrorCode.Success)


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

"""Module cache: message bodies and attachments that were read before are answered from files of this proxy.

**What is cached**: streams (RopOpenStream for reading) of saved messages and their attachments, whose bytes are
named by all that decides about them (`streamcache/names.py`): store, message, way to the stream, property tag, and
version: the change key and last modification time that the message has in the client's own view, asked upstream when
the stream is opened, and the size that RopOpenStream told. Never a stream that was opened to be written, or of a
message with unsaved changes in that view: every ROP that changes a message marks it, and in a session in which a ROP
was not understood nothing more is cached.

**Who may read it**: opening message, attachment and stream always goes upstream, with the client's own rights; only
a stream whose opening succeeded there, for him, is answered from here.

**How**: a stream that is cached is answered here from its first RopReadStream, RopSeekStream and RopGetStreamSize
on, and its position is kept here. Bytes that are missing are fetched through the client's own stream upstream, and
stored (`streamcache/shared.py`). Where the cache can't go on, it has the upstream's stream seek to the position, and
steps aside for good. Reads that come in the buffer that opens the stream pass, and are stored on their way back.

**Read ahead**: `ahead` has all of a stream fetched at its first read. With `sync`, of a proxy between such a one and
the clients, a program fetches the file from that one's cache. The file has the same name there; its hash is asked
for through the clients' own connection with RopQueryNamedProperties of `QUESTION` on the stream, which a server
without this module answers with an error.

Not cached: streams of folders and logons, streams of type String8 (their bytes depend on the client's code page),
clones, streams that are read with jumps beyond what is there, and what is fetched by another process at that moment.
"""

from __future__ import annotations

import asyncio
import collections
import logging
from typing import Any, Final

from openchange_py.config.settings import Settings
from openchange_py.proxy.hooks import Module
from openchange_py.proxy.rops import FURTHER_OVERHEAD, PassingRop, forget_objects, on_rop
from openchange_py.proxy.server_objects import ServerObject
from openchange_py.proxy.streamcache.cache import COUNTERS, StreamCache
from openchange_py.proxy.streamcache.fetching import ClientStream, Fetcher
from openchange_py.proxy.streamcache.index import CacheError, Entry
from openchange_py.proxy.streamcache.names import (
    message_of,
    source_of,
    store_of,
    subject_of,
)
from openchange_py.proxy.streamcache.options import AHEAD, MIN_SIZE, OPTIONS, cache_of, check_options
from openchange_py.proxy.streamcache.shared import SharedStreams
from openchange_py.proxy.streamcache.synchronizing import QUESTION, Synchronizer, said_of
from openchange_py.proxy.streamcache.views import (
    CHANGING,
    is_changed,
    is_pristine,
    mark_changed,
    version_in,
    version_request,
)
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.metrics import CallStatistics, Family
from openchange_py.transports.tasks import spawn
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import EcDoDisconnectRequest
from openchange_py.wire.rop.base import RopReleaseRequest
from openchange_py.wire.rop.oxcfold import (
    RopDeleteMessagesResponse,
    RopHardDeleteMessagesResponse,
    RopMoveCopyMessagesRequest,
    RopMoveCopyMessagesResponse,
)
from openchange_py.wire.rop.oxcmsg import (
    RopSaveChangesMessageRequest,
    RopSaveChangesMessageResponse,
)
from openchange_py.wire.rop.oxcprpt import (
    RopCopyPropertiesRequest,
    RopCopyRequest,
    RopCopyToRequest,
    RopQueryNamedPropertiesRequest,
)
from openchange_py.wire.rop.oxcprpt_streams import (
    OpenModeFlags,
    Origin,
    RopCloneStreamRequest,
    RopCopyToStreamRequest,
    RopGetStreamSizeRequest,
    RopGetStreamSizeResponse,
    RopOpenStreamRequest,
    RopOpenStreamResponse,
    RopReadStreamRequest,
    RopReadStreamResponse,
    RopSeekStreamRequest,
    RopSeekStreamResponse,
)

logger = logging.getLogger(__name__)


#: Where a server object keeps its `ClientStream`, and that it must never have one.
_STREAM, _NEVER = "stream", "never"
#: Opnum of exchange_emsmdb.
_EC_DO_DISCONNECT: Final = 1
#: RopReadStream's response besides its data.
_READ_HEADER: Final = 8
#: Data of one further response: its buffer holds 32 KiB.
_FURTHER: Final = 0x7F00
_LARGEST_READ: Final = 0xFFFF
#: Streams of one session that are cached at a time.
_SESSION_STREAMS: Final = 64
#: Seconds between two times of looking for what is too old or too much.
_MAINTENANCE: Final = 60.0


class CacheModule(Module):
    """Answers streams that were read before."""

    name = "cache"
    description = "answers message bodies and attachments that were read before from files"
    endpoint = "exchange_emsmdb"
    options = OPTIONS
    tracks_objects = True

    def __init__(self) -> None:
        self.cache: StreamCache | None = None
        self._streams: SharedStreams
        self._fetcher: Fetcher
        self._settings: Settings
        self._maintenance: asyncio.Task[None] | None = None
        self._flushing: asyncio.Task[None] | None = None

    @classmethod
    def check_options(cls, settings: Settings) -> None:
        """`ahead` and `sync` exclude each other."""
        check_options(settings)

    async def init(self, settings: Settings) -> None:
        """Open the cache. A disk that fails keeps nobody from his mail: then all streams pass."""
        check_options(settings)
        self._settings = settings
        cache = cache_of(settings)
        try:
            await asyncio.to_thread(cache.open)
        except (OSError, CacheError) as error:
            logger.error("nothing is cached: %s", error)
            return
        self.cache, self._streams = cache, SharedStreams(cache)
        self._fetcher = Fetcher(cache, settings, Synchronizer(cache, self._streams, settings))
        self.metrics.families.append(self._families)
        self._maintenance = spawn(self._maintain(cache), "maintenance of the cache")

    async def close(self) -> None:
        """Write down what was counted."""
        if self.cache is None:
            return
        if self._maintenance is not None:
            self._maintenance.cancel()
        if self._flushing is not None:
            await asyncio.wait([self._flushing])
        logger.info("%s", ", ".join(f"{name} {self.cache.counts[name]}" for name in COUNTERS))
        try:
            await asyncio.to_thread(self.cache.close)
        except CacheError as error:
            logger.warning("%s", error)

    async def unbind(self, session: Session) -> None:
        """The client is gone: nobody reads its streams."""
        for stream in list(session.state.get(self, ())):
            await self._drop(session, stream)
        session.state.pop(self, None)

    async def ndr_push(self, call: Call) -> None:
        """With EcDoDisconnect a session context ends, and all objects in it."""
        if call.opnum != _EC_DO_DISCONNECT or not isinstance(call.request, EcDoDisconnectRequest):
            return
        for found in forget_objects(self, call, call.request.cxh):
            stream = found.data.pop(_STREAM, None)
            if stream is not None:
                await self._drop(call.session, stream)

    # Opening, changing, releasing

    @on_rop(RopOpenStreamResponse)
    async def opened(self, rop: PassingRop) -> None:
        """A stream was opened: find out which it is, in which version."""
        if self.cache is None or not rop.succeeded or rop.opened is None or rop.opened.data.get(_NEVER):
            return
        size, source, message = rop.response.stream_size, source_of(rop.opened), message_of(rop.opened)
        if (
            source is None
            or message is None
            or size < self._settings[MIN_SIZE]
            or not is_pristine(rop.objects, message)
        ):
            return
        streams: set[ClientStream] = rop.call.session.state.setdefault(self, set())
        if len(streams) >= _SESSION_STREAMS:
            return
        version = await self._version(rop, message)
        if version is None:
            return
        name = source.name(version, size)
        entry = Entry(name, source.subject, version, int(source.tag), size, "")
        shared = await self._streams.acquire(entry)
        if shared is not None:
            stream = rop.opened.data[_STREAM] = ClientStream(shared, rop.call.caller.account)
            streams.add(stream)

    async def _version(self, rop: PassingRop, message: ServerObject) -> str | None:
        """The version that the message has in the client's view; None where the upstream does not tell."""
        assert message.handle is not None
        try:
            return version_in(await rop.send([version_request(rop.request.logon_id)], [message.handle]))
        except RpcFault as fault:
            logger.debug("%s: a message's version: %s", rop.call.session, fault)
            return None

    @on_rop(*CHANGING)
    async def changing(self, rop: PassingRop) -> None:
        """The client changes a message: what it sees from now on is its own."""
        mark_changed(rop.object)
        if rop.object is not None and not isinstance(rop.request, RopSaveChangesMessageRequest):
            await self._step_aside(rop, rop.object)

    @on_rop(RopOpenStreamRequest)
    def opening(self, rop: PassingRop) -> None:
        """A stream that is created deletes the value that there was."""
        if rop.request.open_mode_flags == OpenModeFlags.Create:
            mark_changed(rop.object)

    @on_rop(RopCopyToRequest, RopCopyPropertiesRequest, RopCopyToStreamRequest)
    async def copying(self, rop: PassingRop) -> None:
        """From the position of one stream, or to another message."""
        request: RopCopyRequest = rop.request
        destination = rop.object_at(request.dest_handle_index)
        mark_changed(destination)
        if isinstance(request, RopCopyToStreamRequest):
            for found in (rop.object, destination):
                if found is not None:
                    await self._step_aside(rop, found)

    @on_rop(RopCloneStreamRequest)
    async def cloning(self, rop: PassingRop) -> None:
        """The clone begins where the stream is: it must be there upstream."""
        if rop.object is not None:
            await self._step_aside(rop, rop.object)

    @on_rop(RopReleaseRequest)
    async def released(self, rop: PassingRop) -> None:
        """Nobody reads it any more."""
        stream = None if rop.object is None else rop.object.data.pop(_STREAM, None)
        if stream is not None:
            await self._drop(rop.call.session, stream)

    # Writes that reach the store

    @on_rop(RopSaveChangesMessageResponse)
    async def saved(self, rop: PassingRop) -> None:
        """The message has another version now."""
        if rop.succeeded:
            await self._invalidate(rop, [rop.response.message_id])

    @on_rop(RopDeleteMessagesResponse, RopHardDeleteMessagesResponse, RopMoveCopyMessagesResponse)
    async def removed(self, rop: PassingRop) -> None:
        """The messages are not there any more, or not by these ids."""
        if not (isinstance(rop.request, RopMoveCopyMessagesRequest) and rop.request.want_copy):
            await self._invalidate(rop, rop.request.message_ids)

    async def _invalidate(self, rop: PassingRop, message_ids: list[int]) -> None:
        store = store_of(rop.object)
        if self.cache is None or store is None or not message_ids:
            return
        subjects = [subject_of(store, int(message_id)) for message_id in message_ids]
        try:
            await asyncio.to_thread(self.cache.invalidate, subjects)
        except CacheError as error:
            self.cache.trouble(error)

    # Reading

    @on_rop(RopReadStreamRequest)
    async def reading(self, rop: PassingRop) -> None:
        """Answer from the file, with what is fetched for it where it is not there yet."""
        stream = await self._stream(rop)
        if stream is None or self.cache is None:
            return
        sizes = _sizes(rop, stream)
        end = min(stream.position + sum(sizes), stream.shared.size)
        if (rop.request.count and not sizes) or not await self._fetcher.provide(rop, stream, end):
            await self._step_aside(rop, rop.object)
            return
        try:
            data = await stream.shared.read(stream.position, max(0, end - stream.position))
        except OSError as error:
            self.cache.trouble(error)
            await self._step_aside(rop, rop.object)
            return
        self._answer_read(rop, stream, data, sizes)

    def _answer_read(self, rop: PassingRop, stream: ClientStream, data: bytes, sizes: list[int]) -> None:
        assert self.cache is not None
        answers: list[RopReadStreamResponse] = []
        position = 0
        for size in sizes or [0]:
            piece = data[position : position + size]
            if piece or not answers:
                answers.append(RopReadStreamResponse(rop.request.input_handle_index, ErrorCode.Success, piece))
            position += size
        before = stream.position

        def undo() -> None:
            stream.position = before

        rop.answer(answers[0], further=answers[1:], undo=undo)
        stream.position += len(data)
        self.cache.count("reads")
        self.cache.count("bytes_served", len(data))

    @on_rop(RopReadStreamResponse)
    async def passed(self, rop: PassingRop) -> None:
        """Bytes that the upstream read, of any stream. What belongs into the cache is put there."""
        if self.cache is None:
            return
        self.cache.count("upstream_reads")
        self.cache.count("upstream_bytes", len(rop.response.data))
        stream: ClientStream | None = None if rop.object is None else rop.object.data.get(_STREAM)
        if stream is None or stream.aside:
            return
        shared, data = stream.shared, rop.response.data
        async with shared.turn() as ours:
            behind = shared.filled - stream.position
            if ours and 0 <= behind < len(data):
                await shared.append(data[behind:])
        stream.position += len(data)
        stream.upstream = stream.position

    @on_rop(RopSeekStreamRequest)
    async def seeking(self, rop: PassingRop) -> None:
        """Within the stream the position is kept here; what is out of it the upstream judges."""
        stream = await self._stream(rop)
        if stream is None:
            return
        bases = {Origin.Beginning: 0, Origin.Current: stream.position, Origin.End: stream.shared.size}
        base = bases.get(rop.request.origin)
        response = RopSeekStreamResponse(rop.request.input_handle_index, ErrorCode.Success, 0)
        if base is None or not 0 <= base + rop.request.offset <= stream.shared.size or rop.space < len(response.pack()):
            await self._step_aside(rop, rop.object)
            return
        before = stream.position

        def undo() -> None:
            stream.position = before

        response.new_position = base + rop.request.offset
        rop.answer(response, undo=undo)
        stream.position = response.new_position

    @on_rop(RopSeekStreamResponse)
    def sought(self, rop: PassingRop) -> None:
        """In the buffer that opened the stream."""
        stream: ClientStream | None = None if rop.object is None else rop.object.data.get(_STREAM)
        if stream is not None and rop.succeeded:
            stream.position = stream.upstream = rop.response.new_position

    @on_rop(RopGetStreamSizeRequest)
    async def sizing(self, rop: PassingRop) -> None:
        """The size is known."""
        stream = await self._stream(rop)
        if stream is not None:
            answer = RopGetStreamSizeResponse(rop.request.input_handle_index, ErrorCode.Success, stream.shared.size)
            if rop.space >= len(answer.pack()):
                rop.answer(answer)

    async def _stream(self, rop: PassingRop) -> ClientStream | None:
        """The stream that is answered from here; None where it is not, or not any more."""
        if rop.object is None or (stream := rop.object.data.get(_STREAM)) is None or stream.aside:
            return None
        if stream.account != rop.call.caller.account:
            return None  # somebody else's, which the server is to judge
        message = message_of(rop.object)
        if stream.shared.failed or message is None or is_changed(message) or not rop.objects.is_complete:
            await self._step_aside(rop, rop.object)
            return None
        assert isinstance(stream, ClientStream)
        return stream

    async def _step_aside(self, rop: PassingRop, found: ServerObject | None) -> None:
        """From now on the upstream answers this stream: it has to be where the client is. Raises `RpcFault`."""
        if found is None:
            return
        stream: ClientStream | None = found.data.get(_STREAM)
        if stream is None:
            found.data[_NEVER] = True
            return
        if stream.aside:
            return
        stream.aside = True
        await self._drop(rop.call.session, stream)
        if stream.upstream == stream.position:
            return
        assert found.handle is not None
        seek = RopSeekStreamRequest(rop.request.logon_id, 0, Origin.Beginning, stream.position)
        answer = await rop.send([seek], [found.handle])
        if not answer.rops or getattr(answer.rops[0], "new_position", None) != stream.position:
            raise RpcFault(FaultStatus.CALL_FAILED, "a stream can't go on where it was")

    async def _drop(self, session: Session, stream: ClientStream) -> None:
        streams = session.state.get(self, set())
        if stream in streams:
            streams.discard(stream)
            await self._streams.release(stream.shared)
            self._flush_soon()

    # Between two proxies

    @on_rop(RopQueryNamedPropertiesRequest)
    async def asked(self, rop: PassingRop) -> None:
        """The proxy in front asks for the hash of a stream whose file it wants to fetch."""
        if rop.request.property_guid != QUESTION or (stream := await self._stream(rop)) is None:
            return
        if self._settings[AHEAD]:
            await self._fetcher.fetch_ahead(rop, stream)
        response = said_of(stream.shared, rop.request.input_handle_index)
        if len(response.pack()) <= rop.space:
            rop.answer(response)

    # Keeping house

    async def _maintain(self, cache: StreamCache) -> None:
        """What a crash left goes at once, what is too old or too much in time."""
        await self._try(cache.clean)
        while True:
            await self._try(cache.prune)
            await asyncio.sleep(_MAINTENANCE)
            await self._try(cache.flush)

    def _families(self) -> list[Family]:
        """For Prometheus."""
        counts = collections.Counter[str]() if self.cache is None else self.cache.counts
        values: dict[tuple[str, ...], float | CallStatistics] = {(name,): counts[name] for name in COUNTERS}
        return [Family("cache", "What the stream cache did, by what it was.", ("what",), values)]

    def _flush_soon(self) -> None:
        if self.cache is not None and (self._flushing is None or self._flushing.done()):
            self._flushing = spawn(self._try(self._settle), "counters of the cache")

    def _settle(self) -> None:
        assert self.cache is not None
        self.cache.flush()
        if self.cache.index.total()[1] > self.cache.limits.max_size:
            self.cache.prune()

    async def _try(self, work: Any) -> None:
        assert self.cache is not None
        try:
            await asyncio.to_thread(work)
        except (OSError, CacheError) as error:
            self.cache.trouble(error)


def _sizes(rop: PassingRop, stream: ClientStream) -> list[int]:
    """How many bytes each response may bring, to a client that wants so many: the first, and those behind it.

    None where the client asked for what a response can hold, and other ROPs took the room: it might take less for the
    end of the stream.
    """
    count = min(rop.request.count, rop.space - _READ_HEADER, _LARGEST_READ)
    expected = min(rop.request.count, stream.shared.size - stream.position, _FURTHER)
    if count <= 0 or (rop.request.maximum_byte_count is None and count < expected):
        return []
    sizes, left = [count], rop.request.count - count
    if rop.request.maximum_byte_count is not None:
        room = rop.further_space
        while left > 0 and room > _READ_HEADER + FURTHER_OVERHEAD:
            sizes.append(min(left, _FURTHER, room - _READ_HEADER - FURTHER_OVERHEAD))
            left -= sizes[-1]
            room -= sizes[-1] + _READ_HEADER + FURTHER_OVERHEAD
    return sizes

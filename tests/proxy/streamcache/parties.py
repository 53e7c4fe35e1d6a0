"""Clients of a mailbox server behind module cache, in one process; the server keeps which ROPs reached it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from openchange_py.proxy.modules.cache import CacheModule
from openchange_py.proxy.rop_carrier import carrier_of
from openchange_py.proxy.stack import ModuleStack
from openchange_py.proxy.streamcache.cache import StreamCache
from openchange_py.proxy.testing import settings_of
from openchange_py.rpc.call import Call
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxcrpc import EMSMDB, EcDoRpcExt2Request, EcDoRpcExt2Response, RpcFlags
from openchange_py.wire.rop.base import Rop, RopRequest
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.oxcmsg import RopOpenAttachmentRequest
from openchange_py.wire.rop.oxcprpt_streams import (
    BYTE_COUNT_IN_MAXIMUM,
    RopOpenStreamRequest,
    RopReadStreamRequest,
    RopReadStreamResponse,
)
from openchange_py.wire.rpcheaderext import pack_payload, unpack_payloads
from tests.servers.emsmdb.parties import Client, World

T = TypeVar("T")


class CachingProxy:
    """The server of `world`, or another proxy, with the module in front, configured by `options`."""

    def __init__(
        self, world: World, folder: Path, options: Mapping[str, str] | None = None, behind: CachingProxy | None = None
    ) -> None:
        self.world = world
        self.folder = folder
        self._behind = behind
        self.loop = asyncio.new_event_loop() if behind is None else behind.loop
        self.module = CacheModule()
        #: The ROPs that reached the server, in order.
        self.asked: list[Rop] = []
        self.stack = ModuleStack([self.module])
        settings = settings_of(CacheModule, {"mpm_cache:path": str(folder), **(options or {})})
        self.run(self.stack.init(settings))
        self._way = self.stack.around(EMSMDB.name, self._answer)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the proxy's loop."""
        return self.loop.run_until_complete(work)

    async def handle(self, call: Call) -> None:
        """A call's way through the module to the server."""
        await self._way(call)

    async def _answer(self, call: Call) -> None:
        carrier = carrier_of(call)
        if carrier is not None:
            with contextlib.suppress(Exception):
                self.asked += RopBuffer.unpack_request((await carrier.requests())[0]).rops
        if self._behind is not None:
            await self._behind.handle(call)
        else:
            await asyncio.to_thread(self.world.server.call, call)
        call.reply_bytes()

    def asked_for(self, kind: type[Rop]) -> int:
        """How many ROPs of a class reached the server."""
        return sum(isinstance(rop, kind) for rop in self.asked)

    @property
    def upstream_reads(self) -> int:
        """RopReadStreams that reached the server."""
        return self.asked_for(RopReadStreamRequest)

    @property
    def cache(self) -> StreamCache:
        """The module's cache."""
        assert self.module.cache is not None
        return self.module.cache

    @property
    def counts(self) -> Mapping[str, int]:
        """What was counted by this proxy."""
        return self.cache.counts

    def client(self, account: str = "alice") -> ProxyClient:
        """A client that is connected."""
        return ProxyClient(self, account)

    def close(self) -> None:
        """Stop it."""
        self.run(self.stack.close())
        self.run(asyncio.sleep(0))  # what was cancelled ends
        if self._behind is None:
            self.run(self.loop.shutdown_default_executor())
            self.loop.close()


@contextlib.contextmanager
def caching_proxy(
    world: World, folder: Path, options: Mapping[str, str] | None = None, behind: CachingProxy | None = None
) -> Iterator[CachingProxy]:
    """A proxy, and its end."""
    proxy = CachingProxy(world, folder, options, behind)
    try:
        yield proxy
    finally:
        proxy.close()


class ProxyClient(Client):
    """A session of an account through the proxy."""

    def __init__(self, proxy: CachingProxy, account: str) -> None:
        self.proxy = proxy
        super().__init__(proxy.world, account)

    def call(self, opnum: int, request: Any) -> Any:
        call = Call(EMSMDB, opnum, request.pack(), self.session, self.identity)
        self.proxy.run(self.proxy.handle(call))
        response = EMSMDB.methods[opnum].response
        assert response is not None
        return response.unpack(call.reply_bytes())

    async def beside(self, rops: Sequence[RopRequest], handles: Sequence[int]) -> RopBuffer:
        """Those ROPs in one buffer, beside what other clients do."""
        request = RopBuffer(list(rops), list(handles))
        stub = EcDoRpcExt2Request(self.cxh, 0, pack_payload(request.pack()), 0x8008).pack()
        call = Call(EMSMDB, 11, stub, self.session, self.identity)
        await self.proxy.handle(call)
        [payload] = unpack_payloads(EcDoRpcExt2Response.unpack(call.reply_bytes()).rgb_out)
        return RopBuffer.unpack_response(payload, request, self.states)

    async def read_beside(self, stream: int, count: int) -> bytes:
        """All from the position on, beside what other clients do; `MapiError`."""
        data = b""
        while True:
            [rop] = (await self.beside([RopReadStreamRequest(0, 0, count)], [stream])).rops
            assert isinstance(rop, RopReadStreamResponse)
            if rop.return_value:
                raise MapiError(ErrorCode(rop.return_value), f"behind {len(data)} bytes")
            if not rop.data:
                return data
            data += rop.data

    def leave(self) -> None:
        """The connection is gone."""
        self.proxy.run(self.proxy.stack.unbind(self.session))
        self.world.server.end_session(self.session)

    def attachment(self, number: int = 0, message: int | None = None) -> int:
        """An open attachment of the rich message."""
        message = self.message(self.world.rich) if message is None else message
        return self.open(RopOpenAttachmentRequest(0, 0, 1, 0, number), message)

    def stream(self, handle: int, tag: PropertyTag = p.PidTagAttachDataBinary, mode: int = 0) -> int:
        """An open stream."""
        return self.open(RopOpenStreamRequest(0, 0, 1, tag, mode), handle)

    def data_stream(self) -> int:
        """The stream of the rich message's file."""
        return self.stream(self.attachment())

    def read(self, stream: int, count: int = 0x7000) -> bytes:
        """RopReadStream of so many bytes at the most."""
        response = self.ask(RopReadStreamRequest(0, 0, count), stream)
        assert response.return_value == 0, hex(response.return_value)
        data: bytes = response.data
        return data

    def read_all(self, stream: int, count: int = 0x3000) -> bytes:
        """All from the position on."""
        data = b""
        while piece := self.read(stream, count):
            data += piece
        return data

    def read_chained(self, stream: int, count: int) -> list[bytes]:
        """RopReadStream with responses in as many buffers as there are."""
        request = RopBuffer([RopReadStreamRequest(0, 0, BYTE_COUNT_IN_MAXIMUM, count)], [stream])
        stub = EcDoRpcExt2Request(self.cxh, RpcFlags.Chain, pack_payload(request.pack()), 0x40000)
        answer: EcDoRpcExt2Response = self.call(11, stub)
        assert answer.return_value == 0
        pieces = []
        for index, payload in enumerate(unpack_payloads(answer.rgb_out)):
            buffer = RopBuffer.unpack_response(payload, request, self.states, chained=index > 0)
            pieces += [rop.data for rop in buffer.rops if isinstance(rop, RopReadStreamResponse)]
        return pieces

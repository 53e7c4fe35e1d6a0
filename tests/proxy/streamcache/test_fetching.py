"""Fetching: one transfer whoever comes and goes, and a server that is not what it seems."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openchange_py.proxy.streamcache import shared as shared_streams
from openchange_py.rpc.call import Call
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcrpc import EcDoRpcExt2Request, EcDoRpcExt2Response
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rpcheaderext import pack_payload, unpack_payloads
from tests.proxy.streamcache.parties import CachingProxy, caching_proxy
from tests.servers.emsmdb.parties import DATA, World


def test_clients_at_once_share_one_transfer(proxy: CachingProxy) -> None:
    clients = [proxy.client(account) for account in ("alice", "relay", "alice", "relay")]
    streams = [client.data_stream() for client in clients]

    async def all_of_them() -> list[bytes]:
        sizes = (100, 1000, 0x3000, 0x7000)
        readers = zip(clients, streams, sizes, strict=True)
        return await asyncio.gather(*(client.read_beside(stream, count) for client, stream, count in readers))

    assert proxy.run(all_of_them()) == [DATA] * 4
    assert proxy.counts["upstream_bytes"] == len(DATA)
    assert proxy.upstream_reads == 2


def test_another_goes_on_where_one_left(proxy: CachingProxy) -> None:
    alice, relay = proxy.client(), proxy.client("relay")
    first, second = alice.data_stream(), relay.data_stream()
    assert alice.read(first, 0x7000) == DATA[:0x7000]
    alice.leave()
    assert relay.read_all(second) == DATA
    assert proxy.counts["upstream_bytes"] == len(DATA)
    assert proxy.counts["stored"] == 1


def test_who_waits_too_long_goes_his_own_way(proxy: CachingProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_streams, "PATIENCE", 0.01)
    alice = proxy.client()
    stream = alice.data_stream()
    [shared] = proxy.module._streams._streams.values()
    proxy.run(shared.lock.acquire())
    assert alice.read_all(stream) == DATA
    shared.lock.release()
    assert proxy.counts["stored"] == 0


def answering(proxy: CachingProxy, change: Callable[[str, Any], Any]) -> None:
    """Have the server's responses changed on their way."""
    server = proxy.world.server
    real = server.call

    def call(call: Call) -> None:
        real(call)
        if not isinstance(call.request, EcDoRpcExt2Request):
            return
        [sent] = unpack_payloads(call.request.rgb_in)
        request = RopBuffer.unpack_request(sent)
        response = EcDoRpcExt2Response.unpack(call.reply_bytes())
        [payload] = unpack_payloads(response.rgb_out)
        buffer = RopBuffer.unpack_response(payload, request, proxy.states)  # type: ignore[attr-defined]
        for rop in buffer.rops:
            change(type(rop).__name__, rop)
        response.rgb_out = pack_payload(buffer.pack())
        call.answer(response.pack())

    server.call = call  # type: ignore[method-assign]


def test_a_stream_that_is_shorter_than_the_server_said(world: World, tmp_path: Path) -> None:
    from openchange_py.wire.rop.context import HandleStates

    def lie(name: str, rop: Any) -> None:
        if name == "RopOpenStreamResponse":
            rop.stream_size += 100

    with caching_proxy(world, tmp_path / "cache") as proxy:
        proxy.states = HandleStates()  # type: ignore[attr-defined]
        answering(proxy, lie)
        alice = proxy.client()
        for _ in range(2):
            assert alice.read_all(alice.data_stream()) == DATA
        assert proxy.counts["stored"] == 0


def test_a_server_that_shows_others_changes_fills_nothing(world: World, tmp_path: Path) -> None:
    """The message's version is another one at the end of the stream than it was at its beginning."""
    from openchange_py.wire.rop.context import HandleStates

    asked: list[int] = []

    def change(name: str, rop: Any) -> None:
        if name == "RopGetPropertiesSpecificResponse" and p.PidTagChangeKey in rop.columns:
            asked.append(1)
            rop.row_data.values[0] = b"version %d" % len(asked)

    with caching_proxy(world, tmp_path / "cache") as proxy:
        proxy.states = HandleStates()  # type: ignore[attr-defined]
        answering(proxy, change)
        alice = proxy.client()
        assert alice.read_all(alice.data_stream()) == DATA
        assert len(asked) == 2
        assert proxy.counts["stored"] == 0

"""RPC over HTTP on the HTTP listener: calls, who is let in, and clients that mean no good."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest

from openchange_py.auth.channel_binding import ChannelBindings
from openchange_py.auth.http_initiator import MechanismLogon
from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.auth.spnego import Mechanism
from openchange_py.rpc.call import RpcFault
from openchange_py.rpc.rpch import SHORTEST_LIFETIME
from openchange_py.rpc.rpch_server import RpchSettings
from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.rpch import SomeInterfaces
from openchange_py.transports.tcp import TcpLimits
from openchange_py.transports.tcp_client import AuthenticationFailed
from openchange_py.wire.rpch import RtsPdu
from tests.auth.ntlm_parties import PASSWORD
from tests.conftest import json_lines, shared_path
from tests.rpc.echo import ECHO, GROW, OTHER, REVERSE, WAIT, WHO, EchoHandler
from tests.transports.http_parties import get, raw_client
from tests.transports.rpch_parties import a1, b1, head, open_half, proxying
from tests.transports.serving import LOOPS, run


@pytest.mark.parametrize("loop", LOOPS)
def test_calls_in_both_sizes(loop: str) -> None:
    async def main() -> None:
        async with proxying() as proxy:
            client = await proxy.client()
            assert await client.call(REVERSE, b"abc") == b"cba"
            stub = bytes(range(250)) * 240  # as much as a stranger may send
            assert await client.call(REVERSE, stub) == stub[::-1]
            assert await client.call(GROW, (500_000).to_bytes(4, "little")) == bytes(500_000)
            assert proxy.handler.sessions[0].transport == "ncacn_http"
            await client.close()
            await proxy.handler.all_ended.wait()

    run(main, loop)


def test_calls_go_on_while_channels_are_replaced() -> None:
    async def main() -> None:
        async with proxying(settings=RpchSettings(lifetime=SHORTEST_LIFETIME)) as proxy:
            client = await proxy.client(lifetime=SHORTEST_LIFETIME)
            stub = bytes(range(250)) * 160
            for _ in range(25):
                assert await client.call(REVERSE, stub) == stub[::-1]
            assert proxy.metrics.connections["http"] >= 12
            assert len(proxy.handler.sessions) == 1
            await client.close()

    run(main)


def test_who_logs_on_over_http_alone_calls_at_the_level_of_tls(tmp_path: Path) -> None:
    async def main() -> None:
        async with proxying(tmp_path, minimum_level=lambda _: AuthLevel.PRIVACY) as proxy:
            client = await proxy.client()
            assert await client.call(WHO, b"") == rb"echo EXAMPLE\alice PRIVACY None"
            await client.close()

    run(main)


@pytest.mark.parametrize("spnego", [False, True])
def test_ntlm_over_http_on_each_channel(tmp_path: Path, spnego: bool) -> None:
    """Also on those that replace the first ones; a wrong password is told as what it is."""

    def logon(password: str = PASSWORD) -> MechanismLogon:
        async def make(bindings: ChannelBindings | None) -> Mechanism:
            return NtlmInitiator(NtlmCredential.from_password("alice", "", password), level=AuthLevel.CONNECT)

        return MechanismLogon(make, spnego=spnego)

    async def main() -> None:
        async with proxying(tmp_path, settings=RpchSettings(lifetime=SHORTEST_LIFETIME)) as proxy:
            client = await proxy.client(logon=logon(), lifetime=SHORTEST_LIFETIME)
            assert await client.call(WHO, b"") == rb"echo EXAMPLE\alice PRIVACY None"
            stub = bytes(range(250)) * 160
            for _ in range(8):
                assert await client.call(REVERSE, stub) == stub[::-1]
            await client.close()
            with pytest.raises(AuthenticationFailed):
                await proxy.client(logon=logon("wrong"))

    run(main)


@pytest.mark.parametrize("level", [AuthLevel.CONNECT, AuthLevel.PRIVACY])
def test_a_logon_inside_of_the_tunnel(tmp_path: Path, level: AuthLevel) -> None:
    async def main() -> None:
        async with proxying(tmp_path, minimum_level=lambda _: AuthLevel.PRIVACY) as proxy:
            client = await proxy.client(level)
            assert await client.call(WHO, b"") == rb"echo EXAMPLE\alice PRIVACY None"
            await client.close()

    run(main)


def test_without_tls_a_level_is_what_it_is() -> None:
    async def main() -> None:
        async with proxying(minimum_level=lambda _: AuthLevel.INTEGRITY) as proxy:
            low = await proxy.client(AuthLevel.CONNECT)
            with pytest.raises(RpcFault):
                await low.call(REVERSE, b"abc")
            await low.close()
            anonymous = await proxy.client()
            with pytest.raises(RpcFault):
                await anonymous.call(REVERSE, b"abc")
            await anonymous.close()
            high = await proxy.client(AuthLevel.PRIVACY)
            assert await high.call(REVERSE, b"abc") == b"cba"
            await high.close()

    run(main)


def test_nobody_gets_in_without_authentication(tmp_path: Path) -> None:
    async def main() -> None:
        async with proxying(tmp_path) as proxy, raw_client(proxy.port, proxy.trusted) as client:
            status, fields, _ = await client.answer(head("IN"))
            assert status == 401
            assert "www-authenticate" in fields

    run(main)


def test_a_channel_of_another_account_is_no_partner(tmp_path: Path) -> None:
    """Whoever knows the cookie: the channel must be the same account's."""

    async def main() -> None:
        async with (
            proxying(tmp_path) as proxy,
            raw_client(proxy.port, proxy.trusted) as out,
            raw_client(proxy.port, proxy.trusted) as thief,
            raw_client(proxy.port, proxy.trusted) as into,
        ):
            alice = proxy.basic()
            erin = proxy.basic("erin")
            await open_half(out, "OUT", uuid.UUID(int=7), alice)
            assert (await out.answer(head=True))[0] == 200
            await open_half(thief, "IN", uuid.UUID(int=7), erin)
            assert (await thief.closed()).startswith(b"HTTP/1.0 503 RPC Error: 6ba\r\n")
            await open_half(into, "IN", uuid.UUID(int=7), alice)
            data = await out.reader.readexactly(28 + 44)
            assert RtsPdu.unpack(data[28:]).is_a("CONN/C2")

    run(main)


@pytest.mark.parametrize("direction", ["IN", "OUT"])
@pytest.mark.parametrize("length", [0, 4, 16])
def test_echo(direction: str, length: int) -> None:
    async def main() -> None:
        async with proxying() as proxy, raw_client(proxy.port) as client:
            for _ in range(2):
                client.send(head(direction, length=length) + "x" * length)
                answer = (await client.reader.readuntil(b"\r\n\r\n")).decode().lower()
                assert answer.startswith("http/1.1 200 success\r\n")
                assert "\r\ncontent-length: 20\r\n" in answer
                assert "\r\ncontent-type: application/rpc\r\n" in answer
                assert RtsPdu.unpack(await client.reader.readexactly(20)).is_a("Echo")

    run(main)


@pytest.mark.parametrize("target", ["exch1:6003", "exch1", ":6001", "", "exch1:x", "exch1:99999", "a:b:6001"])
def test_no_such_server(target: str) -> None:
    async def main() -> None:
        async with proxying() as proxy, raw_client(proxy.port) as client:
            client.send(head("OUT", target=target))
            assert await client.reader.readline() == b"HTTP/1.1 503 RPC Error: 6ba\r\n"

    run(main)


@pytest.mark.parametrize("target", ["exch1:6001", "192.0.2.1:6001", "[2001:db8::1]:6001", "a@b.example:6001&x=1"])
def test_servers_are_called_many_names(target: str) -> None:
    async def main() -> None:
        async with proxying() as proxy, raw_client(proxy.port) as client:
            client.send(head("OUT", target=target))
            client.send(a1())
            assert (await client.answer(head=True))[0] == 200

    run(main)


def test_recorded_heads_open_channels() -> None:
    """What libmapi (HTTP/1.0) and impacket sent, with what they wrote behind it."""
    recorded = [
        line
        for line in json_lines(shared_path("wire/rpchttp-heads-rts.jsonl"))
        if line["direction"] == "client_to_server" and line["seen"] == "between relay and server"
    ]
    heads = {line["flow"]: line["http_head"] for line in recorded if "http_head" in line}
    pdus = {line["flow"]: bytes.fromhex(line["rts_hex"]) for line in recorded if "rts_hex" in line}
    outs = [flow for flow, text in heads.items() if text.startswith("RPC_OUT_DATA") and flow in pdus]
    assert len(outs) == 13

    async def main() -> None:
        async with proxying() as proxy:
            proxy.proxy._servers.update(dict.fromkeys((6002, 6004), proxy.server))
            for flow in outs:
                async with raw_client(proxy.port) as client:
                    client.send(heads[flow])
                    client.send(pdus[flow])
                    assert (await client.answer(head=True))[0] == 200
                    assert RtsPdu.unpack(await client.reader.readexactly(28)).is_a("CONN/A3")

    run(main)


def test_other_methods_and_bodies_without_length() -> None:
    async def main() -> None:
        async with proxying() as proxy, raw_client(proxy.port) as client:
            assert (await client.answer(get("/rpc/rpcproxy.dll?exch1:6001")))[0] == 405
            chunked = head("IN").replace("Content-Length: 1073741824", "Transfer-Encoding: chunked")
            assert (await client.answer(chunked))[0] == 411

    run(main)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("first", ["IN", "OUT"])
def test_channels_in_any_order_with_and_without_100_continue(first: str, version: str) -> None:
    async def main() -> None:
        async with proxying() as proxy, raw_client(proxy.port) as out, raw_client(proxy.port) as into:
            channels = {"IN": (into, b1()), "OUT": (out, a1())}
            for direction in sorted(channels, key=lambda direction: direction != first):
                client, pdu = channels[direction]
                expect = ["Expect: 100-continue"] if version == "1.1" else []
                client.send(head(direction, *expect, version=version))
                if expect:
                    assert (await client.answer())[0] == 100
                client.send(pdu)
            status, fields, _ = await out.answer(head=True)
            assert (status, fields["content-length"]) == (200, str(1 << 30))
            data = await out.reader.readexactly(28 + 44)
            assert RtsPdu.unpack(data[:28]).is_a("CONN/A3")
            assert RtsPdu.unpack(data[28:]).is_a("CONN/C2")

    run(main)


@pytest.mark.parametrize("direction", ["IN", "OUT", ""])
def test_a_channel_whose_partner_does_not_come_is_given_up(direction: str) -> None:
    async def main() -> None:
        limits = TcpLimits(handshake_seconds=0.05)
        async with proxying(limits=limits) as proxy, raw_client(proxy.port) as client:
            if direction:
                await open_half(client, direction)
            else:
                client.send(head("IN"))
            said = await client.closed()
            assert said.startswith(b"HTTP/1.1 200" if direction == "OUT" else b"HTTP/1.0 503 RPC Error: 6ba")
            assert len(proxy.proxy._connections) == 0
            assert not proxy.proxy._waiting

    run(main)


def test_half_pairs_are_few_at_a_time() -> None:
    async def main() -> None:
        async with proxying() as proxy:
            clients = []
            for number in range(70):
                client = raw_client(proxy.port)
                clients.append(client)
                half = await client.__aenter__()
                await open_half(half, "OUT", uuid.UUID(int=number))
                assert (await half.answer(head=True))[0] == 200
            assert len(proxy.proxy._connections) == 64
            good = await proxy.client()
            assert await good.call(REVERSE, b"abc") == b"cba"
            await good.close()
            for client in clients:
                await client.__aexit__(None, None, None)

    run(main)


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\5\0\x14\3" + bytes(100), bytes(200), a1()])
def test_garbage_on_a_channel(garbage: bytes) -> None:
    async def main() -> None:
        async with proxying() as proxy, raw_client(proxy.port) as client:
            client.send(head("IN"))
            client.send(garbage)
            assert (await client.closed()).startswith(b"HTTP/1.0 503 RPC Error: 6ba\r\n")

    run(main)


def test_a_lost_channel_ends_the_session() -> None:
    async def main() -> None:
        async with proxying() as proxy:
            client = await proxy.client()
            await client.call(REVERSE, b"abc")
            client.abort("gone")
            await proxy.handler.all_ended.wait()
            assert len(proxy.proxy._connections) == 0

    run(main)


def test_a_client_that_does_not_read_is_cut_off() -> None:
    async def main() -> None:
        limits = TcpLimits(write_seconds=0.1)
        async with proxying(limits=limits) as proxy:
            client = await proxy.client()
            assert client._transport is not None
            client._transport.pause_reading()
            calls = asyncio.gather(client.call(GROW, (4 << 20).to_bytes(4, "little")), return_exceptions=True)
            (outcome,) = await calls
            assert isinstance(outcome, ConnectionError)
            await proxy.handler.all_ended.wait()

    run(main)


def test_the_server_stops_with_a_call_under_way() -> None:
    async def main() -> None:
        async with proxying(limits=TcpLimits(stop_seconds=0.2)) as proxy:
            client = await proxy.client()
            call = asyncio.gather(client.call(WAIT, b""), return_exceptions=True)
            await proxy.handler.waiting.wait()
            proxy.handler.gate.set()
            await asyncio.gather(proxy.http.stop(), proxy.server.stop())
            assert (await call)[0] == b"waited"

    run(main)


def test_a_port_offers_the_interfaces_that_it_is_for() -> None:
    assert SomeInterfaces(EchoHandler(), ["other", "unknown"]).interfaces() == [OTHER]
    assert SomeInterfaces(EchoHandler(), ["echo"]).interfaces() == [ECHO]

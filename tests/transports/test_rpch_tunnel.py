"""Time on a virtual connection, and what a channel's request says of it."""

from __future__ import annotations

import uuid

import pytest

from openchange_py.rpc.rpch_server import RpchSettings
from openchange_py.wire.rpch import RtsPdu, rts
from tests.rpc.rpch_parties import rpc_pdu
from tests.transports.http_parties import RawClient, raw_client
from tests.transports.rpch_parties import Proxy, open_half, proxying
from tests.transports.serving import run


async def rts_pdu(client: RawClient) -> RtsPdu:
    """The next PDU of an OUT channel."""
    start = await client.reader.readexactly(10)
    return RtsPdu.unpack(start + await client.reader.readexactly(int.from_bytes(start[8:10], "little") - 10))


async def established(proxy: Proxy, out: RawClient, into: RawClient, *fields: str) -> tuple[RtsPdu, RtsPdu]:
    """Both channels of a virtual connection; CONN/A3 and CONN/C2."""
    await open_half(out, "OUT", uuid.UUID(int=1), *fields)
    await open_half(into, "IN")
    assert (await out.answer(head=True))[0] == 200
    return await rts_pdu(out), await rts_pdu(out)


def test_a_silent_client_is_pinged_and_at_last_cut_off() -> None:
    async def main() -> None:
        async with (
            proxying(settings=RpchSettings(timeout=40)) as proxy,
            raw_client(proxy.port) as out,
            raw_client(proxy.port) as into,
        ):
            await established(proxy, out, into)
            assert (await rts_pdu(out)).is_a("Ping")
            rest = await out.closed()
            assert rest.replace(rts("Ping").pack(), b"") == b""
            assert await into.closed() == b""
            assert len(proxy.proxy._connections) == 0

    run(main)


@pytest.mark.parametrize(
    ("field", "timeout"),
    [
        ("Pragma: MinConnTimeout=120", 120_000),
        ("Pragma: MinConnTimeout=14400", 14_400_000),
        ("Pragma: MinConnTimeout=119", 180_000),
        ("Pragma: MinConnTimeout=99999999999999", 180_000),
        ("Pragma: MinConnTimeout=x", 180_000),
        ("Pragma: No-cache", 180_000),
    ],
)
def test_the_client_may_ask_for_a_time_out(field: str, timeout: int) -> None:
    async def main() -> None:
        async with proxying() as proxy, raw_client(proxy.port) as out, raw_client(proxy.port) as into:
            a3, c2 = await established(proxy, out, into, field)
            assert a3 == rts("CONN/A3", timeout)
            assert c2.is_a("CONN/C2")

    run(main)


def test_a_protocol_error_ends_both_channels() -> None:
    async def main() -> None:
        async with proxying() as proxy, raw_client(proxy.port) as out, raw_client(proxy.port) as into:
            await established(proxy, out, into)
            into.send(rts("OUT_R2/B3").pack())
            assert await out.closed() == b""
            assert await into.closed() == b""

    run(main)


def test_no_dce_rpc_inside_of_the_tunnel_ends_it() -> None:
    """A request without a bind is answered with a fault, and the connection ends behind it."""

    async def main() -> None:
        async with proxying() as proxy, raw_client(proxy.port) as out, raw_client(proxy.port) as into:
            await established(proxy, out, into)
            into.send(rpc_pdu(1))
            said = await out.closed()
            assert said[2] == 3  # a fault
            assert len(proxy.proxy._connections) == 0

    run(main)


def test_a_second_client_is_not_disturbed() -> None:
    async def main() -> None:
        async with proxying() as proxy, raw_client(proxy.port) as out, raw_client(proxy.port) as into:
            good = await proxy.client()
            await established(proxy, out, into)
            into.send(b"\5\0\x14\3" + bytes(60))
            assert await out.closed() == b""
            assert await good.call(0, b"abc") == b"cba"
            await good.close()

    run(main)


def test_bytes_are_counted_once() -> None:
    async def main() -> None:
        async with proxying() as proxy:
            client = await proxy.client()
            before = proxy.metrics.bytes_received
            await client.call(0, bytes(1000))
            assert proxy.metrics.bytes_received - before == 1024
            await client.close()

    run(main)

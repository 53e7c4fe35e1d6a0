"""Flow control, and streams that come whole through recycled channels."""

from __future__ import annotations

import uuid

import pytest

from openchange_py.rpc.rpch import (
    SHORTEST_LIFETIME,
    SMALLEST_WINDOW,
    Channel,
    ChannelError,
    Direction,
    Phase,
    ReceiveWindow,
    SendWindow,
)
from openchange_py.rpc.rpch_client import ClientVirtualConnection
from openchange_py.rpc.rpch_server import RpchSettings, ServerVirtualConnection
from openchange_py.wire.rpch import SHAPES, FlowControlAck
from tests.rpc.rpch_parties import Network, rpc_pdu

COOKIE = uuid.UUID(int=1)
SHORT = RpchSettings(lifetime=SHORTEST_LIFETIME)


@pytest.mark.parametrize("seed", range(4))
def test_both_directions_come_whole_through_many_channels(seed: int) -> None:
    """2 MB each way through channels of 128 KiB: whatever order the network delivers in."""
    network = Network(seed, settings=SHORT, lifetime=SHORTEST_LIFETIME)
    network.run()
    assert network.client_side.established
    assert network.server_side.established
    sent = [rpc_pdu(number, 4000) for number in range(500)]
    for pdu in sent:
        network.act_as_client(network.client.send(pdu))
        network.act_as_server(network.connection.send(pdu))
    network.run()
    assert network.client_side.ended is network.server_side.ended is None
    assert network.server_side.pdus == sent
    assert network.client_side.pdus == sent
    assert network.client.queued == network.connection.queued == 0
    successors = len(network.opened) - 2
    assert successors >= 2 * (2_000_000 // SHORTEST_LIFETIME - 1)
    assert network.server_side.answers == sum(channel.direction is Direction.OUT for channel in network.opened)
    assert all(phase is Phase.STEADY for phase in network.connection.phases.values())


def test_nothing_is_sent_beyond_the_peers_window() -> None:
    network = Network(window=SMALLEST_WINDOW)
    network.run()
    network.client.pause_reading()
    for number in range(50):
        network.act_as_server(network.connection.send(rpc_pdu(number)))
    network.run()
    assert len(network.client_side.pdus) == 0
    assert network.connection.queued >= 50 * 1024 - SMALLEST_WINDOW
    network.act_as_client(network.client.resume_reading())
    network.run()
    assert network.client_side.pdus == [rpc_pdu(number) for number in range(50)]
    assert network.connection.queued == 0


def test_a_peer_that_ignores_our_window_is_cut_off() -> None:
    network = Network(settings=RpchSettings(window=SMALLEST_WINDOW))
    network.run()
    network.connection.pause_reading()
    assert network.client.sink is not None
    network.client.sink.send_window = SendWindow(64 << 10)  # it believes in more than it was told
    for number in range(20):
        network.act_as_client(network.client.send(rpc_pdu(number)))
    network.run()
    assert network.server_side.ended is not None
    assert "receive window" in network.server_side.ended
    assert network.server_side.pdus == []


def test_a_receive_window_is_acknowledged_when_half_of_it_is_free_again() -> None:
    window = ReceiveWindow(10_000)
    window.take(4000)
    assert not window.consume(4000)
    window.take(1000)
    assert window.consume(1000)
    assert window.acknowledgement(COOKIE) == FlowControlAck(5000, 10_000, COOKIE)
    window.take(10_000)
    with pytest.raises(ChannelError, match="has 0"):
        window.take(1)


@pytest.mark.parametrize("size", [0, 4, SMALLEST_WINDOW - 1, (256 << 10) + 1, 0xFFFFFFFF])
def test_windows_out_of_range_are_refused(size: int) -> None:
    with pytest.raises(ChannelError, match="window"):
        SendWindow(size)


@pytest.mark.parametrize(
    ("received", "available"),
    [(1001, 10_000), (1000, 10_001), (0, 999), (0xFFFFFFFF, 10_000), (500, 499)],
)
def test_impossible_acknowledgements(received: int, available: int) -> None:
    window = SendWindow(10_000)
    window.use(1000)
    with pytest.raises(ChannelError):
        window.acknowledge(FlowControlAck(received, available, COOKIE))


def test_an_acknowledgement_counts_what_is_under_way() -> None:
    window = SendWindow(10_000)
    window.use(4000)
    window.acknowledge(FlowControlAck(3000, 8000, COOKIE))
    assert window.available == 7000


def test_a_channel_takes_no_more_than_it_announced() -> None:
    channel = Channel(Direction.IN, length=10)
    channel.feed(bytes(10))
    with pytest.raises(ChannelError, match="Content-Length"):
        channel.feed(b"\0")


def test_pings_keep_a_channel_and_change_nothing() -> None:
    network = Network()
    network.run()
    network.act_as_client(network.client.ping())
    network.act_as_server(network.connection.ping())
    network.run()
    assert network.client_side.ended is network.server_side.ended is None


def test_a_lost_channel_ends_both_sides() -> None:
    network = Network()
    network.run()
    assert network.client.source is not None
    network.act_as_client(network.client.lost(network.client.source))
    assert network.client_side.ended is not None
    assert network.client.send(rpc_pdu(1)) == []


@pytest.mark.parametrize("role", [ClientVirtualConnection, ServerVirtualConnection])
def test_transitions_name_pdus_and_methods_that_there_are(role: type) -> None:
    methods = set()
    for row in role.transitions.values():  # type: ignore[attr-defined]
        for (_, name), method in row.items():
            assert name in SHAPES
            assert callable(getattr(role, method))
            methods.add(method)
    assert len(methods) >= 7

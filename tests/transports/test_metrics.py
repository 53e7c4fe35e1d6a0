"""What Prometheus is told."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from openchange_py.rpc.call import RpcFault
from openchange_py.rpc.metrics import CallStatistics, Family, Metrics
from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.metrics import MetricsServer, registry_of
from openchange_py.transports.tcp_client import ConnectionLost
from openchange_py.wire.epm import EPMAPPER
from tests.rpc.echo import FAULT, REVERSE
from tests.transports.serving import client, run, serving

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def url(metrics: Metrics) -> Iterator[str]:
    server = MetricsServer(registry_of(metrics))
    host, port = server.start("127.0.0.1", 0)
    yield f"http://{host}:{port}/metrics"
    server.stop()


def scrape(url: str) -> Samples:
    """What Prometheus' own parser reads."""
    with urllib.request.urlopen(url, timeout=10) as response:
        text = response.read().decode()
    families = text_string_to_metric_families(text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def test_calls_faults_bytes_and_authentications(metrics: Metrics, url: str) -> None:
    async def main() -> None:
        async with serving(metrics=metrics) as (_, _, port):
            one = await client(port, AuthLevel.PRIVACY)
            assert await one.call(REVERSE, b"ab" * 500) == b"ba" * 500
            with pytest.raises(RpcFault):
                await one.call(FAULT, (5).to_bytes(4, "little"))
            assert scrape(url)["ocpy_connections_open", (("transport", "ncacn_ip_tcp"),)] == 1
            await one.close()
            two = await client(port, AuthLevel.PRIVACY, password="wrong")
            with pytest.raises((ConnectionLost, RpcFault)):
                await two.call(REVERSE, b"ab")

    run(main)
    found = scrape(url)
    labels = (("interface", "echo"), ("method", "unknown"))
    assert found["ocpy_call_seconds_count", labels] == 2
    assert found["ocpy_call_seconds_bucket", (*labels[:1], ("le", "+Inf"), *labels[1:])] == 2
    assert 0 < found["ocpy_call_seconds_sum", labels] < 10
    assert found["ocpy_faults_total", (("status", "0x00000005"),)] >= 1
    assert found["ocpy_connections_total", (("transport", "ncacn_ip_tcp"),)] == 2
    assert found["ocpy_connections_open", (("transport", "ncacn_ip_tcp"),)] == 0
    assert found["ocpy_bytes_received_total", ()] > 1000
    assert found["ocpy_bytes_sent_total", ()] > 1000
    for outcome in ("success", "failure"):
        key = (("mechanism", "ntlmssp"), ("outcome", outcome))
        assert found["ocpy_authentications_total", key] == 1
    assert found["process_resident_memory_bytes", ()] > 1 << 20


def test_gauges_are_asked_when_they_are_shown(metrics: Metrics, url: str) -> None:
    sessions = iter([3.0, 4.0])
    metrics.gauges.append(("sessions", "Sessions now.", lambda: next(sessions)))
    metrics.call(EPMAPPER, 3, 0.002)
    first, second = scrape(url), scrape(url)
    assert (first["ocpy_sessions", ()], second["ocpy_sessions", ()]) == (3, 4)
    for bound, count in (("0.001", 0), ("0.0025", 1), ("+Inf", 1)):
        key = (("interface", "epmapper"), ("le", bound), ("method", "ept_map"))
        assert first["ocpy_call_seconds_bucket", key] == count


def test_nothing_listens_after_the_end(metrics: Metrics) -> None:
    server = MetricsServer(registry_of(metrics))
    host, port = server.start("127.0.0.1", 0)
    server.stop()
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=5)
    again = MetricsServer(registry_of(metrics))
    assert again.start("127.0.0.1", port)[1] == port
    again.stop()


def test_what_modules_count(metrics: Metrics, url: str) -> None:
    took = CallStatistics()
    took.add(0.002)
    metrics.families.append(
        lambda: [
            Family("mine", "Mine.", ("kind",), {("a",): 3, ("b",): 4}),
            Family("mine_seconds", "Mine.", ("kind",), {("a",): took}),
            Family("none", "None yet.", ("kind",), {}),
        ]
    )
    found = scrape(url)
    assert found["ocpy_mine_total", (("kind", "b"),)] == 4
    assert found["ocpy_mine_seconds_bucket", (("kind", "a"), ("le", "0.0025"))] == 1
    assert found["ocpy_mine_seconds_sum", (("kind", "a"),)] == 0.002

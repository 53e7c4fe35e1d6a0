"""Prometheus metrics over HTTP: `GET /metrics`, in a thread of its own, so that nobody's call waits for it.

There is no authentication: who reaches the port reads how busy the server is, which is why it listens on loopback
unless told otherwise. No account, mailbox or address is in what it shows, unless a module (`stats`) shows accounts.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Iterator
from typing import Final
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from openchange_py.rpc.metrics import BOUNDS, OTHER_STATUS, CallStatistics, Family, Metrics

_log: Final = logging.getLogger(__name__)


class MetricsCollector(Collector):
    """Makes metric families of `Metrics` when they are asked for."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """All families. The counters may change meanwhile: what is iterated over is copied first."""
        metrics = self._metrics
        yield _counter("connections", "Connections accepted.", ["transport"], metrics.connections)
        yield _gauge("connections_open", "Connections open now.", ["transport"], metrics.open_connections)
        yield _counter("connections_refused", "Connections closed at once.", ["reason"], metrics.refused)
        yield CounterMetricFamily("ocpy_bytes_received", "Bytes from clients.", metrics.bytes_received)
        yield CounterMetricFamily("ocpy_bytes_sent", "Bytes to clients.", metrics.bytes_sent)
        labels = ["mechanism", "outcome"]
        yield _counter("authentications", "Authentications by outcome.", labels, metrics.authentications)
        statuses = {str(status): count for status, count in list(metrics.http.items())}
        yield _counter("http_requests", "HTTP requests by status; 0: not answered.", ["status"], statuses)
        yield _durations(metrics)
        faults = {_status(status): count for status, count in list(metrics.faults.items())}
        yield _counter("faults", "Calls answered with a fault.", ["status"], faults)
        yield _counter("upstream_connections", "Connections to the server relayed to.", ["outcome"], metrics.upstream)
        for name, about, value in metrics.gauges:
            yield GaugeMetricFamily(f"ocpy_{name}", about, value())
        for families in list(metrics.families):
            yield from map(_family, families())


def registry_of(metrics: Metrics) -> CollectorRegistry:
    """The metrics of one process, and what Python knows of its memory, processor time and files."""
    registry = CollectorRegistry()
    registry.register(MetricsCollector(metrics))
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class MetricsServer:
    """Serves what a registry collects: one process' metrics, or those of all workers."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._server: WSGIServer | None = None
        self._thread: threading.Thread | None = None

    def start(self, address: str, port: int) -> tuple[str, int]:
        """Listen; the bound address and port. Raises `OSError`."""
        self._server, self._thread = start_http_server(port, address, self._registry)
        host, bound = self._server.server_address[:2]
        _log.info("metrics on http://%s:%s/metrics", host, bound)
        return str(host), int(bound)

    def stop(self) -> None:
        """Listen no more."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None


def _counter(name: str, about: str, labels: list[str], counts: dict[str, int] | dict[tuple[str, str], int]) -> Metric:
    family = CounterMetricFamily(f"ocpy_{name}", about, labels=labels)
    for key, count in list(counts.items()):
        family.add_metric([key] if isinstance(key, str) else key, count)
    return family


def _gauge(name: str, about: str, labels: list[str], counts: dict[str, int]) -> Metric:
    family = GaugeMetricFamily(f"ocpy_{name}", about, labels=labels)
    for key, count in list(counts.items()):
        family.add_metric([key], count)
    return family


def _durations(metrics: Metrics) -> Metric:
    about = "Calls by how long their answer took, from the last byte of the request on."
    family = HistogramMetricFamily("ocpy_call_seconds", about, labels=["interface", "method"])
    for (interface, method), statistics in list(metrics.calls.items()):
        family.add_metric([interface, method], _buckets(statistics), statistics.seconds)
    return family


def _family(family: Family) -> Metric:
    counter = CounterMetricFamily(f"ocpy_{family.name}", family.about, labels=family.labels)
    histogram = HistogramMetricFamily(f"ocpy_{family.name}", family.about, labels=family.labels)
    for labels, value in list(family.values.items()):
        if isinstance(value, CallStatistics):
            histogram.add_metric(labels, _buckets(value), value.seconds)
        else:
            counter.add_metric(labels, value)
    return histogram if histogram.samples else counter


def _buckets(statistics: CallStatistics) -> list[tuple[str, float]]:
    bounds = [*(str(bound) for bound in BOUNDS), "+Inf"]
    return list(zip(bounds, itertools.accumulate(list(statistics.buckets)), strict=True))


def _status(status: int) -> str:
    return "other" if status == OTHER_STATUS else f"0x{status:08x}"

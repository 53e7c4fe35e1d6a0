"""The counters of a process."""

from __future__ import annotations

from openchange_py.rpc.metrics import BOUNDS, OTHER_STATUS, UNKNOWN_METHOD, Metrics
from openchange_py.wire.epm import EPMAPPER
from tests.rpc.echo import ECHO


def test_calls_fall_into_the_bucket_of_their_time() -> None:
    metrics = Metrics()
    for seconds in (0.0005, 0.001, 0.0011, 59.0, 3600.0):
        metrics.call(EPMAPPER, 3, seconds)
    statistics = metrics.calls["epmapper", "ept_map"]
    assert statistics.count == 5
    assert statistics.seconds == sum((0.0005, 0.001, 0.0011, 59.0, 3600.0))
    assert (statistics.buckets[0], statistics.buckets[1]) == (2, 1), "a bound is its bucket's last value"
    assert statistics.buckets[len(BOUNDS) - 1 :] == [1, 1]


def test_opnums_that_clients_make_up_are_one_method() -> None:
    metrics = Metrics()
    for opnum in range(60000, 60500):
        metrics.call(ECHO, opnum, 0.1)
    assert set(metrics.calls) == {("echo", UNKNOWN_METHOD)}
    assert metrics.calls["echo", UNKNOWN_METHOD].count == 500


def test_statuses_that_a_relayed_server_makes_up_are_one_in_the_end() -> None:
    metrics = Metrics()
    for status in range(1000):
        metrics.fault(status)
    metrics.fault(0)
    assert len(metrics.faults) == 201
    assert metrics.faults[OTHER_STATUS] == 800
    assert metrics.faults[0] == 2

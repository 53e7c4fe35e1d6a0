"""What is counted while a server runs: plain numbers, which cost next to nothing. `transports/metrics.py` shows them.

Written by the event loop's thread alone; read by any. Labels come from a bounded set, whatever clients send.
"""

from __future__ import annotations

import bisect
import collections
import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from openchange_py.wire.ndr import RpcInterface

#: Upper bounds of the latency histogram's buckets, in seconds; there is one more behind the last.
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
#: What calls of undeclared opnums are counted under.
UNKNOWN_METHOD: Final = "unknown"
#: A relayed server may answer with any status: more different ones than this are one.
_MAXIMUM_STATUSES: Final = 200
OTHER_STATUS: Final = -1


class CallStatistics:
    """Calls of one method: how many ended in which latency bucket, and how long all took together."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """One more call."""
        self.buckets[bisect.bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    @property
    def count(self) -> int:
        """All calls."""
        return sum(self.buckets)


@dataclasses.dataclass(frozen=True, slots=True)
class Family:
    """Numbers of one kind by their labels' values: counts, which only grow, or `CallStatistics` of seconds."""

    name: str
    about: str
    labels: tuple[str, ...]
    values: Mapping[tuple[str, ...], float | CallStatistics]


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        #: By transport (`ncacn_ip_tcp`, `ncacn_np`): connections accepted, and open now.
        self.connections: collections.Counter[str] = collections.Counter()
        self.open_connections: collections.Counter[str] = collections.Counter()
        #: Connections closed at once, by reason.
        self.refused: collections.Counter[str] = collections.Counter()
        self.bytes_received = 0
        self.bytes_sent = 0
        #: By mechanism and outcome (`success`, `failure`).
        self.authentications: collections.Counter[tuple[str, str]] = collections.Counter()
        #: HTTP requests by the status that answered them; 0: the client went away before.
        self.http: collections.Counter[int] = collections.Counter()
        #: By interface and method.
        self.calls: dict[tuple[str, str], CallStatistics] = {}
        #: Faults answered, by status.
        self.faults: collections.Counter[int] = collections.Counter()
        #: Relay connections, by outcome (`opened`, `failed`).
        self.upstream: collections.Counter[str] = collections.Counter()
        #: Further numbers that are asked for when they are shown: name, help, and where from.
        self.gauges: list[tuple[str, str, Callable[[], float]]] = []
        #: What modules count, asked for likewise, in another thread than theirs.
        self.families: list[Callable[[], Iterable[Family]]] = []
        self._by_opnum: dict[tuple[str, int], CallStatistics] = {}

    def call(self, interface: RpcInterface, opnum: int, seconds: float) -> None:
        """A call was answered, `seconds` after it was whole."""
        statistics = self._by_opnum.get((interface.name, opnum))
        if statistics is None:
            statistics = self._statistics(interface, opnum)
        statistics.add(seconds)

    def fault(self, status: int) -> None:
        """A call was answered with a fault."""
        known = status in self.faults or len(self.faults) < _MAXIMUM_STATUSES
        self.faults[status if known else OTHER_STATUS] += 1

    def _statistics(self, interface: RpcInterface, opnum: int) -> CallStatistics:
        declared = opnum in interface.methods
        name = interface.method_name(opnum) if declared else UNKNOWN_METHOD
        statistics = self.calls.setdefault((interface.name, name), CallStatistics())
        if declared:
            self._by_opnum[interface.name, opnum] = statistics
        return statistics

"""Counts what passes: calls by interface and outcome, ROPs by ReturnValue, users; bytes both ways, and times.

Shown as Prometheus metrics beside the server's own (`ocpy:metrics port`), by `ocpy stats`, and as lines of the log.
What it counts is what its place in the stack sees: outside of a cache the clients' calls, inside what is left of them.

| metric | labels |
|---|---|
| `ocpy_stats_call_seconds` (histogram) | `interface`, `call`, `outcome`: by a `server`, by a `module`, or a `fault` |
| `ocpy_stats_call_bytes_total` | `interface`, `call`, `direction` |
| `ocpy_stats_rops_total` | `rop`, `outcome`: the ReturnValue's name; `-` for RopRelease and what was not answered |
| `ocpy_stats_rop_seconds` (histogram), `ocpy_stats_rop_bytes_total` | `rop` (and `direction`) |
| `ocpy_stats_user_calls_total`, `..._user_seconds_total`, `..._user_bytes_total` | `user` (`outcome`, `direction`) |
| `ocpy_stats_undecoded_total` | |

A call's time is shared equally among its ROPs other than RopRelease, as nobody outside of the server knows better.
Labels are bounded: users beyond `mpm_stats:users` are `other` together, and so are ReturnValues that no document names.
"""

from __future__ import annotations

import collections
import logging
import time
from collections.abc import Iterator
from typing import Final

from openchange_py.config.options import Option, boolean, integer, seconds
from openchange_py.config.settings import Settings
from openchange_py.proxy.dissection import RopReader
from openchange_py.proxy.hooks import ANY, Module, Result
from openchange_py.rpc.call import Call, RpcFault
from openchange_py.rpc.metrics import UNKNOWN_METHOD, CallStatistics, Family
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.rop.base import RopRequest, RopResponse, RopUnsolicited
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.dissect import rop_name
from openchange_py.wire.rop.ids import RopId

logger = logging.getLogger(__name__)

ROPS = Option("mpm_stats:rops", boolean, True, "whether ROPs are counted, for which all of them have to be decoded")
USERS = Option("mpm_stats:users", integer(0, 100_000), 100, "users that are counted by name; the others are one")
INTERVAL = Option("mpm_stats:interval", seconds, 0.0, "how often the log has a summary; 0: at the end alone")

SERVER, MODULE, FAULT = "server", "module", "fault"
IN, OUT = "in", "out"
OTHER: Final = "other"
NO_RETURN_VALUE: Final = "-"

_ERRORS: Final = {int(member): member.name for member in ErrorCode}
_KNOWN_ROPS: Final = frozenset(int(member) for member in RopId)

Labels = tuple[str, ...]


class Table:
    """Counters of one kind of thing."""

    def __init__(self) -> None:
        self.times: dict[Labels, CallStatistics] = {}
        self.bytes: collections.Counter[Labels] = collections.Counter()
        self.counts: collections.Counter[Labels] = collections.Counter()

    def took(self, labels: Labels, seconds: float) -> None:
        """One more, and how long it took."""
        statistics = self.times.get(labels)
        if statistics is None:
            statistics = self.times[labels] = CallStatistics()
        statistics.add(seconds)


class StatsModule(Module):
    """Counters, in memory; they begin with the server."""

    name = "stats"
    description = "counts calls, ROPs and users: bytes, times and outcomes"
    endpoint = ANY
    options = (ROPS, USERS, INTERVAL)

    def __init__(self) -> None:
        self.calls, self.rops, self.users = Table(), Table(), Table()
        self.undecoded = 0

    def init(self, settings: Settings) -> None:
        """Shows its counters where the server shows its own."""
        self._reader = RopReader() if settings[ROPS] else None
        self._most_users, self._interval = settings[USERS], settings[INTERVAL]
        self._names: dict[str, str] = {}
        self._since = self._told = time.monotonic()
        self.metrics.families.append(self.families)

    def close(self) -> None:
        """The last summary."""
        self._summarize()

    def ndr_pull(self, call: Call) -> Result:
        """The clock starts here."""
        call.notes[self] = (time.perf_counter(), len(call.stub))
        return None if self._reader is None else self._read_requests(self._reader, call)

    def ndr_push(self, call: Call) -> None:
        """And stops here."""
        spent = self._count(call, MODULE if call.norelay else SERVER, len(call.reply_bytes()))
        if self._reader is not None:
            self._count_rops(self._reader, call, spent)

    def fault(self, call: Call, fault: RpcFault) -> None:
        """Or here."""
        self._count(call, FAULT, 0)

    async def _read_requests(self, reader: RopReader, call: Call) -> None:
        try:
            await reader.requests(call)
        except (DecodeError, RpcFault):
            self.undecoded += 1

    def _count(self, call: Call, outcome: str, size: int) -> float:
        start, asked = call.notes.get(self) or (time.perf_counter(), len(call.stub))
        spent = time.perf_counter() - start
        interface, user = call.interface.name, self._user(call.caller.account)
        name = call.name if call.opnum in call.interface.methods else UNKNOWN_METHOD
        self.calls.took((interface, name, outcome), spent)
        self.calls.bytes[interface, name, IN] += asked
        self.calls.bytes[interface, name, OUT] += size
        self.users.took((user,), spent)
        self.users.counts[user, outcome] += 1
        self.users.bytes[user, IN] += asked
        self.users.bytes[user, OUT] += size
        if self._interval and time.monotonic() - self._told >= self._interval:
            self._summarize()
        return spent

    def _user(self, account: str) -> str:
        name = self._names.get(account)
        if name is None:
            if len(self._names) >= self._most_users:
                return OTHER
            name = self._names[account] = account.casefold() or "anonymous"
        return name

    def _count_rops(self, reader: RopReader, call: Call, spent: float) -> None:
        requests: list[RopBuffer] = call.notes.get(reader) or []
        responses: list[RopBuffer] = []
        try:
            responses = reader.responses(call)
        except (DecodeError, RpcFault):
            self.undecoded += 1
        self.undecoded += sum(bool(buffer.tail) for buffer in (*requests, *responses))
        timed = sum(rop.rop_id != RopId.Release for buffer in requests for rop in buffer.rops)
        for buffer in requests:
            for rop, size in zip(buffer.rops, buffer.sizes, strict=True):
                name = _name(rop.rop_id)
                self.rops.bytes[name, IN] += size
                if rop.rop_id != RopId.Release:
                    self.rops.took((name,), spent / timed)
        self._count_outcomes(requests, responses)

    def _count_outcomes(self, requests: list[RopBuffer], responses: list[RopBuffer]) -> None:
        answered: set[int] = set()
        for buffer in responses:
            for rop, request, size in zip(buffer.rops, buffer.answers, buffer.sizes, strict=True):
                if isinstance(rop, RopUnsolicited):
                    self.rops.counts[_name(rop.rop_id), NO_RETURN_VALUE] += 1
                    self.rops.bytes[_name(rop.rop_id), OUT] += size
                    continue
                name = _name(rop.rop_id if request is None else request.rop_id)
                self.rops.bytes[name, OUT] += size
                if id(request) not in answered and isinstance(rop, RopResponse):
                    self.rops.counts[name, _ERRORS.get(rop.return_value, OTHER)] += 1
                answered.add(id(request))
        for buffer in requests:
            for asked in buffer.rops:
                if id(asked) not in answered and isinstance(asked, RopRequest):
                    self.rops.counts[_name(asked.rop_id), NO_RETURN_VALUE] += 1

    def families(self) -> Iterator[Family]:
        """What Prometheus is shown. Called in a thread of its own."""
        calls, rops, users = self.calls, self.rops, self.users
        call, rop, user = ("interface", "call"), ("rop",), ("user",)
        yield Family("stats_call_seconds", "Calls, by how long they took.", (*call, "outcome"), calls.times)
        yield Family("stats_call_bytes", "Bytes of calls' stubs.", (*call, "direction"), calls.bytes)
        if self._reader is not None:
            yield Family("stats_rops", "ROPs by their ReturnValue.", (*rop, "outcome"), rops.counts)
            yield Family("stats_rop_seconds", "ROPs, by their share of their calls' time.", rop, rops.times)
            yield Family("stats_rop_bytes", "Bytes of ROPs.", (*rop, "direction"), rops.bytes)
            yield Family("stats_undecoded", "ROP buffers that were not decoded to their end.", (), {(): self.undecoded})
        yield Family("stats_user_calls", "Calls of a user.", (*user, "outcome"), users.counts)
        spent = {labels: statistics.seconds for labels, statistics in list(users.times.items())}
        yield Family("stats_user_seconds", "How long a user's calls took together.", user, spent)
        yield Family("stats_user_bytes", "Bytes of a user's calls.", (*user, "direction"), users.bytes)

    def _summarize(self) -> None:
        """The log's lines: all calls so far, and what took most of the time."""
        now = time.monotonic()
        self._told = now
        outcomes: collections.Counter[str] = collections.Counter()
        for (_, _, outcome), statistics in self.calls.times.items():
            outcomes[outcome] += statistics.count
        logger.info(
            "%d calls in %.0f s: %d answered by servers, %d by modules, %d faults; %d bytes in, %d out",
            outcomes.total(),
            now - self._since,
            *(outcomes[outcome] for outcome in (SERVER, MODULE, FAULT)),
            *(sum(count for key, count in self.calls.bytes.items() if key[-1] == way) for way in (IN, OUT)),
        )
        for what, table in (("call", self.calls), ("ROP", self.rops), ("user", self.users)):
            longest = sorted(table.times.items(), key=lambda item: -item[1].seconds)[:5]
            shown = [f"{' '.join(labels)} {s.seconds:.3f} s ({s.count})" for labels, s in longest]
            if shown:
                logger.info("most time by %s: %s", what, ", ".join(shown))


def _name(rop_id: int) -> str:
    return rop_name(rop_id) if rop_id in _KNOWN_ROPS else OTHER

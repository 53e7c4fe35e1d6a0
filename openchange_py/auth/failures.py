"""The brake on guessing: failed logons per account and address, and accounts that fail per address.

One account's guesses are slowed down where they come from; so are those of who tries one password on many accounts. It
is told by all mechanisms that check passwords, NTLM bare, in SPNEGO and passed through; a Kerberos ticket is no guess.
"""

from __future__ import annotations

import collections
import dataclasses
import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from openchange_py.rpc.peers import network_of

_Pair = bytes
#: Kind, key, count, when.
Remembered = tuple[str, str, int, float]
_Key = TypeVar("_Key", bytes, str)


@dataclasses.dataclass(frozen=True, slots=True)
class Patience:
    """How many failures are borne, and for how long who fails more has to wait. Times in seconds."""

    #: Failures of one account from one address before the next try has to wait.
    tolerated: int = 5
    #: Accounts that failed from one address, and did not succeed since, before all new ones from there have to wait;
    #: 0: as many as there are.
    tolerated_accounts: int = 20
    #: The first wait; each further failure doubles it.
    pause: float = 1.0
    longest_pause: float = 300.0
    #: All is forgotten after so long without failure.
    memory: float = 900.0

    def wait(self, count: int, tolerated: int) -> float:
        """Seconds to wait after so many failures."""
        excess = count - tolerated
        # The exponent is bounded: a count that grew for days must not overflow.
        return 0.0 if excess < 0 else min(self.longest_pause, self.pause * 2.0 ** min(excess, 32))


@dataclasses.dataclass(frozen=True, slots=True)
class Heard:
    """A failed or successful logon, without the account's name."""

    pair: bytes
    network: str
    failed: bool


@dataclasses.dataclass(slots=True)
class _Failures:
    count: int
    last: float


class FailureTracker:
    """Counts failed logons, and keeps guessing slow.

    An account's failures from one address make others from elsewhere wait for nothing, so nobody can lock a user out.
    Where too many accounts fail from one address, those wait that have not logged on from there before: the other
    users of a shared address work on. At most `capacity` of each kind are kept, the least recent is forgotten first.
    Safe from several threads. `clock` is in seconds, monotonic.
    """

    def __init__(
        self, patience: Patience | None = None, *, capacity: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        #: Told of failures here, and of successes that change something, in whatever thread: other processes' trackers
        #: `hear` of them.
        self.told: Callable[[Heard], None] | None = None
        #: May be set to other values at any time.
        self.patience = patience or Patience()
        self._capacity = capacity
        self._clock = clock
        self._guard = threading.Lock()
        self._failures: collections.OrderedDict[_Pair, _Failures] = collections.OrderedDict()
        #: By address; counted are accounts.
        self._addresses: collections.OrderedDict[str, _Failures] = collections.OrderedDict()
        #: Who logged on, and from where.
        self._known: collections.OrderedDict[_Pair, None] = collections.OrderedDict()

    def __len__(self) -> int:
        return len(self._failures)

    def wait(self, account: str, address: str) -> float:
        """Seconds until this account may try again from there; 0 where it may now."""
        pair, network = _pair(account, address), network_of(address)
        with self._guard:
            own = self._wait(self._failures.get(pair), self.patience.tolerated)
            if pair in self._known or not self.patience.tolerated_accounts:
                return own
            return max(own, self._wait(self._addresses.get(network), self.patience.tolerated_accounts))

    def failed(self, account: str, address: str) -> float:
        """Count a failure; returns the seconds to wait now."""
        self._happened(Heard(_pair(account, address), network_of(address), failed=True))
        return self.wait(account, address)

    def succeeded(self, account: str, address: str) -> None:
        """Forget the account's failures from there."""
        self._happened(Heard(_pair(account, address), network_of(address), failed=False))

    def _happened(self, what: Heard) -> None:
        news = what.failed or what.pair in self._failures or what.pair not in self._known
        self.hear(what)
        if news and self.told is not None:
            self.told(what)

    def hear(self, what: Heard) -> None:
        """Count what happened here, or in another process."""
        (self._failed if what.failed else self._succeeded)(what.pair, what.network)

    def _failed(self, pair: _Pair, network: str) -> None:
        with self._guard:
            first = not self._remembered(self._failures.get(pair))
            self._count(self._failures, pair, 1)
            self._count(self._addresses, network, 1 if first else 0)

    def _succeeded(self, pair: _Pair, network: str) -> None:
        with self._guard:
            self._known[pair] = None
            self._known.move_to_end(pair)
            while len(self._known) > self._capacity:
                self._known.popitem(last=False)
            there = self._addresses.get(network)
            # Who succeeds in the end only mistyped: he is none of those that fail.
            if self._failures.pop(pair, None) is not None and there is not None:
                there.count -= 1
                if there.count <= 0:
                    del self._addresses[network]

    def export(self) -> Iterator[Remembered]:
        """All that is remembered, for a process that begins."""
        with self._guard:
            for pair, failures in self._failures.items():
                yield "pair", pair.hex(), failures.count, failures.last
            for network, failures in self._addresses.items():
                yield "network", network, failures.count, failures.last
            for pair in self._known:
                yield "known", pair.hex(), 0, 0.0

    def take(self, remembered: Iterable[Remembered]) -> None:
        """What another process remembers. Its clock is the same: they are on one machine."""
        with self._guard:
            for kind, key, count, last in remembered:
                if kind == "pair":
                    self._failures.setdefault(bytes.fromhex(key), _Failures(count, last))
                elif kind == "network":
                    self._addresses.setdefault(key, _Failures(count, last))
                else:
                    self._known.setdefault(bytes.fromhex(key))
            for kept in (self._failures, self._addresses, self._known):
                while len(kept) > self._capacity:
                    kept.popitem(last=False)

    def _count(self, counted: collections.OrderedDict[_Key, _Failures], key: _Key, more: int) -> None:
        before, now = counted.pop(key, None), self._clock()
        count = before.count if before is not None and self._remembered(before) else 0
        counted[key] = _Failures(max(1, count + more), now)
        while len(counted) > self._capacity:
            counted.popitem(last=False)

    def _remembered(self, failures: _Failures | None) -> bool:
        return failures is not None and self._clock() - failures.last <= self.patience.memory

    def _wait(self, failures: _Failures | None, tolerated: int) -> float:
        if failures is None or not self._remembered(failures):
            return 0.0
        return max(0.0, failures.last + self.patience.wait(failures.count, tolerated) - self._clock())


def _pair(account: str, address: str) -> _Pair:
    """A short key whatever the length of the names."""
    text = f"{account.casefold()}\0{network_of(address)}"
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()

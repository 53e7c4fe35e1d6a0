"""Who is let in: limits at all and per address, and strangers who give way."""

from __future__ import annotations

import asyncio
import dataclasses

from openchange_py.rpc.metrics import Metrics
from openchange_py.transports.admission import Admission


@dataclasses.dataclass(eq=False)
class Party:
    address: str
    is_strangers: bool = True
    aborted: bool = False

    def abort(self) -> None:
        self.aborted = True
        self.is_strangers = False


@dataclasses.dataclass
class Limits:
    connections: int = 2
    connections_per_address: int = 0


def test_the_oldest_stranger_gives_way() -> None:
    admission: Admission[Party] = Admission(metrics := Metrics(), "test")
    known, stranger, new, last = Party("a", False), Party("b"), Party("c", False), Party("d")
    assert all(admission.admit(party, Limits()) for party in (known, stranger, new))
    assert (known.aborted, stranger.aborted, new.aborted) == (False, True, False)
    admission.release(stranger)
    assert not admission.admit(last, Limits())
    assert list(admission) == [known, new]
    assert (metrics.connections["test"], metrics.open_connections["test"]) == (3, 2)
    assert metrics.refused == {"connections": 2}


def test_each_address_has_its_share() -> None:
    admission: Admission[Party] = Admission(Metrics(), "test")
    limits = Limits(10, 1)
    first = Party("a")
    assert admission.admit(first, limits)
    assert not admission.admit(Party("a"), limits)
    assert admission.admit(Party("b"), limits)
    admission.release(first)
    assert admission.admit(Party("a"), limits)


def test_nobody_is_let_in_at_the_end_which_can_be_waited_for() -> None:
    async def main() -> None:
        admission: Admission[Party] = Admission(Metrics(), "test")
        party = Party("a")
        admission.admit(party, Limits())
        admission.stopping = True
        assert not admission.admit(Party("b"), Limits())
        asyncio.get_running_loop().call_soon(admission.release, party)
        await admission.all_gone()
        assert len(admission) == 0

    asyncio.run(main())

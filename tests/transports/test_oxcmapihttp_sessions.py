"""Session Contexts: whose they are, and which give way."""

from __future__ import annotations

import asyncio

import pytest

from openchange_py.rpc.call import Session
from openchange_py.rpc.security import Authority, Identity
from openchange_py.rpc.share import Share
from openchange_py.transports.oxcmapihttp_sessions import MapiSessions, SessionLimits, TooManySessions, owner_of

ALICE, BOB = Identity("alice", "EXAMPLE"), Identity("bob", "EXAMPLE")


class Ended:
    def __init__(self) -> None:
        self.sessions: list[Session] = []

    async def __call__(self, session: Session) -> None:
        self.sessions.append(session)


def test_owners() -> None:
    assert owner_of(Identity("Alice", "example")) == owner_of(ALICE)
    assert owner_of(Identity("alice", "EXAMPLE", authority=Authority.UPSTREAM)) != owner_of(ALICE)


def test_the_one_that_was_used_longest_ago_gives_way_and_never_a_busy_one() -> None:
    async def main() -> None:
        ended = Ended()
        sessions = MapiSessions(SessionLimits(per_account=2), ended, "mapihttp")
        first, second = sessions.open(ALICE, "peer"), sessions.open(ALICE, "peer")
        other = sessions.open(BOB, "peer")
        sessions.touch(first)
        third = sessions.open(ALICE, "peer")
        await asyncio.sleep(0)
        assert ended.sessions == [second.session]
        assert sessions.find(second.cookie) is None
        assert sessions.find(other.cookie) is other
        first.busy = third.busy = 1
        with pytest.raises(TooManySessions):
            sessions.open(ALICE, "peer")
        await sessions.close_all()
        assert len(sessions) == 0
        assert len(ended.sessions) == 4

    asyncio.run(main())


def test_all_sessions_are_limited_too() -> None:
    async def main() -> None:
        sessions = MapiSessions(SessionLimits(sessions=1), Ended(), "mapihttp")
        first = sessions.open(ALICE, "peer")
        sessions.open(BOB, "peer")
        assert first.ended
        await sessions.close_all()

    asyncio.run(main())


def test_a_long_answer_is_not_kept() -> None:
    async def main() -> None:
        sessions = MapiSessions(SessionLimits(), Ended(), "mapihttp")
        session = sessions.open(ALICE, "peer")
        session.answered("id", bytes(100_000))
        assert (session.last_request, session.last_answer) == ("id", None)
        session.answered("id", b"short")
        assert session.last_answer == b"short"
        before = session.sequence
        session.accepted()
        assert (session.previous, session.last_answer) == (before, None)
        assert session.sequence != before
        assert sessions.close(session) is not None
        assert sessions.close(session) is None
        await sessions.close_all()

    asyncio.run(main())


def test_cookies_tell_which_process_has_the_session() -> None:
    async def main() -> None:
        both = [MapiSessions(SessionLimits(), Ended(), "mapihttp", Share(number, 2)) for number in range(2)]
        for number, sessions in enumerate(both):
            cookie = sessions.open(ALICE, "peer").cookie
            assert both[number].elsewhere(cookie) is None
            assert both[1 - number].elsewhere(cookie) == number
        for nobodys in ("", "-", "abc", "7-abc", "-1-abc", "0000000000-abc"):
            assert both[0].elsewhere(nobodys) is None
        await asyncio.gather(*(sessions.close_all() for sessions in both))

    asyncio.run(main())

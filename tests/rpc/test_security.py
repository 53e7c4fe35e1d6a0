"""Identities, as they are logged and compared."""

from __future__ import annotations

from openchange_py.rpc.security import ANONYMOUS, AuthLevel, Identity


def test_identities_name_themselves_for_the_log() -> None:
    assert str(Identity("alice", "EXAMPLE")) == "EXAMPLE\\alice"
    assert str(Identity("alice")) == "alice"
    assert str(ANONYMOUS) == "anonymous"


def test_nobody_is_anonymous_by_having_a_domain() -> None:
    assert ANONYMOUS.is_anonymous
    assert Identity("", "EXAMPLE").is_anonymous
    assert not Identity("alice").is_anonymous
    assert ANONYMOUS.level == AuthLevel.NONE


def test_levels_are_ordered_by_protection() -> None:
    levels = [AuthLevel.NONE, AuthLevel.CONNECT, AuthLevel.INTEGRITY, AuthLevel.PRIVACY]
    assert levels == sorted(levels)

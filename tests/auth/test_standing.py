"""An account that was disabled or removed goes on for a bounded time."""

from __future__ import annotations

import dataclasses

import pytest

from openchange_py.addressbook.base import Account, DirectoryError
from openchange_py.auth.standing import Standing
from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.rpc.security import ANONYMOUS, AuthLevel, Authority, Identity
from tests.auth.clock import Clock

ALICE = Identity("alice", "EXAMPLE", AuthLevel.PRIVACY)


class Directories:
    """alice's account, with her password in the directory or in the other one; counts questions."""

    def __init__(self) -> None:
        self.alice: Account | None = Account("alice", "EXAMPLE", bytes(16))
        self.disabled_there = self.broken = False
        self.asked = 0

    def account(self, name: str) -> Account | None:
        self.asked += 1
        if self.broken:
            raise DirectoryError("gone")
        return self.alice

    def complete(self, account: Account) -> Account:
        return dataclasses.replace(account, enabled=account.enabled and not self.disabled_there)


class Site:
    """What calls of alice's come to."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.directories = Directories()
        self.standing = Standing(self.directories, self.directories, interval=60, clock=self.clock)

    def call(self) -> bool:
        if self.standing.is_known(ALICE):
            return True
        try:
            self.standing.check(ALICE)
        except RpcFault as fault:
            return fault.status != FaultStatus.ACCESS_DENIED
        return True


@pytest.fixture
def site() -> Site:
    return Site()


def test_the_directory_is_asked_once_in_a_while(site: Site) -> None:
    for _ in range(100):
        assert site.call()
    assert site.directories.asked == 1
    site.clock.now += 61
    assert site.call()
    assert site.directories.asked == 2
    assert site.standing.is_known(ANONYMOUS)


@pytest.mark.parametrize("change", ["removed", "disabled", "disabled there"])
def test_who_may_not_log_on_any_more(site: Site, change: str, caplog: pytest.LogCaptureFixture) -> None:
    site.directories.alice = Account("alice", "EXAMPLE", None if change.endswith("there") else bytes(16))
    assert site.call()
    alice = site.directories.alice
    if change == "removed":
        site.directories.alice = None
    elif change == "disabled":
        site.directories.alice = dataclasses.replace(alice, enabled=False)
    else:
        site.directories.disabled_there = True
    site.clock.now += 61
    for _ in range(100):
        assert not site.call()
    assert site.directories.asked == 2
    assert caplog.text.count(r"EXAMPLE\alice refused") == 1
    site.directories.alice, site.directories.disabled_there = alice, False
    site.clock.now += 6
    assert site.call()


def test_a_directory_that_is_away_changes_nothing(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    assert site.call()
    site.directories.broken = True
    site.clock.now += 61
    assert site.call()
    assert "is not known: gone" in caplog.text
    site.directories.broken, site.directories.alice = False, None
    site.clock.now += 61
    assert not site.call()
    site.directories.broken = True
    site.clock.now += 61
    assert not site.call(), "nor for who was refused before"


def test_who_only_the_upstream_knows_is_its_affair(site: Site) -> None:
    assert site.standing.is_known(Identity("nobody", authority=Authority.UPSTREAM))
    assert not site.standing.is_known(Identity("nobody", authority=Authority.DOMAIN))
    assert site.directories.asked == 0

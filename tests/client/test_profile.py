"""From a name and a password to a mailbox."""

from __future__ import annotations

import asyncio

import pytest

from openchange_py.client.connection import Account, Connector
from openchange_py.client.errors import ClientError, LogonRefused, NoSuchName
from openchange_py.client.profile import Profile, dn_of
from openchange_py.rpc.security import AuthLevel
from openchange_py.wire import proptags as p
from tests.node import FQDN, RunningNode, password_of


@pytest.mark.parametrize("spnego", [False, True])
@pytest.mark.parametrize("name", ["alice", "ALICE", "EXAMPLE\\alice", "alice@example.test"])
def test_a_user_finds_her_own_mailbox(node: RunningNode, name: str, spnego: bool) -> None:
    async def work() -> None:
        connector = Connector(node.server, Account.parse(name, password_of("alice")), spnego=spnego)
        async with Profile(connector) as profile:
            assert await profile.referral() == FQDN
            assert (await profile.me())[p.PidTagAccount] == "alice"
            mailbox = await profile.mailbox()
            assert mailbox.answer.mailbox_guid == node.entry("alice").mailbox_guid

    asyncio.run(work())


def test_one_session_serves_several_mailboxes(node: RunningNode) -> None:
    """A delegate has two logons in one session; the second one by name, the third by distinguished name."""
    alice, bob = node.entry("alice"), node.entry("bob")
    node.directory.change_full_access(bob, [alice])
    try:

        async def work() -> None:
            async with Profile(node.connector()) as profile:
                own = await profile.mailbox()
                others = [await profile.mailbox("bob"), await profile.mailbox(bob.legacy_exchange_dn)]
                assert [own.logon_id, *(other.logon_id for other in others)] == [0, 1, 2]
                for other in others:
                    assert other.answer.mailbox_guid == bob.mailbox_guid
                    assert (await other.find_folder("Inbox")).count == 0
                assert (await own.find_folder("Inbox")).count > 0

        asyncio.run(work())
    finally:
        node.directory.change_full_access(bob, remove=[alice])


def test_names_that_are_not_there(node: RunningNode) -> None:
    async def work() -> None:
        async with Profile(node.connector()) as profile:
            with pytest.raises(NoSuchName, match="mallory"):
                await profile.mailbox("mallory")
            # And the profile works on.
            assert await (await profile.mailbox()).folders()

    asyncio.run(work())


def test_without_account_there_is_nobody(node: RunningNode) -> None:
    async def work() -> None:
        async with Profile(Connector(node.server)) as profile:
            with pytest.raises(ClientError, match="no account"):
                await profile.me()
            with pytest.raises(LogonRefused, match="does not serve clients that do not log on"):
                await profile.address_book()

    asyncio.run(work())


def test_who_has_no_mailbox_here() -> None:
    assert dn_of({p.PidTagEmailAddress: "/o=x/cn=y", p.PidTagAddressType: "EX"}) == "/o=x/cn=y"
    with pytest.raises(ClientError, match="Zoe has no mailbox"):
        dn_of({p.PidTagDisplayName: "Zoe", p.PidTagEmailAddress: "zoe@x.test", p.PidTagAddressType: "SMTP"})
    with pytest.raises(ClientError, match="no mailbox"):
        dn_of({p.PidTagDisplayName: "List"})


@pytest.mark.parametrize("level", [AuthLevel.CONNECT, AuthLevel.INTEGRITY])
def test_a_server_that_demands_encryption_says_no_to_less(node: RunningNode, level: AuthLevel) -> None:
    async def work() -> None:
        async with Profile(node.connector(level=level)) as profile:
            with pytest.raises(LogonRefused, match=f"more protection than the level {level.name.lower()}"):
                await profile.me()

    asyncio.run(work())

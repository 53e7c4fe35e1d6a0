"""Association groups and their sessions."""

from __future__ import annotations

import itertools

import pytest

from openchange_py.rpc.association import AssociationGroups
from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.rpc.security import ANONYMOUS, AuthLevel, Authority, Identity
from openchange_py.rpc.share import Share


def test_a_session_lives_as_long_as_its_last_connection() -> None:
    groups = AssociationGroups()
    group = groups.join(0, "peer")
    assert group is not None
    session = group.session(Identity("alice", "EXAMPLE"))
    assert groups.join(group.group_id, "peer") is group
    assert groups.leave(group) == []
    assert group.session(Identity("Alice", "example", AuthLevel.PRIVACY)) is session
    assert groups.leave(group) == [session]
    assert len(groups) == 0
    assert groups.join(group.group_id, "peer") is None


def test_accounts_of_a_group_do_not_share_context_handles() -> None:
    group = AssociationGroups().join(0, "peer")
    assert group is not None
    sessions = {group.session(who).number for who in (ANONYMOUS, Identity("alice"), Identity("bob"))}
    assert len(sessions) == 3


def test_ids_are_not_guessed_from_each_other() -> None:
    groups = AssociationGroups()
    ids = [group.group_id for _ in range(50) if (group := groups.join(0, "peer")) is not None]
    assert len(set(ids)) == 50
    assert len({b - a for a, b in itertools.pairwise(ids)}) > 40
    assert all(0 < group_id <= 0xFFFFFFFF for group_id in ids)


def test_a_session_has_a_limited_number_of_context_handles() -> None:
    group = AssociationGroups(handle_limit=2).join(0, "peer")
    assert group is not None
    session = group.session(ANONYMOUS)
    first = session.add_handle("one")
    session.add_handle("two")
    with pytest.raises(RpcFault) as caught:
        session.add_handle("three")
    assert caught.value.status == FaultStatus.OUT_OF_RESOURCES
    session.drop_handle(first)
    assert session.find_handle(session.add_handle("three"), str) == "three"


def test_the_upstream_s_word_makes_another_session() -> None:
    """Of the same name, and perhaps not the same account."""
    group = AssociationGroups().join(0, "peer")
    assert group is not None
    known = group.session(Identity("alice", "EXAMPLE", authority=Authority.DOMAIN))
    assert group.session(Identity("alice", "EXAMPLE")) is known
    assert group.session(Identity("alice", "EXAMPLE", authority=Authority.UPSTREAM)) is not known


def test_ids_tell_which_process_has_the_group() -> None:
    shares = [Share(number, 3) for number in range(3)]
    groups = [AssociationGroups(share=share) for share in shares]
    for mine, share in zip(groups, shares, strict=True):
        group = mine.join(0, "peer")
        assert group is not None
        assert [other.elsewhere(group.group_id) for other in groups].count(None) == 1
        assert mine.elsewhere(group.group_id) is None
        assert group.group_id % 3 == share.number
        assert mine.elsewhere(0) is None, "a new group is made where the client is"

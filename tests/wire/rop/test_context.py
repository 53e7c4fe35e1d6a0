"""What a session remembers."""

from __future__ import annotations

import pytest

from openchange_py.wire.proptags import PidTagDisplayName, PidTagSubject
from openchange_py.wire.rop.base import RopReleaseRequest
from openchange_py.wire.rop.context import HandleStates, MissingContext, RopContext
from openchange_py.wire.rop.oxcfold import RopGetHierarchyTableRequest
from openchange_py.wire.rop.oxcstor import RopLogonRequest


def test_handles_are_remembered_until_they_are_forgotten() -> None:
    states = HandleStates()
    states.state(5).columns = (PidTagSubject,)
    assert states.columns(5) == (PidTagSubject,)
    assert states.columns(6) is None
    states.forget(5)
    states.forget(5)
    assert states.columns(5) is None


def test_looking_does_not_remember() -> None:
    states = HandleStates()
    states.columns(5)
    assert states.handles == {}


def test_columns_are_those_of_the_handle_at_the_requests_index() -> None:
    states = HandleStates()
    states.state(5).columns = (PidTagSubject,)
    states.state(6).columns = (PidTagDisplayName,)
    context = RopContext(states, [6, 5])
    context.request = RopReleaseRequest(0, 1)
    assert context.columns() == (PidTagSubject,)
    context.handles[1] = 6
    assert context.columns() == (PidTagDisplayName,)


def test_what_was_never_seen_is_missing() -> None:
    context = RopContext(HandleStates(), [6])
    with pytest.raises(MissingContext, match="no request known"):
        context.columns()
    context.request = RopReleaseRequest(0, 0)
    with pytest.raises(MissingContext, match="columns of table 0x00000006"):
        context.columns()
    with pytest.raises(MissingContext, match="recipient columns"):
        context.recipient_columns()
    with pytest.raises(MissingContext, match="not in the handle table"):
        context.opened()
    with pytest.raises(MissingContext, match="RopLogonRequest"):
        context.answered(RopLogonRequest)
    context.request = RopGetHierarchyTableRequest(0, 9, 9, 0)
    with pytest.raises(MissingContext, match="handle index 9"):
        context.handle()


def test_a_logon_that_is_only_requested_does_not_change_the_session() -> None:
    states = HandleStates()
    context = RopContext(states)
    context.set_logon(2, private=False)
    assert not context.is_private(2)
    assert RopContext(states).is_private(2)
    context.set_logon(2, private=True)
    assert context.is_private(2)


def test_a_logon_that_is_answered_does() -> None:
    states = HandleStates()
    context = RopContext(states)
    context.request = RopLogonRequest(2, 0, 0, 0, 0, b"")
    context.set_logon(2, private=False)
    assert not RopContext(states).is_private(2)

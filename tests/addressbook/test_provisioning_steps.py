"""Entries and values that provisioning makes, in a slapd."""

from __future__ import annotations

from collections.abc import Iterator

import ldap3
import pytest

from openchange_py.addressbook.base import DirectoryError
from openchange_py.addressbook.ldap.session import Session
from openchange_py.addressbook.ldif import Addition, Modification
from openchange_py.addressbook.provisioning import State
from openchange_py.addressbook.provisioning_steps import MARK, EntryStep, ValuesStep, folded, unescaped
from tests.addressbook.slapd_sessions import CONFIGURATION, EXCHANGE_SCHEMA, emptied, session_with
from tests.slapd import Slapd, running_slapd

LIST = f"cn=All Users,{CONFIGURATION}"


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with running_slapd(tmp_path_factory.mktemp("slapd"), schemas=[EXCHANGE_SCHEMA]) as server:
        yield server


@pytest.fixture
def session(slapd: Slapd) -> Iterator[Session]:
    session = emptied(session_with(slapd))
    yield session
    session.close()


def top(session: Session) -> EntryStep:
    return EntryStep(
        session, "Tree", "Configuration", CONFIGURATION, ("top", "container", "msExchConfigurationContainer"), {}
    )


def users(session: Session, **more: str) -> EntryStep:
    attributes = {name: [value] for name, value in {"displayName": "All Users", **more}.items()}
    return EntryStep(session, "Tree", "All Users", LIST, ("top", "addressBookContainer"), attributes)


def roots(session: Session) -> ValuesStep:
    return ValuesStep(session, "Tree", "Roots", CONFIGURATION, {"addressBookRoots": [LIST]})


def test_an_entry_is_made_once_and_says_who_made_it(session: Session) -> None:
    step = top(session)
    assert step.find().state is State.MISSING
    (change,) = step.changes()
    assert isinstance(change, Addition)
    step.apply()
    assert step.find().state is State.PRESENT
    entry = session.read(CONFIGURATION, ["adminDescription"])
    assert entry is not None
    assert entry.text("adminDescription") == MARK
    step.apply()


def test_what_differs_is_set_right_but_not_what_administrators_word(session: Session) -> None:
    top(session).apply()
    users(session, purportedSearch="(cn=a*)", legacyExchangeDN="/o=Old").apply()
    step = users(session, purportedSearch="(cn=b*)", legacyExchangeDN="/o=New")
    finding = step.find()
    assert (finding.state, finding.detail) == (State.DIFFERENT, f"{LIST}: legacyExchangeDN")
    assert step.changes() == [Modification(LIST, [("replace", "legacyExchangeDN", ["/o=New"])])]
    step.apply()
    assert step.find().state is State.PRESENT
    entry = session.read(LIST, ["purportedSearch", "legacyExchangeDN"])
    assert entry is not None
    assert (entry.text("purportedSearch"), entry.text("legacyExchangeDN")) == ("(cn=a*)", "/o=New")


def test_somebody_elses_entry_serves_where_it_is_of_the_kind_and_of_the_name(session: Session) -> None:
    top(session).apply()
    classes = ["top", "addressBookContainer"]
    session.add(LIST, classes, {"displayName": ["Alle"], "legacyExchangeDN": ["/o=Theirs"]})
    assert users(session).find().state is State.PRESENT
    assert "not made by" in users(session).find().detail
    other = users(session, legacyExchangeDN="/o=Ours").find()
    assert (other.state, "/o=Theirs" in other.detail) == (State.FOREIGN, True)
    kind = EntryStep(session, "Tree", "All Users", LIST, ("top", "container"), {}).find()
    assert (kind.state, "no container" in kind.detail) == (State.FOREIGN, True)
    assert users(session).remove() == "was not made by ocpy provision"
    assert session.read(LIST, ["cn"]) is not None


def test_an_entry_that_comes_between_is_no_error(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    top(session).apply()
    step = users(session)
    step.apply()
    with monkeypatch.context() as blind:
        blind.setattr(EntryStep, "_read", lambda self: None)
        step.apply()
    assert step.find().state is State.PRESENT


def test_an_entry_goes_when_nothing_is_in_it(session: Session) -> None:
    assert users(session).remove() == ""
    top(session).apply()
    users(session).apply()
    assert top(session).remove() == "has something in it that stays"
    assert users(session).remove() == ""
    assert users(session).find().state is State.MISSING
    assert top(session).remove() == ""


def test_what_the_server_does_not_let_go_says_why(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    top(session).apply()

    def refuse(dn: str) -> None:
        raise DirectoryError(f"delete {dn}: unwillingToPerform")

    monkeypatch.setattr(session, "delete", refuse)
    assert "unwillingToPerform" in top(session).remove()


def test_values_are_put_beside_others_and_taken_away_alone(session: Session) -> None:
    step = roots(session)
    assert step.find().state is State.MISSING
    assert step.remove() == ""
    top(session).apply()
    users(session).apply()
    other = f"cn=Theirs,{CONFIGURATION}"
    session.modify(CONFIGURATION, {"addressBookRoots": [(ldap3.MODIFY_ADD, [other])]})
    assert step.find().state is State.MISSING
    assert step.changes() == [Modification(CONFIGURATION, [("add", "addressBookRoots", [LIST])])]
    step.apply()
    assert step.find().state is State.PRESENT
    step.apply()
    assert step.remove() == ""
    entry = session.read(CONFIGURATION, ["addressBookRoots"])
    assert entry is not None
    assert [value.casefold() for value in entry.texts("addressBookRoots")] == [other.casefold()]


def test_values_of_somebody_elses_entry_are_left_alone(session: Session) -> None:
    session.add(CONFIGURATION, ["top", "container", "msExchConfigurationContainer"], {})
    finding = roots(session).find()
    assert (finding.state, "addressBookRoots" in finding.detail) == (State.FOREIGN, True)
    assert roots(session).remove() == "was not made by ocpy provision"


def test_names_compare_however_they_are_escaped() -> None:
    assert folded(r"CN=Meier\2C Inc,DC=x") == folded(r"cn=Meier\, Inc,dc=X")
    assert unescaped(r"a\+b\20 M\C3\BCller") == "a+b  Müller"

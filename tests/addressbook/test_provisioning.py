"""Steps in order: looked at, done where they are not, and taken away the other way round."""

from __future__ import annotations

import dataclasses

import pytest

from openchange_py.addressbook.base import DirectoryError
from openchange_py.addressbook.ldif import Addition, Change
from openchange_py.addressbook.provisioning import (
    MISSING,
    PRESENT,
    Finding,
    State,
    deprovision,
    examine,
    ldif,
    provision,
)


@dataclasses.dataclass
class FakeStep:
    title: str
    log: list[str]
    finding: Finding = MISSING
    quiet: bool = False
    group: str = "Fakes"
    refuses: bool = False

    def find(self) -> Finding:
        return self.finding

    def changes(self) -> list[Change]:
        return [Addition(f"cn={self.title}", {"objectClass": ["top"]})]

    def apply(self) -> None:
        if self.refuses:
            raise DirectoryError("the server does not want it")
        self.log.append(f"+{self.title}")
        self.finding = PRESENT

    def remove(self) -> str:
        self.log.append(f"-{self.title}")
        return "it is dear to somebody" if self.refuses else ""


def steps(log: list[str]) -> list[FakeStep]:
    foreign, differing = Finding(State.FOREIGN, "made by hand"), Finding(State.DIFFERENT, "too small")
    return [
        FakeStep("a", log, PRESENT),
        FakeStep("b", log),
        FakeStep("c", log, foreign),
        FakeStep("d", log, differing),
        FakeStep("e", log, quiet=True),
    ]


def test_what_is_missing_or_differs_is_done_in_order_and_told() -> None:
    log: list[str] = []
    seen: list[tuple[int, int, str]] = []
    done = provision(steps(log), lambda number, total, step: seen.append((number, total, step.title)))
    assert log == ["+b", "+d", "+e"]
    assert [(one.step.title, one.changed) for one in done] == [("a", False), ("b", True), ("c", False), ("d", True)]
    assert seen == [(number, 5, title) for number, title in enumerate("abcde")]


def test_what_was_done_before_a_step_fails_stays_and_is_not_done_again() -> None:
    log: list[str] = []
    plan = steps(log)
    plan[3].refuses = True
    with pytest.raises(DirectoryError, match="Fakes: d: the server does not want it"):
        provision(plan)
    assert log == ["+b"]
    plan[3].refuses = False
    provision(plan)
    assert log == ["+b", "+d", "+e"]


def test_examining_changes_nothing() -> None:
    log: list[str] = []
    found = [(one.step.title, one.finding.state.value) for one in examine(steps(log))]
    assert found == [("a", "there"), ("b", "missing"), ("c", "somebody else's"), ("d", "differs")]
    assert log == []


def test_what_would_be_done_is_ldif_with_titles() -> None:
    log: list[str] = []
    text = ldif(steps(log))
    assert text.startswith("# Fakes: b\ndn: cn=b\nchangetype: add\nobjectClass: top\n\n# Fakes: d\n")
    assert "cn=c" not in text
    assert "cn=e" in text
    assert log == []


def test_last_made_is_first_taken_away() -> None:
    log: list[str] = []
    plan = steps(log)
    plan[3].refuses = True
    seen: list[int] = []
    left = deprovision(plan, lambda number, total, step: seen.append(number))
    assert log == ["-d", "-c", "-a"]  # b is not there, e makes nothing that stays
    assert [(step.title, why) for step, why in left] == [("d", "it is dear to somebody"), ("c", ""), ("a", "")]
    assert seen == [0, 1, 2, 3, 4]

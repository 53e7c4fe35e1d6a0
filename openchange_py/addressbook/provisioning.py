"""Preparing a directory for Exchange, step by step: what each step is, and what can be done with all of them.

Every step knows whether what it makes is there already, so that provisioning that was broken off goes on where it
stopped, and repeating it does no harm. What somebody else made, Exchange itself foremost, is never changed.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol

from openchange_py.addressbook.base import DirectoryError, Organization
from openchange_py.addressbook.ldif import Change, render


class State(enum.StrEnum):
    """How what a step makes is found."""

    PRESENT = "there"
    MISSING = "missing"
    #: It is ours, and not as it should be.
    DIFFERENT = "differs"
    #: Something of that name is there that this program did not make; it is left alone.
    FOREIGN = "somebody else's"


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """What a step found, and for a person what is wrong with it."""

    state: State
    detail: str = ""


PRESENT = Finding(State.PRESENT)
MISSING = Finding(State.MISSING)


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be provisioned: an organization with its administrative group, and a server that is called `host`.

    `additional`: the organization is there already, and only this server is added to it.
    """

    organization: Organization
    server: str
    host: str
    additional: bool = False


#: As many names as an error lists.
_LISTED: Final = 5


def listed(names: Iterable[str]) -> str:
    """Names for a person, the first ones of many."""
    found = sorted(names)
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return f"{', '.join(found[:_LISTED])}{more}"


def no_organization(wanted: Wanted, there: Iterable[str]) -> DirectoryError:
    """Nothing that the server could be added to, or taken out of."""
    name = wanted.organization.name
    return DirectoryError(f"there is no organization {name} in the directory (there: {listed(there) or 'none'})")


def has_mailboxes(wanted: Wanted, names: Iterable[str]) -> DirectoryError:
    """A server that can't go."""
    return DirectoryError(
        f"{listed(names)} have mailboxes on {wanted.server}: move them, or remove them with `ocpy newuser --delete`,"
        " first"
    )


class Step(Protocol):
    """One thing that is there or not. `DirectoryError` where the directory refuses."""

    @property
    def group(self) -> str:
        """What it belongs to, for a person."""

    @property
    def title(self) -> str:
        """What it makes."""

    @property
    def quiet(self) -> bool:
        """Whether reports leave it out: it makes nothing that stays."""

    def find(self) -> Finding: ...

    def changes(self) -> list[Change]:
        """What `apply` would change, as LDIF has it."""

    def apply(self) -> None:
        """Make what is missing and set right what differs; what is there, or somebody else's, stays as it is."""

    def remove(self) -> str:
        """Take it away; "" where it is gone, else why it stays."""


#: How far it is: steps done, steps in all, and the one that comes now.
Progress = Callable[[int, int, Step], None]


@dataclasses.dataclass(frozen=True, slots=True)
class Removal:
    """What may be taken away, in a word and in steps, and for a person what stays and why."""

    what: str
    steps: Sequence[Step]
    stays: Sequence[str]


class Provisioner(Protocol):
    """A directory that can be provisioned. `DirectoryError` where what is there does not go together with it."""

    def plan(self) -> list[Step]:
        """What it takes, in order."""

    def removal(self) -> Removal:
        """What may be taken away."""

    def close(self) -> None: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Done:
    """A step that was looked at: what was found before anything was done about it."""

    step: Step
    finding: Finding

    @property
    def changed(self) -> bool:
        """Whether `provision` had something to do."""
        return self.finding.state in (State.MISSING, State.DIFFERENT)


def examine(steps: Sequence[Step]) -> Iterator[Done]:
    """What is there; nothing is changed."""
    for step in steps:
        if not step.quiet:
            yield Done(step, step.find())


def provision(steps: Sequence[Step], progress: Progress = lambda *_: None) -> list[Done]:
    """Do what is not done yet, in order. What was done stays done where a step fails."""
    done = []
    for number, step in enumerate(steps):
        progress(number, len(steps), step)
        finding = step.find()
        if finding.state in (State.MISSING, State.DIFFERENT):
            try:
                step.apply()
            except DirectoryError as error:
                raise type(error)(f"{step.group}: {step.title}: {error}") from error
        if not step.quiet:
            done.append(Done(step, finding))
    return done


def ldif(steps: Sequence[Step]) -> str:
    """What `provision` would do, as text that `ldapmodify` takes."""
    wanting = (step for step in steps if step.find().state in (State.MISSING, State.DIFFERENT))
    return "\n".join(f"# {step.group}: {step.title}\n{render(step.changes())}" for step in wanting)


def deprovision(steps: Sequence[Step], progress: Progress = lambda *_: None) -> list[tuple[Step, str]]:
    """Take away what may go, last made first; with each step why it stays, "" where it is gone."""
    left = []
    for number, step in enumerate(reversed(steps)):
        progress(number, len(steps), step)
        if not step.quiet and step.find().state is not State.MISSING:
            left.append((step, step.remove()))
    return left

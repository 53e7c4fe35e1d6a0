"""Steps that make entries of an LDAP directory, and values of entries.

Entries that we make say so in their adminDescription. What does not say so is somebody else's: it is not changed and
not removed, whatever is in it.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Final

import ldap3

from openchange_py.addressbook.base import DirectoryError, EntryExists, NoSuchEntry
from openchange_py.addressbook.ldap.session import LdapEntry, Session
from openchange_py.addressbook.ldif import Addition, Change, Modification
from openchange_py.addressbook.provisioning import MISSING, PRESENT, Finding, State

#: Where an entry says who made it.
MARK_ATTRIBUTE: Final = "adminDescription"
MARK: Final = "Made by openchange_py (ocpy provision)"
#: What administrators may word otherwise afterwards: it is set where it is missing, and then left alone.
_ADMINISTRATORS: Final = ("displayName", "purportedSearch")

_ESCAPED: Final = re.compile(r"((?:\\[0-9A-Fa-f]{2})+)|\\(.)")


def unescaped(value: str) -> str:
    """A part of a distinguished name, as a person reads it."""
    return _ESCAPED.sub(_character, value)


def _character(found: re.Match[str]) -> str:
    if found[1] is None:
        return found[2]
    return bytes.fromhex(found[1].replace("\\", "")).decode("utf-8", "replace")


def folded(value: str) -> str:
    """A value as it is compared: servers may write a distinguished name with other escapes than we do."""
    return unescaped(value).casefold()


def is_ours(entry: LdapEntry) -> bool:
    """Whether this program made an entry."""
    return entry.text(MARK_ATTRIBUTE) == MARK


@dataclasses.dataclass(frozen=True, slots=True)
class EntryStep:
    """An entry with attributes of just these values, where administrators may not word them otherwise."""

    session: Session
    group: str
    title: str
    dn: str
    classes: Sequence[str]
    attributes: Mapping[str, Sequence[str]]
    quiet: bool = False

    def find(self) -> Finding:
        entry = self._read()
        if entry is None:
            return MISSING
        if not is_ours(entry):
            return self._foreign(entry)
        wrong = self._differing(entry)
        return Finding(State.DIFFERENT, f"{self.dn}: {', '.join(wrong)}") if wrong else PRESENT

    def _foreign(self, entry: LdapEntry) -> Finding:
        """Somebody else's is as good where it is of the same kind and clients call it by the same name."""
        kind = self.classes[-1]
        if kind.casefold() not in {value.casefold() for value in entry.texts("objectClass")}:
            return Finding(State.FOREIGN, f"{self.dn} is no {kind}, and was not made by ocpy provision")
        if "legacyExchangeDN" in self._differing(entry):
            name = entry.text("legacyExchangeDN")
            return Finding(State.FOREIGN, f"{self.dn} is {name or 'nameless'} for clients, and not ours to change")
        return Finding(State.PRESENT, "not made by ocpy provision")

    def changes(self) -> list[Change]:
        entry = self._read()
        if entry is None:
            marked = {**self.attributes, MARK_ATTRIBUTE: [MARK]}
            return [Addition(self.dn, {"objectClass": list(self.classes), **marked})]
        return [Modification(self.dn, [("replace", name, self.attributes[name]) for name in self._differing(entry)])]

    def apply(self) -> None:
        entry = self._read()
        if entry is not None:
            wrong = self._differing(entry)
            self.session.modify(self.dn, {name: [(ldap3.MODIFY_REPLACE, self.attributes[name])] for name in wrong})
            return
        try:
            self.session.add(self.dn, self.classes, {**self.attributes, MARK_ATTRIBUTE: [MARK]})
        except EntryExists:
            return  # another server of the organization is being provisioned at the same time

    def remove(self) -> str:
        entry = self._read()
        if entry is None:
            return ""
        if not is_ours(entry):
            return "was not made by ocpy provision"
        if next(iter(self.session.search(self.dn, "(objectClass=*)", ["cn"], scope=ldap3.LEVEL)), None) is not None:
            return "has something in it that stays"
        try:
            self.session.delete(self.dn)
        except NoSuchEntry:
            return ""
        except DirectoryError as error:
            return str(error)
        return ""

    def _read(self) -> LdapEntry | None:
        return self.session.read(self.dn, ["objectClass", MARK_ATTRIBUTE, *self.attributes])

    def _differing(self, entry: LdapEntry) -> list[str]:
        return [
            name
            for name, values in self.attributes.items()
            if {folded(value) for value in values} != {folded(value) for value in entry.texts(name)}
            and not (name in _ADMINISTRATORS and entry.texts(name))
        ]


@dataclasses.dataclass(frozen=True, slots=True)
class ValuesStep:
    """Values of an entry that we made, beside others that stay."""

    session: Session
    group: str
    title: str
    dn: str
    values: Mapping[str, Sequence[str]]
    quiet: bool = False

    def find(self) -> Finding:
        entry = self._read()
        if entry is None:
            return MISSING
        missing = self._missing(entry)
        if not missing:
            return PRESENT
        if not is_ours(entry):
            return Finding(State.FOREIGN, f"{self.dn} was not made by ocpy provision, and lacks {', '.join(missing)}")
        return Finding(State.MISSING, f"{self.dn}: {', '.join(missing)}")

    def changes(self) -> list[Change]:
        missing = self._missing(self._read())
        return [Modification(self.dn, [("add", name, values) for name, values in missing.items()])]

    def apply(self) -> None:
        missing = self._missing(self._read())
        self.session.modify(self.dn, {name: [(ldap3.MODIFY_ADD, values)] for name, values in missing.items()})

    def remove(self) -> str:
        entry = self._read()
        if entry is None:
            return ""
        if not is_ours(entry):
            return "was not made by ocpy provision"
        missing = self._missing(entry)
        for name, values in self.values.items():
            present = [value for value in values if value not in missing.get(name, ())]
            if present:
                self.session.modify(self.dn, {name: [(ldap3.MODIFY_DELETE, present)]})
        return ""

    def _read(self) -> LdapEntry | None:
        return self.session.read(self.dn, ["objectClass", MARK_ATTRIBUTE, *self.values])

    def _missing(self, entry: LdapEntry | None) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, values in self.values.items():
            there = {folded(value) for value in entry.texts(name)} if entry is not None else set()
            if lacking := [value for value in values if folded(value) not in there]:
                found[name] = lacking
        return found

"""Steps that extend a directory's schema with Exchange's attributes and classes. What was added there stays for ever.

A schema that Microsoft's own setup extended is left as it is: what it lacks, it lacks because it is older.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import ldap3

from openchange_py.addressbook import exchange_schema
from openchange_py.addressbook.base import DirectoryError, EntryExists
from openchange_py.addressbook.exchange_schema import text_of
from openchange_py.addressbook.ldap.session import LdapEntry, Session
from openchange_py.addressbook.ldif import Addition, Change, Modification
from openchange_py.addressbook.provisioning import MISSING, PRESENT, Finding, State, Step

ATTRIBUTES, CLASSES, EXTENSIONS = "Schema: attributes", "Schema: classes", "Schema: what Windows' classes may have"
_STAYS: Final = "a schema is never made smaller"

#: What Microsoft's setup makes, and in its rangeUpper which version it was.
_MICROSOFTS: Final = "CN=ms-Exch-Schema-Version-Pt"

#: What makes a definition another one; it can't be changed any more.
_ATTRIBUTE_KEYS: Final = ("lDAPDisplayName", "attributeID", "attributeSyntax", "oMSyntax", "isSingleValued")
_CLASS_KEYS: Final = ("lDAPDisplayName", "governsID", "objectClassCategory")
#: What a class is extended with, and where else it may stand already.
_LISTS: Final = {
    "mayContain": ("mayContain", "systemMayContain", "mustContain", "systemMustContain"),
    "auxiliaryClass": ("auxiliaryClass", "systemAuxiliaryClass"),
    "possSuperiors": ("possSuperiors", "systemPossSuperiors"),
}
_IDENTIFIERS: Final = ("lDAPDisplayName", "attributeID", "governsID")
_LISTED: Final = [name for names in _LISTS.values() for name in names]
_READ: Final = tuple({*_IDENTIFIERS, *_ATTRIBUTE_KEYS, *_CLASS_KEYS, *_LISTED})


def active_directory_steps(session: Session) -> list[Step]:
    """Attributes, classes, and what existing classes get, in the order in which a schema takes them."""
    place = session.root.schema
    microsofts = session.read(f"{_MICROSOFTS},{place}", ["rangeUpper"])
    if microsofts is not None:
        return [MicrosoftsStep(session, microsofts.text("rangeUpper"))]
    known = Definitions(session)
    attributes: list[Step] = [
        DefinitionStep(known, ATTRIBUTES, record, "attributeID", _ATTRIBUTE_KEYS)
        for record in exchange_schema.attributes(place)
    ]
    classes: list[Step] = []
    for record in exchange_schema.classes(place):
        step = ClassStep(known, CLASSES, record, "governsID", _CLASS_KEYS)
        # A class may name the ones before it, which the server knows when it has read its schema anew.
        classes += [RefreshStep(session, [step]), step]
    extensions: list[Step] = [ExtensionStep(session, change) for change in exchange_schema.extensions(place)]
    return [*attributes, *classes, RefreshStep(session, extensions), *extensions]


class Definitions:
    """What the schema defines, read at once: to ask for each of them would take seconds."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._known: dict[tuple[str, str], LdapEntry] | None = None

    def find(self, record: Addition, identifier: str) -> LdapEntry | None:
        """By its name or its identifier."""
        if self._known is None:
            self._known = {}
            place, condition = self.session.root.schema, "(|(objectClass=attributeSchema)(objectClass=classSchema))"
            for entry in self.session.search(place, condition, _READ, scope=ldap3.LEVEL):
                self._put(entry)
        keys = (_key(name, text_of(record, name)) for name in ("lDAPDisplayName", identifier))
        return next((self._known[key] for key in keys if key in self._known), None)

    def changed(self, dn: str) -> None:
        """Read one of them anew."""
        entry = self.session.read(dn, _READ)
        if entry is not None and self._known is not None:
            self._put(entry)

    def _put(self, entry: LdapEntry) -> None:
        assert self._known is not None
        for name in _IDENTIFIERS:
            if value := entry.text(name):
                self._known[_key(name, value)] = entry


def _key(name: str, value: str) -> tuple[str, str]:
    return name, value.casefold()


@dataclasses.dataclass(frozen=True, slots=True)
class MicrosoftsStep:
    """A schema that Exchange's own setup has extended."""

    session: Session
    version: str
    group: str = ATTRIBUTES
    quiet: bool = False

    @property
    def title(self) -> str:
        return f"extended by Microsoft Exchange's setup, version {self.version or 'unknown'}"

    def find(self) -> Finding:
        return PRESENT

    def changes(self) -> list[Change]:
        return []

    def apply(self) -> None:
        """Nothing is to be done."""

    def remove(self) -> str:
        return _STAYS


@dataclasses.dataclass(frozen=True, slots=True)
class RefreshStep:
    """The server reads its schema anew ([MS-ADTS] 3.1.1.3.3.13, schemaUpdateNow), where the next steps need it."""

    session: Session
    following: Sequence[Step]
    group: str = CLASSES
    title: str = "the server reads its schema anew"
    quiet: bool = True

    def find(self) -> Finding:
        wanting = (step.find().state in (State.MISSING, State.DIFFERENT) for step in self.following)
        return MISSING if any(wanting) else PRESENT

    def changes(self) -> list[Change]:
        return [Modification("", [("add", "schemaUpdateNow", ["1"])])]

    def apply(self) -> None:
        self.session.modify("", {"schemaUpdateNow": [(ldap3.MODIFY_ADD, ["1"])]})

    def remove(self) -> str:
        return ""


@dataclasses.dataclass(frozen=True, slots=True)
class DefinitionStep:
    """An attribute or class of the schema, found by its name or by its identifier."""

    known: Definitions
    group: str
    record: Addition
    identifier: str
    keys: Sequence[str]
    quiet: bool = False

    @property
    def title(self) -> str:
        return text_of(self.record, "lDAPDisplayName")

    def find(self) -> Finding:
        found = self._read()
        if found is None:
            return MISSING
        other = [
            f"{key} {found.text(key)} where Exchange has {text_of(self.record, key)}"
            for key in self.keys
            if found.text(key).casefold() != text_of(self.record, key).casefold()
        ]
        return Finding(State.FOREIGN, f"defined otherwise: {', '.join(other)}") if other else self._compare(found)

    def _compare(self, found: LdapEntry) -> Finding:
        return PRESENT

    def changes(self) -> list[Change]:
        return [self.record]

    def apply(self) -> None:
        attributes = {name: values for name, values in self.record.attributes.items() if name != "objectClass"}
        classes = [str(value) for value in self.record.attributes["objectClass"]]
        try:
            self.known.session.add(self.record.dn, classes, attributes)
        except EntryExists:
            pass
        except DirectoryError as error:
            raise DirectoryError(f"{error}. {schema_advice(self.known.session)}") from error
        self.known.changed(self.record.dn)

    def remove(self) -> str:
        return _STAYS

    def _read(self) -> LdapEntry | None:
        return self.known.find(self.record, self.identifier)


class ClassStep(DefinitionStep):
    """A class that we may have made earlier, with less in it."""

    __slots__ = ()

    def _compare(self, found: LdapEntry) -> Finding:
        missing = self._missing(found)
        names = ", ".join(name for values in missing.values() for name in values)
        return Finding(State.DIFFERENT, f"lacks {names}") if missing else PRESENT

    def _missing(self, found: LdapEntry) -> dict[str, list[str]]:
        wanted = {name: [str(value) for value in self.record.attributes.get(name, ())] for name in _LISTS}
        return lacking(found, wanted)

    def changes(self) -> list[Change]:
        found = self._read()
        if found is None:
            return [self.record]
        return [Modification(found.dn, [("add", name, values) for name, values in self._missing(found).items()])]

    def apply(self) -> None:
        found = self._read()
        if found is None:
            DefinitionStep.apply(self)
            return
        for name, values in self._missing(found).items():
            self.known.session.modify(found.dn, {name: [(ldap3.MODIFY_ADD, values)]})
        self.known.changed(found.dn)


def lacking(found: LdapEntry, wanted: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """By list of a class what it lacks, wherever it may stand."""
    missing: dict[str, list[str]] = {}
    for name, values in wanted.items():
        there = {value.casefold() for other in _LISTS[name] for value in found.texts(other)}
        if left := [value for value in values if value.casefold() not in there]:
            missing[name] = left
    return missing


@dataclasses.dataclass(frozen=True, slots=True)
class ExtensionStep:
    """What a class of Windows' may have besides."""

    session: Session
    change: Modification
    group: str = EXTENSIONS
    quiet: bool = False

    @property
    def title(self) -> str:
        return self.change.dn.partition(",")[0].removeprefix("CN=")

    def find(self) -> Finding:
        missing = self._missing()
        names = ", ".join(name for values in missing.values() for name in values)
        return Finding(State.MISSING, f"lacks {names}") if missing else PRESENT

    def changes(self) -> list[Change]:
        return [Modification(self.change.dn, [("add", name, values) for name, values in self._missing().items()])]

    def apply(self) -> None:
        try:
            # One list after the other: a server that refuses one says which.
            for name, values in self._missing().items():
                self.session.modify(self.change.dn, {name: [(ldap3.MODIFY_ADD, values)]})
        except DirectoryError as error:
            raise DirectoryError(f"{error}. {schema_advice(self.session)}") from error

    def remove(self) -> str:
        return _STAYS

    def _missing(self) -> dict[str, list[str]]:
        found = self.session.read(self.change.dn, _LISTED)
        if found is None:
            raise DirectoryError(f"the schema has no {self.change.dn}: is {self.session.root.schema} its place?")
        return lacking(found, {name: [str(value) for value in values] for _, name, values in self.change.changes})


def schema_advice(session: Session) -> str:
    """What extending a schema needs, and which server it has to be asked of."""
    entry = session.read(session.root.schema, ["fSMORoleOwner"])
    master = entry.text("fSMORoleOwner") if entry is not None else ""
    # CN=NTDS Settings,CN=DC1,CN=Servers,...
    name = master.partition(",")[2].partition(",")[0].partition("=")[2]
    where = f" ({name} here)" if name else ""
    text = (
        f"A schema is extended at the domain's schema master{where}, as a member of Schema Admins; Samba needs"
        " `dsdb:schema update allowed = yes` in that server's smb.conf, and a restart. Then run this again: it goes on"
        " where it stopped"
    )
    if name and session.root.service and master.casefold() != session.root.service.casefold():
        text += f". The server that was asked is not the schema master: let ocpy:directory name {name} for now"
    return text


# OpenLDAP

_NAME: Final = re.compile(r"NAME\s+(?:'([^']+)'|\(([^)]*)\))")
_OPENLDAP: Final = "Schema"


@dataclasses.dataclass(frozen=True, slots=True)
class OpenLdapSchemaStep:
    """Exchange's definitions in OpenLDAP's `cn=config`: those that its schema has not yet.

    Not done: making classes larger that are there from elsewhere.
    """

    session: Session
    group: str = _OPENLDAP
    title: str = "Exchange's attributes and classes"
    quiet: bool = False

    def find(self) -> Finding:
        missing = self._missing()
        total = sum(len(values) for values in missing.values())
        return Finding(State.MISSING, f"{total} definitions") if total else PRESENT

    def changes(self) -> list[Change]:
        whole = exchange_schema.openldap()
        rest = {name: values for name, values in whole.attributes.items() if name not in _DEFINITIONS.values()}
        return [Addition(whole.dn, {**rest, **{_DEFINITIONS[key]: v for key, v in self._missing().items() if v}})]

    def apply(self) -> None:
        (change,) = self.changes()
        assert isinstance(change, Addition)
        attributes = {name: values for name, values in change.attributes.items() if name != "objectClass"}
        try:
            self.session.add(change.dn, ["olcSchemaConfig"], attributes)
        except DirectoryError as error:
            raise DirectoryError(
                f"{error}. OpenLDAP's schema belongs to its administrator: as root on its machine,"
                f" `ldapadd -Y EXTERNAL -H ldapi:/// -f {exchange_schema.openldap_file()}`; where some of it is"
                " there from elsewhere, with the part of it that `ocpy provision --dry-run` prints. Then run this again"
            ) from error

    def remove(self) -> str:
        return _STAYS

    def _missing(self) -> dict[str, list[str]]:
        known = self.session.read(self.session.root.schema, [*_DEFINITIONS])
        if known is None:
            raise DirectoryError("the server does not tell its schema: let its account read cn=Subschema")
        whole = exchange_schema.openldap()
        return {
            key: [
                str(value)
                for value in whole.attributes[name]
                if not set(names_of(str(value))) <= {one for text in known.texts(key) for one in names_of(text)}
            ]
            for key, name in _DEFINITIONS.items()
        }


_DEFINITIONS: Final = {"attributeTypes": "olcAttributeTypes", "objectClasses": "olcObjectClasses"}


def names_of(definition: str) -> Iterator[str]:
    """The names that a definition (RFC 4512 4.1) gives, without case."""
    found = _NAME.search(definition)
    if found is not None:
        yield from (name.casefold() for name in ([found[1]] if found[1] else re.findall(r"'([^']+)'", found[2])))

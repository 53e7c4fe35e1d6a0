"""Between what a directory says of an entry and the columns of its tables: what is derived, and from what."""

from __future__ import annotations

import base64
import dataclasses
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openchange_py.addressbook.base import (
    LINK_ATTRIBUTES,
    Attributes,
    AttributeValue,
    DirectoryError,
    DisplayType,
    Entry,
    Kind,
    MinimalEntryId,
    Record,
)
from openchange_py.addressbook.sortkeys import fold, sort_key, tails

#: Raised whenever the same record gets other columns or tokens: stored entries are then derived anew (`migrate`).
DERIVATION = 3

#: The longest text that names are made of; a sort key grows by at most a small factor.
LONGEST_NAME = 1024
#: The longest value of an attribute, and of all of an entry's; photos have 100 KiB at most in Active Directory.
LONGEST_VALUE = 128 * 1024
LONGEST_ENTRY = 512 * 1024

#: What else is looked up by how it begins, though it is no name that resolves: what the address book's search asks for.
SEARCHED = ("title", "department", "company", "l")

_DISPLAY_TYPES = {
    Kind.USER: DisplayType.MAILUSER,
    Kind.GROUP: DisplayType.DISTLIST,
    Kind.CONTACT: DisplayType.REMOTE_MAILUSER,
    Kind.SERVER: DisplayType.AGENT,
    Kind.ORGANIZATION: DisplayType.ORGANIZATION,
}
#: In no address list, whatever it says.
_NEVER_LISTED = (Kind.SERVER, Kind.ORGANIZATION)
_LINKS = {name.casefold() for name in LINK_ATTRIBUTES}
#: How long the texts may be that names are made of.
_LONGEST_NAMES = {"sAMAccountName": 255} | dict.fromkeys(
    (
        "displayName", "cn", "userPrincipalName", "legacyExchangeDN", "mail", "mailNickname", "givenName", "sn",
        "physicalDeliveryOfficeName", "proxyAddresses", "msDS-PhoneticDisplayName",
    ),
    LONGEST_NAME,
)  # fmt: skip


class AttributeMap(dict[str, list[AttributeValue]]):
    """Attributes, found whatever the case of their names."""

    def __init__(self, attributes: Attributes = {}, *, checked: bool = False) -> None:  # noqa: B006  never changed
        """`checked`: they can be kept, as `cleaned` or an earlier `put` found."""
        super().__init__()
        self._names: dict[str, str] = {}
        if checked:
            self._names = {name.casefold(): name for name in attributes}
            self.update((name, list(values)) for name, values in attributes.items() if values)
            return
        for name, values in attributes.items():
            self.put(name, values)

    def put(self, name: str, values: Sequence[AttributeValue] | None) -> None:
        """Set an attribute's values; None or none at all removes it."""
        name = self._names.setdefault(name.casefold(), name)
        if isinstance(values, str | bytes):
            raise DirectoryError(f"{name}: a list of values is needed")
        if name.casefold() in _LINKS:
            raise DirectoryError(f"{name} is a link to other entries, no attribute with values")
        for value in values or ():
            if complaint := _complaint(name, value):
                raise DirectoryError(f"{name}: {complaint}")
        if values:
            self[name] = list(values)
        else:
            self.pop(name, None)

    def texts(self, name: str) -> list[str]:
        """All text values."""
        values = self.get(self._names.get(name.casefold(), name), ())
        return [value for value in values if isinstance(value, str)]

    def text(self, name: str) -> str | None:
        """The first text value that is not empty."""
        return next((value for value in self.texts(name) if value), None)


def _complaint(name: str, value: AttributeValue) -> str | None:
    """Why a value can't be kept."""
    if len(value) > _LONGEST_NAMES.get(name, LONGEST_VALUE):
        return f"a value of {len(value)} characters"
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return f"{value[:80]!r} is no text"
    if isinstance(value, str) and "\0" in value:
        return f"{value[:80]!r} is no text"
    return None


def _suspicious(name: str, values: Sequence[AttributeValue]) -> bool:
    """Whether a value may be one that can't be kept; of most entries none is."""
    longest = _LONGEST_NAMES.get(name, LONGEST_VALUE)
    return any(len(value) > longest or (isinstance(value, str) and not value.isprintable()) for value in values)


def cleaned(record: Record) -> tuple[Record, list[str]]:
    """The record without what can't be kept, and what that was: a foreign directory may hold anything."""
    attributes: dict[str, list[AttributeValue]] = {}
    complaints: list[str] = []
    size = 0
    for name, values in record.attributes.items():
        if name.casefold() in _LINKS:
            complaints.append(f"{name}: a link, no attribute with values")
            continue
        if not _suspicious(name, values):
            size += sum(map(len, values))
            if size <= LONGEST_ENTRY:
                attributes[name] = [*values]
                continue
            size -= sum(map(len, values))
        kept = []
        for value in values:
            complaint = _complaint(name, value)
            size += len(value)
            if complaint is None and size > LONGEST_ENTRY:
                complaint = f"an entry of more than {LONGEST_ENTRY} characters"
            if complaint is None:
                kept.append(value)
            else:
                size -= len(value)
                complaints.append(f"{name}: {complaint}")
        if kept:
            attributes[name] = kept
    if len(record.name) > LONGEST_NAME or _complaint("", record.name):
        complaints.append(f"{record.name[:80]!r} is no name")
        record = dataclasses.replace(record, name="")
    links = {name: targets for name, targets in record.links.items() if len(name) <= 64}
    return dataclasses.replace(record, attributes=attributes, links=links), complaints


@dataclasses.dataclass(slots=True)
class Derived:
    """What the tables keep of an entry."""

    columns: dict[str, Any]
    addresses: set[str]
    tokens: dict[bytes, bool]
    #: The name in its legacyExchangeDN, folded.
    organization: str | None


#: Columns whose values no two entries share.
UNIQUE_COLUMNS = ("account_folded", "principal_folded", "legacy_exchange_dn_folded")


def derive(record: Record, *, checked: bool = False) -> Derived:
    """Columns, addresses and name resolution tokens; `DirectoryError` where there is nothing to call it.

    One that was `checked` (`cleaned`) is called something then: what links call it, or its identity.
    """
    attributes = AttributeMap(record.attributes, checked=checked)
    account, dn = attributes.text("sAMAccountName"), attributes.text("legacyExchangeDN")
    display_name = attributes.text("displayName") or attributes.text("cn") or account or attributes.text("mail")
    if not display_name and checked:
        display_name = record.name or str(record.guid)
    if not display_name:
        raise DirectoryError("an entry needs a displayName, cn, sAMAccountName or mail")
    principal = attributes.text("userPrincipalName")
    phonetic = attributes.text("msDS-PhoneticDisplayName")
    hidden = (attributes.text("msExchHideFromAddressLists") or "").casefold() == "true"
    key = sort_key(display_name)
    columns = {
        "kind": str(record.kind),
        "name": record.name,
        "display_type": int(_DISPLAY_TYPES[record.kind]),
        "display_name": display_name,
        "sort_key": key,
        "phonetic_key": sort_key(phonetic) if phonetic else key,
        "phonetic_name": phonetic,
        "legacy_exchange_dn": dn or "",
        "legacy_exchange_dn_folded": fold(dn) if dn else None,
        "account": account,
        "account_folded": fold(account) if account else None,
        "principal_folded": fold(principal) if principal else None,
        "enabled": record.enabled,
        "listed": bool(dn) and not hidden and record.kind not in _NEVER_LISTED,
        "attributes": to_json(attributes),
    }
    return Derived(columns, set(_addresses(attributes)), _tokens(attributes, display_name), organization_of(dn or ""))


def organization_of(legacy_exchange_dn: str) -> str | None:
    """The folded name of the organization in a distinguished name, `/o=NAME/...`."""
    head, _, rest = fold(legacy_exchange_dn).partition("/o=")
    return rest.partition("/")[0] or None if not head else None


def without(derived: Derived, column: str) -> None:
    """Take a name from an entry that another one has: it is not known by it."""
    derived.columns[column] = None
    if column == "account_folded":
        derived.columns["account"] = None
    elif column == "legacy_exchange_dn_folded":
        derived.columns["legacy_exchange_dn"] = ""
        derived.columns["listed"] = False


def fold_address(address: str) -> str:
    """An address as it is looked up: with its type, without case."""
    kind, colon, rest = address.partition(":")
    return fold(address if colon and rest and kind.isalnum() else f"smtp:{address}")


def _addresses(attributes: AttributeMap) -> Iterable[str]:
    for name in ("mail", "proxyAddresses"):
        yield from (fold_address(address) for address in attributes.texts(name) if address)


def searched(attribute: str, key: bytes) -> bytes:
    """The token of an attribute's value, apart from all names: no sort key has this byte."""
    return b"\xff" + attribute.encode() + b"\xff" + key


def _tokens(attributes: AttributeMap, display_name: str) -> dict[bytes, bool]:
    """Sort keys of the names that the entry is found by; true where the whole name means this entry."""
    given, family = attributes.text("givenName") or "", attributes.text("sn") or ""
    phonetic = [attributes.text(f"msDS-Phonetic{name}") or "" for name in ("DisplayName", "FirstName", "LastName")]
    office = attributes.text("physicalDeliveryOfficeName") or ""
    parts = {*tails(display_name), *tails(given), *tails(family), f"{family} {given}".strip()}
    parts.update([office], *map(tails, phonetic))
    tokens = {sort_key(part): False for part in parts}
    whole = [display_name]
    for name in ("sAMAccountName", "userPrincipalName", "mailNickname", "legacyExchangeDN", "mail", "proxyAddresses"):
        whole += attributes.texts(name)
    whole += [address.partition(":")[2] for address in attributes.texts("proxyAddresses")]
    tokens |= {sort_key(name): True for name in set(whole)}
    tokens.pop(b"", None)
    tokens |= {searched(name, key): False for name in SEARCHED for key in map(sort_key, attributes.texts(name)) if key}
    # An index on them has a longest key too; nobody types that much.
    return {token[:LONGEST_NAME]: flag for token, flag in tokens.items()}


def to_json(attributes: Attributes) -> dict[str, list[Any]]:
    """Attributes as JSON can hold them: bytes as `{"base64": ...}`."""
    return {
        name: [v if isinstance(v, str) else {"base64": base64.b64encode(v).decode()} for v in values]
        for name, values in attributes.items()
    }


def from_json(attributes: Mapping[str, Sequence[Any]]) -> dict[str, list[AttributeValue]]:
    """The attributes that `to_json` was given."""
    return {
        name: [v if isinstance(v, str) else base64.b64decode(v["base64"]) for v in values]
        if dict in map(type, values)
        else list(values)
        for name, values in attributes.items()
    }


def to_entry(row: Any) -> Entry:
    """An entry from a row of the entry table."""
    guid: uuid.UUID = row.guid
    return Entry(
        guid=guid,
        mid=MinimalEntryId(row.mid),
        display_type=DisplayType(row.display_type),
        legacy_exchange_dn=row.legacy_exchange_dn,
        display_name=row.display_name,
        account=row.account,
        attributes=from_json(row.attributes),
        kind=Kind(row.kind),
        name=row.name,
        enabled=row.enabled,
    )


def to_record(row: Any) -> Record:
    """What was stored as that row, but for its links."""
    return Record(row.guid, row.name, Kind(row.kind), row.enabled, from_json(row.attributes), {})

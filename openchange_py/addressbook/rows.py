"""Between an entry's attributes and the embedded directory's columns: what is derived, and from what."""

from __future__ import annotations

import base64
import dataclasses
import sys
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openchange_py.addressbook.base import (
    Attributes,
    AttributeValue,
    DirectoryError,
    DisplayType,
    Entry,
    Kind,
    MinimalEntryId,
)
from openchange_py.addressbook.sortkeys import fold, sort_key, tails

#: The longest text that names are made of; a sort key grows by at most a small factor.
LONGEST_NAME = 1024

USER, GROUP, CONTACT, SERVER = "user", "group", "contact", "server"

#: The objectClass of entries that are not users.
_KIND_OF_CLASS = {"contact": CONTACT, "group": GROUP, "msexchexchangeserver": SERVER}


class AttributeMap(dict[str, list[AttributeValue]]):
    """Attributes, found whatever the case of their names."""

    def __init__(self, attributes: Attributes = {}) -> None:  # noqa: B006  never changed
        super().__init__()
        self._names: dict[str, str] = {}
        for name, values in attributes.items():
            self.put(name, values)

    def put(self, name: str, values: Sequence[AttributeValue] | None) -> None:
        """Set an attribute's values; None or none at all removes it."""
        name = self._names.setdefault(name.casefold(), name)
        if isinstance(values, str | bytes):
            raise DirectoryError(f"{name}: a list of values is needed")
        for value in values or ():
            if isinstance(value, str) and not _storable(value):
                raise DirectoryError(f"{name}: {value!r} is no text")
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


def _storable(text: str) -> bool:
    """No zero and no lone surrogate, which databases can't hold and strings on the wire neither."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


@dataclasses.dataclass(slots=True)
class Derived:
    """What the tables hold of an entry besides its identifiers."""

    columns: dict[str, Any]
    addresses: set[str]
    tokens: dict[bytes, bool]


def derive(attributes: AttributeMap, display_type: DisplayType) -> Derived:
    """Columns, addresses and resolution tokens; `DirectoryError` where a name is too long."""
    account, dn = attributes.text("sAMAccountName"), attributes.text("legacyExchangeDN")
    display_name = attributes.text("displayName") or attributes.text("cn") or account or attributes.text("mail")
    if not display_name:
        raise DirectoryError("an entry needs a displayName, cn, sAMAccountName or mail")
    principal = attributes.text("userPrincipalName")
    kind = _kind(attributes, display_type)
    hidden = (attributes.text("msExchHideFromAddressLists") or "").casefold() == "true"
    columns = {
        "kind": kind,
        "display_type": int(display_type),
        "display_name": display_name,
        "sort_key": sort_key(display_name),
        "legacy_exchange_dn": dn or "",
        "legacy_exchange_dn_folded": fold(dn) if dn else None,
        "account": account,
        "account_folded": fold(account) if account else None,
        "principal_folded": fold(principal) if principal else None,
        "listed": bool(dn) and not hidden and kind != SERVER,
        "attributes": to_json(attributes),
    }
    for name, value in columns.items():
        if isinstance(value, str) and len(value) > LONGEST_NAME:
            raise DirectoryError(f"{name} is longer than {LONGEST_NAME} characters")
    return Derived(columns, set(_addresses(attributes)), _tokens(attributes, display_name))


def _kind(attributes: AttributeMap, display_type: DisplayType) -> str:
    for name in attributes.texts("objectClass"):
        if name.casefold() in _KIND_OF_CLASS:
            return _KIND_OF_CLASS[name.casefold()]
    if display_type in (DisplayType.DISTLIST, DisplayType.PRIVATE_DISTLIST):
        return GROUP
    return CONTACT if display_type == DisplayType.REMOTE_MAILUSER else USER


def fold_address(address: str) -> str:
    """An address as it is looked up: with its type, without case."""
    kind, colon, rest = address.partition(":")
    return fold(address if colon and rest and kind.isalnum() else f"smtp:{address}")


def _addresses(attributes: AttributeMap) -> Iterable[str]:
    for name in ("mail", "proxyAddresses"):
        yield from (fold_address(address) for address in attributes.texts(name) if address)


def _tokens(attributes: AttributeMap, display_name: str) -> dict[bytes, bool]:
    """Sort keys of the names that the entry is found by; true where the whole name means this entry."""
    given, family = attributes.text("givenName") or "", attributes.text("sn") or ""
    parts = [*tails(display_name), *tails(given), *tails(family), f"{family} {given}".strip()]
    tokens = {sort_key(part): False for part in parts}
    whole = [display_name]
    for name in ("sAMAccountName", "userPrincipalName", "mailNickname", "legacyExchangeDN", "mail", "proxyAddresses"):
        whole += attributes.texts(name)
    whole += [address.partition(":")[2] for address in attributes.texts("proxyAddresses")]
    tokens |= {sort_key(name): True for name in whole}
    tokens.pop(b"", None)
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
        sys.intern(name): [v if isinstance(v, str) else base64.b64decode(v["base64"]) for v in values]
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
        name=row.legacy_exchange_dn,
        enabled=row.enabled,
    )

"""Server names in the calls of NSPI ([MS-OXNSPI] 3.1.4.1): property values, restrictions, names to resolve.

Of binary values those that are made of a distinguished name are rewritten: permanent entry ids ([MS-OXNSPI] 2.2.9.3)
and search keys (`EX:` and the name). Any other one (a certificate, a hash, a template) is what somebody else made and
checks, and has no place where a name is to be expected.
Not done: the display name of a server in an answer that has nothing else of it (a name alone is anybody's).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Final

from openchange_py.proxy.names import NameMap, server_of_dn
from openchange_py.wire.ndr import RpcMessage
from openchange_py.wire.oxcdata.entryids import ADDRESS_BOOK_PROVIDER
from openchange_py.wire.oxcdata.properties import PropertyType
from openchange_py.wire.oxnspi import NspiModLinkAttRequest
from openchange_py.wire.oxnspi_restrictions import Restriction_r
from openchange_py.wire.oxnspi_types import PropertyRow_r, PropertyValue_r
from openchange_py.wire.proptags import (
    PidTagAddressBookNetworkAddress,
    PidTagAddressBookObjectDistinguishedName,
    PidTagAddressType,
    PidTagEmailAddress,
    PidTagEntryId,
    PidTagOriginalEntryId,
    PidTagRecordKey,
    PidTagTemplateid,
)

_ENTRY_ID_HEAD: Final = 28
_BINARY_TYPES: Final = frozenset({PropertyType.Binary, PropertyType.MultipleBinary})
_STRING8_TYPES: Final = frozenset({PropertyType.String8, PropertyType.MultipleString8})

#: Which properties hold the distinguished name of the object itself, as text and in an entry id.
_OWN_DN: Final = frozenset({PidTagEmailAddress.id, PidTagAddressBookObjectDistinguishedName.id})
_OWN_ENTRY_ID: Final = frozenset({PidTagEntryId.id, PidTagOriginalEntryId.id, PidTagRecordKey.id, PidTagTemplateid.id})
_IDENTIFYING: Final = _OWN_DN | _OWN_ENTRY_ID | {PidTagAddressBookNetworkAddress.id}


@dataclasses.dataclass(frozen=True, slots=True)
class Direction:
    """How text is rewritten on its way to the client, or to the upstream."""

    text: Callable[[str], str]
    octets: Callable[[bytes], bytes]

    def value(self, value: Any, kind: int) -> Any:
        """A property value of a type, or what each of several becomes; the same object where nothing changes."""
        if isinstance(value, list):
            new = [self.value(one, kind) for one in value]
            return value if new == value else new
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes) and (kind in _STRING8_TYPES or (kind in _BINARY_TYPES and _holds_dn(value))):
            return self.octets(value)
        return value


def _holds_dn(value: bytes) -> bool:
    """Whether a binary value is a permanent entry id or a search key."""
    entry_id = len(value) > _ENTRY_ID_HEAD and value[4:20] == ADDRESS_BOOK_PROVIDER.bytes_le
    return (entry_id and value[0] == 0) or value[:3].upper() == b"EX:"


def rewrite_request(message: RpcMessage, names: NameMap) -> bool:
    """Make a client's names the upstream's, in place; whether anything changed."""
    direction = Direction(names.to_upstream, names.octets_to_upstream)
    changed = False
    for field in ("names", "strings"):
        texts = getattr(message, field, None)
        if texts is not None:
            new = [_text(text, direction) for text in texts]
            changed |= new != texts
            setattr(message, field, new)
    if isinstance(message, NspiModLinkAttRequest) and message.entry_ids is not None:
        new_ids = direction.value(message.entry_ids, PropertyType.MultipleBinary)
        changed |= new_ids is not message.entry_ids
        message.entry_ids = new_ids
    for value in _request_values(message):
        changed |= _rewrite_value(value, direction)
    dn = getattr(message, "dn", None)
    if dn is not None:
        message.dn = direction.octets(dn)  # type: ignore[attr-defined]  # of NspiGetTemplateInfo
        changed |= message.dn != dn  # type: ignore[attr-defined]
    return changed


def _text(text: Any, direction: Direction) -> Any:
    """One of StringsArray_r or WStringsArray_r; a NspiGetIDsFromNames name is no text."""
    if isinstance(text, str):
        return direction.text(text)
    return direction.octets(text) if isinstance(text, bytes) else text


def _request_values(message: RpcMessage) -> list[PropertyValue_r]:
    """The property values of a request: NspiSeekEntries, NspiModProps, and in the restriction of NspiGetMatches."""
    values: list[PropertyValue_r] = []
    if isinstance(target := getattr(message, "target", None), PropertyValue_r):
        values.append(target)
    if isinstance(row := getattr(message, "row", None), PropertyRow_r):
        values += row.values or []
    pending: list[Restriction_r | None] = [getattr(message, "filter", None)]
    while pending:
        restriction = pending.pop()
        pending += getattr(restriction, "restrictions", None) or []
        pending += [inner] if (inner := getattr(restriction, "restriction", None)) is not None else []
        if isinstance(value := getattr(restriction, "prop", None), PropertyValue_r):
            values.append(value)
    return values


def _rewrite_value(value: PropertyValue_r, direction: Direction) -> bool:
    before = value.value
    value.value = direction.value(before, value.prop_tag & 0xFFFF)
    return bool(value.value != before)


def response_rows(message: RpcMessage) -> list[PropertyRow_r]:
    """The rows of a response, of whatever call."""
    rows = list(getattr(message, "rows", None) or [])
    return rows + [row for field in ("row", "data") if (row := getattr(message, field, None)) is not None]


def rewrite_response(message: RpcMessage, names: NameMap) -> bool:
    """Make the upstream's names this server's, in place; whether anything changed."""
    direction = Direction(names.to_client, names.octets_to_client)
    changed = False
    for row in response_rows(message):
        changed |= _rewrite_row(row, names, direction)
    return changed


def _rewrite_row(row: PropertyRow_r, names: NameMap, direction: Direction) -> bool:
    changed = False
    server = is_hidden_server(row, names)
    for value in row.values or []:
        before = value.value
        if server and _is_network_address(value):
            value.value = [_like(before[0], binding) for binding in names.own.bindings] if before else before
        elif server and _may_be_name(value):
            value.value = _whole(before, names)
        else:
            value.value = direction.value(before, value.prop_tag & 0xFFFF)
        changed |= value.value != before
    return changed


def _is_network_address(value: PropertyValue_r) -> bool:
    return value.prop_tag >> 16 == PidTagAddressBookNetworkAddress.id and isinstance(value.value, list)


def _may_be_name(value: PropertyValue_r) -> bool:
    """Whether a value of a server's row may be its name alone. The address type is always EX, which may be a name."""
    is_text = isinstance(value.value, str) or value.prop_tag & 0xFFFF == PropertyType.String8
    return is_text and value.value is not None and value.prop_tag >> 16 != PidTagAddressType.id


def is_hidden_server(row: PropertyRow_r, names: NameMap) -> bool:
    """Whether a row is of a server that must not be seen: by its distinguished name, or by its network addresses."""
    for value in row.values or []:
        if value.prop_tag >> 16 not in _IDENTIFYING:
            continue
        if _is_network_address(value):
            if any(names.hides(host) for host in network_hosts(value)):
                return True
        elif names.hides(_server_itself(_own_dn(value))):
            return True
    return False


def _own_dn(value: PropertyValue_r) -> str:
    """The distinguished name of the row's object, where the value has it."""
    if value.prop_tag >> 16 in _OWN_DN and isinstance(value.value, str | bytes):
        return _plain(value.value)
    if value.prop_tag >> 16 in _OWN_ENTRY_ID and isinstance(value.value, bytes) and _holds_dn(value.value):
        return _plain(value.value[_ENTRY_ID_HEAD:].rstrip(b"\0"))
    return ""


def _server_itself(dn: str) -> str:
    """The server whose distinguished name this is; nothing where it is of something else, or something on a server."""
    name = server_of_dn(dn)
    return name if name != dn and dn.endswith(name) else ""


def network_hosts(value: PropertyValue_r) -> list[str]:
    """The hosts of a server's network addresses: `netbios:NAME`, `ncacn_ip_tcp:HOST`."""
    if not _is_network_address(value):
        return []
    addresses = [_plain(address) for address in value.value if address]
    return [address.partition(":")[2].lstrip("\\").partition("[")[0] for address in addresses]


def _plain(text: str | bytes) -> str:
    return text if isinstance(text, str) else text.decode("latin-1")


def _like(example: str | bytes | None, text: str) -> str | bytes:
    """Text as 8-bit or Unicode, as its neighbours are."""
    return text.encode("ascii") if isinstance(example, bytes) else text


def _whole(text: str | bytes, names: NameMap) -> str | bytes:
    """A value of a server's row, which may be nothing but its name."""
    if names.hides(_plain(text)):
        return _like(text, names.name_to_client(_plain(text)))
    return names.to_client(text) if isinstance(text, str) else names.octets_to_client(text)

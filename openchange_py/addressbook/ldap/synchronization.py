"""The LDAP content synchronization operation, RFC 4533: its controls and messages, as `refreshOnly` needs them.

`ldap3` hands the values of controls and intermediate responses over as bytes: BER (X.690) with definite lengths.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from ldap3.protocol.controls import build_control

from openchange_py.addressbook.base import DirectoryError

SYNC_REQUEST: Final = "1.3.6.1.4.1.4203.1.9.1.1"
_SYNC_STATE: Final = "1.3.6.1.4.1.4203.1.9.1.2"
_SYNC_DONE: Final = "1.3.6.1.4.1.4203.1.9.1.3"
_SYNC_INFO: Final = "1.3.6.1.4.1.4203.1.9.1.4"

_BOOLEAN, _OCTET_STRING, _ENUMERATED, _SEQUENCE, _SET = 0x01, 0x04, 0x0A, 0x30, 0x31
#: [3] of syncInfoValue: syncIdSet.
_ID_SET: Final = 0xA3
_REFRESH_ONLY: Final = 1
#: Sync State Control's states.
_PRESENT, _ADD, _MODIFY, _DELETE = range(4)
_UUID_LENGTH: Final = 16


@dataclasses.dataclass(slots=True)
class Refreshed:
    """What a refresh told: names and UUIDs of entries that changed; UUIDs of those that are gone, or that are left.

    `tells_deletions` says which of the two: else whatever is neither in `present` nor in `changed` is gone.
    """

    changed: dict[bytes, str] = dataclasses.field(default_factory=dict)
    present: set[bytes] = dataclasses.field(default_factory=set)
    deleted: set[bytes] = dataclasses.field(default_factory=set)
    tells_deletions: bool = False


def request_control(cookie: str) -> Any:
    """Sync Request Control: what changed since the cookie."""
    mode = bytes((_ENUMERATED, 1, _REFRESH_ONLY))
    value = _element(_SEQUENCE, mode + _element(_OCTET_STRING, cookie.encode()))
    return build_control(SYNC_REQUEST, True, value, encode_control_value=False)


def read_refresh(messages: Iterable[Mapping[str, Any]]) -> Refreshed:
    """The answers to a search with that control, the last one too. `DirectoryError` for what is no such answer."""
    found = Refreshed()
    for message in messages:
        controls = message.get("controls") or {}
        if message["type"] == "searchResEntry":
            _read_entry(found, message, controls)
        elif message["type"] == "intermediateResponse":
            if message.get("responseName") == _SYNC_INFO:
                _read_info(found, bytes(message.get("responseValue") or b""))
        elif _SYNC_DONE in controls:
            done = _only(bytes(controls[_SYNC_DONE]["value"] or b""), _SEQUENCE)
            found.tells_deletions = any(tag == _BOOLEAN and value != b"\0" for tag, value in elements(done))
    return found


def _read_entry(found: Refreshed, message: Mapping[str, Any], controls: Mapping[str, Any]) -> None:
    if _SYNC_STATE not in controls:
        return
    state, identity = None, b""
    for tag, value in elements(_only(bytes(controls[_SYNC_STATE]["value"] or b""), _SEQUENCE)):
        if tag == _ENUMERATED:
            state = int.from_bytes(value, "big")
        elif tag == _OCTET_STRING and not identity:
            identity = value
    if len(identity) != _UUID_LENGTH:
        raise DirectoryError("the directory's answer to a synchronization names no entry")
    if state == _DELETE:
        found.deleted.add(identity)
    elif state == _PRESENT:
        found.present.add(identity)
    else:
        found.changed[identity] = message["raw_dn"].decode("utf-8", "replace")


def _read_info(found: Refreshed, value: bytes) -> None:
    for tag, content in elements(value):
        if tag != _ID_SET:
            continue
        deletes, identities = False, b""
        for inner, data in elements(content):
            if inner == _BOOLEAN:
                deletes = data != b"\0"
            elif inner == _SET:
                identities = data
        uuids = {data for inner, data in elements(identities) if inner == _OCTET_STRING and len(data) == _UUID_LENGTH}
        (found.deleted if deletes else found.present).update(uuids)


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements that stand one behind the other: tag and content. `DirectoryError` where one is cut off."""
    place = 0
    while place < len(data):
        start, length = _length(data, place + 1)
        if start + length > len(data):
            raise DirectoryError("the directory's answer to a synchronization is cut off")
        yield data[place], data[start : start + length]
        place = start + length


def _length(data: bytes, place: int) -> tuple[int, int]:
    """Where the content begins, and its length."""
    first = data[place] if place < len(data) else 0x80
    if first < 0x80:
        return place + 1, first
    size = first & 0x7F
    if not 0 < size <= 4 or place + 1 + size > len(data):
        raise DirectoryError("the directory's answer to a synchronization is cut off")
    return place + 1 + size, int.from_bytes(data[place + 1 : place + 1 + size], "big")


def _only(data: bytes, tag: int) -> bytes:
    for found, content in elements(data):
        if found == tag:
            return content
    raise DirectoryError("the directory's answer to a synchronization is none")


def _element(tag: int, content: bytes) -> bytes:
    """Short enough for one or two bytes of length: cookies are."""
    length = len(content)
    size = bytes((length,)) if length < 0x80 else b"\x82" + length.to_bytes(2, "big")
    return bytes((tag,)) + size + content

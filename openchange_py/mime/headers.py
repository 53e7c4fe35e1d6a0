"""Header fields as texts, dates and addresses: RFC 5322, RFC 2047. Nothing here fails on what mail holds."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import email.utils
import quopri
import re

# What `email.utils.getaddresses` uses, without its all-or-nothing check.
from email._parseaddr import AddressList  # type: ignore[import-not-found]

from openchange_py.mime import charsets
from openchange_py.mime.parser import Part

#: Addresses that one field may list.
ADDRESS_LIMIT = 10_000

_ENCODED_WORD = re.compile(r"=\?([^?\s]{1,75})\?([bBqQ])\?([^?]*)\?=")
#: 100 ns between 1601-01-01 and 1970-01-01.
_EPOCH = 116444736000000000


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """One mailbox of a From, To, ... field: a name for people (maybe empty), and an address."""

    name: str
    address: str

    @property
    def display_name(self) -> str:
        """The name, or the address where there is none."""
        return self.name or self.address


def raw_fields(message: Part, name: str) -> list[str]:
    """All fields of that name as they were sent; bytes that are not ASCII as surrogates."""
    wanted = name.lower()
    return [str(value) for field, value in message.raw_items() if field.lower() == wanted]


def raw_field(message: Part, name: str) -> str | None:
    """The first field of that name."""
    fields = raw_fields(message, name)
    return fields[0] if fields else None


def text_field(message: Part, name: str) -> str | None:
    """The first field of that name as a text."""
    value = raw_field(message, name)
    return None if value is None else decode_text(value)


def decode_text(value: str) -> str:
    """An unfolded text with its encoded words decoded; those of one charset that follow each other together."""
    value = re.sub(r"\r?\n", "", value)
    result: list[str] = []
    waiting: tuple[str, bytearray] | None = None
    end = 0
    for match in _ENCODED_WORD.finditer(value):
        raw = _decode_word(match.group(2), match.group(3))
        if raw is None:
            continue
        between = value[end : match.start()]
        charset = match.group(1).partition("*")[0].lower()
        if waiting is not None and (between.strip(" \t") or waiting[0] != charset):
            result.append(charsets.decode(bytes(waiting[1]), waiting[0]))
            waiting = None
        if waiting is None:
            result.append(between if not result or between.strip(" \t") else "")
            waiting = charset, bytearray()
        waiting[1].extend(raw)
        end = match.end()
    if waiting is not None:
        result.append(charsets.decode(bytes(waiting[1]), waiting[0]))
    result.append(value[end:])
    return clean_text("".join(repair_bytes(part) for part in result))


def _decode_word(encoding: str, text: str) -> bytes | None:
    raw = text.encode("ascii", "surrogateescape") if _is_bytes(text) else text.encode("utf-8", "surrogatepass")
    if encoding in "qQ":
        return quopri.decodestring(raw, header=True)
    try:
        return base64.b64decode(raw + b"=" * (-len(raw) % 4))
    except (binascii.Error, ValueError):
        return None


def _is_bytes(text: str) -> bool:
    return all(ord(char) < 0x80 or 0xDC80 <= ord(char) <= 0xDCFF for char in text)


def repair_bytes(text: str) -> str:
    """Bytes that came as surrogates, read as UTF-8, else as Windows-1252."""
    if text.isascii() or not any(0xDC80 <= ord(char) <= 0xDCFF for char in text):
        return text
    return charsets.decode(text.encode("utf-8", "surrogateescape"), None)


def clean_text(text: str) -> str:
    """Without control characters, which no header text needs and zero-terminated strings cannot hold."""
    return "".join(char for char in text.strip() if char >= " " or char == "\t").replace("\x7f", "")


def addresses(message: Part, name: str) -> list[Address]:
    """All mailboxes of all fields of that name, in order."""
    found: list[Address] = []
    for value in raw_fields(message, name):
        found += parse_addresses(value)
    return found[:ADDRESS_LIMIT]


def parse_addresses(value: str) -> list[Address]:
    """The mailboxes of one field. What is no address, but says something, is kept as a name without one."""
    pairs = _pairs(value)
    if _misread(value, pairs):
        # Not by the rules, an old UUCP path for instance: one by one, so that the others are read.
        pairs = [pair for one in value.split(",") for pair in _pairs_or_text(one.strip())]
    parsed = [Address(decode_text(name), clean_text(repair_bytes(address))) for name, address in pairs]
    return [one for one in parsed if one.name or one.address]


def _pairs(value: str) -> list[tuple[str, str]]:
    try:
        return [(name or "", address or "") for name, address in AddressList(value).addresslist]
    except (RecursionError, IndexError, ValueError, TypeError, AttributeError):
        return [(value, "")]


def _pairs_or_text(value: str) -> list[tuple[str, str]]:
    pairs = _pairs(value)
    if _misread(value, pairs):
        return [(value, "")] if " " in value else [("", value)]
    return pairs


def _misread(value: str, pairs: list[tuple[str, str]]) -> bool:
    """Whether Python's parser left something out; versions of it differ in what they give then."""
    return "@" in value and any(address.startswith("@") or not (name or address) for name, address in pairs)


def parse_time(value: str | None) -> int | None:
    """A date as PtypTime (100 ns since 1601-01-01 UTC); None where it is not one."""
    if not value:
        return None
    try:
        fields = email.utils.parsedate_tz(re.sub(r"\r?\n", "", value))
        if fields is None:
            return None
        seconds = email.utils.mktime_tz(fields)
    except (ValueError, OverflowError, TypeError, IndexError, AttributeError):
        return None
    time = int(seconds) * 10_000_000 + _EPOCH
    return time if 0 < time < 1 << 62 else None


def received_time(message: Part) -> int | None:
    """When the last server took the message over: the date behind the first Received field's last semicolon."""
    value = raw_field(message, "Received")
    return None if value is None else parse_time(value.rpartition(";")[2])


def message_ids(value: str | None) -> str | None:
    """The field's text; ids of In-Reply-To and References are kept as they were sent."""
    return (
        None if value is None else re.sub(r"\s+", " ", clean_text(repair_bytes(re.sub(r"\r?\n", " ", value)))) or None
    )

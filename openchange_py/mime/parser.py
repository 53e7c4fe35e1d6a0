"""Reading bytes as mail: Python's parser, with bounds on size, nesting and parts, and what is put right before it."""

from __future__ import annotations

import email.message
import email.parser
import email.policy
import re
from typing import Any

#: Bytes of one message.
SIZE_LIMIT = 256 << 20
#: Multiparts and messages in each other.
NESTING_LIMIT = 64
#: Parts of one message.
PART_LIMIT = 10_000

Part = email.message.Message

_FIELD = re.compile(rb"[\x21-\x39\x3b-\x7e]{1,200}[ \t]*:")
#: Fields that a message's own header is recognized by.
_OWN_FIELD = re.compile(
    rb"(?:from|to|subject|date|message-id|received|mime-version|content-type|return-path)[ \t]*:", re.IGNORECASE
)


class ImportRefused(Exception):
    """A message that is not imported; says why, for a person."""


class _RawPolicy(email.policy.Compat32):
    """Fields as they were sent: bytes that are not ASCII stay surrogates, for us to decode."""

    def header_fetch_parse(self, name: str, value: Any) -> Any:
        return value


_POLICY = _RawPolicy()


class _Parser(email.parser.BytesFeedParser):
    """Python's parser with bounds: its own nesting costs a regular expression per level and line."""

    def __init__(self) -> None:
        self._parts = 0
        super().__init__(self._new_part, policy=_POLICY)

    def _new_part(self, policy: Any = _POLICY) -> Part:
        self._parts += 1
        if self._parts > PART_LIMIT:
            raise ImportRefused(f"more than {PART_LIMIT} parts")
        # The parser's stack of open parts has no public name.
        if len(getattr(self, "_msgstack", ())) > NESTING_LIMIT:
            raise ImportRefused(f"more than {NESTING_LIMIT} parts in each other")
        return Part(policy)


def parse(raw: bytes) -> Part:
    """The message in those bytes; `ImportRefused` where it is none, or beyond the bounds."""
    if len(raw) > SIZE_LIMIT:
        raise ImportRefused(f"{len(raw)} bytes; a message can have {SIZE_LIMIT}")
    raw = raw.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    if not raw:
        raise ImportRefused("it is empty")
    try:
        parser = _Parser()
        parser.feed(_repair_header(raw))
        message: Part = parser.close()
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        raise ImportRefused(f"Python's mail parser fails on it: {type(error).__name__}: {error}") from error
    if not message.keys():
        raise ImportRefused("it has no mail header")
    return message


def header_block(raw: bytes) -> bytes:
    """The lines up to the first empty one."""
    match = re.search(rb"\r?\n\r?\n", raw)
    return raw if match is None else raw[: match.start()]


def _repair_header(raw: bytes) -> bytes:
    """Lines that belong to no field, with fields of a mail's header behind them, become continuations.

    Some programs break a long field without indenting its rest. Python's parser takes that for the header's end.
    """
    head = header_block(raw)
    lines = head.split(b"\n")
    broken = [number for number, line in enumerate(lines) if number and not _belongs(line)]
    known = [number for number, line in enumerate(lines) if _OWN_FIELD.match(line)]
    if not broken or not known:
        return raw
    for number in broken:
        if number < known[-1]:
            lines[number] = b" " + lines[number]
    return b"\n".join(lines) + raw[len(head) :]


def _belongs(line: bytes) -> bool:
    return line[:1] in (b" ", b"\t", b"") or _FIELD.match(line) is not None

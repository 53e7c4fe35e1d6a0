"""LDIF (RFC 2849): changes of a directory as text, read and written.

Records without `changetype` are additions. Not done: `changetype: modrdn`, controls, and values from a URL (`<`), which
no file of this program has.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

Value = str | bytes

#: RFC 2849's SAFE-STRING: what may stand without base64. Neither end may be a space, for people's sake.
_SAFE = re.compile(r"[!-9;=-~]([ -~]*[!-~])?")
_WIDTH = 78
_OPERATIONS = ("add", "delete", "replace")


class LdifError(ValueError):
    """No LDIF; the message has the line's number."""


@dataclasses.dataclass(frozen=True, slots=True)
class Addition:
    """A new entry: every attribute with its values, objectClass among them."""

    dn: str
    attributes: Mapping[str, Sequence[Value]]


@dataclasses.dataclass(frozen=True, slots=True)
class Modification:
    """Changes of one entry, in order: operation (`add`, `delete`, `replace`), attribute, values."""

    dn: str
    changes: Sequence[tuple[str, str, Sequence[Value]]]


@dataclasses.dataclass(frozen=True, slots=True)
class Deletion:
    """An entry that goes."""

    dn: str


Change = Addition | Modification | Deletion


def render(changes: Iterable[Change]) -> str:
    """As text that `ldapmodify` takes; lines are at most 78 characters long."""
    return "\n".join("".join(f"{line}\n" for line in _lines(change)) for change in changes)


def _lines(change: Change) -> Iterator[str]:
    yield from _line("dn", change.dn)
    match change:
        case Addition():
            yield "changetype: add"
            for name, values in change.attributes.items():
                for value in values:
                    yield from _line(name, value)
        case Modification():
            yield "changetype: modify"
            for operation, name, values in change.changes:
                yield f"{operation}: {name}"
                for value in values:
                    yield from _line(name, value)
                yield "-"
        case Deletion():
            yield "changetype: delete"


def _line(name: str, value: Value) -> Iterator[str]:
    if isinstance(value, str) and (not value or _SAFE.fullmatch(value)):
        line = f"{name}: {value}".rstrip()
    else:
        raw = value.encode("utf-8") if isinstance(value, str) else value
        line = f"{name}:: {base64.b64encode(raw).decode()}"
    yield line[:_WIDTH]
    for start in range(_WIDTH, len(line), _WIDTH - 1):
        yield f" {line[start : start + _WIDTH - 1]}"


def parse(text: str) -> Iterator[Change]:
    """The changes, in order. Raises `LdifError`."""
    for number, record in _records(text):
        lines = [_attribute(number + place, line) for place, line in enumerate(record)]
        if lines[0][0].casefold() == "version":
            lines = lines[1:]
        if lines:
            yield _change(number, lines)


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Unfolded lines between empty ones, without comments, and the number of the first."""
    record: list[str] = []
    first, comment = 1, False
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.startswith(" "):
            if comment:
                continue
            if not record:
                raise LdifError(f"line {number}: a continuation of nothing")
            record[-1] += line[1:]
            continue
        comment = line.startswith("#")
        if comment:
            continue
        if line:
            first = first if record else number
            record.append(line)
        elif record:
            yield first, record
            record = []


def _attribute(number: int, line: str) -> tuple[str, Value]:
    name, colon, rest = line.partition(":")
    if line == "-":
        return "-", ""
    if not colon or not name:
        raise LdifError(f"line {number}: {line[:40]!r} has no colon")
    if rest.startswith(":"):
        try:
            return name, base64.b64decode(rest[1:].strip(), validate=True)
        except binascii.Error as error:
            raise LdifError(f"line {number}: {name} is no base64: {error}") from error
    if rest.startswith("<"):
        raise LdifError(f"line {number}: {name}: values from elsewhere are not read")
    return name, rest.lstrip(" ")


def _change(number: int, lines: list[tuple[str, Value]]) -> Change:
    name, dn = lines[0]
    if name.casefold() != "dn":
        raise LdifError(f"line {number}: a record begins with dn, not {name}")
    target = dn if isinstance(dn, str) else dn.decode("utf-8", "replace")
    kind, rest = "add", lines[1:]
    if rest and rest[0][0].casefold() == "changetype":
        kind, rest = str(rest[0][1]).casefold(), rest[1:]
    if kind == "add":
        found: dict[str, list[Value]] = {}
        for attribute, value in rest:
            found.setdefault(attribute, []).append(value)
        return Addition(target, found)
    if kind == "delete":
        return Deletion(target)
    if kind == "modify":
        return Modification(target, list(_operations(number, rest)))
    raise LdifError(f"line {number}: changetype {kind} is not known")


def _operations(number: int, lines: list[tuple[str, Value]]) -> Iterator[tuple[str, str, list[Value]]]:
    rest = iter(lines)
    for operation, attribute in rest:
        if operation.casefold() not in _OPERATIONS or not isinstance(attribute, str):
            raise LdifError(f"line {number}: {operation} is none of {', '.join(_OPERATIONS)}")
        values: list[Value] = []
        for name, value in rest:
            if name == "-":
                break
            if name.casefold() != attribute.casefold():
                raise LdifError(f"line {number}: {name} within {operation}: {attribute}")
            values.append(value)
        yield operation.casefold(), attribute, values

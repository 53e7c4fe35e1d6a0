"""Who belongs in an address list: its purportedSearch, an LDAP filter (RFC 4515), on an entry's attributes.

Filters come from the directory, where who may edit an address list writes them: their length, depth and number of terms
are bounded, and what is no filter finds nobody. Texts compare without case; an attribute that an entry lacks is no
match, and its negation one, as in Active Directory. Of extensible matches there are Active Directory's two for bits.
Not done: links (memberOf=...), of which no entry's attributes tell.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from openchange_py.addressbook.base import Attributes, AttributeValue, DirectoryError, Kind
from openchange_py.addressbook.sortkeys import fold, sort_key

logger = logging.getLogger(__name__)

LONGEST_FILTER = 64 * 1024
DEEPEST_FILTER = 32
MOST_TERMS = 512

_OBJECT_CLASSES = {
    Kind.USER: ("top", "person", "organizationalPerson", "user"),
    Kind.GROUP: ("top", "group"),
    Kind.CONTACT: ("top", "person", "organizationalPerson", "contact"),
    Kind.SERVER: ("top", "server", "msExchExchangeServer"),
    Kind.ORGANIZATION: ("top", "container", "msExchOrganizationContainer"),
}
_OBJECT_CATEGORIES = {
    Kind.USER: "person",
    Kind.GROUP: "group",
    Kind.CONTACT: "person",
    Kind.SERVER: "server",
    Kind.ORGANIZATION: "msExchOrganizationContainer",
}

_ITEM = re.compile(r"(?P<attribute>[A-Za-z0-9.;-]*)(?P<rule>(?::[A-Za-z0-9.]+)*)(?P<operator>:=|~=|>=|<=|=)")
_ESCAPED = re.compile(rb"\\([0-9A-Fa-f]{2})")
_BIT_AND, _BIT_OR = "1.2.840.113556.1.4.803", "1.2.840.113556.1.4.804"

#: An entry's values by folded name of the attribute.
Values = Mapping[str, Sequence[AttributeValue]]
#: True, false, or undefined, which its negation is as well (RFC 4511 4.5.1.7).
Test = Callable[[Values], bool | None]


class FilterError(DirectoryError):
    """A text is no LDAP filter, or one of too many terms; the message says where."""


@functools.lru_cache(maxsize=256)
def compile_filter(text: str) -> Test:
    """A test of an entry's values; `FilterError`."""
    if len(text) > LONGEST_FILTER:
        raise FilterError(f"a filter of {len(text)} characters")
    parser = _Parser(text.strip())
    test = parser.filter(0)
    if parser.at < len(parser.text):
        raise parser.error("text behind the filter")
    return test


def belongs(search: str, kind: Kind, attributes: Attributes) -> bool:
    """Whether a search finds an entry; an empty one finds nobody, and so does what is no filter."""
    return bool(search) and bool(_test(search)(values_of(kind, attributes)))


@functools.lru_cache(maxsize=256)
def _test(search: str) -> Test:
    try:
        return compile_filter(search)
    except FilterError as error:
        logger.warning("the purportedSearch %r finds nobody: %s", search[:200], error)
        return lambda _values: False


def values_of(kind: Kind, attributes: Attributes) -> dict[str, list[AttributeValue]]:
    """What is compared: an entry's attributes, and the class and category that its kind has."""
    values: dict[str, list[AttributeValue]] = {name.casefold(): list(found) for name, found in attributes.items()}
    values.setdefault("objectclass", []).extend(_OBJECT_CLASSES[kind])
    categories = values.setdefault("objectcategory", [])
    # A filter says person where the attribute has the name of a class's entry in the schema.
    names = [value.partition(",")[0].partition("=")[2] for value in categories if isinstance(value, str)]
    categories.extend([*names, _OBJECT_CATEGORIES[kind]])
    return values


@dataclasses.dataclass(slots=True)
class _Parser:
    """Recursive descent over RFC 4515's grammar."""

    text: str
    at: int = 0
    terms: int = 0

    def error(self, what: str) -> FilterError:
        return FilterError(f"{what} at character {self.at}")

    def filter(self, depth: int) -> Test:
        self.terms += 1
        if self.terms > MOST_TERMS:
            raise FilterError(f"more than {MOST_TERMS} terms")
        if depth > DEEPEST_FILTER:
            raise FilterError(f"more than {DEEPEST_FILTER} terms in one another")
        self._expect("(")
        sign = self.text[self.at : self.at + 1]
        if sign and sign in "&|!":
            self.at += 1
            test = self._combined(sign, depth)
        else:
            test = self._item()
        self._expect(")")
        return test

    def _expect(self, character: str) -> None:
        self._skip()
        if not self.text.startswith(character, self.at):
            raise self.error(f"no {character!r}")
        self.at += 1
        if character == "(":
            self._skip()

    def _skip(self) -> None:
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1

    def _combined(self, sign: str, depth: int) -> Test:
        if sign == "!":
            inner = self.filter(depth + 1)
            return lambda values: None if (found := inner(values)) is None else not found
        tests = list(self._filters(depth + 1))
        return functools.partial(_all if sign == "&" else _any, tests)

    def _filters(self, depth: int) -> Iterator[Test]:
        self._skip()
        while self.text.startswith("(", self.at):
            yield self.filter(depth)
            self._skip()

    def _item(self) -> Test:
        match = _ITEM.match(self.text, self.at)
        if match is None:
            raise self.error("no comparison")
        self.at = match.end()
        end = self.at
        while end < len(self.text) and self.text[end] not in "()":
            end += 1
        raw, self.at = self.text[self.at : end], end
        # Options such as ;binary say how a value is sent, not which it is.
        attribute = fold(match["attribute"].partition(";")[0])
        if match["operator"] == ":=":
            return _extensible(attribute, match["rule"].removeprefix(":"), self._unescaped(raw))
        if not attribute or match["rule"]:
            raise self.error("no attribute")
        if match["operator"] == "=" and "*" in raw:
            return self._substrings(attribute, raw.split("*"))
        return functools.partial(_compare, _COMPARISONS[match["operator"]], attribute, self._unescaped(raw))

    def _substrings(self, attribute: str, raw: list[str]) -> Test:
        if raw == ["", ""]:
            return lambda values: bool(values.get(attribute))
        parts = [fold(_text(self._unescaped(part)) or "") for part in raw]
        return functools.partial(_has_parts, attribute, parts)

    def _unescaped(self, raw: str) -> bytes:
        value = raw.encode("utf-8", "replace")
        plain = _ESCAPED.sub(b"", value)
        if b"\\" in plain:
            raise self.error("a backslash without two hexadecimal digits")
        return _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), value)


def _all(tests: list[Test], values: Values) -> bool | None:
    found = [test(values) for test in tests]
    return False if False in found else None if None in found else True


def _any(tests: list[Test], values: Values) -> bool | None:
    found = [test(values) for test in tests]
    return True if True in found else None if None in found else False


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _compare(
    comparison: Callable[[AttributeValue, bytes], bool], attribute: str, wanted: bytes, values: Values
) -> bool:
    return any(comparison(value, wanted) for value in values.get(attribute, ()))


def _equal(value: AttributeValue, wanted: bytes) -> bool:
    if isinstance(value, bytes):
        return value == wanted
    text = _text(wanted)
    return text is not None and fold(value) == fold(text)


def _alike(value: AttributeValue, wanted: bytes) -> bool:
    text = _text(wanted)
    return isinstance(value, str) and text is not None and sort_key(value) == sort_key(text)


def _least(value: AttributeValue, wanted: bytes) -> bool:
    return _ordered(value, wanted, least=True)


def _most(value: AttributeValue, wanted: bytes) -> bool:
    return _ordered(value, wanted, least=False)


def _ordered(value: AttributeValue, wanted: bytes, *, least: bool) -> bool:
    text = _text(wanted)
    if isinstance(value, bytes) or text is None:
        return False
    numbers = _integer(value), _integer(text)
    if numbers[0] is not None and numbers[1] is not None:
        return numbers[0] >= numbers[1] if least else numbers[0] <= numbers[1]
    return fold(value) >= fold(text) if least else fold(value) <= fold(text)


_COMPARISONS = {"=": _equal, "~=": _alike, ">=": _least, "<=": _most}


def _integer(text: str) -> int | None:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) < 32 else None


def _has_parts(attribute: str, parts: list[str], values: Values) -> bool:
    return any(_matches(fold(value), parts) for value in values.get(attribute, ()) if isinstance(value, str))


def _matches(text: str, parts: list[str]) -> bool:
    first, *middle, last = parts
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        at = text.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def _extensible(attribute: str, rule: str, wanted: bytes) -> Test:
    mask = _integer(_text(wanted) or "")
    if not attribute or rule not in (_BIT_AND, _BIT_OR) or mask is None:
        return lambda _values: None

    def test(values: Values) -> bool:
        numbers = [_integer(value) for value in values.get(attribute, ()) if isinstance(value, str)]
        bits = [number & mask for number in numbers if number is not None]
        return any(found == mask if rule == _BIT_AND else found != 0 for found in bits)

    return test

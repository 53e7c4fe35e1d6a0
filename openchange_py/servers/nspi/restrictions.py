"""Which objects a restriction lets through: [MS-OXNSPI] 2.2.5 with the meanings of [MS-OXCDATA] 2.12.

Texts compare in the neutral order, the only one that restrictions know: without case, marks and widths, whatever the
client's locale, so that who types u finds ü. Of a property with several values one has to pass, as if the restriction
were on each (MultivalueInstance) or not. Not done, and TooComplex: the regular-expression operator (RELOP_RE), which
no server of the protocol is known to have.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final, Protocol

from openchange_py.addressbook.base import Entry
from openchange_py.addressbook.sortkeys import sort_key
from openchange_py.servers.nspi import codepages
from openchange_py.servers.nspi.properties import Getter, Properties
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import PropertyType
from openchange_py.wire.oxnspi_restrictions import (
    AndRestriction_r,
    BitMaskRestriction_r,
    ComparePropsRestriction_r,
    ContentRestriction_r,
    ExistRestriction_r,
    NotRestriction_r,
    OrRestriction_r,
    PropertyRestriction_r,
    Restriction_r,
    SizeRestriction_r,
    SubRestriction_r,
)
from openchange_py.wire.oxnspi_types import PropertyValue_r

Test = Callable[[Entry], bool]
#: Whether a value passes; both as `Comparison.comparable` makes them.
Relation = Callable[[Any, Any], bool]

#: Restrictions in one another or side by side. All of them may be tried on every object of a list.
MAXIMUM_TERMS: Final = 64

EQUAL: Final = 4
RELATIONS: Final[dict[int, Relation]] = {
    0: operator.lt,
    1: operator.le,
    2: operator.gt,
    3: operator.ge,
    EQUAL: operator.eq,
    5: operator.ne,
}


def _begins(value: bytes, wanted: bytes) -> bool:
    return value.startswith(wanted)


#: FuzzyLevelLow ([MS-OXCDATA] 2.12.4.1). The flags of FuzzyLevelHigh ask for less than [MS-OXNSPI] 2.2.1.6 does anyhow.
FULL_STRING: Final = 0
PREFIX: Final = 2
FUZZY: Final[dict[int, Relation]] = {FULL_STRING: operator.eq, 1: operator.contains, PREFIX: _begins}


def too_complex(what: object) -> MapiError:
    """The error of a restriction that the server does not support."""
    return MapiError(ErrorCode.TooComplex, str(what))


def check_size(restriction: Restriction_r) -> None:
    """`MapiError` (TooComplex) for more restrictions than any client has, those on other objects with them."""
    left, found = [restriction], 0
    while left:
        found += 1
        if found > MAXIMUM_TERMS:
            raise too_complex(f"more than {MAXIMUM_TERMS} restrictions")
        match left.pop():
            case AndRestriction_r(restrictions) | OrRestriction_r(restrictions):
                left += restrictions or ()
            case NotRestriction_r(inner) | SubRestriction_r(_, inner) if inner is not None:
                left.append(inner)


class Comparison:
    """How values compare with those of a client, whose texts are in a code page."""

    def __init__(self, code_page: int) -> None:
        self._code_page = code_page

    def text(self, prop: PropertyValue_r) -> str:
        """The text that a client asks for; empty where it is none."""
        if isinstance(prop.value, bytes):
            return codepages.decode(prop.value, self._code_page)
        return prop.value if isinstance(prop.value, str) else ""

    def wanted(self, prop: PropertyValue_r) -> Any:
        """What a client's value is compared as."""
        kind = prop.prop_tag & 0xFFFF
        if kind in (PropertyType.String, PropertyType.String8):
            return self.comparable(self.text(prop))
        if kind == PropertyType.MultipleString8:
            return [self.comparable(codepages.decode(one or b"", self._code_page)) for one in prop.value or ()]
        return self.comparable(prop.value)

    def comparable(self, value: Any) -> Any:
        """Texts by their sort keys, apart from bytes; numbers as they are."""
        if isinstance(value, str):
            return _Key(sort_key(value))
        if isinstance(value, list):
            return [self.comparable(one) for one in value]
        return int(value) if isinstance(value, bool) else value

    def size(self, tag: int, value: Any) -> int:
        """[MS-OXCDATA] 2.12.8: the bytes of a value as a tag of that type has it."""
        if isinstance(value, list):
            return sum(self.size(tag, one) for one in value)
        if isinstance(value, str):
            if tag & 0xFFF == PropertyType.String8:
                return len(codepages.encode(value, self._code_page)) + 1
            return 2 * len(value) + 2
        return len(value) if isinstance(value, bytes) else 4


class _Key(bytes):
    """A text's sort key, which no binary value equals or is compared to."""


class MidSets(Protocol):
    """Knows restrictions that a look-up answers."""

    def mids(self, restriction: Restriction_r) -> frozenset[int] | None:
        """The ids of all that pass; None where that is not to be looked up."""


class Filter:
    """Compiles a restriction to a test of entries; `MapiError` (TooComplex) for what is not supported."""

    def __init__(self, properties: Properties, comparison: Comparison, looked_up: MidSets) -> None:
        self._properties = properties
        self._comparison = comparison
        self._looked_up = looked_up

    def compile(self, restriction: Restriction_r) -> Test:
        """A function that says whether an entry passes."""
        match restriction:
            case AndRestriction_r(restrictions):
                tests = [self.compile(inner) for inner in restrictions or ()]
                return lambda entry: all(test(entry) for test in tests)
            case OrRestriction_r(restrictions):
                tests = [self.compile(inner) for inner in restrictions or ()]
                return lambda entry: any(test(entry) for test in tests)
            case NotRestriction_r(inner) if inner is not None:
                test = self.compile(inner)
                return lambda entry: not test(entry)
        mids = self._looked_up.mids(restriction)
        if mids is not None:
            return lambda entry: entry.mid in mids
        return self._compile_value(restriction)

    def _compile_value(self, restriction: Restriction_r) -> Test:
        match restriction:
            case ContentRestriction_r(level, tag, PropertyValue_r() as prop) if level & 0xFFFF in FUZZY:
                return self._value(tag, FUZZY[level & 0xFFFF], prop, of=bytes)
            case PropertyRestriction_r(relop, tag, PropertyValue_r() as prop) if relop in RELATIONS:
                return self._value(tag, RELATIONS[relop], prop, of=object)
            case ComparePropsRestriction_r(relop, tag1, tag2) if relop in RELATIONS:
                return self._compared(RELATIONS[relop], tag1, tag2)
            case BitMaskRestriction_r(rel_mbr, tag, mask) if rel_mbr in (0, 1):
                bits = self._getter(tag)
                return lambda entry: isinstance(v := bits(entry), int) and bool(v & mask) == bool(rel_mbr)
            case SizeRestriction_r(relop, tag, cb) if relop in RELATIONS:
                relation, sized, size = RELATIONS[relop], self._getter(tag), self._comparison.size
                return lambda entry: (v := sized(entry)) is not None and relation(size(tag, v), cb)
            case ExistRestriction_r(prop_tag=tag):
                has = self._properties.has
                return lambda entry: has(tag >> 16, entry)
        raise too_complex(f"{type(restriction).__name__} of this form")

    def _getter(self, tag: int) -> Getter:
        found = self._properties.getter(tag >> 16)
        return found[1] if found else lambda _entry: None

    def _value(self, tag: int, relation: Relation, prop: PropertyValue_r, of: type) -> Test:
        getter, comparable, wanted = self._getter(tag), self._comparison.comparable, self._comparison.wanted(prop)
        several = isinstance(wanted, list) and relation not in (operator.eq, operator.ne)
        if wanted is None or several or not isinstance(wanted, of):
            raise too_complex(f"0x{tag:08X} compared in that way with 0x{prop.prop_tag:08X}")

        def test(entry: Entry) -> bool:
            value = comparable(getter(entry))
            values = value if isinstance(value, list) and not isinstance(wanted, list) else [value]
            return any(type(one) is type(wanted) and relation(one, wanted) for one in values)

        return test

    def _compared(self, relation: Relation, tag1: int, tag2: int) -> Test:
        first, second, comparable = self._getter(tag1), self._getter(tag2), self._comparison.comparable

        def test(entry: Entry) -> bool:
            one, other = comparable(first(entry)), comparable(second(entry))
            return one is not None and type(one) is type(other) and relation(one, other)

        return test


def is_anr(tag: int) -> bool:
    """Whether a restriction on this property asks for name resolution."""
    return tag >> 16 == proptags.PidTagAnr.id

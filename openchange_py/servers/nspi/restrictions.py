"""Which objects a restriction lets through: [MS-OXNSPI] 2.2.5 with the meanings of [MS-OXCDATA] 2.12.

Texts compare without case, marks and widths, as the tables sort. Not done: the regular-expression operator (RELOP_RE)
and restrictions on the objects that a property refers to (SubRestriction); they answer TooComplex.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

from openchange_py.addressbook.base import Entry
from openchange_py.addressbook.sortkeys import sort_key
from openchange_py.servers.nspi import codepages
from openchange_py.servers.nspi.properties import Getter, Properties
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
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
)
from openchange_py.wire.oxnspi_types import PropertyValue_r

Test = Callable[[Entry], bool]

#: Restrictions in one another or side by side. All of them may be tried on every object of a list.
MAXIMUM_TERMS: Final = 64

_RELATIONS: Final[dict[int, Callable[[Any, Any], bool]]] = {
    0: operator.lt,
    1: operator.le,
    2: operator.gt,
    3: operator.ge,
    4: operator.eq,
    5: operator.ne,
}


def _begins(value: bytes, wanted: bytes) -> bool:
    return value.startswith(wanted)


#: By FuzzyLevelLow ([MS-OXCDATA] 2.12.4.1): substring, prefix; equal otherwise.
_FUZZY: Final[dict[int, Callable[[Any, Any], bool]]] = {1: operator.contains, 2: _begins}


def resolution_name(restriction: Restriction_r, code_page: int) -> str | None:
    """The name to resolve where the restriction asks for that alone (PidTagAnr equals a text); None for others."""
    match restriction:
        case PropertyRestriction_r(relop=4, prop_tag=tag, prop=PropertyValue_r() as prop) if _is_anr(tag):
            return _text(prop, code_page)
        case ContentRestriction_r(prop_tag=tag, prop=PropertyValue_r() as prop) if _is_anr(tag):
            return _text(prop, code_page)
    return None


def _is_anr(tag: int) -> bool:
    return tag >> 16 == proptags.PidTagAnr.id


def _text(prop: PropertyValue_r, code_page: int) -> str:
    if isinstance(prop.value, bytes):
        return codepages.decode(prop.value, code_page)
    return prop.value if isinstance(prop.value, str) else ""


class Filter:
    """Compiles a restriction to a test of entries; `MapiError` (TooComplex) for what is not supported."""

    def __init__(self, properties: Properties, code_page: int) -> None:
        self._properties = properties
        self._code_page = code_page
        self._terms = 0

    def compile(self, restriction: Restriction_r) -> Test:
        """A function that says whether an entry passes."""
        self._terms += 1
        if self._terms > MAXIMUM_TERMS:
            raise MapiError(ErrorCode.TooComplex, f"more than {MAXIMUM_TERMS} restrictions")
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
            case ContentRestriction_r(prop=PropertyValue_r() as prop):
                return self._content(restriction.fuzzy_level, restriction.prop_tag, prop)
            case PropertyRestriction_r(prop=PropertyValue_r() as prop):
                return self._property(restriction.relop, restriction.prop_tag, prop)
        return self._compile_other(restriction)

    def _compile_other(self, restriction: Restriction_r) -> Test:
        match restriction:
            case ComparePropsRestriction_r(relop, tag1, tag2) if relop in _RELATIONS:
                relation, first, second = _RELATIONS[relop], self._getter(tag1), self._getter(tag2)
                return lambda entry: _related(relation, first(entry), second(entry))
            case BitMaskRestriction_r(rel_mbr, tag, mask):
                bits = self._getter(tag)
                return lambda entry: isinstance(v := bits(entry), int) and bool(v & mask) == bool(rel_mbr)
            case SizeRestriction_r(relop, tag, cb) if relop in _RELATIONS:
                relation, sized = _RELATIONS[relop], self._getter(tag)
                return lambda entry: (v := sized(entry)) is not None and relation(_size(v), cb)
            case ExistRestriction_r(prop_tag=tag):
                getter = self._getter(tag)
                return lambda entry: getter(entry) is not None
        raise MapiError(ErrorCode.TooComplex, f"{type(restriction).__name__} of this form")

    def _getter(self, tag: int) -> Getter:
        found = self._properties.getter(tag >> 16)
        return found[1] if found else lambda _entry: None

    def _content(self, level: int, tag: int, prop: PropertyValue_r) -> Test:
        getter, wanted = self._getter(tag), _comparable(self._given(prop))
        if not isinstance(wanted, bytes):
            raise MapiError(ErrorCode.TooComplex, "a content restriction on what is no text")
        compare = _FUZZY.get(level & 0xFFFF, _RELATIONS[4])
        return lambda entry: any(
            isinstance(value, bytes) and compare(value, wanted) for value in _values(getter(entry))
        )

    def _property(self, relop: int, tag: int, prop: PropertyValue_r) -> Test:
        relation = _RELATIONS.get(relop)
        if relation is None or _is_anr(tag):
            # Name resolution is a look-up of its own; inside other restrictions it would be a scan of all names.
            raise MapiError(ErrorCode.TooComplex, f"operator {relop} on 0x{tag:08X}")
        getter, wanted = self._getter(tag), _comparable(self._given(prop))
        return lambda entry: any(_related(relation, value, wanted) for value in _values(getter(entry)))

    def _given(self, prop: PropertyValue_r) -> Any:
        kind = prop.prop_tag & 0xFFFF
        return _text(prop, self._code_page) if kind in (0x001E, 0x001F) else prop.value


def _comparable(value: Any) -> Any:
    """Texts by their sort keys."""
    return sort_key(value) if isinstance(value, str) else value


def _values(value: Any) -> list[Any]:
    """A property's values, comparable; a property with several passes where one of them does."""
    if value is None:
        return []
    return [_comparable(one) for one in value] if isinstance(value, list) else [_comparable(value)]


def _related(relation: Callable[[Any, Any], bool], value: Any, wanted: Any) -> bool:
    value, wanted = _comparable(value), _comparable(wanted)
    if value is None or wanted is None or type(value) is not type(wanted):
        return False
    return relation(value, wanted)


def _size(value: Any) -> int:
    """[MS-OXCDATA] 2.12.8: the bytes of the value."""
    if isinstance(value, str):
        return 2 * len(value) + 2
    return len(value) if isinstance(value, bytes | list) else 4

"""Finding the objects of a list that pass a restriction, by looking at as few of them as it takes.

Four ways, the first that serves: what a look-up gives (ids, name resolution, links, names that begin with a text); the
list's own sort keys, which tell display names; the objects that mention a text at all; and every object, page after
page, until the time is over.
"""

from __future__ import annotations

import bisect
import itertools
import operator
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from openchange_py.addressbook.attributes import BY_ID, LINK_BY_ID, LinkProperty
from openchange_py.addressbook.base import (
    BACK_LINKS,
    BY_DISPLAY_NAME,
    GLOBAL_ADDRESS_LIST,
    Entry,
    MinimalEntryId,
    SortOrder,
)
from openchange_py.addressbook.sortkeys import behind
from openchange_py.addressbook.tailorings import language_of
from openchange_py.servers.nspi.entryids import parse_entry_id
from openchange_py.servers.nspi.properties import AddressBook, Properties
from openchange_py.servers.nspi.restrictions import (
    EQUAL,
    FULL_STRING,
    FUZZY,
    PREFIX,
    RELATIONS,
    Comparison,
    Filter,
    is_anr,
    too_complex,
)
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.properties import PropertyType
from openchange_py.wire.oxnspi_restrictions import (
    AndRestriction_r,
    ContentRestriction_r,
    NotRestriction_r,
    OrRestriction_r,
    PropertyRestriction_r,
    Restriction_r,
    SubRestriction_r,
)
from openchange_py.wire.oxnspi_types import PropertyValue_r

#: Seconds that a search through all objects of a list may take; then it is too complex.
TIME_LIMIT: Final = 10.0
#: Objects that a look-up inside a restriction may give; with more of them it is too complex, or is no short cut.
MAXIMUM_LOOKED_UP: Final = 2000
#: Objects that a beginning of names or values may tell; with more of them it tells too little.
MAXIMUM_NAMED: Final = 20_000
#: [MS-OXCDATA] 2.12.5.1, RelationalOperatorMemberOfDL.
MEMBER_OF_DL: Final = 0x64

_PAGE: Final = 200
#: So many objects are rather looked at than searched for.
_FEW: Final = 1000
_STRINGS: Final = (PropertyType.String, PropertyType.String8)
#: Whether an object may pass, as far as the sort key of its display name tells.
KeyTest = Callable[[bytes], bool]

_NAMES: Final = frozenset((proptags.PidTagDisplayName.id, proptags.PidTagTransmittableDisplayName.id))
_ENTRY_IDS: Final = frozenset(
    tag.id
    for tag in (
        proptags.PidTagEntryId,
        proptags.PidTagRecordKey,
        proptags.PidTagOriginalEntryId,
        proptags.PidTagTemplateid,
    )
)
#: Whose values are looked up by how they begin (`AddressLists.named`): names that resolve, and searched attributes.
_LOOKED_UP: Final[dict[int, str | None]] = {
    proptags.PidTagEmailAddress.id: None,
    proptags.PidTagAddressBookObjectDistinguishedName.id: None,
    proptags.PidTagSmtpAddress.id: None,
    proptags.PidTagAccount.id: None,
    proptags.PidTagGivenName.id: None,
    proptags.PidTagSurname.id: None,
    proptags.PidTagOfficeLocation.id: None,
    proptags.PidTagAddressBookProxyAddresses.id: None,
    proptags.PidTagAddressBookPhoneticDisplayName.id: None,
    proptags.PidTagTitle.id: "title",
    proptags.PidTagDepartmentName.id: "department",
    proptags.PidTagCompanyName.id: "company",
    proptags.PidTagLocality.id: "l",
}
#: What the texts of attributes say.
_TEXTS: Final = frozenset(
    tag_id for tag_id, one in BY_ID.items() if one.tag.type in (PropertyType.String, PropertyType.MultipleString)
) | {proptags.PidTagAccount.id, proptags.PidTagSmtpAddress.id}
#: The attribute that is seen from the other side of a link.
_OTHER_SIDE: Final = {forward: back for back, forward in BACK_LINKS.items()} | BACK_LINKS


class Search:
    """One search in one list, whose rows stand in `order`."""

    def __init__(self, book: AddressBook, container: MinimalEntryId, order: SortOrder, code_page: int) -> None:
        self._book = book
        self._container = container
        self._order = order
        self._neutral = not order.phonetic and not language_of(order.locale)
        self._comparison = Comparison(code_page)
        self._looked_up: dict[int, frozenset[int] | None] = {}
        self._until = time.monotonic() + TIME_LIMIT

    def find(self, restriction: Restriction_r, limit: int) -> list[MinimalEntryId]:
        """The first `limit` that pass, in the list's order; `MapiError` (TooComplex)."""
        name = self._resolution_name(restriction)
        if name is not None:
            resolved = self._book.lists.resolve(name, self._container, limit)
            return self._sorted(entry.mid for entry in resolved)
        properties = Properties(self._book)
        passes = Filter(properties, self._comparison, self).compile(restriction)
        rows, exact = self._rows(restriction, limit)
        if exact:
            return rows[:limit]
        found: list[MinimalEntryId] = []
        for page in self._pages(rows):
            properties.prepare(page)
            found += [entry.mid for entry in page if passes(entry)]
            if len(found) >= limit:
                break
        return found[:limit]

    def _rows(self, restriction: Restriction_r, limit: int) -> tuple[list[MinimalEntryId], bool]:
        """The ids of all rows that may pass, in order, and whether all of them do: then the first `limit` suffice."""
        known = self._narrowed(restriction, self._known)
        if known is not None:
            return self._sorted(known), False
        passing, exact = self._by_names(restriction)
        if exact and self._neutral:
            return list(itertools.islice(passing, limit)), True
        mids = list(passing)
        if not exact and len(mids) > _FEW:
            mentioning = self._narrowed(restriction, self._mentioning)
            mids = mids if mentioning is None else [mid for mid in mids if mid in mentioning]
        return (mids if self._neutral else self._sorted(mids)), exact

    def _sorted(self, mids: Iterable[int]) -> list[MinimalEntryId]:
        return self._book.lists.sorted(self._container, mids, self._order)

    def _pages(self, rows: Sequence[MinimalEntryId]) -> Iterator[list[Entry]]:
        for start in range(0, len(rows), _PAGE):
            if time.monotonic() > self._until:
                raise too_complex(f"{start} of {len(rows)} objects took {TIME_LIMIT:.0f} seconds")
            page = rows[start : start + _PAGE]
            found = self._book.lists.by_mid(page)
            yield [found[mid] for mid in page if mid in found]
            time.sleep(0)  # others have their turn

    # What a look-up answers.

    def mids(self, restriction: Restriction_r) -> frozenset[int] | None:
        """The ids of all that pass; None where that is not to be looked up."""
        key = id(restriction)
        if key not in self._looked_up:
            self._looked_up[key] = self._look_up(restriction)
        return self._looked_up[key]

    def _resolution_name(self, restriction: Restriction_r) -> str | None:
        """The name to resolve, where the restriction asks for that."""
        match restriction:
            case PropertyRestriction_r(relop, tag, PropertyValue_r() as prop) if relop == EQUAL and is_anr(tag):
                return self._comparison.text(prop)
            case ContentRestriction_r(_, tag, PropertyValue_r() as prop) if is_anr(tag):
                return self._comparison.text(prop)
        return None

    def _look_up(self, restriction: Restriction_r) -> frozenset[int] | None:
        name = self._resolution_name(restriction)
        if name is not None:
            return self._resolved(name)
        match restriction:
            case PropertyRestriction_r(relop, tag, PropertyValue_r(value=bytes() as raw)) if tag >> 16 in _ENTRY_IDS:
                if relop == EQUAL:
                    return frozenset(entry.mid for entry in self._named_by(raw))
                if relop == MEMBER_OF_DL:
                    return self._linked(self._named_by(raw), "member")
            case PropertyRestriction_r(relop, tag, PropertyValue_r(value=bytes() as raw)) if relop == EQUAL:
                if tag >> 16 == proptags.PidTagInstanceKey.id:
                    return frozenset((int.from_bytes(raw, "little"),)) if len(raw) == 4 else frozenset()
            case SubRestriction_r(tag, inner) if inner is not None and tag >> 16 in LINK_BY_ID:
                return self._referring(LINK_BY_ID[tag >> 16], inner)
        return None

    def _resolved(self, name: str) -> frozenset[int]:
        found = self._book.lists.resolve(name, self._container, MAXIMUM_LOOKED_UP + 1)
        if len(found) > MAXIMUM_LOOKED_UP:
            raise too_complex(f"a name that {len(found)} objects may have")
        return frozenset(entry.mid for entry in found)

    def _named_by(self, raw: bytes) -> list[Entry]:
        """The object that an entry id of either kind names."""
        named = parse_entry_id(raw, self._book.server_guid)
        if isinstance(named, int):
            return list(self._book.lists.by_mid([MinimalEntryId(named)]).values())
        entry = self._book.lists.by_legacy_dn(named) if named else None
        return [entry] if entry else []

    def _linked(self, entries: Iterable[Entry], attribute: str) -> frozenset[int]:
        return frozenset(mid for entry in entries for mid in self._book.lists.linked_mids(entry, attribute))

    def _referring(self, link: LinkProperty, inner: Restriction_r) -> frozenset[int]:
        """Who refers, by a property, to somebody that passes `inner`."""
        other = _OTHER_SIDE.get(link.attribute)
        if other is None or link.targets is not None:
            raise too_complex(f"a restriction on those whom {link.tag!r} refers to")
        everybody = Search(self._book, GLOBAL_ADDRESS_LIST, BY_DISPLAY_NAME, 0)
        everybody._comparison, everybody._until = self._comparison, self._until
        found = everybody.find(inner, MAXIMUM_LOOKED_UP + 1)
        if len(found) > MAXIMUM_LOOKED_UP:
            raise too_complex(f"a restriction on more than {MAXIMUM_LOOKED_UP} objects that others refer to")
        return self._linked(self._entries_of(found), other)

    def _entries_of(self, mids: list[MinimalEntryId]) -> Iterable[Entry]:
        return self._book.lists.by_mid(mids).values()

    def _narrowed(
        self, restriction: Restriction_r, tells: Callable[[Restriction_r], set[int] | None]
    ) -> set[int] | None:
        """Ids among which all that pass are, by what `tells` them of single restrictions; None where nothing does."""
        match restriction:
            case AndRestriction_r(restrictions):
                known = [some for inner in restrictions or () if (some := self._narrowed(inner, tells)) is not None]
                return set.intersection(*known) if known else None
            case OrRestriction_r(restrictions) if restrictions:
                parts = [self._narrowed(inner, tells) for inner in restrictions]
                return None if None in parts else {mid for some in parts for mid in some or ()}
        return tells(restriction)

    def _known(self, restriction: Restriction_r) -> set[int] | None:
        """By look-ups; of a value that resolution knows by how it begins."""
        mids = self.mids(restriction)
        if mids is not None:
            return set(mids)
        match restriction:
            case ContentRestriction_r(level, tag, PropertyValue_r() as prop) if level & 0xFFFF in (FULL_STRING, PREFIX):
                pass
            case PropertyRestriction_r(relop, tag, PropertyValue_r() as prop) if relop == EQUAL:
                pass
            case _:
                return None
        if tag >> 16 not in _LOOKED_UP or prop.prop_tag & 0xFFFF not in _STRINGS:
            return None
        return self._book.lists.named(self._comparison.text(prop), MAXIMUM_NAMED, _LOOKED_UP[tag >> 16])

    def _mentioning(self, restriction: Restriction_r) -> set[int] | None:
        """By the texts of their attributes."""
        match restriction:
            case ContentRestriction_r(_, tag, PropertyValue_r() as prop):
                pass
            case PropertyRestriction_r(relop, tag, PropertyValue_r() as prop) if relop == EQUAL:
                pass
            case _:
                return None
        if tag >> 16 not in _TEXTS or prop.prop_tag & 0xFFFF not in _STRINGS:
            return None
        return self._book.lists.mentioning(self._comparison.text(prop))

    # What the list's sort keys tell.

    def _by_names(self, restriction: Restriction_r) -> tuple[Iterator[MinimalEntryId], bool]:
        """The rows that may pass, in the order of display names, and whether all of them do."""
        pairs = self._book.lists.keys(self._container)
        low, high = self._range(restriction)
        start = bisect.bisect_left(pairs, (low, -1))
        stop = len(pairs) if high is None else bisect.bisect_left(pairs, (high, -1))
        test, exact = self._key_test(restriction) or (None, False)
        some = pairs[start:stop]
        mids: Iterator[int] = map(operator.itemgetter(1), some)
        if test is not None:
            mids = itertools.compress(mids, map(test, map(operator.itemgetter(0), some)))
        return map(MinimalEntryId, mids), exact

    def _range(self, restriction: Restriction_r) -> tuple[bytes, bytes | None]:
        """The first key that may pass, and the first behind all that may."""
        match restriction:
            case AndRestriction_r(restrictions) if restrictions:
                ranges = [self._range(inner) for inner in restrictions]
                return max(low for low, _ in ranges), min((high for _, high in ranges if high), default=None)
            case ContentRestriction_r(level, tag, PropertyValue_r() as prop) if tag >> 16 in _NAMES:
                if level & 0xFFFF in (PREFIX, FULL_STRING) and prop.prop_tag & 0xFFFF in _STRINGS:
                    key = bytes(self._comparison.wanted(prop))
                    return key, behind(key)
        return b"", None

    def _key_test(self, restriction: Restriction_r) -> tuple[KeyTest, bool] | None:
        """A test of keys that all who pass pass, and whether nobody else does; None where keys tell nothing."""
        match restriction:
            case AndRestriction_r(restrictions):
                parts = [self._key_test(inner) for inner in restrictions or ()]
                tests = [part[0] for part in parts if part]
                exact = all(part and part[1] for part in parts)
                return (lambda key: all(test(key) for test in tests), exact) if tests or exact else None
            case OrRestriction_r(restrictions):
                parts = [self._key_test(inner) for inner in restrictions or ()]
                known = [part for part in parts if part]
                if len(known) < len(parts):
                    return None
                return lambda key: any(test(key) for test, _ in known), all(exact for _, exact in known)
            case NotRestriction_r(inner) if inner is not None:
                part = self._key_test(inner)
                if part is None or not part[1]:
                    return None
                return lambda key: not part[0](key), True
        return self._key_comparison(restriction)

    def _key_comparison(self, restriction: Restriction_r) -> tuple[KeyTest, bool] | None:
        match restriction:
            case ContentRestriction_r(level, tag, PropertyValue_r() as prop):
                relation = FUZZY.get(level & 0xFFFF)
            case PropertyRestriction_r(relop, tag, PropertyValue_r() as prop):
                relation = RELATIONS.get(relop)
            case _:
                return None
        if relation is None or tag >> 16 not in _NAMES or prop.prop_tag & 0xFFFF not in _STRINGS:
            return None
        wanted = bytes(self._comparison.wanted(prop))
        if relation is operator.contains:  # of every row of the list
            return operator.methodcaller("__contains__", wanted), True
        return lambda key: relation(key, wanted), True

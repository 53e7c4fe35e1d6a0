"""Targets of the address book's searches: what the short cuts find is what looking at every object finds."""

from __future__ import annotations

import functools

from openchange_py.addressbook.base import GLOBAL_ADDRESS_LIST, SortOrder
from openchange_py.addressbook.hosts import OwnNames
from openchange_py.servers.nspi.properties import AddressBook, Properties
from openchange_py.servers.nspi.restrictions import Comparison, Filter, check_size
from openchange_py.servers.nspi.searching import Search
from openchange_py.wire import proptags as p
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import NdrReader, NdrWriter
from openchange_py.wire.oxcdata.errors import MapiError
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
    read_restriction,
    write_restriction,
)
from openchange_py.wire.oxnspi_types import PropertyValue_r
from tests.fuzz.fuzz_servers import parts
from tests.fuzz.target import target
from tests.node import FQDN, SERVER_NAME

#: Neutral, Swedish, Hungarian, Turkish.
LOCALES = (0x0409, 0x041D, 0x040E, 0x041F)


@functools.cache
def _book() -> AddressBook:
    directory, _ = parts()
    alice = directory.by_account("alice")
    return AddressBook(directory.lists(alice), alice, directory, OwnNames(SERVER_NAME, FQDN))


def _seeds() -> list[bytes]:
    def content(level: int, tag: int, text: object) -> Restriction_r:
        return ContentRestriction_r(level, tag, PropertyValue_r(tag, text))

    name = content(2, p.PidTagDisplayName, "a")
    anr = PropertyRestriction_r(4, p.PidTagAnr, PropertyValue_r(p.PidTagAnr, "ali"))
    several: list[Restriction_r] = [
        name,
        anr,
        content(1, 0x3001001E, b"l"),
        content(0, p.PidTagSmtpAddress, "alice@example.test"),
        content(2, p.PidTagAddressBookProxyAddresses.with_type(0x1F), "smtp:"),
        PropertyRestriction_r(2, p.PidTagDisplayName, PropertyValue_r(p.PidTagDisplayName, "b")),
        BitMaskRestriction_r(1, p.PidTagObjectType, 2),
        SizeRestriction_r(2, p.PidTagDisplayName, 10),
        ExistRestriction_r(0, p.PidTagTitle, 0),
        ComparePropsRestriction_r(4, p.PidTagDisplayName, p.PidTagAccount),
        SubRestriction_r(p.PidTagAddressBookManager, name),
    ]
    several += [NotRestriction_r(one) for one in several]
    several += [AndRestriction_r([name, anr, several[8]]), OrRestriction_r([name, NotRestriction_r(anr), several[3]])]
    seeds = []
    for number, one in enumerate(several):
        writer = NdrWriter()
        write_restriction(writer, one)
        seeds.append(bytes((number % len(LOCALES),)) + bytes(writer))
    return seeds


@target("nspi-restriction", _seeds, longest=512)
def fuzz_restriction(data: bytes) -> None:
    """Restrictions on the Global Address List: a locale, then Restriction_r."""
    try:
        restriction = read_restriction(NdrReader(data[1:]))
    except DecodeError:
        return
    book, order = _book(), SortOrder(LOCALES[data[0] % len(LOCALES)] if data else 0)
    search = Search(book, GLOBAL_ADDRESS_LIST, order, 1252)
    try:
        check_size(restriction)
        found = search.find(restriction, 99)
        passes = Filter(Properties(book), Comparison(1252), search).compile(restriction)
    except MapiError:
        return
    assert found == [entry.mid for entry in book.lists.page(GLOBAL_ADDRESS_LIST, 0, 99, order) if passes(entry)]

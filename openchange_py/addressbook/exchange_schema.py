"""The attributes and classes that Exchange adds to a directory: the files of setup/ad and setup/openldap.

Those of setup/ad are for Active Directory, Samba's or Microsoft's; from them `setup/generate_openldap_schema` makes the
one for OpenLDAP. Not in them, because nobody published their identifiers, are attributes that came after Exchange 2007:
moderation, room capacity, mail tips, counts of members, and co-managers; where a directory has them they are read.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from openchange_py.addressbook.ldif import Addition, Change, Modification, Value, parse
from openchange_py.resources import setup_path

#: How the files call the schema's place.
_PLACE: Final = "CN=Schema,CN=Configuration,DC=X"
_OPENLDAP: Final = "openldap/exchange.ldif"


@functools.cache
def _changes(name: str) -> tuple[Change, ...]:
    return tuple(parse((setup_path() / name).read_text("utf-8")))


def _additions(name: str, place: str) -> list[Addition]:
    return [
        Addition(_at(change.dn, place), {key: _values(values, place) for key, values in change.attributes.items()})
        for change in _changes(name)
        if isinstance(change, Addition)
    ]


def _at(dn: str, place: str) -> str:
    return f"{dn.removesuffix(_PLACE)}{place}" if dn.endswith(_PLACE) else dn


def _values(values: Sequence[Value], place: str) -> list[Value]:
    return [_at(value, place) if isinstance(value, str) else value for value in values]


def attributes(place: str = _PLACE) -> list[Addition]:
    """attributeSchema objects below `place`, Active Directory's `CN=Schema,CN=Configuration,...`."""
    return _additions("ad/attributes.ldif", place)


def classes(place: str = _PLACE) -> list[Addition]:
    """classSchema objects, each behind those that it names."""
    return _additions("ad/classes.ldif", place)


def extensions(place: str = _PLACE) -> list[Modification]:
    """What Exchange adds to the classes that Windows brings."""
    found = [change for change in _changes("ad/extensions.ldif") if isinstance(change, Modification)]
    return [Modification(_at(change.dn, place), change.changes) for change in found]


def openldap() -> Addition:
    """The schema for OpenLDAP's cn=config, with olcAttributeTypes and olcObjectClasses."""
    (change,) = _changes(_OPENLDAP)
    assert isinstance(change, Addition)
    return change


def openldap_file() -> Path:
    """Where that is, for `ldapadd`."""
    return setup_path() / _OPENLDAP


def text_of(change: Addition, name: str) -> str:
    """An attribute's first value as text, or nothing."""
    return next((value for value in change.attributes.get(name, ()) if isinstance(value, str)), "")

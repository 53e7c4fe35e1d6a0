"""Ambiguous name resolution in the embedded directory: [MS-OXNSPI] 3.1.4.7, which leaves the names to the server.

A name that is the whole account, alias, address, distinguished name or display name of entries means these. Else
it is what names may begin with: display name, its words, given and family name, account, alias, addresses. Of two
words or more, the first and the rest may also begin different names, in either order, as Active Directory has it.
All of it is range look-ups in the token table's index.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, and_, select

from openchange_py.addressbook.base import Entry
from openchange_py.addressbook.rows import LONGEST_NAME, to_entry
from openchange_py.addressbook.schema import entry, token
from openchange_py.addressbook.sortkeys import behind, sort_key

#: As many ids as one SELECT asks for.
_IDS_PER_SELECT = 500


def resolve(connection: Connection, name: str, kind: str | None, limit: int) -> list[Entry]:
    """At most `limit` listed entries that `name` may mean, in display-name order; `kind` None: of every kind.

    `=name` asks for whole names alone.
    """
    if len(name) > LONGEST_NAME:
        return []
    exact = name.startswith("=")
    key = sort_key(name[1:] if exact else name)
    if not key or limit <= 0 or len(key) > LONGEST_NAME:
        return []
    found = _entries(connection, select(token.c.mid).where(token.c.token == key, token.c.whole), kind, limit)
    if found or exact:
        return found
    found = _entries(connection, _beginning(key), kind, limit)
    return found or _by_parts(connection, name, kind, limit)


def _beginning(key: bytes) -> Select[Any]:
    return select(token.c.mid).where(and_(token.c.token >= key, token.c.token < behind(key)))


def _by_parts(connection: Connection, name: str, kind: str | None, limit: int) -> list[Entry]:
    first, _, rest = name.replace(",", " ").strip().partition(" ")
    keys = sort_key(first), sort_key(rest)
    if not all(keys):
        return []
    both = _beginning(keys[0]).where(token.c.mid.in_(_beginning(keys[1]).scalar_subquery()))
    return _entries(connection, both, kind, limit)


def _entries(connection: Connection, mids: Select[Any], kind: str | None, limit: int) -> list[Entry]:
    """Sorted here: a database would sort all that a single letter may mean before it gives two of them."""
    listed = mids.join(entry, entry.c.mid == token.c.mid).where(entry.c.listed)
    if kind is not None:
        listed = listed.where(entry.c.kind == kind)
    wanted = connection.execute(listed.distinct().limit(limit)).scalars().all()
    found: list[Any] = []
    for start in range(0, len(wanted), _IDS_PER_SELECT):
        found += connection.execute(select(entry).where(entry.c.mid.in_(wanted[start : start + _IDS_PER_SELECT])))
    return [to_entry(row) for row in sorted(found, key=lambda row: (row.sort_key, row.mid))]

"""Ambiguous name resolution: [MS-OXNSPI] 3.1.4.7, which leaves the names to the server.

A name that is the whole account, alias, address, distinguished name or display name of entries means these. Else
it is what names may begin with: display name, its words, given and family name, office, account, alias, addresses. Of
two words or more, the first and the rest may also begin different names, in either order, as Active Directory has it.
All of it is range look-ups in the token table's index, which begins with the organization.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Select, and_, select

from openchange_py.addressbook.base import MinimalEntryId
from openchange_py.addressbook.index import AddressList, parts
from openchange_py.addressbook.rows import LONGEST_NAME, searched
from openchange_py.addressbook.schema import token
from openchange_py.addressbook.sortkeys import behind, sort_key

#: Of a list with so few entries the entries' names are compared, of a longer one the entries with the name.
_SHORT_LIST = 2000


def resolve(
    connection: Connection, name: str, organization: int, listed: AddressList, limit: int
) -> list[MinimalEntryId]:
    """At most `limit` entries of a list that `name` may mean, in display-name order. `=name` asks for whole names."""
    key, exact = _asked(name)
    if not key or limit <= 0:
        return []
    search = _Search(connection, organization, listed, limit)
    found = search.first(and_(token.c.token == key, token.c.whole))
    if found or exact:
        return found
    return search.first(_beginning(key)) or search.by_parts(name)


def _asked(name: str) -> tuple[bytes, bool]:
    """The sort key of a name to resolve, empty for what is none, and whether whole names are asked for."""
    if len(name) > LONGEST_NAME:
        return b"", False
    exact = name.startswith("=")
    key = sort_key(name[1:] if exact else name)
    return (key if len(key) <= LONGEST_NAME else b""), exact


def resolve_whole(
    connection: Connection, names: Sequence[str], organization: int, listed: AddressList, limit: int
) -> dict[str, list[MinimalEntryId]]:
    """Of many names those that are whole names, as most that clients send are, and at most `limit` entries of each."""
    keys: dict[bytes, list[str]] = {}
    for name in names:
        keys.setdefault(_asked(name)[0], []).append(name)
    keys.pop(b"", None)
    query = select(token.c.token, token.c.mid).where(token.c.organization == organization, token.c.whole)
    found: dict[bytes, set[int]] = {}
    for some in parts(list(keys)):
        for key, mid in connection.execute(query.where(token.c.token.in_(some))):
            if mid in listed:
                found.setdefault(bytes(key), set()).add(mid)
    return {name: listed.sorted(mids)[:limit] for key, mids in found.items() for name in keys[key]}


def named(
    connection: Connection, beginning: str, organization: int, limit: int, attribute: str | None
) -> set[int] | None:
    """The ids of all who have a name, or a value of a searched attribute, that begins so.

    None for more than `limit` and for the beginning of nothing.
    """
    key = sort_key(beginning[:LONGEST_NAME])
    if not key or len(beginning) > LONGEST_NAME:
        return None
    wanted = key if attribute is None else searched(attribute, key)
    if len(wanted) > LONGEST_NAME:
        return None
    query = select(token.c.mid).where(token.c.organization == organization, _beginning(wanted)).distinct()
    found = set(connection.execute(query.limit(limit + 1)).scalars())
    return found if len(found) <= limit else None


def _beginning(key: bytes) -> Any:
    return and_(token.c.token >= key, token.c.token < behind(key))


class _Search:
    """One name in one list."""

    def __init__(self, connection: Connection, organization: int, listed: AddressList, limit: int) -> None:
        self._connection = connection
        self._tokens = select(token.c.mid).where(token.c.organization == organization)
        self._listed = listed
        self._limit = limit

    def first(self, condition: Any) -> list[MinimalEntryId]:
        """The first ones found, sorted here: a database would sort all that a letter may mean before it gives two."""
        found: set[int] = set()
        for mid in self._candidates(self._tokens.where(condition)):
            if mid not in found and mid in self._listed:
                found.add(mid)
                if len(found) >= self._limit:
                    break
        return self._listed.sorted(found)

    def by_parts(self, name: str) -> list[MinimalEntryId]:
        """`anna berg` and `berg, anna` are also who has a name like `anna` and one like `berg`."""
        first, _, rest = name.replace(",", " ").strip().partition(" ")
        keys = sort_key(first), sort_key(rest)
        if not all(keys):
            return []
        other = self._tokens.where(_beginning(keys[1])).scalar_subquery()
        return self.first(and_(_beginning(keys[0]), token.c.mid.in_(other)))

    def _candidates(self, query: Select[Any]) -> Iterator[int]:
        if len(self._listed) > _SHORT_LIST:
            with self._connection.execution_options(yield_per=500).execute(query) as result:
                yield from result.scalars()
            return
        for some in parts([mid for _, mid in self._listed.keys]):
            yield from self._connection.execute(query.where(token.c.mid.in_(some))).scalars()

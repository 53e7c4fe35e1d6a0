"""Writing links: what refers to what, by identity, and by name as long as nothing has that name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, insert, select, update

from openchange_py.addressbook.base import FULL_ACCESS, Links
from openchange_py.addressbook.database import insert_many
from openchange_py.addressbook.index import parts
from openchange_py.addressbook.rows import LONGEST_NAME
from openchange_py.addressbook.schema import identity, link, pending_link
from openchange_py.addressbook.sortkeys import fold

#: Links that are compared at once; a group may have more by itself.
_LINKS_AT_ONCE = 20_000


def put(
    connection: Connection, links: Mapping[int, Links], *, others_stay: bool, new: Set[int] = frozenset()
) -> set[int]:
    """Make entries refer to what these say, by folded name or not; those whose links changed. `new` have none yet."""
    changed: set[int] = set()
    for some in _portions(links):
        wanted = {
            (mid, attribute, fold(name))
            for mid, attributes in some.items()
            for attribute, names in attributes.items()
            for name in names
            if name and len(name) <= LONGEST_NAME
        }
        targets = resolved(connection, {name for _, _, name in wanted})
        found = {(mid, attribute, targets[name]) for mid, attribute, name in wanted if name in targets}
        pending = {one for one in wanted if one[2] not in targets}
        scope = {mid: set(attributes) for mid, attributes in some.items()} if others_stay else dict.fromkeys(some)
        changed |= _make(connection, link, "target", scope, found, new)
        changed |= _make(connection, pending_link, "name_folded", scope, pending, new)
    return changed


def put_targets(connection: Connection, mid: int, attribute: str, targets: set[int]) -> set[int]:
    """Make an attribute of an entry refer to just these, beside names that nothing has yet."""
    return _make(connection, link, "target", {mid: {attribute}}, {(mid, attribute, target) for target in targets})


def links_of(connection: Connection, mid: int, attribute: str) -> list[int]:
    """The identities that an attribute of an entry refers to."""
    query = select(link.c.target).where(link.c.source == mid, link.c.attribute == attribute)
    return list(connection.execute(query).scalars())


def _portions(links: Mapping[int, Links]) -> Iterator[dict[int, Links]]:
    portion: dict[int, Links] = {}
    size = 0
    for mid, attributes in links.items():
        portion[mid] = attributes
        size += 1 + sum(map(len, attributes.values()))
        if size >= _LINKS_AT_ONCE:
            yield portion
            portion, size = {}, 0
    if portion:
        yield portion


def resolved(connection: Connection, names: set[str]) -> dict[str, int]:
    """The ids of what has these names, which are folded."""
    found: dict[str, int] = {}
    for some in parts(list(names)):
        query = select(identity.c.name_folded, identity.c.mid).where(identity.c.name_folded.in_(some))
        found |= {row.name_folded: row.mid for row in connection.execute(query)}
    return found


def _make(
    connection: Connection,
    table: Any,
    target: str,
    scope: Mapping[int, set[str] | None],
    wanted: set[tuple[int, str, Any]],
    new: Set[int] = frozenset(),
) -> set[int]:
    """Make a table have just these rows of those entries, and of their attributes alone where some are named.

    What no directory says, none takes away: `FULL_ACCESS` is changed by its name alone.
    """
    present: set[tuple[int, str, Any]] = set()
    for some in parts([mid for mid in scope if mid not in new]):
        for row in connection.execute(select(table).where(table.c.source.in_(some))):
            attributes = scope[row.source]
            if row.attribute in attributes if attributes is not None else row.attribute != FULL_ACCESS:
                present.add(tuple(row))
    gone, come = present - wanted, wanted - present
    columns = ("source", "attribute", target)
    if gone:
        condition = and_(*(table.c[name] == bindparam(f"b_{name}") for name in columns))
        rows = [{f"b_{name}": value for name, value in zip(columns, row, strict=True)} for row in gone]
        connection.execute(delete(table).where(condition), rows)
    insert_many(connection, table.name, columns, sorted(come))
    return {row[0] for row in gone | come}


def rename(connection: Connection, names: Mapping[int, str | None]) -> set[int]:
    """Entries and containers are called so now: what waited for such a name refers to them. Who that was."""
    taken = [name for name in names.values() if name]
    for some in parts(taken):
        # Who had it before was renamed or is gone, or we shall be told so.
        connection.execute(update(identity).where(identity.c.name_folded.in_(some)).values(name_folded=None))
    if names:
        statement = update(identity).where(identity.c.mid == bindparam("b_mid")).values(name_folded=bindparam("b_name"))
        connection.execute(statement, [{"b_mid": mid, "b_name": name} for mid, name in names.items()])
    mids = {name: mid for mid, name in names.items()}
    changed: set[int] = set()
    for some in parts(taken):
        waiting = connection.execute(select(pending_link).where(pending_link.c.name_folded.in_(some))).all()
        if not waiting:
            continue
        connection.execute(delete(pending_link).where(pending_link.c.name_folded.in_(some)))
        rows = [{"source": one.source, "attribute": one.attribute, "target": mids[one.name_folded]} for one in waiting]
        _insert_missing(connection, rows)
        changed |= {one.source for one in waiting}
    return changed


def _insert_missing(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """A link may be there already, by a name that its target had before."""
    present: set[tuple[int, str, int]] = set()
    for some in parts(sorted({row["target"] for row in rows})):
        present |= {tuple(row) for row in connection.execute(select(link).where(link.c.target.in_(some)))}
    new = [row for row in rows if (row["source"], row["attribute"], row["target"]) not in present]
    if new:
        connection.execute(insert(link), new)


def remove(connection: Connection, mids: Sequence[int], *, forget: bool) -> None:
    """Entries are gone, and what they refer to with them; with `forget` also what refers to them."""
    for some in parts(mids):
        for table in (link, pending_link):
            connection.execute(delete(table).where(table.c.source.in_(some)))
        if forget:
            connection.execute(delete(link).where(link.c.target.in_(some)))
        connection.execute(update(identity).where(identity.c.mid.in_(some)).values(name_folded=None))

"""Identities, organizations with containers of their own, links by identity, and what follows a directory in LDAP."""

import json
import uuid

import sqlalchemy as sa
from alembic import op

from openchange_py.addressbook.sortkeys import fold

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

#: Of entries in address lists by their kind: the search that says so.
_SEARCHES = {
    None: "(&(legacyExchangeDN=*)(|(objectClass=user)(objectClass=group)(objectClass=contact)))",
    "user": "(&(legacyExchangeDN=*)(objectClass=user))",
    "group": "(&(legacyExchangeDN=*)(objectClass=group))",
    "contact": "(&(legacyExchangeDN=*)(objectClass=contact))",
}
#: Attributes that are links from now on.
_LINKS = ("manager", "managedBy", "member", "ocpyFullAccess", "publicDelegates")


def upgrade() -> None:
    connection = op.get_bind()
    organizations = _organizations(connection)
    identity = _identities(connection)
    containers = _containers(connection, identity, organizations)
    op.create_table(
        "directory_link",
        _source(),
        sa.Column("attribute", sa.String(64), primary_key=True),
        sa.Column("target", sa.Integer, sa.ForeignKey("directory_identity.mid"), primary_key=True, autoincrement=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "directory_pending_link",
        _source(),
        sa.Column("attribute", sa.String(64), primary_key=True),
        sa.Column("name_folded", sa.String, primary_key=True),
        sqlite_with_rowid=False,
    )
    _entries(connection, organizations, containers)
    _addresses_and_tokens(connection)
    op.create_index("directory_link_back", "directory_link", ["target", "attribute", "source"])
    op.create_index("ix_directory_pending_link_name_folded", "directory_pending_link", ["name_folded"])
    _clashes_and_follower()
    # Keys and tokens are derived anew behind the migration (`addressbook.migrate`).
    connection.execute(sa.text("INSERT INTO directory_counter (name, value) VALUES ('derivation', 0)"))


def _organizations(connection: sa.Connection) -> dict[str, int]:
    """Ids by folded name."""
    rows = connection.execute(sa.text("SELECT name, administrative_group FROM directory_organization")).all()
    # Clients keep their Minimal Entry Ids: the address book has the GUID that it had.
    guid = _raw(connection, "SELECT guid FROM directory_container WHERE mid = 0") or uuid.uuid4()
    op.drop_table("directory_organization")
    table = op.create_table(
        "directory_organization",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("name_folded", sa.String(255), nullable=False, unique=True),
        sa.Column("administrative_group", sa.String(255), nullable=False),
        sa.Column("guid", sa.Uuid, nullable=False, unique=True),
    )
    for number, row in enumerate(rows, 1):
        values = {"id": number, "name": row[0], "name_folded": fold(row[0]), "administrative_group": row[1]}
        connection.execute(table.insert().values(guid=guid, **values))
    return {fold(row[0]): number for number, row in enumerate(rows, 1)}


def _raw(connection: sa.Connection, query: str) -> uuid.UUID | None:
    statement = sa.text(query).columns(sa.column("guid", sa.Uuid))
    return connection.execute(statement).scalar()


def _identities(connection: sa.Connection) -> sa.Table:
    table = op.create_table(
        "directory_identity",
        sa.Column("mid", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("guid", sa.Uuid, nullable=False, unique=True),
        sa.Column("name_folded", sa.String),
        sa.Column("version", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_directory_identity_name_folded", "directory_identity", ["name_folded"])
    op.create_index("ix_directory_identity_version", "directory_identity", ["version"])
    connection.execute(
        sa.text(
            "INSERT INTO directory_identity (mid, guid, name_folded, version) "
            "SELECT mid, guid, legacy_exchange_dn_folded, 0 FROM directory_entry"
        )
    )
    return table


def _containers(connection: sa.Connection, identity: sa.Table, organizations: dict[str, int]) -> dict[str | None, int]:
    """Ids by the kind that a list shows."""
    old = sa.table("directory_container", *(sa.column(n) for n in ("mid", "name", "position", "lists")))
    rows = connection.execute(sa.select(old, sa.column("guid", sa.Uuid)).order_by(old.c.position)).all()
    op.drop_table("directory_container")
    table = op.create_table(
        "directory_container",
        sa.Column("mid", sa.Integer, sa.ForeignKey("directory_identity.mid"), primary_key=True, autoincrement=False),
        sa.Column("guid", sa.Uuid, nullable=False, unique=True),
        sa.Column("organization", sa.Integer, sa.ForeignKey("directory_organization.id"), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("distinguished_name", sa.String, nullable=False),
        sa.Column("parent", sa.Integer),
        sa.Column("depth", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("purported_search", sa.String, nullable=False),
    )
    name, number = next(iter(organizations.items()), ("", 1))
    found: dict[str | None, int] = {}
    for row in rows:
        dn, mid = f"/o={name}/cn=Address Lists/cn={row.name}", row.mid or _next_mid(connection)
        connection.execute(identity.insert().values(mid=mid, guid=row.guid, name_folded=fold(dn), version=0))
        connection.execute(
            table.insert().values(
                mid=mid,
                guid=row.guid,
                organization=number,
                kind="list" if row.mid else "global",
                name=row.name,
                distinguished_name=dn,
                depth=0,
                position=row.position,
                purported_search=_SEARCHES[row.lists],
            )
        )
        found[row.lists] = mid
    return found


def _next_mid(connection: sa.Connection) -> int:
    connection.execute(sa.text("UPDATE directory_counter SET value = value + 1 WHERE name = 'mid'"))
    return int(connection.execute(sa.text("SELECT value FROM directory_counter WHERE name = 'mid'")).scalar_one())


def _entries(connection: sa.Connection, organizations: dict[str, int], containers: dict[str | None, int]) -> None:
    op.drop_index("directory_entry_listed", "directory_entry")
    # Not by a new table in the old one's place: SQLite would delete the old one's rows, and credentials with them.
    op.add_column("directory_entry", sa.Column("organization", sa.Integer))
    op.add_column("directory_entry", sa.Column("name", sa.String, nullable=False, server_default=""))
    op.add_column("directory_entry", sa.Column("phonetic_key", sa.LargeBinary, nullable=False, server_default=""))
    op.add_column("directory_entry", sa.Column("phonetic_name", sa.String))
    op.create_index("ix_directory_entry_organization", "directory_entry", ["organization"])
    names = ("mid", "kind", "organization", "name", "legacy_exchange_dn", "legacy_exchange_dn_folded")
    entry = sa.table(
        "directory_entry",
        *(sa.column(name) for name in names),
        sa.column("attributes", sa.JSON),
    )
    rows = connection.execute(sa.select(entry)).all()
    mids = {row.legacy_exchange_dn_folded: row.mid for row in rows if row.legacy_exchange_dn_folded}
    for row in rows:
        attributes, links = _split(row.attributes)
        connection.execute(
            sa.update(entry)
            .where(entry.c.mid == row.mid)
            .values(
                organization=_organization_of(row.legacy_exchange_dn_folded, organizations),
                name=row.legacy_exchange_dn,
                attributes=attributes,
            )
        )
        _insert_links(connection, row.mid, links, mids)
        if row.legacy_exchange_dn_folded and row.kind in containers:
            for mid in {containers[None], containers[row.kind]} if None in containers else {containers[row.kind]}:
                _insert(connection, "link", source=row.mid, attribute="showInAddressBook", target=mid)


def _split(stored: dict | str) -> tuple[dict, dict]:
    attributes = json.loads(stored) if isinstance(stored, str) else dict(stored)
    attributes.pop("showInAddressBook", None)
    return attributes, {name: attributes.pop(name) for name in _LINKS if name in attributes}


def _organization_of(dn: str | None, organizations: dict[str, int]) -> int | None:
    for name, number in organizations.items():
        if dn and dn.startswith(f"/o={name}/"):
            return number
    return None


def _insert_links(connection: sa.Connection, source: int, links: dict, mids: dict[str, int]) -> None:
    for attribute, names in links.items():
        for name in {fold(name) for name in names if isinstance(name, str)}:
            if name in mids:
                _insert(connection, "link", source=source, attribute=attribute, target=mids[name])
            elif attribute != "ocpyFullAccess":  # which is nobody's who comes later
                _insert(connection, "pending_link", source=source, attribute=attribute, name_folded=name)


def _insert(connection: sa.Connection, table: str, **values: object) -> None:
    target = sa.table(f"directory_{table}", *(sa.column(name) for name in values))
    connection.execute(target.insert().values(**values))


def _addresses_and_tokens(connection: sa.Connection) -> None:
    """Derived from entries; they get the entry's organization into their keys."""
    for name in ("address", "token"):
        op.drop_index(f"ix_directory_{name}_mid", f"directory_{name}")
        op.rename_table(f"directory_{name}", f"directory_old_{name}")
    op.create_table(
        "directory_address",
        sa.Column("address_folded", sa.String, primary_key=True),
        sa.Column("organization", sa.Integer, primary_key=True, autoincrement=False),
        _mid(nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "directory_token",
        sa.Column("organization", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("token", sa.LargeBinary, primary_key=True),
        _mid(primary_key=True),
        sa.Column("whole", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )
    for name, columns in (("address", "address_folded, mid"), ("token", "token, mid, whole")):
        selected = ", ".join(f"old.{column}" for column in columns.split(", "))
        connection.execute(
            sa.text(
                f"INSERT INTO directory_{name} (organization, {columns}) "  # noqa: S608  names of our own
                f"SELECT coalesce(e.organization, 0), {selected} "
                f"FROM directory_old_{name} AS old JOIN directory_entry AS e ON e.mid = old.mid"
            )
        )
        op.drop_table(f"directory_old_{name}")
        op.create_index(f"ix_directory_{name}_mid", f"directory_{name}", ["mid"])


def _clashes_and_follower() -> None:
    op.create_table(
        "directory_clash",
        sa.Column("name", sa.String, primary_key=True),
        _mid(primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_directory_clash_mid", "directory_clash", ["mid"])
    op.create_table(
        "directory_follower",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("cookie", sa.String),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("held_until", sa.Double, nullable=False),
        sa.Column("busy", sa.String, nullable=False),
        sa.Column("busy_until", sa.Double, nullable=False),
        sa.Column("contact", sa.Double),
        sa.Column("as_of", sa.Double),
        sa.Column("compared", sa.Double),
        sa.Column("error", sa.String),
    )


def _mid(**options: bool) -> sa.Column:
    reference = sa.ForeignKey("directory_entry.mid", ondelete="CASCADE")
    return sa.Column("mid", sa.Integer, reference, autoincrement=False, **options)


def _source() -> sa.Column:
    reference = sa.ForeignKey("directory_entry.mid", ondelete="CASCADE")
    return sa.Column("source", sa.Integer, reference, primary_key=True, autoincrement=False)

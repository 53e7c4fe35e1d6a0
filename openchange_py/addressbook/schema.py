"""The embedded directory's tables. `migrations/directory/` makes them; both say the same, which a test checks.

Names that are compared without case stand folded in a column of their own with a unique or plain index, sort keys
and tokens as bytes (`sortkeys`), so that SQLite and PostgreSQL order them alike whatever their collations.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Uuid,
)

metadata = MetaData()

#: Counters by name. `mid`: the Minimal Entry Id given last, so that none is ever given twice. `version`: raised by
#: every transaction that writes, first of all, which puts the writers in a row and tells readers what is stale.
counter = Table(
    "directory_counter",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

organization = Table(
    "directory_organization",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(255), nullable=False),
    Column("administrative_group", String(255), nullable=False),
)

container = Table(
    "directory_container",
    metadata,
    Column("mid", Integer, primary_key=True, autoincrement=False),
    Column("guid", Uuid, nullable=False, unique=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("parent", Integer),
    Column("depth", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    #: The `kind` of entry that it lists; null: all of them.
    Column("lists", String(16)),
)

entry = Table(
    "directory_entry",
    metadata,
    Column("mid", Integer, primary_key=True, autoincrement=False),
    Column("guid", Uuid, nullable=False, unique=True),
    #: user, group, contact or server.
    Column("kind", String(16), nullable=False),
    Column("display_type", Integer, nullable=False),
    Column("display_name", String, nullable=False),
    Column("sort_key", LargeBinary, nullable=False),
    Column("legacy_exchange_dn", String, nullable=False),
    #: Null where the entry has no legacyExchangeDN: it is in no address list then.
    Column("legacy_exchange_dn_folded", String, unique=True),
    Column("account", String(255)),
    Column("account_folded", String(255), unique=True),
    Column("principal_folded", String, unique=True),
    Column("enabled", Boolean, nullable=False),
    #: Whether address lists show it.
    Column("listed", Boolean, nullable=False),
    Column("attributes", JSON, nullable=False),
    Index("directory_entry_listed", "listed", "kind", "sort_key", "mid"),
)

#: Apart from the entry, so that whoever reads entries does not read secrets.
credential = Table(
    "directory_credential",
    metadata,
    Column("mid", Integer, ForeignKey(entry.c.mid, ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("nt_hash", LargeBinary, nullable=False),
)

#: proxyAddresses and mail, each of which one entry has.
address = Table(
    "directory_address",
    metadata,
    Column("address_folded", String, primary_key=True),
    Column("mid", Integer, ForeignKey(entry.c.mid, ondelete="CASCADE"), nullable=False, index=True),
)

#: What ambiguous name resolution finds an entry by. `whole`: an equal name means this entry, not just one like it.
token = Table(
    "directory_token",
    metadata,
    Column("token", LargeBinary, primary_key=True),
    Column(
        "mid",
        Integer,
        ForeignKey(entry.c.mid, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        index=True,
    ),
    Column("whole", Boolean, nullable=False),
)

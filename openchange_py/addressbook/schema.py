"""The directory's tables, which are the embedded directory, or the index of one in LDAP.

`migrations/directory/` makes them; both say the same, which a test checks. Names that are compared without case stand
folded in a column of their own, sort keys and tokens as bytes (`sortkeys`), so that SQLite and PostgreSQL order them
alike whatever their collations.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Double,
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
#: every transaction that changes something; its row is locked first, which puts the writers in a row.
counter = Table(
    "directory_counter",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

#: `guid` is what NSPI clients know its address book by; entries are its by the name in their legacyExchangeDN.
organization = Table(
    "directory_organization",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(255), nullable=False),
    Column("name_folded", String(255), nullable=False, unique=True),
    Column("administrative_group", String(255), nullable=False),
    Column("guid", Uuid, nullable=False, unique=True),
)

#: Every entry and container that there ever was, and its Minimal Entry Id, which is never another's. `name_folded`:
#: what links call it, null where it is not there now. `version`: of its newest change, its deletion too.
identity = Table(
    "directory_identity",
    metadata,
    Column("mid", Integer, primary_key=True, autoincrement=False),
    Column("guid", Uuid, nullable=False, unique=True),
    Column("name_folded", String, index=True),
    Column("version", BigInteger, nullable=False, index=True),
)

container = Table(
    "directory_container",
    metadata,
    Column("mid", Integer, ForeignKey(identity.c.mid), primary_key=True, autoincrement=False),
    Column("guid", Uuid, nullable=False, unique=True),
    Column("organization", Integer, ForeignKey(organization.c.id), nullable=False),
    #: `ContainerKind`.
    Column("kind", String(16), nullable=False),
    Column("name", String(255), nullable=False),
    Column("distinguished_name", String, nullable=False),
    Column("parent", Integer),
    Column("depth", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("purported_search", String, nullable=False),
)

entry = Table(
    "directory_entry",
    metadata,
    Column("mid", Integer, primary_key=True, autoincrement=False),
    Column("guid", Uuid, nullable=False, unique=True),
    #: Null where it belongs to none.
    Column("organization", Integer, index=True),
    #: `Kind`.
    Column("kind", String(16), nullable=False, index=True),
    #: What links call it.
    Column("name", String, nullable=False),
    Column("display_type", Integer, nullable=False),
    Column("display_name", String, nullable=False),
    Column("sort_key", LargeBinary, nullable=False),
    Column("phonetic_key", LargeBinary, nullable=False),
    Column("phonetic_name", String),
    Column("legacy_exchange_dn", String, nullable=False),
    #: Null where the entry has no legacyExchangeDN: it is in no address list then.
    Column("legacy_exchange_dn_folded", String, unique=True),
    Column("account", String(255)),
    Column("account_folded", String(255), unique=True),
    Column("principal_folded", String, unique=True),
    Column("enabled", Boolean, nullable=False),
    #: Whether address lists may show it.
    Column("listed", Boolean, nullable=False),
    Column("attributes", JSON, nullable=False),
)

#: Apart from the entry, so that whoever reads entries does not read secrets.
credential = Table(
    "directory_credential",
    metadata,
    Column("mid", Integer, ForeignKey(entry.c.mid, ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("nt_hash", LargeBinary, nullable=False),
)

#: proxyAddresses and mail. `organization` is 0 for entries of none.
address = Table(
    "directory_address",
    metadata,
    Column("address_folded", String, primary_key=True),
    Column("organization", Integer, primary_key=True, autoincrement=False),
    Column("mid", Integer, ForeignKey(entry.c.mid, ondelete="CASCADE"), nullable=False, index=True),
    sqlite_with_rowid=False,
)

#: What ambiguous name resolution finds an entry by. `whole`: an equal name means this entry, not just one like it.
token = Table(
    "directory_token",
    metadata,
    Column("organization", Integer, primary_key=True, autoincrement=False),
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
    sqlite_with_rowid=False,
)

#: What an entry refers to: by identity, so that a target may be renamed, or vanish and come back.
link = Table(
    "directory_link",
    metadata,
    Column("source", Integer, ForeignKey(entry.c.mid, ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("attribute", String(64), primary_key=True),
    Column("target", Integer, ForeignKey(identity.c.mid), primary_key=True, autoincrement=False),
    Index("directory_link_back", "target", "attribute", "source"),
    sqlite_with_rowid=False,
)

#: What an entry refers to by a name that nothing has yet.
pending_link = Table(
    "directory_pending_link",
    metadata,
    Column("source", Integer, ForeignKey(entry.c.mid, ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("attribute", String(64), primary_key=True),
    Column("name_folded", String, primary_key=True, index=True),
    sqlite_with_rowid=False,
)

#: Names that an entry of LDAP has and is not known by, because another had them first (`indexing`).
clash = Table(
    "directory_clash",
    metadata,
    Column("name", String, primary_key=True),
    Column(
        "mid",
        Integer,
        ForeignKey(entry.c.mid, ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
        index=True,
    ),
    sqlite_with_rowid=False,
)

#: The one row of what follows an LDAP directory (`following`); times in seconds since 1970.
follower = Table(
    "directory_follower",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    #: The source that the cookie is of.
    Column("source", String, nullable=False),
    #: Null until all of it was read once.
    Column("cookie", String),
    #: Which process follows, and until when no other one does.
    Column("holder", String, nullable=False),
    Column("held_until", Double, nullable=False),
    #: Who reads the server just now, and until when nobody else may, whoever follows.
    Column("busy", String, nullable=False),
    Column("busy_until", Double, nullable=False),
    #: When the server answered last, and the time whose state the index has.
    Column("contact", Double),
    Column("as_of", Double),
    #: When all was compared last.
    Column("compared", Double),
    Column("error", String),
)

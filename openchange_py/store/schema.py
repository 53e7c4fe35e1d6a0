"""The tables of the mailbox database: one declaration for SQLite and PostgreSQL.

Identifiers of folders and messages stand here as their 48-bit GlobalCounter ([MS-OXCDATA] 2.2.1); the replica id is
the same for all objects of a private mailbox. Times are PtypTime numbers (100 ns since 1601-01-01 UTC).
What a column holds of a message's properties is declared in `columns.py`, beside the property's name.

A row of `messages` with neither folder nor parent is the holder of a large value that is being written (`pending.py`).

Not used yet: `folder_permissions`. `deletions` is written, and read by nobody yet: synchronization needs it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)

#: The alembic revision that gives exactly these tables; `open_store` refuses any other.
SCHEMA_REVISION = "0002"
VERSION_TABLE = "alembic_version_mailbox"

#: Longest text that sort columns keep (characters); ids break ties behind it.
SORT_TEXT = 255

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: Row ids: SQLite numbers rows by itself only where the type is INTEGER.
RowId = BigInteger().with_variant(Integer(), "sqlite")
#: Casefolded text that both databases order by code point.
SortText = String(SORT_TEXT).with_variant(String(SORT_TEXT, collation="C"), "postgresql")


def _mailbox_id(*, primary_key: bool = False) -> Column[Any]:
    return Column(
        "mailbox_id",
        RowId,
        ForeignKey("mailboxes.id", ondelete="CASCADE"),
        primary_key=primary_key,
        nullable=False,
        autoincrement=False,
    )


def _message_id(*, primary_key: bool = False) -> Column[Any]:
    return Column(
        "message_id",
        RowId,
        ForeignKey("messages.id", ondelete="CASCADE"),
        primary_key=primary_key,
        nullable=False,
        autoincrement=False,
    )


def _change_columns() -> list[Column[Any]]:
    """[MS-OXCFXICS] 2.2.1.2: what synchronization knows an object's version by."""
    return [
        Column("change_number", BigInteger, nullable=False),
        Column("change_key", LargeBinary, nullable=False),
        Column("predecessor_change_list", LargeBinary, nullable=False),
        Column("creation_time", BigInteger, nullable=False),
        Column("last_modification_time", BigInteger, nullable=False),
    ]


mailboxes = Table(
    "mailboxes",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("guid", Uuid, nullable=False, unique=True),
    Column("replica_guid", Uuid, nullable=False),
    Column("legacy_exchange_dn", Text, nullable=False),
    Column("display_name", Text, nullable=False),
    Column("next_counter", BigInteger, nullable=False),
    Column("creation_time", BigInteger, nullable=False),
    Column("properties", LargeBinary, nullable=False),
)

folders = Table(
    "folders",
    metadata,
    _mailbox_id(primary_key=True),
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("parent_id", BigInteger),
    Column("name", Text, nullable=False),
    Column("sort_name", SortText, nullable=False),
    Column("container_class", Text, nullable=False),
    Column("folder_type", SmallInteger, nullable=False),
    Column("special", SmallInteger),
    *_change_columns(),
    Column("content_count", Integer, nullable=False, default=0),
    Column("content_unread_count", Integer, nullable=False, default=0),
    Column("associated_content_count", Integer, nullable=False, default=0),
    Column("deleted_count_total", Integer, nullable=False, default=0),
    Column("message_size", BigInteger, nullable=False, default=0),
    Column("local_commit_time_max", BigInteger, nullable=False, default=0),
    Column("properties", LargeBinary, nullable=False),
    UniqueConstraint("mailbox_id", "parent_id", "sort_name", name="uq_folders_sort_name"),
    Index("ix_folders_change_number", "mailbox_id", "change_number"),
)

messages = Table(
    "messages",
    metadata,
    Column("id", RowId, primary_key=True),
    _mailbox_id(),
    # An embedded message has neither folder nor id of its own, but the message that it is in.
    Column("folder_id", BigInteger),
    Column("mid", BigInteger),
    Column("parent_id", RowId, ForeignKey("messages.id", ondelete="CASCADE"), index=True),
    Column("parent_number", Integer),
    Column("associated", Boolean, nullable=False),
    Column("is_read", Boolean, nullable=False),
    Column("read_change_number", BigInteger),
    *_change_columns(),
    Column("message_class", Text, nullable=False),
    Column("subject_prefix", Text),
    Column("normalized_subject", Text),
    Column("sender_name", Text),
    Column("sent_representing_name", Text),
    Column("display_to", Text),
    Column("display_cc", Text),
    Column("display_bcc", Text),
    Column("internet_message_id", Text),
    Column("delivery_time", BigInteger),
    Column("client_submit_time", BigInteger),
    Column("importance", Integer, nullable=False),
    Column("sensitivity", Integer, nullable=False),
    Column("flags", Integer, nullable=False),
    Column("status", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("has_attachments", Boolean, nullable=False),
    Column("sort_subject", SortText, nullable=False),
    Column("sort_sender", SortText, nullable=False),
    Column("sort_sent_representing", SortText, nullable=False),
    ForeignKeyConstraint(
        ["mailbox_id", "folder_id"], ["folders.mailbox_id", "folders.id"], ondelete="CASCADE", name="fk_messages_folder"
    ),
    UniqueConstraint("mailbox_id", "mid", name="uq_messages_mid"),
    # The orders that clients open a folder with; any other order sorts on the rows' columns.
    Index("ix_messages_delivery_time", "mailbox_id", "folder_id", "associated", "delivery_time", "mid"),
    Index("ix_messages_sort_subject", "mailbox_id", "folder_id", "associated", "sort_subject", "mid"),
    Index(
        "ix_messages_sort_sent_representing", "mailbox_id", "folder_id", "associated", "sort_sent_representing", "mid"
    ),
    Index("ix_messages_change_number", "mailbox_id", "folder_id", "change_number"),
)

#: All properties of a message that have no column. Apart from `messages`, so that sorting reads short rows.
message_properties = Table(
    "message_properties",
    metadata,
    _message_id(primary_key=True),
    Column("properties", LargeBinary, nullable=False),
)

recipients = Table(
    "recipients",
    metadata,
    _message_id(primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", Integer, nullable=False),
    Column("properties", LargeBinary, nullable=False),
)

attachments = Table(
    "attachments",
    metadata,
    _message_id(primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
    Column("properties", LargeBinary, nullable=False),
)

#: One row per large value; `message_id` says with which message it goes away.
contents = Table(
    "contents",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("message_id", RowId, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("size", BigInteger, nullable=False),
)

content_chunks = Table(
    "content_chunks",
    metadata,
    Column(
        "content_id",
        RowId,
        ForeignKey("contents.id", ondelete="CASCADE"),
        primary_key=True,
        nullable=False,
        autoincrement=False,
    ),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)

#: [MS-OXPROPS] 1.3.2: a mailbox' mapping of property names to ids from 0x8000.
named_properties = Table(
    "named_properties",
    metadata,
    _mailbox_id(primary_key=True),
    Column("property_id", Integer, primary_key=True, autoincrement=False),
    Column("property_set", Uuid, nullable=False),
    Column("lid", BigInteger),
    Column("name", Text),
    UniqueConstraint("mailbox_id", "property_set", "lid", name="uq_named_properties_lid"),
    UniqueConstraint("mailbox_id", "property_set", "name", name="uq_named_properties_name"),
)

#: What was deleted, for [MS-OXCFXICS] 2.2.1.3: synchronization tells clients from it. `kind`: 0 folder, 1 message.
deletions = Table(
    "deletions",
    metadata,
    _mailbox_id(primary_key=True),
    Column("kind", SmallInteger, primary_key=True, autoincrement=False),
    Column("object_id", BigInteger, primary_key=True, autoincrement=False),
    Column("folder_id", BigInteger, nullable=False),
    Column("change_number", BigInteger, nullable=False),
    Column("deletion_time", BigInteger, nullable=False),
    Index("ix_deletions_change_number", "mailbox_id", "folder_id", "change_number"),
)

#: What happened in a mailbox lately, one row per transaction, for those who follow it from other processes (`notify`).
events = Table(
    "events",
    metadata,
    _mailbox_id(primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("events", Text, nullable=False),
)

receive_folders = Table(
    "receive_folders",
    metadata,
    _mailbox_id(primary_key=True),
    Column("sort_class", String(SORT_TEXT), primary_key=True),
    Column("message_class", String(SORT_TEXT), nullable=False),
    Column("folder_id", BigInteger, nullable=False),
    Column("last_modification_time", BigInteger, nullable=False),
    ForeignKeyConstraint(
        ["mailbox_id", "folder_id"],
        ["folders.mailbox_id", "folders.id"],
        ondelete="CASCADE",
        name="fk_receive_folders_folder",
    ),
)

#: [MS-OXCPERM] 2.2.4: `member_id` 0 is Default, -1 Anonymous.
folder_permissions = Table(
    "folder_permissions",
    metadata,
    _mailbox_id(primary_key=True),
    Column("folder_id", BigInteger, primary_key=True, autoincrement=False),
    Column("member_id", BigInteger, primary_key=True, autoincrement=False),
    Column("entry_id", LargeBinary, nullable=False),
    Column("name", Text, nullable=False),
    Column("rights", BigInteger, nullable=False),
    ForeignKeyConstraint(
        ["mailbox_id", "folder_id"],
        ["folders.mailbox_id", "folders.id"],
        ondelete="CASCADE",
        name="fk_folder_permissions_folder",
    ),
)

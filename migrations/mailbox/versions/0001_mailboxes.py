"""Mailboxes, folders, messages and what synchronization will need."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
SORT_TEXT = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")


def upgrade() -> None:
    _mailboxes()
    _deletions()
    _folders()
    _named_properties()
    _folder_permissions()
    _messages()
    _receive_folders()
    _attachments()
    _contents()
    _message_properties()
    _recipients()
    _content_chunks()


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table)


TABLES = (
    "mailboxes",
    "deletions",
    "folders",
    "named_properties",
    "folder_permissions",
    "messages",
    "receive_folders",
    "attachments",
    "contents",
    "message_properties",
    "recipients",
    "content_chunks",
)


def _mailboxes() -> None:
    op.create_table(
        "mailboxes",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("guid", sa.Uuid(), nullable=False),
        sa.Column("replica_guid", sa.Uuid(), nullable=False),
        sa.Column("legacy_exchange_dn", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("next_counter", sa.BigInteger(), nullable=False),
        sa.Column("creation_time", sa.BigInteger(), nullable=False),
        sa.Column("properties", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_mailboxes"),
        sa.UniqueConstraint("guid", name="uq_mailboxes_guid"),
    )


def _deletions() -> None:
    op.create_table(
        "deletions",
        sa.Column("mailbox_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("kind", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("object_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("folder_id", sa.BigInteger(), nullable=False),
        sa.Column("change_number", sa.BigInteger(), nullable=False),
        sa.Column("deletion_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailboxes.id"], name="fk_deletions_mailbox_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("mailbox_id", "kind", "object_id", name="pk_deletions"),
    )
    op.create_index(
        "ix_deletions_change_number", "deletions", ["mailbox_id", "folder_id", "change_number"], unique=False
    )


def _folders() -> None:
    op.create_table(
        "folders",
        sa.Column("mailbox_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("parent_id", sa.BigInteger(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sort_name", SORT_TEXT, nullable=False),
        sa.Column("container_class", sa.Text(), nullable=False),
        sa.Column("folder_type", sa.SmallInteger(), nullable=False),
        sa.Column("special", sa.SmallInteger(), nullable=True),
        sa.Column("change_number", sa.BigInteger(), nullable=False),
        sa.Column("change_key", sa.LargeBinary(), nullable=False),
        sa.Column("predecessor_change_list", sa.LargeBinary(), nullable=False),
        sa.Column("creation_time", sa.BigInteger(), nullable=False),
        sa.Column("last_modification_time", sa.BigInteger(), nullable=False),
        sa.Column("content_count", sa.Integer(), nullable=False),
        sa.Column("content_unread_count", sa.Integer(), nullable=False),
        sa.Column("associated_content_count", sa.Integer(), nullable=False),
        sa.Column("deleted_count_total", sa.Integer(), nullable=False),
        sa.Column("message_size", sa.BigInteger(), nullable=False),
        sa.Column("local_commit_time_max", sa.BigInteger(), nullable=False),
        sa.Column("properties", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailboxes.id"], name="fk_folders_mailbox_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("mailbox_id", "id", name="pk_folders"),
        sa.UniqueConstraint("mailbox_id", "parent_id", "sort_name", name="uq_folders_sort_name"),
    )
    op.create_index("ix_folders_change_number", "folders", ["mailbox_id", "change_number"], unique=False)


def _named_properties() -> None:
    op.create_table(
        "named_properties",
        sa.Column("mailbox_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("property_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("property_set", sa.Uuid(), nullable=False),
        sa.Column("lid", sa.BigInteger(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["mailbox_id"], ["mailboxes.id"], name="fk_named_properties_mailbox_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("mailbox_id", "property_id", name="pk_named_properties"),
        sa.UniqueConstraint("mailbox_id", "property_set", "lid", name="uq_named_properties_lid"),
        sa.UniqueConstraint("mailbox_id", "property_set", "name", name="uq_named_properties_name"),
    )


def _folder_permissions() -> None:
    op.create_table(
        "folder_permissions",
        sa.Column("mailbox_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("folder_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("member_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entry_id", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("rights", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["mailbox_id", "folder_id"],
            ["folders.mailbox_id", "folders.id"],
            name="fk_folder_permissions_folder",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["mailbox_id"], ["mailboxes.id"], name="fk_folder_permissions_mailbox_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("mailbox_id", "folder_id", "member_id", name="pk_folder_permissions"),
    )


def _messages() -> None:
    op.create_table(
        "messages",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("mailbox_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("folder_id", sa.BigInteger(), nullable=True),
        sa.Column("mid", sa.BigInteger(), nullable=True),
        sa.Column("parent_id", ROW_ID, nullable=True),
        sa.Column("parent_number", sa.Integer(), nullable=True),
        sa.Column("associated", sa.Boolean(), nullable=False),
        sa.Column("is_read", sa.Boolean(), nullable=False),
        sa.Column("read_change_number", sa.BigInteger(), nullable=True),
        sa.Column("change_number", sa.BigInteger(), nullable=False),
        sa.Column("change_key", sa.LargeBinary(), nullable=False),
        sa.Column("predecessor_change_list", sa.LargeBinary(), nullable=False),
        sa.Column("creation_time", sa.BigInteger(), nullable=False),
        sa.Column("last_modification_time", sa.BigInteger(), nullable=False),
        sa.Column("message_class", sa.Text(), nullable=False),
        sa.Column("subject_prefix", sa.Text(), nullable=True),
        sa.Column("normalized_subject", sa.Text(), nullable=True),
        sa.Column("sender_name", sa.Text(), nullable=True),
        sa.Column("sent_representing_name", sa.Text(), nullable=True),
        sa.Column("display_to", sa.Text(), nullable=True),
        sa.Column("display_cc", sa.Text(), nullable=True),
        sa.Column("display_bcc", sa.Text(), nullable=True),
        sa.Column("internet_message_id", sa.Text(), nullable=True),
        sa.Column("delivery_time", sa.BigInteger(), nullable=True),
        sa.Column("client_submit_time", sa.BigInteger(), nullable=True),
        sa.Column("importance", sa.Integer(), nullable=False),
        sa.Column("sensitivity", sa.Integer(), nullable=False),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("has_attachments", sa.Boolean(), nullable=False),
        sa.Column("sort_subject", SORT_TEXT, nullable=False),
        sa.Column("sort_sender", SORT_TEXT, nullable=False),
        sa.Column("sort_sent_representing", SORT_TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ["mailbox_id", "folder_id"],
            ["folders.mailbox_id", "folders.id"],
            name="fk_messages_folder",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailboxes.id"], name="fk_messages_mailbox_id", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["parent_id"], ["messages.id"], name="fk_messages_parent_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sa.UniqueConstraint("mailbox_id", "mid", name="uq_messages_mid"),
    )
    op.create_index("ix_messages_change_number", "messages", ["mailbox_id", "folder_id", "change_number"], unique=False)
    op.create_index(
        "ix_messages_delivery_time",
        "messages",
        ["mailbox_id", "folder_id", "associated", "delivery_time", "mid"],
        unique=False,
    )
    op.create_index("ix_messages_parent_id", "messages", ["parent_id"], unique=False)
    op.create_index(
        "ix_messages_sort_sent_representing",
        "messages",
        ["mailbox_id", "folder_id", "associated", "sort_sent_representing", "mid"],
        unique=False,
    )
    op.create_index(
        "ix_messages_sort_subject",
        "messages",
        ["mailbox_id", "folder_id", "associated", "sort_subject", "mid"],
        unique=False,
    )


def _receive_folders() -> None:
    op.create_table(
        "receive_folders",
        sa.Column("mailbox_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("sort_class", sa.String(length=255), nullable=False),
        sa.Column("message_class", sa.String(length=255), nullable=False),
        sa.Column("folder_id", sa.BigInteger(), nullable=False),
        sa.Column("last_modification_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["mailbox_id", "folder_id"],
            ["folders.mailbox_id", "folders.id"],
            name="fk_receive_folders_folder",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["mailbox_id"], ["mailboxes.id"], name="fk_receive_folders_mailbox_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("mailbox_id", "sort_class", name="pk_receive_folders"),
    )


def _attachments() -> None:
    op.create_table(
        "attachments",
        sa.Column("message_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("properties", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_attachments_message_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("message_id", "number", name="pk_attachments"),
    )


def _contents() -> None:
    op.create_table(
        "contents",
        sa.Column("id", ROW_ID, nullable=False),
        sa.Column("message_id", ROW_ID, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_contents_message_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_contents"),
    )
    op.create_index("ix_contents_message_id", "contents", ["message_id"], unique=False)


def _message_properties() -> None:
    op.create_table(
        "message_properties",
        sa.Column("message_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("properties", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name="fk_message_properties_message_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("message_id", name="pk_message_properties"),
    )


def _recipients() -> None:
    op.create_table(
        "recipients",
        sa.Column("message_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("properties", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name="fk_recipients_message_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("message_id", "number", name="pk_recipients"),
    )


def _content_chunks() -> None:
    op.create_table(
        "content_chunks",
        sa.Column("content_id", ROW_ID, autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["content_id"], ["contents.id"], name="fk_content_chunks_content_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("content_id", "number", name="pk_content_chunks"),
    )

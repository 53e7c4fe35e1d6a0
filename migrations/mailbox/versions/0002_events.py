"""What happened in mailboxes lately, for sessions that wait for it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("mailbox_id", ROW_ID, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["mailbox_id"], ["mailboxes.id"], name="fk_events_mailbox_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("mailbox_id", "number", name="pk_events"),
    )


def downgrade() -> None:
    op.drop_table("events")

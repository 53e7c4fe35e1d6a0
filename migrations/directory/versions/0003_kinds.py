"""The servers of an organization are found without reading all its people."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_directory_entry_kind", "directory_entry", ["kind"])

"""The directory: organization, address lists, entries, credentials, addresses and names."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    counter = op.create_table(
        "directory_counter",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
    )
    # Ids below 0x10 are the protocol's own ([MS-OXNSPI] 2.2.9.1).
    op.bulk_insert(counter, [{"name": "mid", "value": 0x0F}, {"name": "version", "value": 0}])
    op.create_table(
        "directory_organization",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("administrative_group", sa.String(255), nullable=False),
    )
    op.create_table(
        "directory_container",
        sa.Column("mid", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("guid", sa.Uuid, nullable=False, unique=True),
        sa.Column("name", sa.String(255), nullable=False, unique=True),
        sa.Column("parent", sa.Integer),
        sa.Column("depth", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("lists", sa.String(16)),
    )
    op.create_table(
        "directory_entry",
        sa.Column("mid", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("guid", sa.Uuid, nullable=False, unique=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("display_type", sa.Integer, nullable=False),
        sa.Column("display_name", sa.String, nullable=False),
        sa.Column("sort_key", sa.LargeBinary, nullable=False),
        sa.Column("legacy_exchange_dn", sa.String, nullable=False),
        sa.Column("legacy_exchange_dn_folded", sa.String, unique=True),
        sa.Column("account", sa.String(255)),
        sa.Column("account_folded", sa.String(255), unique=True),
        sa.Column("principal_folded", sa.String, unique=True),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("listed", sa.Boolean, nullable=False),
        sa.Column("attributes", sa.JSON, nullable=False),
    )
    op.create_index("directory_entry_listed", "directory_entry", ["listed", "kind", "sort_key", "mid"])
    op.create_table(
        "directory_credential",
        _mid(primary_key=True),
        sa.Column("nt_hash", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "directory_address",
        sa.Column("address_folded", sa.String, primary_key=True),
        _mid(nullable=False),
    )
    op.create_index("ix_directory_address_mid", "directory_address", ["mid"])
    op.create_table(
        "directory_token",
        sa.Column("token", sa.LargeBinary, primary_key=True),
        _mid(primary_key=True),
        sa.Column("whole", sa.Boolean, nullable=False),
    )
    op.create_index("ix_directory_token_mid", "directory_token", ["mid"])


def _mid(**options: bool) -> sa.Column:
    reference = sa.ForeignKey("directory_entry.mid", ondelete="CASCADE")
    return sa.Column("mid", sa.Integer, reference, autoincrement=False, **options)


def downgrade() -> None:
    for name in ("token", "address", "credential", "entry", "container", "organization", "counter"):
        op.drop_table(f"directory_{name}")

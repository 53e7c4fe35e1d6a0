"""The alembic environment of the mailbox database.

`store/migrate.py` gives the connection, within a transaction that makes the whole upgrade one step. To write a
new migration: `alembic -c migrations/mailbox/alembic.ini -x url=sqlite:////tmp/mailboxes.db revision --autogenerate`.
"""

from alembic import context
from sqlalchemy import Connection

from openchange_py.store.database import Database
from openchange_py.store.migrate import is_mailbox_table
from openchange_py.store.schema import VERSION_TABLE, metadata


def run(connection: Connection) -> None:
    """Runs the migrations that are asked for."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        include_name=is_mailbox_table,
        transactional_ddl=True,
        render_as_batch=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with Database(context.get_x_argument(as_dictionary=True)["url"]).writing() as own:
        run(own)

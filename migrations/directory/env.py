"""Alembic environment of the embedded directory. `openchange_py.addressbook.migrate` gives it the connection."""

from alembic import context

from openchange_py.addressbook.migrate import VERSION_TABLE
from openchange_py.addressbook.schema import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise SystemExit("run `ocpy provision`: it gives these migrations their database")
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    include_name=lambda name, kind, parents: kind != "table" or str(name).startswith("directory_"),
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()

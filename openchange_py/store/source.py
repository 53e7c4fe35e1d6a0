"""Opening the mailbox database: `open_store(url)`."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import Connection, Select, column, delete, inspect, select, table

from openchange_py.store import schema
from openchange_py.store.base import Listener, Mailbox, NoSuchObject, Store, StoreError, Watch
from openchange_py.store.database import Database, sqlite_path
from openchange_py.store.mailboxes import StoredMailbox, insert_mailbox

_PROVISION = "run `ocpy provision --openchangedb`"
_SELECT_VERSION: Select[Any] = select(column("version_num")).select_from(table(schema.VERSION_TABLE))
_M = schema.mailboxes.c


def open_store(url: str) -> SqlStore:
    """The mailboxes of that database; `StoreError` where it is missing, or its tables are of another version."""
    database = Database(url)
    try:
        path = sqlite_path(database.url)
        if path is not None and not path.exists():
            raise StoreError(f"there is no mailbox database {path}: {_PROVISION}")
        with database.reading() as connection:
            _check_schema(connection, str(database))
    except BaseException:
        database.close()
        raise
    return SqlStore(database)


def _check_schema(connection: Connection, name: str) -> None:
    found = None
    if inspect(connection).has_table(schema.VERSION_TABLE):
        found = connection.execute(_SELECT_VERSION).scalar_one_or_none()
    if found is None:
        raise StoreError(f"{name} holds no mailbox tables: {_PROVISION}")
    if found < schema.SCHEMA_REVISION:
        raise StoreError(f"the mailbox tables in {name} are older ({found}) than this program: {_PROVISION}")
    if found != schema.SCHEMA_REVISION:
        raise StoreError(f"the mailbox tables in {name} are newer ({found}) than this program")


class SqlStore(Store):
    """All mailboxes of one database. Safe from several threads; several processes may open the same one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create_mailbox(self, guid: uuid.UUID, legacy_exchange_dn: str, display_name: str) -> Mailbox:
        """With its special folders; `StoreError` where it exists."""
        with self._database.writing() as connection:
            return insert_mailbox(self._database, connection, guid, legacy_exchange_dn, display_name)

    def mailbox(self, guid: uuid.UUID) -> Mailbox:
        """`NoSuchObject`."""
        with self._database.reading() as connection:
            row = connection.execute(select(schema.mailboxes).where(_M.guid == guid)).one_or_none()
        if row is None:
            raise NoSuchObject(f"there is no mailbox {guid}")
        return StoredMailbox(self._database, row)

    def mailboxes(self) -> list[Mailbox]:
        """In the order of their creation."""
        with self._database.reading() as connection:
            rows = connection.execute(select(schema.mailboxes).order_by(_M.id)).all()
        return [StoredMailbox(self._database, row) for row in rows]

    def watch(self, guid: uuid.UUID, listener: Listener) -> Watch:
        """Be told of what happens in a mailbox from now on; `NoSuchObject`."""
        return self._database.feed.watch(guid, listener)

    def delete_mailbox(self, guid: uuid.UUID) -> None:
        """With all that is in it; `NoSuchObject`."""
        with self._database.writing() as connection:
            if connection.execute(delete(schema.mailboxes).where(_M.guid == guid)).rowcount != 1:
                raise NoSuchObject(f"there is no mailbox {guid}")

    def close(self) -> None:
        """Closes its connections; an acknowledged save needs no close."""
        self._database.close()

"""A whole server in this process, on loopback, with the users alice and bob: for tests that need the real parts.

    async with running_node(tmp_path, {"alice": [draft]}) as node:
        channel = await node.connector("alice").connect(NSPI)

    with node_in_thread(tmp_path, {"alice": [draft]}) as node:     # for tests that run a loop of their own
        CliRunner().invoke(command, ["--endpoints", str(node.ready_file), ...])

It is provisioned as `ocpy provision` and `ocpy newuser` do it, and wired together by `openchange_py.cli.node`.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path

from openchange_py.addressbook import migrate as directory_migrations
from openchange_py.addressbook.base import Entry, Kind, Organization
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.cli.node import Node
from openchange_py.client.connection import Account, Connector, Server
from openchange_py.config import load
from openchange_py.proxy.loading import plugin_options
from openchange_py.rpc.security import AuthLevel
from openchange_py.store import migrate as store_migrations
from openchange_py.store.base import Mailbox, MessageDraft
from openchange_py.store.source import SqlStore, open_store
from tests.mailboxes import exchange_attributes

ORGANIZATION = Organization("First Organization", "First Administrative Group")
SERVER_NAME = "EXCH1"
FQDN = "exch1.example.test"
DOMAIN = "EXAMPLE"

#: Account and display name of the users; each one's password is its name with a capital letter and `-1`.
USERS = {"alice": "Alice Example", "bob": "Bob Example"}

_CONF = """\
[global]
    netbios name = {server}
    workgroup = {domain}
    interfaces = 127.0.0.1
    bind interfaces only = yes
    dcerpc_mapiproxy:server = true
    ocpy:data directory = {place}
    ocpy:mail domain = example.test
    ocpy:fqdn = {fqdn}
    ocpy:endpoint mapper port = 0
{options}
"""


@dataclasses.dataclass
class RunningNode:
    """What a test needs to know of a running node."""

    place: Path
    directory: EmbeddedDirectory
    store: SqlStore
    server: Server
    rpc_port: int
    ready_file: Path

    def entry(self, user: str) -> Entry:
        """A user's directory entry."""
        entry = self.directory.by_account(user)
        assert entry is not None
        return entry

    def mailbox(self, user: str) -> Mailbox:
        """A user's mailbox, beside the server."""
        guid = self.entry(user).mailbox_guid
        assert guid is not None
        return self.store.mailbox(guid)

    def account(self, user: str) -> Account:
        """A user's credentials."""
        return Account(user, DOMAIN, password_of(user))

    def password_file(self, user: str) -> Path:
        """A file with a user's password."""
        path = self.place / f"{user}.password"
        path.write_text(password_of(user) + "\n", "utf-8")
        return path

    def connector(
        self, user: str = "alice", *, level: AuthLevel = AuthLevel.PRIVACY, spnego: bool = False
    ) -> Connector:
        """What connects as a user, asking the endpoint mapper."""
        return Connector(self.server, self.account(user), level=level, spnego=spnego, call_timeout=30.0)


def password_of(user: str) -> str:
    """A test user's password."""
    return f"{user.capitalize()}-1"


def provision(place: Path, mail: Mapping[str, Sequence[MessageDraft]]) -> tuple[EmbeddedDirectory, SqlStore]:
    """Directory, database, users, mailboxes, and the given mail in the users' Inboxes."""
    directory_url, store_url = f"sqlite:///{place}/directory.db", f"sqlite:///{place}/mailboxes.db"
    directory_migrations.upgrade(directory_url)
    store_migrations.upgrade(store_url)
    directory, store = EmbeddedDirectory(directory_url), open_store(store_url)
    directory.provision(ORGANIZATION, SERVER_NAME)
    for user, display_name in USERS.items():
        add_user(directory, store, user, display_name)
    for user, drafts in mail.items():
        entry = directory.by_account(user)
        assert entry is not None
        assert entry.mailbox_guid is not None
        mailbox = store.mailbox(entry.mailbox_guid)
        inbox = mailbox.folder_by_path("Inbox").id
        for draft in drafts:
            mailbox.save_message(inbox, draft)
    return directory, store


def add_user(directory: EmbeddedDirectory, store: SqlStore, user: str, display_name: str) -> Entry:
    """An account with its mailbox."""
    attributes = exchange_attributes(ORGANIZATION, SERVER_NAME, user, f"{user}@example.test", display_name)
    entry = directory.create(Kind.USER, user, attributes)
    directory.set_password(entry, password_of(user))
    assert entry.mailbox_guid is not None
    store.create_mailbox(entry.mailbox_guid, entry.legacy_exchange_dn, entry.display_name)
    return entry


@contextlib.asynccontextmanager
async def running_node(
    place: Path, mail: Mapping[str, Sequence[MessageDraft]] | None = None, options: Sequence[str] = ()
) -> AsyncIterator[RunningNode]:
    """Provision in `place`, serve, and stop. `options` are further lines of its smb.conf."""
    config = place / "smb.conf"
    lines = "\n".join(f"    {line}" for line in options)
    config.write_text(_CONF.format(server=SERVER_NAME, domain=DOMAIN, place=place, fqdn=FQDN, options=lines), "utf-8")
    directory, store = provision(place, mail or {})
    node = Node(load(config, plugin_options(config)))
    try:
        await node.start()
        ready_file = place / "ready.json"
        ready_file.write_text(json.dumps(node.describe()), "utf-8")
        (host, port), (_, rpc_port) = node.endpoint_mapper[0], node.rpc[0]
        yield RunningNode(place, directory, store, Server(host, port), rpc_port, ready_file)
    finally:
        await node.stop()
        store.close()
        directory.close()


@contextlib.contextmanager
def node_in_thread(
    place: Path, mail: Mapping[str, Sequence[MessageDraft]] | None = None, options: Sequence[str] = ()
) -> Iterator[RunningNode]:
    """A node with a loop of its own in another thread."""
    started: list[RunningNode | BaseException] = []
    ready, loops = threading.Event(), list[tuple[asyncio.AbstractEventLoop, asyncio.Event]]()

    async def serve() -> None:
        stop = asyncio.Event()
        async with running_node(place, mail, options) as node:
            loops.append((asyncio.get_running_loop(), stop))
            started.append(node)
            ready.set()
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            started.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="node")
    thread.start()
    ready.wait()
    try:
        first = started[0]
        if isinstance(first, BaseException):
            raise first
        yield first
    finally:
        for loop, stop in loops:
            loop.call_soon_threadsafe(stop.set)
        thread.join()
    if isinstance(started[-1], BaseException):
        raise started[-1]

"""Proxies in a row in front of a server, each a process of its own, and a client at any of them."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from tests.interop.nodes import Node, Site
from tests.large_messages import digest_of, upload

_PROXY: Final = """\
[global]
    netbios name = {name}
    workgroup = EXAMPLE
    interfaces = 127.0.0.1
    bind interfaces only = yes
    log level = 1
    ocpy:data directory = {place}/{name}
    ocpy:directory = sqlite:///{place}/directory.db
    ocpy:fqdn = {name}.example.test
    ocpy:endpoint mapper port = 0
    dcerpc_mapiproxy:binding = ncacn_ip_tcp:127.0.0.1[{port},seal]
    dcerpc_mapiproxy:username = relay
    dcerpc_mapiproxy:password file = {place}/passwords/relay
    dcerpc_mapiproxy:domain = EXAMPLE
{options}
"""


class Row:
    """The processes, and the proxies that tests put in front of the server besides."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.site = Site(place)
        self.proxies: list[Node] = []

    def set_up(self) -> None:
        """The server, with alice's and bob's mailboxes."""
        self.site.set_up()
        self.site.start()

    def proxy(self, name: str, behind: Node, options: str) -> Node:
        """A proxy that runs, relaying to another node."""
        (self.place / name).mkdir()
        node = Node(name, self.place / f"{name}.conf")
        settings = {"place": self.place, "name": name, "port": behind.rpc_port, "options": options}
        node.config.write_text(_PROXY.format(**settings), "utf-8")
        self.proxies.append(node)
        node.start()
        node.wait_until_ready()
        return node

    def stop(self) -> None:
        """All of them."""
        for node in self.proxies:
            node.abandon()
        self.site.stop()


@contextlib.contextmanager
def running_row(server_options: str = "") -> Iterator[Row]:
    """The server serves, with further options (`{place}` in them is the row's folder); nothing runs behind it."""
    with tempfile.TemporaryDirectory(prefix="ocpy-row-") as place:
        row = Row(Path(place))
        with row.site.exchange.config.open("a", encoding="utf-8") as config:
            config.write(server_options.format(place=place))
        try:
            row.set_up()
            yield row
        finally:
            row.stop()


async def put(row: Row, node: Node, size: int, seed: int) -> tuple[FolderId, MessageId]:
    """A message with `Pattern(size, seed)` attached, written through that node."""
    async with row.site.profile(node, "alice") as profile:
        mailbox = await profile.mailbox()
        inbox = await mailbox.find_folder("Inbox")
        return inbox.id, await upload(mailbox, inbox.id, size=size, seed=seed)


async def got(row: Row, node: Node, folder: FolderId, message: MessageId, place: Path) -> str:
    """The digest of what a client of that node saves."""
    async with row.site.profile(node, "alice") as profile:
        mailbox = await profile.mailbox()
        async with await mailbox.open_message(folder, message) as opened:
            [attachment] = await opened.attachments()
            with (place / node.name).open("wb+") as file:
                await opened.save_attachment(attachment.number, file)
                file.seek(0)
                return digest_of(file)

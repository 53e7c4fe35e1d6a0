"""A node with HTTPS as a process, set up as an administrator does it, and curl."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.nodes import Node, ocpy

PASSWORDS = {"alice": "Alice-Passw0rd", "bob": "Bob-Passw0rd"}
#: The same content to every page: what it asks for stands in the fields.
FIELDS = [
    "Content-Type: application/mapi-http",
    "X-RequestType: PING",
    "X-RequestId: {0a3dd895-2737-4363-9908-4494a5a9af59}:1",
    "X-ClientInfo: {0a3dd895-2737-4363-9908-4494a5a9af59}:1",
    "X-ClientApplication: Outlook/15.0.4815.1002",
]

_CONF = """\
[global]
    netbios name = EXCH1
    workgroup = EXAMPLE
    interfaces = 127.0.0.1
    bind interfaces only = yes
    log level = 1
    ocpy:log lines per client = 0
    dcerpc_mapiproxy:server = true
    ocpy:data directory = {place}/data
    ocpy:mail domain = example.test
    ocpy:fqdn = localhost
    ocpy:endpoint mapper port = 0
    ocpy:https port = 0
    ocpy:http port = 0
    ocpy:authentication timeout = 2 s
{options}
"""


class WebNode:
    """A stand-alone server with the users of `PASSWORDS`."""

    def __init__(self, place: Path, options: str = "") -> None:
        self.place = place
        config = place / "smb.conf"
        config.write_text(_CONF.format(place=place, options=options), "utf-8")
        ocpy("provision", "-c", config)
        for user, password in PASSWORDS.items():
            (place / user).write_text(f"{password}\n")
            file = place / user
            ocpy("newuser", "-c", config, "--create", user, "--mailbox", "--password-file", file)
        self.node = Node("web", config)

    @property
    def certificate(self) -> Path:
        """What clients must trust."""
        return self.place / "data" / "tls" / "certificate.pem"

    @property
    def https(self) -> str:
        """Where it is."""
        return f"https://localhost:{self.node.ready['https']['port']}"

    @property
    def http(self) -> str:
        """Without TLS."""
        return f"http://localhost:{self.node.ready['http']['port']}"

    def dn(self, user: str) -> bytes:
        """A user's distinguished name."""
        from openchange_py.addressbook.source import open_directory

        with contextlib.closing(open_directory(f"sqlite:///{self.place}/data/directory.db")) as directory:
            entry = directory.by_account(user)
        assert entry is not None
        return entry.legacy_exchange_dn.encode()


@contextlib.contextmanager
def running_web_node(options: str = "") -> Iterator[WebNode]:
    """From nothing, serving, and gone without a trace behind it."""
    with tempfile.TemporaryDirectory(prefix="ocpy-web-") as place:
        web = WebNode(Path(place), options)
        try:
            web.node.start()
            web.node.wait_until_ready()
            yield web
            assert web.node.stop() == 0
        finally:
            web.node.abandon()


def curl(*arguments: str | Path, environment: dict[str, str] | None = None) -> tuple[int, str, bytes]:
    """Status, head and body of the last answer."""
    if shutil.which("curl") is None:
        pytest.skip("no curl here")
    command = ["curl", "--silent", "--show-error", "--include", "--max-time", "20", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, timeout=30, env=environment)
    assert done.returncode == 0, f"{' '.join(command[5:])}: {done.returncode} {done.stderr.decode()}"
    head, _, body = done.stdout.rpartition(b"\r\n\r\n") if b"PROCESSING" not in done.stdout else _split(done.stdout)
    last = head.decode("latin-1").split("\r\n\r\n")[-1]
    return int(last.split()[1]), last, body


def _split(output: bytes) -> tuple[bytes, bytes, bytes]:
    head, separator, body = output.partition(b"PROCESSING")
    return head.rstrip(b"\r\n"), separator, separator + body


def ping(url: str, *arguments: str | Path, environment: dict[str, str] | None = None) -> tuple[int, str, bytes]:
    """A request that any endpoint of MAPI over HTTP answers."""
    fields = [word for field in FIELDS for word in ("--header", field)]
    return curl(*arguments, *fields, "--data-binary", "", url, environment=environment)

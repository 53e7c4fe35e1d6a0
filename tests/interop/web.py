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
from tests.servers.autodiscover.test_soap import users

PASSWORDS = {"alice": "Alice-Passw0rd", "bob": "Bob-Passw0rd"}
#: The same content to every page: what it asks for stands in the fields.
FIELDS = [
    "Content-Type: application/mapi-http",
    "X-RequestType: PING",
    "X-RequestId: {0a3dd895-2737-4363-9908-4494a5a9af59}:1",
    "X-ClientInfo: {0a3dd895-2737-4363-9908-4494a5a9af59}:1",
    "X-ClientApplication: Outlook/15.0.4815.1002",
]

_OUTLOOK = "http://schemas.microsoft.com/exchange/autodiscover/outlook"
_AUTODISCOVER = (
    f'<Autodiscover xmlns="{_OUTLOOK}/requestschema/2006"><Request><EMailAddress>{{address}}</EMailAddress>'
    f"<AcceptableResponseSchema>{_OUTLOOK}/responseschema/2006a</AcceptableResponseSchema></Request></Autodiscover>"
)
_PING = (*(word for field in FIELDS for word in ("--header", field)), "--data-binary", "")
#: An echo request, [MS-RPCH] 2.1.2.1.5: of the RPC proxy, and of nobody behind it.
_ECHO = ("--request", "RPC_IN_DATA", "--data-binary", "", "--header", "Content-Type: application/rpc")
#: Every page that asks who is there: what curl is told for a whole answer, and what is in that.
PAGES: dict[str, tuple[tuple[str, ...], bytes]] = {
    "/mapi/emsmdb/": (_PING, b"PROCESSING\r\nDONE\r\n"),
    "/mapi/nspi/": (_PING, b"PROCESSING\r\nDONE\r\n"),
    "/rpc/rpcproxy.dll": (_ECHO, b"\x05\0\x14\x03\x10\0\0\0\x14\0\0\0"),
    "/rpcwithcert/rpcproxy.dll": (_ECHO, b"\x05\0\x14\x03\x10\0\0\0\x14\0\0\0"),
    "/autodiscover/autodiscover.xml": (
        ("--header", "Content-Type: text/xml", "--header", "X-MapiHttpCapability: 1", "--data", _AUTODISCOVER),
        b"/mapi/emsmdb/",
    ),
    "/autodiscover/autodiscover.svc": (
        ("--header", "Content-Type: text/xml", "--data", users("{address}").decode()),
        b"/cn=Recipients/cn=alice</",
    ),
}

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


def page(url: str, path: str, address: str, *arguments: str | Path, **how: dict[str, str] | None) -> int:
    """The status of a whole request to one of `PAGES`, about a mail address; of 200, the contents are checked."""
    options, expected = PAGES[path]
    status, _, body = curl(*arguments, *(word.replace("{address}", address) for word in options), url + path, **how)
    assert status != 200 or expected in body, body
    return status


def _split(output: bytes) -> tuple[bytes, bytes, bytes]:
    head, separator, body = output.partition(b"PROCESSING")
    return head.rstrip(b"\r\n"), separator, separator + body


def ping(url: str, *arguments: str | Path, environment: dict[str, str] | None = None) -> tuple[int, str, bytes]:
    """A request that any endpoint of MAPI over HTTP answers."""
    fields = [word for field in FIELDS for word in ("--header", field)]
    return curl(*arguments, *fields, "--data-binary", "", url, environment=environment)

"""Two nodes as processes of their own, set up from nothing with the commands that an administrator types.

Node `exchange` is a stand-alone server; node `hybrid` stands in front of it, answers the address book itself and
relays the mailboxes with specified credentials, as `ocpy quickstart` has it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from openchange_py.client.connection import Account, Connector
from openchange_py.client.endpoints import read_ready_file
from openchange_py.client.profile import Profile
from openchange_py.rpc.security import AuthLevel
from tests.conftest import ROOT

DOMAIN: Final = "example.test"
#: Who has a mailbox; the relay logs on to node exchange for all of them, and nobody ever guesses bob's password.
USERS: Final = {"alice": "Alice Example", "bob": "Bob Example"}
RELAY: Final = "relay"
#: Seconds for anything that takes a fraction of it.
PATIENCE: Final = 30.0

_COMMON: Final = """\
[global]
    netbios name = {name}
    workgroup = EXAMPLE
    interfaces = 127.0.0.1
    bind interfaces only = yes
    log level = 1
    ocpy:log lines per client = 0
    ocpy:data directory = {place}/{name}
    ocpy:directory = sqlite:///{place}/directory.db
    ocpy:mail domain = example.test
    ocpy:fqdn = localhost
    ocpy:endpoint mapper port = 0
    ocpy:minimum auth level = connect
    ocpy:authentication timeout = {authentication_timeout}
"""

_EXCHANGE: Final = """\
    dcerpc_mapiproxy:server = true
    ocpy:rpc port = {port}
"""

_HYBRID: Final = """\
    dcerpc_mapiproxy:server = false
    dcerpc_mapiproxy:nspi_server = nspi
    dcerpc_mapiproxy:rfr_server = rfr
    dcerpc_mapiproxy:binding = ncacn_ip_tcp:127.0.0.1[{port},seal]
    dcerpc_mapiproxy:username = relay
    dcerpc_mapiproxy:password file = {place}/passwords/relay
    dcerpc_mapiproxy:domain = EXAMPLE
    dcerpc_mapiproxy:modules = dummy
"""


def environment() -> dict[str, str]:
    """This one, without what would change what the commands do; they run this checkout's code wherever they start."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("OCPY_")}
    return clean | {"PYTHONPATH": str(ROOT)}


def ocpy(
    *arguments: str | Path,
    check: bool = True,
    stdin: str = "",
    variables: Mapping[str, str] | None = None,
    seconds: float = 60,
) -> subprocess.CompletedProcess[str]:
    """Run `ocpy` as a process, with `variables` more in its environment; a failure shows what it said."""
    command = [sys.executable, "-m", "openchange_py", *map(str, arguments)]
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=seconds, env=environment() | dict(variables or {})
    )
    assert not check or done.returncode == 0, f"{' '.join(command[3:])}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


class Log:
    """What a process writes to its standard error, read line by line as it comes."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()

    def read(self, pipe: Any) -> None:
        """Read until the process closes it; runs in a thread of its own."""
        with pipe:
            for line in pipe:
                with self._changed:
                    self.lines.append(line.rstrip("\n"))
                    self._changed.notify_all()

    @property
    def position(self) -> int:
        """How many lines there are."""
        return len(self.lines)

    def wait_for(self, pattern: str, start: int = 0, seconds: float = 10.0) -> str:
        """The first line from line `start` on that the regular expression is found in; fails when none comes."""
        deadline, wanted = time.monotonic() + seconds, re.compile(pattern)
        with self._changed:
            while True:
                for line in self.lines[start:]:
                    if wanted.search(line):
                        return line
                left = deadline - time.monotonic()
                if left <= 0:
                    said = "\n".join(self.lines[start:]) or "(nothing)"
                    raise AssertionError(f"no log line {pattern!r} in {seconds:.0f} s; the log says:\n{said}")
                self._changed.wait(left)

    def wait_for_lines(self, text: str, count: int, start: int = 0, seconds: float = 10.0) -> None:
        """Until so many lines from line `start` on hold the text; fails when they do not come."""
        with self._changed:
            enough = self._changed.wait_for(lambda: sum(text in line for line in self.lines[start:]) >= count, seconds)
        assert enough, f"fewer than {count} lines with {text!r}"

    @contextlib.contextmanager
    def expect(self, *patterns: str, seconds: float = 10.0) -> Iterator[None]:
        """Each pattern is logged by what is done within."""
        start = self.position
        yield
        for pattern in patterns:
            self.wait_for(pattern, start, seconds)


class Node:
    """An `ocpy serve` process. `ready` is its ready file; `log` its standard error over all its starts."""

    def __init__(self, name: str, config: Path, variables: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.config = config
        self._environment = environment() | dict(variables or {})
        self.ready_file = config.with_suffix(".ready.json")
        self.ready: dict[str, Any] = {}
        self.log = Log()
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        """Start it, without waiting until it is ready."""
        self.ready_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "openchange_py", "serve", "-c", str(self.config)]
        self._process = subprocess.Popen(
            [*command, "--ready-file", str(self.ready_file)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
        )
        self._reader = threading.Thread(target=self.log.read, args=(self._process.stderr,), daemon=True)
        self._reader.start()

    def wait_until_ready(self, seconds: float = PATIENCE) -> None:
        """Its ready file is there; fails where the process ended instead."""
        process, deadline = self._running(), time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError):
                self.ready = json.loads(self.ready_file.read_text("utf-8"))
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(0.02)
                raise AssertionError(f"{self.name} did not start, exit code {code}:\n" + "\n".join(self.log.lines))
        raise AssertionError(f"{self.name} was not ready in time:\n" + "\n".join(self.log.lines))

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        process = self._running()
        process.terminate()
        return self._ended(process)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._running().send_signal(number)

    def wait(self) -> int:
        """Until it ends; its exit code."""
        return self._ended(self._running())

    def kill(self) -> None:
        """SIGKILL."""
        process = self._running()
        process.kill()
        self._ended(process)

    def abandon(self) -> None:
        """Whatever its state is: it does not run behind this."""
        if self._process is not None:
            self._process.kill()
            self._ended(self._process)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def host(self) -> str:
        """Where it listens."""
        return str(self.ready["rpc"]["host"])

    @property
    def rpc_port(self) -> int:
        """The port of its RPC interfaces."""
        return int(self.ready["rpc"]["port"])

    @property
    def mapper_port(self) -> int:
        """The port of its endpoint mapper."""
        return int(self.ready["endpoint_mapper"]["port"])

    def _running(self) -> subprocess.Popen[str]:
        assert self._process is not None, f"{self.name} was not started"
        return self._process

    def _ended(self, process: subprocess.Popen[str]) -> int:
        code = process.wait(PATIENCE)
        self._process = None
        if self._reader is not None:
            self._reader.join(PATIENCE)
        return code


class Site:
    """Both nodes, their directory and data below one folder."""

    def __init__(self, place: Path, *, authentication_timeout: str = "30") -> None:
        self.place = place
        self.passwords = {user: secrets.token_urlsafe(12) for user in (*USERS, RELAY)}
        self._reservation = reserved_port()
        self._authentication_timeout = authentication_timeout
        self.exchange = self._node("exchange", _EXCHANGE)
        self.hybrid = self._node("hybrid", _HYBRID)

    def set_up(self) -> None:
        """Directory, users, mailboxes, and alice's mail: each command as its own process."""
        ocpy(*self._exchange_command("provision"))
        for user in (*USERS, RELAY):
            arguments: list[str | Path] = ["--create", user, "--mail", f"{user}@{DOMAIN}"]
            if user in USERS:
                arguments += ["--mailbox", "--display-name", USERS[user], "--password-file", self.password_file(user)]
                ocpy(*self._exchange_command("newuser", *arguments))
            else:
                ocpy(*self._exchange_command("newuser", *arguments, "--hidden"), stdin=self.passwords[user] + "\n")
        for user in USERS:
            ocpy(*self._exchange_command("access", user, "--grant", RELAY))
        ocpy(*self._exchange_command("import", "alice", ROOT / "setup" / "sample-mailbox"))

    def start(self) -> None:
        """Both nodes at once: the hybrid connects to the other one when it needs it."""
        for node in (self.exchange, self.hybrid):
            node.start()
        for node in (self.exchange, self.hybrid):
            node.wait_until_ready()

    def stop(self) -> None:
        """Let both finish; nothing runs behind this, whatever happens."""
        try:
            codes = [node.stop() for node in (self.hybrid, self.exchange) if node.alive]
        finally:
            for node in (self.hybrid, self.exchange):
                node.abandon()
            self._reservation.close()
        assert set(codes) <= {0}, codes

    def import_mail(self, user: str, path: Path) -> dict[str, Any]:
        """`ocpy import` while the nodes serve; its report."""
        report: dict[str, Any] = json.loads(ocpy(*self._exchange_command("import", user, path, "--json")).stdout)
        return report

    def password_file(self, user: str) -> Path:
        """The file with the user's password."""
        return self.place / "passwords" / user

    def client(self, node: Node, user: str, *arguments: str | Path, check: bool = True) -> Any:
        """`ocpy client` at a node as a user; the process, or with --json what it printed."""
        account = ["--user", user, "--password-file", self.password_file(user)]
        done = ocpy("client", "--endpoints", node.ready_file, *account, *arguments, check=check)
        return json.loads(done.stdout) if "--json" in arguments and check else done

    def profile(
        self, node: Node, user: str, *, password: str | None = None, level: AuthLevel = AuthLevel.PRIVACY, **how: bool
    ) -> Profile:
        """The client library at a node as a user."""
        account = Account(user, "EXAMPLE", self.passwords.get(user, "") if password is None else password)
        connector = Connector(
            read_ready_file(node.ready_file), account, level=level, connect_timeout=PATIENCE, call_timeout=PATIENCE
        )
        return Profile(connector, **how)

    def _exchange_command(self, command: str, *arguments: str | Path) -> list[str | Path]:
        return [command, "-c", self.exchange.config, *arguments]

    def _node(self, name: str, template: str) -> Node:
        passwords = self.place / "passwords"
        passwords.mkdir(exist_ok=True)
        for user, password in self.passwords.items():
            (passwords / user).write_text(password + "\n", "utf-8")
        (self.place / name).mkdir()
        config = self.place / f"{name}.conf"
        port = self._reservation.getsockname()[1]
        settings = {"place": self.place, "port": port, "authentication_timeout": self._authentication_timeout}
        config.write_text((_COMMON + template).format(name=name, **settings), "utf-8")
        return Node(name, config)


def reserved_port() -> socket.socket:
    """A socket that is bound and never listens: its port is a server's that starts, and starts again, meanwhile.

    The system gives the port to nobody else, and lets a listener have it because both allow its reuse.
    """
    reservation = socket.socket()
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reservation.bind(("127.0.0.1", 0))
    return reservation


@contextlib.contextmanager
def running_site(**settings: str) -> Iterator[Site]:
    """A site from nothing, serving, and gone without a trace behind it."""
    with tempfile.TemporaryDirectory(prefix="ocpy-site-") as place:
        site = Site(Path(place), **settings)
        try:
            site.set_up()
            site.start()
            yield site
        finally:
            site.stop()

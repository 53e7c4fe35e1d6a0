"""`ocpy quickstart`: a server and a hybrid in front of it, on this machine, with two users and some mail."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from openchange_py.addressbook.source import open_directory
from openchange_py.cli.processes import ServeProcess
from openchange_py.cli.settings import load_settings
from openchange_py.config import declared
from openchange_py.resources import setup_path
from openchange_py.store.source import open_store

DOMAIN: Final = "example.test"
#: Account and display name. The relay logs on to the exchange node for everybody.
USERS: Final = {"alice": "Alice Example", "bob": "Bob Example"}
RELAY: Final = "relay"

_EXCHANGE_CONF: Final = """\
# Node exchange: a stand-alone server. Written anew by every quickstart.
[global]
    netbios name = EXCHANGE
    workgroup = EXAMPLE
    interfaces = 127.0.0.1
    bind interfaces only = yes
    log level = 1
    log file = {place}/exchange/serve.log

    dcerpc_mapiproxy:server = true

    ocpy:data directory = {place}/exchange/data
    ocpy:directory = sqlite:///{place}/directory.db
    ocpy:mail domain = {domain}
    ocpy:fqdn = localhost
    ocpy:endpoint mapper port = 0
"""

_HYBRID_CONF: Final = """\
# Node hybrid: answers the address book itself, relays mailboxes to node exchange. Written anew by every quickstart.
[global]
    netbios name = HYBRID
    workgroup = EXAMPLE
    interfaces = 127.0.0.1
    bind interfaces only = yes
    log level = 1
    log file = {place}/hybrid/serve.log

    dcerpc_mapiproxy:server = false
    dcerpc_mapiproxy:nspi_server = nspi
    dcerpc_mapiproxy:rfr_server = rfr
    dcerpc_mapiproxy:binding = ncacn_ip_tcp:127.0.0.1[{port},seal]
    dcerpc_mapiproxy:username = {relay}
    dcerpc_mapiproxy:password file = {place}/passwords/{relay}
    dcerpc_mapiproxy:domain = EXAMPLE
    dcerpc_mapiproxy:modules = dummy

    ocpy:data directory = {place}/hybrid/data
    ocpy:directory = sqlite:///{place}/directory.db
    ocpy:mail domain = {domain}
    ocpy:fqdn = localhost
    ocpy:endpoint mapper port = 0
"""


def default_place() -> Path:
    """Below the user's data directory."""
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "openchange-py" / "quickstart"


@click.command("quickstart")
@click.option("--check", is_flag=True, help="Drive a client through it instead of serving; exit 0 if all was right.")
@click.option(
    "--directory",
    "place",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Where everything is kept; default: openchange-py/quickstart below the user's data directory.",
)
def command(check: bool, place: Path | None) -> None:
    """Set up two nodes on this machine, and serve until Ctrl-C.

    Node exchange is a stand-alone server with the users alice and bob and some mail. Node hybrid stands in front of
    it: it answers the address book itself and relays the mailboxes. Needs no root; running it again is harmless.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    place = (place or default_place()).absolute()
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    claim(place)
    with _alone(place):
        set_up(place)
        with running(place) as description:
            if check:
                from openchange_py.cli.quickstart_check import run_check

                ok = run_check(place, description)
            else:
                ok = True
                _serve(place, description)
    if not ok:
        sys.exit(1)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def claim(place: Path) -> None:
    """Nobody else may put a configuration where this one is read from, nor a link where something is written."""
    status = place.stat()
    if status.st_uid != os.geteuid():
        raise click.ClickException(f"{place} is another user's: choose another --directory")
    place.chmod(stat.S_IMODE(status.st_mode) & ~0o022)


@contextlib.contextmanager
def _alone(place: Path) -> Iterator[None]:
    """One quickstart at a time in a directory."""
    with open(place / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise click.ClickException(f"a quickstart is running in {place} already") from None
        yield


def set_up(place: Path) -> None:
    """Configuration, passwords, directory, users, mailboxes, mail: what is there already is kept."""
    for node in ("exchange", "hybrid"):
        (place / node).mkdir(mode=0o700, exist_ok=True)
    _write(place / "exchange" / "smb.conf", _EXCHANGE_CONF.format(place=place, domain=DOMAIN))
    _make_passwords(place)
    ocpy(place, "provision")
    directory = open_directory(f"sqlite:///{place}/directory.db")
    try:
        for user in (*USERS, RELAY):
            if directory.by_account(user) is None:
                _create(place, user)
    finally:
        directory.close()
    for user in USERS:
        ocpy(place, "newuser", "--mailbox", user)
        ocpy(place, "access", user, "--grant", RELAY)
    if _is_empty(place, "alice"):
        ocpy(place, "import", "alice", str(setup_path() / "sample-mailbox"))


def _create(place: Path, user: str) -> None:
    arguments = ["--create", user, "--mail", f"{user}@{DOMAIN}", "--password-file", str(place / "passwords" / user)]
    if user in USERS:
        ocpy(place, "newuser", *arguments, "--display-name", USERS[user])
    else:
        ocpy(place, "newuser", *arguments, "--display-name", "Relay of node hybrid", "--hidden")


def _is_empty(place: Path, user: str) -> bool:
    """Whether nothing was imported yet."""
    settings = load_settings(place / "exchange" / "smb.conf")
    directory = open_directory(settings[declared.DIRECTORY])
    store = open_store(settings[declared.DATABASE])
    try:
        entry = directory.by_account(user)
        assert entry is not None
        assert entry.mailbox_guid is not None
        mailbox = store.mailbox(entry.mailbox_guid)
        return not mailbox.message_ids(mailbox.folder_by_path("Inbox").id)
    finally:
        store.close()
        directory.close()


def ocpy(place: Path, *arguments: str) -> None:
    """Run a subcommand for the exchange node, and show it as it would be typed."""
    from openchange_py.cli.main import ocpy as commands

    config = place / "exchange" / "smb.conf"
    click.echo(f"$ ocpy -c {config} {' '.join(arguments)}")
    commands.main(["-c", str(config), *arguments], standalone_mode=False)


def _make_passwords(place: Path) -> None:
    """A random password per account, each in a file of its own for --password-file, and all in one."""
    folder = place / "passwords"
    folder.mkdir(mode=0o700, exist_ok=True)
    passwords = {}
    for user in (*USERS, RELAY):
        path = folder / user
        if not path.exists():
            _write(path, secrets.token_urlsafe(15) + "\n")
        passwords[user] = path.read_text("utf-8").rstrip("\n")
    _write(place / "passwords.json", _as_json(passwords))


def _write(path: Path, text: str) -> None:
    """A file that nobody else may read, all of it or nothing."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)


@contextlib.contextmanager
def running(place: Path) -> Iterator[dict[str, Any]]:
    """Both nodes as processes of their own; gives what quickstart.json says, whose `serving` is false afterwards."""
    told = place / "quickstart.json"
    told.unlink(missing_ok=True)
    with contextlib.ExitStack() as stack:
        exchange = stack.enter_context(ServeProcess(place / "exchange"))
        conf = _HYBRID_CONF.format(place=place, domain=DOMAIN, relay=RELAY, port=exchange.ready["rpc"]["port"])
        _write(place / "hybrid" / "smb.conf", conf)
        hybrid = stack.enter_context(ServeProcess(place / "hybrid"))
        description = {"serving": True, **_describe(place, {"exchange": exchange, "hybrid": hybrid})}
        stack.callback(_write, told, _as_json({**description, "serving": False}))
        _write(told, _as_json(description))
        yield description


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"


def _describe(place: Path, nodes: dict[str, ServeProcess]) -> dict[str, Any]:
    accounts = [
        {"name": user, "mail": f"{user}@{DOMAIN}", "password_file": str(place / "passwords" / user)}
        for user in (*USERS, RELAY)
    ]
    return {
        "nodes": {
            name: {"config": str(place / name / "smb.conf"), "ready_file": str(node.ready_file), **node.ready}
            for name, node in nodes.items()
        },
        "accounts": accounts,
        "passwords": str(place / "passwords.json"),
    }


def _tell(place: Path, description: dict[str, Any]) -> None:
    """What was set up, where it is, and how to look around."""
    click.echo()
    for name, node in description["nodes"].items():
        mapper, rpc = node["endpoint_mapper"], node["rpc"]
        click.echo(f"Node {name}: endpoint mapper {mapper['host']}:{mapper['port']}, RPC {rpc['host']}:{rpc['port']}")
        click.echo(f"    configuration {node['config']}, log {place / name / 'serve.log'}")
    click.echo(f"Accounts: {', '.join(USERS)} (and {RELAY}, for the hybrid); passwords: {description['passwords']}")
    click.echo(f"All of this for programs: {place / 'quickstart.json'}\n")
    ready = description["nodes"]["hybrid"]["ready_file"]
    account = f"--endpoints {ready} --user alice --password-file {place / 'passwords' / 'alice'}"
    click.echo("To look around as alice, through the hybrid:")
    for what in ("resolve bob", "folders", "messages --folder Inbox", "read --folder Inbox --number 1"):
        click.echo(f"    {_program()} client {account} {what}")
    click.echo("\nServing until Ctrl-C.")


def _program() -> str:
    """`ocpy` as it can be typed in this shell, which need not know the environment that this runs in."""
    here = Path(sys.executable).with_name("ocpy")
    found = shutil.which("ocpy")
    return str(here) if here.exists() and (found is None or not here.samefile(found)) else "ocpy"


def _serve(place: Path, description: dict[str, Any]) -> None:
    """Tell, and wait for Ctrl-C or SIGTERM, which may come as soon as anything was told."""
    with contextlib.suppress(KeyboardInterrupt):
        _tell(place, description)
        while True:
            time.sleep(1)  # not signal.pause(): a signal just before it would be waited for in vain
    click.echo("\nStopping.")

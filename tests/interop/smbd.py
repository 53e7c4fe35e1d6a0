"""A private smbd of Debian's Samba, on an address of its own, that serves nothing but the named pipes of a node."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

#: SMB logs on accounts of this machine's user database; this one is on every Debian, and owns nothing here.
USER: Final = "daemon"
PASSWORD: Final = "Daemon-1"
#: Accounts of the same kind, for names that this machine does not have.
_UNIX_USERS: Final = (USER, "bin", "sys", "games", "man")
_PATIENCE: Final = 30.0

_CONF: Final = """\
[global]
    netbios name = PIPES
    workgroup = EXAMPLE
    server role = standalone
    interfaces = {address}/8
    bind interfaces only = yes
    smb ports = 445
    disable netbios = yes
    server min protocol = {protocol}
    private dir = {place}/private
    state directory = {place}/state
    cache directory = {place}/cache
    lock directory = {place}/lock
    pid directory = {place}/pid
    ncalrpc dir = {place}/ncalrpc
    log file = {place}/log.%m
    passdb backend = tdbsam
    load printers = no
    printing = bsd
    rpc start on demand helpers = no
"""


def missing() -> str:
    """Why there can be no smbd here; "" where there can."""
    programs = [name for name in ("smbd", "smbpasswd", "rpcclient") if shutil.which(name) is None]
    if programs:
        return f"no {', '.join(programs)}: Debian's samba and smbclient packages are needed (./setup/test as root)"
    return "not root: smbd needs port 445" if os.geteuid() != 0 else ""


def require_smbd() -> None:
    """Skip, loudly, where it can't be run."""
    if reason := missing():
        pytest.skip(reason)


def own_address() -> str:
    """A loopback address that no other test process uses."""
    pid = os.getpid()
    return f"127.{100 + (pid >> 16) % 100}.{pid >> 8 & 0xFF}.{max(1, pid & 0xFF)}"


@contextlib.contextmanager
def running_smbd(
    place: Path,
    protocol: str = "SMB2_10",
    options: Mapping[str, str] | None = None,
    passwords: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Serve; the address. Its sockets are sought in `place`/ncalrpc/np. `options` are further ones for its smb.conf.

    Who logs on are `passwords`' accounts, up to five, which are mapped to ones of this machine; else `USER` alone.
    """
    address = own_address()
    for name in ("private", "state", "cache", "lock", "pid", "ncalrpc"):
        (place / name).mkdir(mode=0o700, exist_ok=True)
    config, users = place / "smbd.conf", place / "users.map"
    accounts = dict(zip(passwords or {}, _UNIX_USERS, strict=False)) or {USER: USER}
    users.write_text("".join(f"{unix} = {name}\n" for name, unix in accounts.items()), "utf-8")
    more = "".join(f"    {name} = {value}\n" for name, value in (options or {}).items())
    more += f"    username map = {users}\n"
    config.write_text(_CONF.format(address=address, place=place, protocol=protocol) + more, "utf-8")
    for name, unix in accounts.items():
        secret = (passwords or {USER: PASSWORD})[name]
        password = ["smbpasswd", "-c", str(config), "-s", "-a", unix]
        subprocess.run(password, input=f"{secret}\n{secret}\n", text=True, check=True, capture_output=True, timeout=60)
    command = ["smbd", "-s", str(config), "-F", "--no-process-group", "--debug-stdout"]
    with (place / "smbd.out").open("wb") as output:
        # smbd ends its whole process group when it ends.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            _wait(process, address, place / "smbd.out")
            yield address
        finally:
            process.terminate()
            process.wait(_PATIENCE)


def _wait(process: subprocess.Popen[bytes], address: str, output: Path) -> None:
    """Until it accepts connections."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(ConnectionError), socket.create_connection((address, 445), 1.0):
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
            break
    raise AssertionError(f"smbd does not serve {address}:\n{output.read_text('utf-8', 'replace')}")

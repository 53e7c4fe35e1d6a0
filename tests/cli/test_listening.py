"""What is said where a port cannot be listened on."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from openchange_py.cli.listening import cannot_listen
from openchange_py.config import declared, load


@pytest.mark.parametrize(
    ("number", "hint"),
    [(errno.EACCES, "CAP_NET_BIND_SERVICE"), (errno.EADDRINUSE, "another program"), (errno.EADDRNOTAVAIL, "assign")],
)
def test_the_reason_and_what_to_do(number: int, hint: str, tmp_path: Path) -> None:
    config = tmp_path / "smb.conf"
    config.write_text("[global]\n    dcerpc_mapiproxy:server = yes\n    ocpy:rpc port = 7\n", "utf-8")
    settings = load(config)
    error = cannot_listen(settings, declared.RPC_PORT, "192.0.2.1", 7, OSError(number, "can't assign"))
    assert hint in str(error)
    assert "192.0.2.1 port 7" in str(error)
    assert "ocpy:rpc port" in str(error)

"""`ocpy client --transport np` to a proxy. Not in `test_pipe_client.py`: its smbd serves as long as its tests run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.nodes import Site, ocpy
from tests.interop.smbd import PASSWORD, USER, require_smbd, running_smbd

pytestmark = pytest.mark.xdist_group("smbd")


def test_through_a_relay(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    """The proxy's pipes; the mailbox is on the server that it reaches over TCP."""
    require_smbd()
    place, site = tmp_path_factory.mktemp("r"), Site(tmp_path)
    pipes = f"    ncalrpc dir = {place}/ncalrpc\n    ocpy:named pipes = samba\n"
    site.hybrid.config.write_text(site.hybrid.config.read_text("utf-8") + pipes, "utf-8")
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD + "\n")
    try:
        site.set_up()
        exchange = ["-c", site.exchange.config]
        person = ["--create", USER, "--mail", f"{USER}@example.test", "--mailbox", "--password-file", secret]
        ocpy("newuser", *exchange, *person)
        ocpy("access", *exchange, USER, "--grant", "relay")
        with running_smbd(place) as address:
            site.start()
            where = ["client", "--server", address, "--transport", "np", "--user", USER, "--password-file", secret]
            letter = tmp_path / "letter.eml"
            letter.write_text("Subject: over a pipe\nFrom: alice@example.test\n\nand on over TCP\n")
            ocpy(*where, "put", letter, "--folder", "Inbox")
            assert "and on over TCP" in ocpy(*where, "read", "--number", "1").stdout
    finally:
        site.stop()

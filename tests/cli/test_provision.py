"""`ocpy provision`."""

from __future__ import annotations

import stat
from pathlib import Path

from openchange_py.store import migrate as mailbox_tables
from tests.cli.commands import Installation


def test_it_makes_directory_organization_and_database_that_nobody_else_may_read(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path)
    assert "/o=First Organization/ou=First Administrative Group: created" in installation.ok("provision")
    for name in ("directory.db", "mailboxes.db"):
        assert stat.S_IMODE((tmp_path / "data" / name).stat().st_mode) == 0o600
    directory = installation.directory()
    assert directory.organization().name == "First Organization"
    server = directory.by_legacy_dn(directory.organization().server_dn("EXCH1"))
    assert server is not None
    directory.close()


def test_it_is_safe_to_repeat(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path).provisioned("alice")
    before = installation.entry("alice")
    assert "there already" in installation.ok("provision")
    assert installation.entry("alice") == before


def test_the_mailbox_database_alone(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path)
    for _ in range(2):
        assert "revision" in installation.ok("provision", "--openchangedb")
    assert mailbox_tables.current(f"sqlite:///{tmp_path}/data/mailboxes.db") is not None
    assert not (tmp_path / "data" / "directory.db").exists()


def test_an_organization_that_cannot_be_in_a_dn_names_option_file_and_line(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path, "    ocpy:organization = Slash/Inc\n")
    error = installation.fails("provision")
    assert "ocpy:organization" in error
    assert f"{installation.conf}:" in error
    assert not (tmp_path / "data" / "directory.db").exists()


def test_without_configuration_it_says_which_file_is_missing(tmp_path: Path) -> None:
    error = Installation(tmp_path).fails("provision")
    assert str(tmp_path / "smb.conf") in error

"""Running `ocpy` in a test: in this process, with a configuration of its own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from click.testing import CliRunner, Result

from openchange_py.addressbook.base import Directory, Entry
from openchange_py.addressbook.source import open_directory
from openchange_py.cli.main import describe, expected_errors, ocpy

CONF = """\
[global]
    netbios name = EXCH1
    workgroup = EXAMPLE
    interfaces = 127.0.0.1
    bind interfaces only = yes
    dcerpc_mapiproxy:server = true
    ocpy:data directory = {data}
    ocpy:mail domain = example.test
    ocpy:fqdn = exch1.example.test
    ocpy:endpoint mapper port = 0
"""


@dataclasses.dataclass(slots=True)
class Installation:
    """One configuration and what belongs to it."""

    place: Path

    @classmethod
    def make(cls, place: Path, extra: str = "") -> Installation:
        """Write its smb.conf."""
        (place / "smb.conf").write_text(CONF.format(data=place / "data") + extra, "utf-8")
        return cls(place)

    @property
    def conf(self) -> Path:
        return self.place / "smb.conf"

    def run(self, *arguments: str, stdin: str = "") -> Result:
        """Run a subcommand; what it raised is in `result.exception`."""
        return CliRunner().invoke(ocpy, ["-c", str(self.conf), *arguments], input=stdin)

    def ok(self, *arguments: str, stdin: str = "") -> str:
        """Run a subcommand that must succeed; its standard output."""
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    def fails(self, *arguments: str, stdin: str = "") -> str:
        """Run a subcommand that must fail for an expected reason; what the person would read."""
        result = self.run(*arguments, stdin=stdin)
        assert result.exit_code != 0, result.output
        if isinstance(result.exception, expected_errors()):
            return describe(result.exception)
        assert isinstance(result.exception, SystemExit), result.exception
        return result.stderr

    def provisioned(self, *users: str) -> Installation:
        """Provision it, with these users and their mailboxes; each one's password is its name and `-secret`."""
        self.ok("provision")
        for user in users:
            self.ok("newuser", "--create", "--mailbox", user, stdin=f"{user}-secret\n")
        return self

    def directory(self) -> Directory:
        return open_directory(f"sqlite:///{self.place}/data/directory.db")

    def entry(self, user: str) -> Entry:
        """The account's entry, which must be there."""
        directory = self.directory()
        try:
            entry = directory.by_account(user)
        finally:
            directory.close()
        assert entry is not None
        return entry

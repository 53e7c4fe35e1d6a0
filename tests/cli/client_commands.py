"""Running `ocpy client` in a test, against a node in another thread."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from click.testing import CliRunner, Result

from openchange_py.cli.main import ocpy
from tests.node import RunningNode


@dataclasses.dataclass(frozen=True, slots=True)
class ClientCommands:
    """`ocpy client` as one user of a node."""

    node: RunningNode
    user: str = "alice"

    @property
    def connection(self) -> list[str]:
        """The options that say where and who."""
        password_file = str(self.node.password_file(self.user))
        return ["--endpoints", str(self.node.ready_file), "--user", self.user, "--password-file", password_file]

    def run(self, *arguments: str) -> Result:
        """Run a subcommand."""
        return run(*self.connection, *arguments)

    def ok(self, *arguments: str) -> str:
        """Run a subcommand that must succeed; its standard output."""
        result = self.run(*arguments)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    def json(self, *arguments: str) -> Any:
        """Run a subcommand with --json."""
        return json.loads(self.ok(*arguments, "--json"))

    def fails(self, *arguments: str, code: int = 1) -> str:
        """Run a subcommand that must fail; what the person reads."""
        result = self.run(*arguments)
        assert result.exit_code == code, (result.output, result.exception)
        assert isinstance(result.exception, SystemExit), result.exception
        return result.stderr


def run(*arguments: str, env: Mapping[str, str] | None = None, stdin: str = "") -> Result:
    """Run `ocpy client` with nothing but these arguments."""
    clean = {"OCPY_SERVER": None, "OCPY_USER": None, "OCPY_PASSWORD_FILE": None, **(env or {})}
    return CliRunner().invoke(ocpy, ["client", *arguments], env=clean, input=stdin)

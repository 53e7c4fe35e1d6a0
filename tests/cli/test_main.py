"""`ocpy` itself: its help and completion without importing what they don't need, and errors in one line."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from openchange_py.cli.main import COMMANDS, ocpy
from tests.conftest import ROOT

#: What no help text needs: the database, the mail client, the servers.
HEAVY = ("sqlalchemy", "alembic", "asyncio", "openchange_py.servers", "openchange_py.wire")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_in_the_help_is_how_the_command_s_own_help_begins(name: str) -> None:
    module, line = COMMANDS[name]
    command = importlib.import_module(f"openchange_py.cli.{module}").command
    assert command.name == name
    assert " ".join(command.help.split()).startswith(line)


def test_help_lists_every_command_and_nothing_that_is_not_there() -> None:
    help_text = CliRunner().invoke(ocpy, ["--help"]).stdout
    listed = [line.split()[0] for line in help_text.partition("Commands:")[2].splitlines() if line[:3].strip()]
    assert listed == sorted(COMMANDS)
    files = {
        path.stem for path in (ROOT / "openchange_py" / "cli").glob("*.py") if "\ndef command(" in path.read_text()
    }
    assert files <= {module for module, _ in COMMANDS.values()}


@pytest.mark.parametrize(
    ("words", "expected"),
    [("ocpy s", {"serve"}), ("ocpy ", set(COMMANDS)), ("ocpy --ver", {"--verbose", "--version"}), ("ocpy xyz", set())],
)
def test_completion(words: str, expected: set[str]) -> None:
    assert completed(words)[0] == expected


@pytest.mark.parametrize("arguments", ["--help", "--version", "complete"])
def test_what_is_not_needed_is_not_imported(arguments: str) -> None:
    """Or `ocpy --help` and every press of the tab key would take a second."""
    if arguments == "complete":
        _, imported = completed("ocpy ")
    else:
        imported = imports([arguments])
    assert not {name for name in imported if name.startswith(HEAVY)}


def completed(words: str) -> tuple[set[str], set[str]]:
    """What the shell would offer, and the modules that were imported for it."""
    environment = {"COMP_WORDS": words, "COMP_CWORD": "1", "_OCPY_COMPLETE": "bash_complete"}
    output, imported = run([], environment)
    return {line.partition(",")[2] for line in output.splitlines() if line}, imported


def imports(arguments: list[str]) -> set[str]:
    return run(arguments, {})[1]


def run(arguments: list[str], environment: dict[str, str]) -> tuple[str, set[str]]:
    """Run `ocpy` in a process of its own; its output, and the modules that it imported."""
    program = "import sys; sys.argv[0] = 'ocpy'; from openchange_py.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program, *arguments],
        env={**os.environ, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout, {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}


def test_an_expected_error_is_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "openchange_py", "-c", str(tmp_path / "none.conf"), "testparm"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("ocpy: error: ")
    assert "none.conf" in done.stderr
    assert done.stderr.count("\n") == 1

"""Which configuration a command uses, what it says about it, and where passwords come from."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from openchange_py.cli.main import ocpy
from openchange_py.cli.settings import load_settings, read_password
from openchange_py.config import ConfigError
from tests.cli.commands import Installation


@pytest.fixture
def three(tmp_path: Path) -> dict[str, str]:
    """Three configurations, told apart by their servers' names."""
    found = {}
    for name in ("outer", "inner", "environment"):
        (tmp_path / name).mkdir()
        installation = Installation.make(tmp_path / name)
        text = installation.conf.read_text("utf-8").replace("EXCH1", name.upper())
        installation.conf.write_text(text, "utf-8")
        found[name] = str(installation.conf)
    return found


def server_name(*arguments: str, environment: str | None = None) -> str:
    """The server that `ocpy ARGUMENTS` is about."""
    result = CliRunner().invoke(ocpy, arguments, env={"OCPY_CONFIG": environment})
    assert result.exit_code == 0, (result.output, result.exception)
    (line,) = [line for line in result.stdout.splitlines() if "netbios name" in line]
    return line.partition("=")[2].split()[0]


def test_the_configuration_nearest_to_the_command_is_used(three: dict[str, str]) -> None:
    environment, outer, inner = three["environment"], three["outer"], three["inner"]
    assert server_name("testparm", environment=environment) == "ENVIRONMENT"
    assert server_name("-c", outer, "testparm", environment=environment) == "OUTER"
    assert server_name("testparm", "--config", inner, environment=environment) == "INNER"
    assert server_name("-c", outer, "testparm", "-c", inner, environment=environment) == "INNER"


def test_a_configuration_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"/no\.conf: there is no such configuration; -c names another one"):
        load_settings(tmp_path / "no.conf")


def test_warnings_go_to_standard_error_and_do_not_stop_the_command(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path, "    dcerpc_mapiproxy:password = hunter2\n")
    installation.conf.chmod(0o644)
    result = installation.run("testparm", "--json")
    assert result.exit_code == 0
    assert "ocpy: warning: " in result.stderr
    assert f"{installation.conf}:11: dcerpc_mapiproxy:password: every user of this machine can read" in result.stderr
    assert json.loads(result.stdout)["options"]["netbios name"]["value"] == "EXCH1"
    installation.conf.chmod(0o640)
    assert installation.run("testparm").stderr == ""


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"secret\n", "secret"),
        (b"secret", "secret"),
        (b"secret\r\nsecond line\r\n", "secret"),
        (b" with blanks \n", " with blanks "),
        ("pässwörd€\n".encode(), "pässwörd€"),
        (b"\xef\xbb\xbfnotepad\n", "notepad"),
    ],
)
def test_the_password_is_the_first_line_of_its_file(tmp_path: Path, content: bytes, password: str) -> None:
    (tmp_path / "password").write_bytes(content)
    assert read_password(str(tmp_path / "password"), "alice") == password


@pytest.mark.parametrize("source", ["file", "standard input", "-"])
@pytest.mark.parametrize(
    ("content", "words"), [(b"\n", "no password"), (b"", "no password"), (b"\xff\xfe\n", "not UTF-8")]
)
def test_a_password_that_nobody_could_type_is_refused(tmp_path: Path, source: str, content: bytes, words: str) -> None:
    (tmp_path / "password").write_bytes(content)
    arguments = {"file": ["--password-file", str(tmp_path / "password")], "-": ["--password-file", "-"]}
    installation = Installation.make(tmp_path).provisioned()
    result = CliRunner().invoke(
        ocpy, ["newuser", "-c", str(installation.conf), "--create", "alice", *arguments.get(source, [])], input=content
    )
    assert result.exit_code == 1, result.exception
    assert words in result.stderr
    assert installation.directory().by_account("alice") is None


def test_a_password_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path).provisioned()
    said = installation.fails("newuser", "--create", "alice", "--password-file", str(tmp_path / "none"))
    assert said == f"{tmp_path}/none: No such file or directory"


def test_at_a_terminal_it_is_asked_for_twice_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def type_in(prompt: str) -> str:
        asked.append(prompt)
        return "secret"

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(click.termui, "hidden_prompt_func", type_in)
    assert read_password(None, "alice", confirm=True) == "secret"
    assert [prompt.split(":")[0] for prompt in asked] == ["Password of alice", "Repeat for confirmation"]

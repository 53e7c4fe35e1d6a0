"""`ocpy` itself: exit codes, errors in one line, help and completion without importing what they don't need."""

from __future__ import annotations

import errno
import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from openchange_py import __version__
from openchange_py.addressbook.base import DirectoryError
from openchange_py.cli.main import COMMANDS, describe, main, ocpy
from openchange_py.config import ConfigError
from tests.cli.commands import Installation
from tests.conftest import ROOT

Run = Callable[..., tuple[int, str, str]]

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
    [
        ("ocpy s", {"serve", "stats", "status"}),
        ("ocpy ", set(COMMANDS)),
        ("ocpy --ver", {"--verbose", "--version"}),
        ("ocpy xyz", set()),
    ],
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


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the console script: exit code, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["/usr/bin/ocpy", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, shown.out, shown.err

    return run


def test_version(script: Run) -> None:
    assert script("--version") == (0, f"ocpy, version {__version__}\n", "")
    assert script("-V")[0] == 0


def test_done_is_0(script: Run, tmp_path: Path) -> None:
    code, out, err = script("-c", str(Installation.make(tmp_path).conf), "testparm")
    assert (code, err) == (0, "")
    assert "EXCH1" in out


def test_what_could_not_be_done_is_1_and_one_line(script: Run, tmp_path: Path) -> None:
    code, out, err = script("-c", str(tmp_path / "no.conf"), "testparm")
    assert (code, out) == (1, "")
    assert err.startswith(f"ocpy: error: {tmp_path}/no.conf: there is no such configuration")
    assert err.count("\n") == 1


def test_an_operating_systems_error_names_its_file(script: Run, tmp_path: Path) -> None:
    conf = str(Installation.make(tmp_path).provisioned().conf)
    code, _, err = script("-c", conf, "newuser", "--create", "alice", "--password-file", str(tmp_path))
    assert (code, err) == (1, f"ocpy: error: {tmp_path}: Is a directory\n")


def test_a_database_that_is_none_is_one_line(script: Run, tmp_path: Path) -> None:
    installation = Installation.make(tmp_path).provisioned()
    (tmp_path / "data" / "directory.db").write_bytes(b"this is no database, this is a text\n" * 100)
    code, _, err = script("-c", str(installation.conf), "serve")
    assert code == 1
    assert err == f"ocpy: error: directory sqlite:///{tmp_path}/data/directory.db: file is not a database\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sevre"], "No such command 'sevre'"),
        (["--confgi", "x"], "--confgi"),
        (["access"], "Missing argument 'USER'"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
    ],
)
def test_wrong_usage_is_2_and_says_where_help_is(script: Run, arguments: list[str], words: str) -> None:
    code, out, err = script(*arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert "--help" in err


def test_a_subcommands_own_error_is_1(script: Run, tmp_path: Path) -> None:
    conf = str(Installation.make(tmp_path).provisioned().conf)
    code, _, err = script("-c", conf, "access", "nobody")
    assert code == 1
    assert err.count("\n") == 1
    assert "nobody" in err


def test_interrupted_is_130(script: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    conf = str(Installation.make(tmp_path).conf)
    monkeypatch.setattr("openchange_py.cli.settings.load_settings", interrupted)
    code, _, err = script("-c", conf, "testparm")
    assert (code, err.strip()) == (130, "ocpy: interrupted")


def test_what_nobody_expected_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A bug is reported with it."""

    def broken(*arguments: object) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr("openchange_py.cli.settings.load_settings", broken)
    monkeypatch.setattr("sys.argv", ["ocpy", "testparm"])
    with pytest.raises(AssertionError, match="a bug"):
        main()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConfigError("first", "second"), "first\nsecond"),
        (DirectoryError("no such"), "no such"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/x"), "/x: No such file or directory"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError("strange"), "strange"),
        (OSError(), "OSError"),
    ],
)
def test_errors_in_words(error: BaseException, words: str) -> None:
    assert describe(error) == words


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help(script: Run, name: str) -> None:
    code, out, err = script(name, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: ocpy {name} ")


def test_no_argument_shows_help(script: Run) -> None:
    code, out, err = script()
    assert code == 2
    assert "Commands:" in out + err


@pytest.mark.parametrize(("flags", "level"), [([], 30), (["-v"], 20), (["-vv"], 10), (["-vvv"], 10)])
def test_verbosity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: list[str], level: int) -> None:
    seen: list[int] = []
    monkeypatch.setattr("logging.basicConfig", lambda **given: seen.append(given["level"]))
    CliRunner().invoke(ocpy, [*flags, "-c", str(Installation.make(tmp_path).conf), "testparm"])
    assert seen == [level]


def test_a_reader_that_goes_away_gets_no_traceback(tmp_path: Path) -> None:
    """As in `ocpy testparm --all | head -1`."""
    conf = Installation.make(tmp_path).conf
    process = subprocess.Popen(
        [sys.executable, "-m", "openchange_py", "-c", str(conf), "testparm", "--all"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as errors:
        assert errors.read() == ""
    assert process.wait(30) == 1


def test_python_m_is_the_same_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "openchange_py", "--version"], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, f"ocpy, version {__version__}\n"), done.stderr

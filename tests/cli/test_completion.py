"""`ocpy completion`, and what the shell is told when Tab is pressed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from openchange_py.cli.main import COMMANDS, main, ocpy


@pytest.mark.parametrize(("shell", "words"), [("bash", "complete -o"), ("zsh", "#compdef ocpy"), ("fish", "complete")])
def test_the_script_asks_ocpy_itself(shell: str, words: str) -> None:
    result = CliRunner().invoke(ocpy, ["completion", shell])
    assert result.exit_code == 0
    assert words in result.stdout
    assert f"_OCPY_COMPLETE={shell}_complete" in result.stdout


def test_bash_can_read_the_script(tmp_path: Path) -> None:
    program = shutil.which("bash")
    if program is None:
        pytest.skip("no bash on this machine")
    script = tmp_path / "script"
    script.write_text(CliRunner().invoke(ocpy, ["completion", "bash"]).stdout, "utf-8")
    checked = subprocess.run([program, "-n", str(script)], capture_output=True, text=True, timeout=30)
    assert checked.returncode == 0, checked.stderr


def test_an_unknown_shell_is_wrong_usage_and_lists_the_known_ones() -> None:
    result = CliRunner().invoke(ocpy, ["completion", "tcsh"])
    assert result.exit_code == 2
    assert "'bash', 'zsh', 'fish'" in result.stderr


def completions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, word: int | None = None
) -> list[str]:
    """What is offered when Tab is pressed at the end of a line."""
    monkeypatch.setattr("sys.argv", ["/usr/bin/ocpy"])
    monkeypatch.setenv("_OCPY_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(line.count(" ") if word is None else word))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    return [offer.partition(",")[2] for offer in capsys.readouterr().out.split()]


@pytest.mark.parametrize(
    ("line", "offers"),
    [
        ("ocpy pro", ["provision"]),
        ("ocpy se", ["serve"]),
        ("ocpy newuser --mailb", ["--mailbox"]),
        ("ocpy completion z", ["zsh"]),
        ("ocpy client fol", ["folders"]),
    ],
)
def test_commands_and_options_are_completed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, offers: list[str]
) -> None:
    assert completions(monkeypatch, capsys, line) == offers


def test_all_commands_are_offered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert completions(monkeypatch, capsys, "ocpy ") == sorted(COMMANDS)

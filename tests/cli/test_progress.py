"""The progress bar."""

from __future__ import annotations

import sys

import pytest

from openchange_py.cli import progress
from openchange_py.cli.client_output import size_text
from openchange_py.cli.progress import ProgressBar


def test_the_bar_comes_only_after_a_while_and_to_a_person(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with ProgressBar("big.bin", size_text) as bar:
        bar(1, 10)
        assert capsys.readouterr().err == ""
        now = 103.0
        bar(5, 10)
        assert "\rbig.bin [###############...............] 5 B of 10 B" in capsys.readouterr().err
        bar(7, 10, "the next")
        assert "] 7 B of 10 B: the next" in capsys.readouterr().err
        bar(0, 0)
    assert capsys.readouterr().err.endswith("\r\033[K")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    with ProgressBar("big.bin", size_text) as bar:
        now = 200.0
        bar(5, 10)
    assert capsys.readouterr().err == ""

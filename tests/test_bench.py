"""The benchmarks run, with tiny sizes; what they would measure is nothing to test."""

from __future__ import annotations

import json
import math

import pytest

from tests.bench.run import available, main


@pytest.mark.parametrize("name", available())
def test_benchmark(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--quick", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)[name]
    assert report["title"] == name
    assert report["tables"]
    for table in report["tables"]:
        assert table["rows"]
        for row in table["rows"]:
            numbers = [cell for cell in row.values() if isinstance(cell, int | float)]
            assert numbers
            assert all(map(math.isfinite, numbers)), row


def test_tables_are_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pdu", "--quick"]) == 0
    shown = capsys.readouterr().out
    assert "== pdu" in shown
    assert "vs echo" in shown


def test_the_list_says_what_each_measures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines.keys() == available().keys() >= {"relay", "tables"}
    assert all(lines.values())


def test_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense"]) == 2
    error = capsys.readouterr().err
    assert "nonsense" in error
    assert "relay" in error

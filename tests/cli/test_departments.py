"""`ocpy departments`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openchange_py.addressbook.base import Kind
from tests.cli.commands import Installation


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """Alice, and two groups, one in the other."""
    installation = Installation.make(tmp_path).provisioned("alice")
    directory = installation.directory()
    prefix = directory.organization().recipient_dn("")
    for name, members in (("sales", ["alice"]), ("board", ["sales"])):
        names = {"displayName": [name.title()], "legacyExchangeDN": [f"{prefix}{name}"]}
        directory.create(Kind.GROUP, name, names, {"member": [f"{prefix}{member}" for member in members]})
    directory.close()
    return installation


def test_departments_are_made_and_shown(installation: Installation) -> None:
    shown = installation.ok("departments", "--root", "board", "--add", "sales", "--seniority", "sales=20")
    assert shown == "Board\n  Sales\n"
    as_json = json.loads(installation.ok("departments", "--json"))
    assert [(one["name"], one["depth"]) for one in as_json] == [("Board", 0), ("Sales", 1)]
    assert installation.entry("sales").first("msDS-HABSeniorityIndex") == "20"
    assert installation.ok("departments", "--remove", "sales", "--seniority", "sales=") == "Board\n"
    assert installation.entry("sales").first("msDS-HABSeniorityIndex") is None
    assert json.loads(installation.ok("departments", "--no-root", "--json")) == []


def test_what_is_no_department(installation: Installation) -> None:
    assert "alice is no group" in installation.fails("departments", "--root", "alice")
    assert "there is no nobody" in installation.fails("departments", "--add", "nobody")


@pytest.mark.parametrize("wrong", ["sales", "sales=x", "sales=-1", "sales=2147483648", "sales=٣"])
def test_a_wrong_seniority(installation: Installation, wrong: str) -> None:
    result = installation.run("departments", "--seniority", wrong)
    assert result.exit_code == 2
    assert "NAME=NUMBER is needed" in result.output


def test_a_root_and_none_contradict_each_other(installation: Installation) -> None:
    assert installation.run("departments", "--root", "board", "--no-root").exit_code == 2

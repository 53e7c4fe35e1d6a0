"""`ocpy group`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.commands import Installation


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    installation = Installation.make(tmp_path).provisioned()
    for user in ("alice", "bob", "carl"):
        installation.ok("newuser", "--create", user, stdin="pw\n")
    return installation


def members(installation: Installation, group: str) -> list[str]:
    return [one["name"] for one in json.loads(installation.ok("group", group, "--json"))["members"]]


def test_a_group_is_made_with_members_and_shown(installation: Installation) -> None:
    made = installation.ok(
        *("group", "--create", "staff", "--member", "alice", "--member", "bob@example.test", "--owner", "carl"),
        *("--display-name", "All Staff"),
    )
    assert "cn=Recipients/cn=staff" in made
    shown = json.loads(installation.ok("group", "staff", "--json"))
    assert (shown["mail"], shown["display_name"]) == ("staff@example.test", "All Staff")
    assert [one["name"] for one in shown["members"]] == ["alice", "bob"]
    assert [one["name"] for one in shown["owners"]] == ["carl"]
    text = installation.ok("group", "All Staff")
    assert "2 members" in text
    assert "owner  carl <carl@example.test>" in text


def test_members_come_and_go(installation: Installation) -> None:
    installation.ok("group", "--create", "staff", "--member", "alice")
    installation.ok("group", "--update", "staff", "--member", "bob", "--remove-member", "alice")
    assert members(installation, "staff") == ["bob"]
    installation.ok("group", "--create", "staff", "--member", "carl")  # may be repeated
    assert members(installation, "staff") == ["bob", "carl"]


def test_further_owners_are_co_owners(installation: Installation) -> None:
    installation.ok("group", "--create", "staff", "--owner", "alice", "--owner", "bob")
    installation.ok("group", "--update", "staff", "--owner", "carl", "--remove-owner", "alice")
    owners = json.loads(installation.ok("group", "staff", "--json"))["owners"]
    assert [one["name"] for one in owners] == ["bob", "carl"]


def test_a_group_may_be_in_a_group(installation: Installation) -> None:
    installation.ok("group", "--create", "inner", "--security")
    installation.ok("group", "--create", "outer", "--member", "inner")
    assert members(installation, "outer") == ["inner"]


def test_what_is_no_group_is_left_alone(installation: Installation) -> None:
    assert "alice is an account" in installation.fails("group", "--create", "alice")
    for arguments in (["--update", "alice", "--notes", "x"], ["--delete", "--yes", "alice"], ["alice"]):
        assert "no group alice" in installation.fails("group", *arguments)


def test_delete_leaves_the_members(installation: Installation) -> None:
    installation.ok("group", "--create", "staff", "--member", "alice")
    assert installation.run("group", "--delete", "staff", stdin="n\n").exit_code != 0
    installation.ok("group", "--delete", "staff", "--yes")
    assert "no group" in installation.fails("group", "staff")
    assert installation.entry("alice").smtp_address == "alice@example.test"


def test_groups_from_a_file(installation: Installation, tmp_path: Path) -> None:
    table = tmp_path / "groups.csv"
    table.write_text("group,member,owner,security\nstaff,alice;bob,carl,no\nadmins,alice,,yes\n", "utf-8")
    assert "2 of 2" in installation.ok("group", "--create", "--csv", str(table))
    assert members(installation, "staff") == ["alice", "bob"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "GROUP, or --csv"),
        (["staff", "--member", "alice"], "--create or --update"),
        (["--create", "--delete", "staff"], "one of them at a time"),
        (["--create", "sta/ff"], "letters, digits"),
        (["--update", "staff"], "no group staff"),
        (["--csv", "x.csv"], "--create or --update"),
    ],
)
def test_wrong_usage_says_what_is_right(installation: Installation, arguments: list[str], words: str) -> None:
    assert words in installation.fails("group", *arguments)

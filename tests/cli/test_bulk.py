"""`--csv` of `ocpy newuser`; groups and contacts have theirs beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openchange_py.auth.ntlm_crypto import nt_hash
from tests.cli.commands import Installation


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation.make(tmp_path).provisioned()


def table(place: Path, text: str) -> str:
    path = place / "people.csv"
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    return str(path)


def test_every_line_is_an_account_with_its_mailbox(installation: Installation, tmp_path: Path) -> None:
    people = table(
        tmp_path,
        "\ufeffUser,Password,Display Name,type,capacity,hidden,add-address\n"
        'alice,sécret,"Liddell, Alice",,,no,al@example.test;queen@example.test\n'
        "blue,,Blue Room,room,12,,\n",
    )
    said = installation.ok("newuser", "--create", "--mailbox", "--csv", people)
    assert "2 of 2 lines done" in said
    alice, blue = installation.entry("alice"), installation.entry("blue")
    assert (alice.display_name, blue.display_name) == ("Liddell, Alice", "Blue Room")
    assert {"smtp:al@example.test", "smtp:queen@example.test"} <= set(alice.all("proxyAddresses"))
    assert blue.first("msExchResourceCapacity") == "12"
    account = installation.directory().account("alice")
    assert account is not None
    assert account.nt_hash == nt_hash("sécret")
    room = installation.directory().account("blue")
    assert room is not None
    assert not room.enabled
    # Once more: nothing changes.
    assert "Account alice: there already" in installation.ok("newuser", "--create", "--mailbox", "--csv", people)


def test_a_line_that_can_t_be_done_is_told_and_the_others_go_on(installation: Installation, tmp_path: Path) -> None:
    people = table(
        tmp_path, "user,password,mail,type\nalice,pw,,\nb/b,pw,,\ncarl,pw,alice@example.test,\ndan,pw,,sofa\nera,pw,,\n"
    )
    result = installation.run("newuser", "--create", "--csv", people, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert [(failure["line"], failure["user"]) for failure in report["failed"]] == [(3, "b/b"), (4, "carl"), (5, "dan")]
    assert "alice's" in report["failed"][1]["reason"]
    assert installation.entry("era").smtp_address == "era@example.test"
    assert "pw" not in result.output


def test_from_standard_input(installation: Installation) -> None:
    said = installation.ok("newuser", "--create", "--no-password", "--csv", "-", stdin="user\nalice\nbob\n")
    assert "2 of 2" in said


def test_changes_are_made_line_by_line_too(installation: Installation, tmp_path: Path) -> None:
    installation.ok("newuser", "--create", "--no-password", "--csv", "-", stdin="user\nalice\nbob\n")
    installation.ok("newuser", "--update", "--csv", table(tmp_path, "user,title,manager\nalice,Queen,bob\n"))
    assert installation.entry("alice").first("title") == "Queen"


def test_a_file_that_others_may_read_is_told_of(installation: Installation, tmp_path: Path) -> None:
    people = Path(table(tmp_path, "user\nalice\n"))
    people.chmod(0o644)
    result = installation.run("newuser", "--create", "--no-password", "--csv", str(people))
    assert "others on this machine may read" in result.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the first line names the columns"),
        ("mail\na@b.test\n", "user among them"),
        ("user,shoe size\nalice,40\n", "unknown: shoe_size"),
        ("user,user\nalice,bob\n", "each once"),
        ("user,mail\nalice\n", "line 2: not as many cells"),
        ("user,mail\nalice,a@b.test,more\n", "line 2: not as many cells"),
        ("user,mail\n,a@b.test\n", "line 2: no user"),
        ("user,capacity\nblue,many\n", "capacity is a number"),
        ("user,hidden\nalice,perhaps\n", "hidden is yes or no"),
        ('user,mail\n"alice,a@b.test\n', "no CSV file"),
    ],
)
def test_a_file_that_is_wrong_does_nothing(installation: Installation, tmp_path: Path, text: str, words: str) -> None:
    error = installation.fails("newuser", "--create", "--no-password", "--csv", table(tmp_path, text))
    assert words in error


def test_a_file_that_is_no_text_is_told_of(installation: Installation, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(b"user\n\xff\xfe\n")
    assert "UTF-8" in installation.fails("newuser", "--create", "--no-password", "--csv", str(path))
    assert "No such file" in installation.fails("newuser", "--create", "--csv", str(tmp_path / "none.csv"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--create", "alice", "--csv", "x.csv"], "goes without USER"),
        (["--delete", "--csv", "x.csv"], "not with --delete"),
        (["--create"], "Missing argument 'USER'"),
    ],
)
def test_wrong_usage_says_what_is_right(installation: Installation, arguments: list[str], words: str) -> None:
    assert words in installation.fails("newuser", *arguments)

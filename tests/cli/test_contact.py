"""`ocpy contact`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from openchange_py.addressbook.base import Entry, Kind
from tests.cli.commands import Installation


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation.make(tmp_path).provisioned()


def contact(installation: Installation, address: str) -> Entry | None:
    with closing(installation.directory()) as directory:
        return directory.by_address(address)


def test_a_contact_is_made_changed_and_deleted(installation: Installation) -> None:
    installation.ok("contact", "--create", "carol", "--mail", "carol@else.test", "--display-name", "Carol Else")
    entry = contact(installation, "carol@else.test")
    assert entry is not None
    assert (entry.kind, entry.account, entry.display_name) == (Kind.CONTACT, None, "Carol Else")
    installation.ok("contact", "--update", "carol", "--mail", "c@new.test", "--phone", "+49 30 1")
    entry = contact(installation, "c@new.test")
    assert entry is not None
    assert entry.all("targetAddress") == ["SMTP:c@new.test"]
    assert entry.first("telephoneNumber") == "+49 30 1"
    installation.ok("contact", "--delete", "--yes", "carol")
    assert contact(installation, "c@new.test") is None


def test_creating_again_changes_what_is_said(installation: Installation) -> None:
    installation.ok("contact", "--create", "carol", "--mail", "carol@else.test")
    again = installation.ok("contact", "--create", "carol", "--mail", "carol@else.test", "--company", "Else")
    assert "there already" in again
    entry = contact(installation, "carol@else.test")
    assert entry is not None
    assert entry.first("company") == "Else"


def test_contacts_from_a_file(installation: Installation, tmp_path: Path) -> None:
    table = tmp_path / "contacts.csv"
    table.write_text("contact,mail,display_name\ncarol,carol@else.test,Carol\ndan,no address,Dan\n", "utf-8")
    result = installation.run("contact", "--create", "--csv", str(table))
    assert result.exit_code == 1
    assert "line 3 (dan): 'no address' is no mail address" in result.stderr.replace("Invalid value for --mail: ", "")
    assert contact(installation, "carol@else.test") is not None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["carol"], "say what to do"),
        (["--create"], "CONTACT, or --csv"),
        (["--create", "carol"], "needs --mail"),
        (["--create", "ca=rol", "--mail", "a@b.test"], "letters, digits"),
        (["--update", "carol", "--company", "x"], "no contact carol"),
        (["--delete", "--csv", "x.csv"], "--create or --update"),
    ],
)
def test_wrong_usage_says_what_is_right(installation: Installation, arguments: list[str], words: str) -> None:
    assert words in installation.fails("contact", *arguments)

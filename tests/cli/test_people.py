"""Options about people, as `ocpy newuser` takes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from openchange_py.cli.people import SETTABLE
from tests.cli.commands import Installation

JPEG = b"\xff\xd8\xff\xe0" + bytes(100)


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    installation = Installation.make(tmp_path).provisioned()
    installation.ok("newuser", "--create", "--no-password", "alice")
    return installation


def test_what_the_address_book_shows_of_a_person(installation: Installation) -> None:
    installation.ok(
        *("newuser", "--update", "alice", "--title", "Queen", "--phone", "+49 30 1", "--office", "Room 1"),
        *("--set", "extensionAttribute1=blue", "--set", "OTHERTELEPHONE=1", "--set", "otherTelephone=2"),
    )
    entry = installation.entry("alice")
    assert entry.first("title") == "Queen"
    assert entry.first("telephoneNumber") == "+49 30 1"
    assert entry.first("physicalDeliveryOfficeName") == "Room 1"
    assert entry.first("extensionAttribute1") == "blue"
    assert entry.all("otherTelephone") == ["1", "2"]
    installation.ok("newuser", "--update", "alice", "--title", "", "--clear", "otherTelephone")
    entry = installation.entry("alice")
    assert (entry.first("title"), entry.all("otherTelephone")) == (None, [])


def test_a_former_name_is_an_address_too(installation: Installation) -> None:
    former = "X500:/o=Old/ou=Group/cn=Recipients/cn=al"
    installation.ok("newuser", "--update", "alice", "--add-address", former)
    assert former in installation.entry("alice").all("proxyAddresses")
    assert "alice's" in installation.fails("newuser", "--create", "--no-password", "bob", "--add-address", former)
    installation.ok("newuser", "--update", "alice", "--remove-address", former.lower())
    assert former not in installation.entry("alice").all("proxyAddresses")


def test_a_picture(installation: Installation, tmp_path: Path) -> None:
    photo = tmp_path / "alice.jpg"
    photo.write_bytes(JPEG)
    installation.ok("newuser", "--update", "alice", "--photo", str(photo))
    assert installation.entry("alice").attributes["thumbnailPhoto"] == [JPEG]
    for content, words in ((b"GIF89a", "no JPEG"), (JPEG + bytes(100 * 1024), "100 KiB")):
        photo.write_bytes(content)
        assert words in installation.fails("newuser", "--update", "alice", "--photo", str(photo))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--set", "legacyExchangeDN=/o=x"], "is none of"),
        (["--set", "msExchMailboxGuid=x"], "is none of"),
        (["--set", "proxyAddresses=SMTP:root@example.test"], "is none of"),
        (["--clear", "mail"], "is none of"),
        (["--set", "title"], "ATTRIBUTE=VALUE"),
        (["--set", "title="], "ATTRIBUTE=VALUE"),
        (["--set", "title=a", "--set", "title=b"], "has one value"),
        (["--set", "delivContLength=much"], "is a number"),
        (["--mail", "nobody"], "no mail address"),
        (["--add-address", "a b@example.test"], "no mail address"),
        (["--add-address", "X500:cn=x"], "no mail address"),
        (["--capacity", "3"], "rooms"),
    ],
)
def test_what_is_not_taken(installation: Installation, arguments: list[str], words: str) -> None:
    assert words in installation.fails("newuser", "--update", "alice", *arguments)


def test_nothing_that_decides_who_somebody_is_can_be_set() -> None:
    assert {"title", "extensionattribute1", "homephone"} <= set(SETTABLE)
    forbidden = {"legacyexchangedn", "samaccountname", "msexchmailboxguid", "ocpyfullaccess", "proxyaddresses", "mail"}
    assert not forbidden & set(SETTABLE)

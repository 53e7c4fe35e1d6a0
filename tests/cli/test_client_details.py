from __future__ import annotations

from collections.abc import Iterator

import pytest

from openchange_py.cli.client_details import _LOCALES
from tests.cli.client_commands import ClientCommands
from tests.node import node_in_thread


@pytest.fixture(scope="module")
def alice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientCommands]:
    with node_in_thread(tmp_path_factory.mktemp("node")) as running:
        bob = running.directory.by_account("bob")
        assert bob
        running.directory.modify(bob, {"title": ["Clerk\x1b[2J"], "info": ["One\nTwo"]})
        yield ClientCommands(running)


def test_details_page_by_page(alice: ClientCommands) -> None:
    shown = alice.ok("details", "bob").split("\n\n")
    general = shown[0].splitlines()
    assert general[0] == "GENERAL"
    assert "Display: Bob Example" in general
    assert [line for line in general if line.startswith("Title:")] == ["Title:   Clerk\N{REPLACEMENT CHARACTER}[2J"]
    assert "Notes: One, Two" in alice.ok("details", "bob")


def test_details_in_another_language(alice: ClientCommands) -> None:
    assert alice.ok("details", "bob", "--locale", "de").startswith("ALLGEMEIN\n")
    assert alice.ok("details", "bob", "--locale", "fr-CA").startswith("GÉNÉRAL\n")
    assert "is no locale such as de" in alice.run("details", "bob", "--locale", "klingon").output
    assert (_LOCALES["de"], _LOCALES["en"], _LOCALES["de_at"]) == (0x0407, 0x0409, 0x0C07)


def test_details_as_json(alice: ClientCommands) -> None:
    pages = alice.json("details", "bob")
    assert [page["title"] for page in pages][:2] == ["General", "Organization"]
    fields = {field["label"]: field["lines"] for box in pages[0]["boxes"] for field in box["fields"]}
    assert fields["Display"] == ["Bob Example"]
    assert fields["Company"] == []


def test_whom_nobody_knows(alice: ClientCommands) -> None:
    assert "the address book knows no 'mallory'" in alice.fails("details", "mallory")

"""`ocpy client watch`."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.mime.importer import message_draft
from openchange_py.store.base import Mailbox
from tests.cli.client_commands import ClientCommands
from tests.node import RunningNode, node_in_thread

MAIL = message_draft(b"Subject: hello\r\n\r\nbody")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[RunningNode]:
    with node_in_thread(tmp_path, {}) as running:
        yield running


@pytest.fixture
def delivering(node: RunningNode) -> Iterator[Mailbox]:
    """Mail comes to alice again and again, as long as the test runs."""
    mailbox, done = node.mailbox("alice"), threading.Event()

    def deliver() -> None:
        while not done.wait(0.2):
            mailbox.deliver_message(mailbox.folder_by_path("Inbox").id, MAIL)

    thread = threading.Thread(target=deliver)
    thread.start()
    yield mailbox
    done.set()
    thread.join()


@pytest.mark.usefixtures("delivering")
def test_events_are_shown_as_they_happen(node: RunningNode) -> None:
    shown = ClientCommands(node).ok("watch", "--count", "3")
    lines = [line.split("  ") for line in shown.splitlines()]
    assert [line[1].strip() for line in lines] == ["created", "new-mail", "modified"]
    assert [line[2].strip() for line in lines] == ["Inbox"] * 3
    assert lines[2][3:] == ["folder", lines[2][4]]
    assert " total, " in lines[2][4]


@pytest.mark.usefixtures("delivering")
def test_events_for_programs(node: RunningNode) -> None:
    shown = ClientCommands(node).ok("watch", "--on", "new-mail", "--folder", "Inbox", "--count", "2", "--json")
    first, second = map(json.loads, shown.splitlines())
    assert (first["event"], first["folder"], first["message_class"]) == ("new-mail", "Inbox", "IPM.Note")
    assert first["message_id"] != second["message_id"]
    assert first["total"] is None


@pytest.mark.usefixtures("delivering")
def test_other_folders_are_silent(node: RunningNode) -> None:
    assert ClientCommands(node).ok("watch", "--folder", "Drafts", "--seconds", "1") == ""


def test_a_folder_that_is_not_there(node: RunningNode) -> None:
    assert "the mailbox has no folder 'Nowhere'" in ClientCommands(node).fails("watch", "--folder", "Nowhere")

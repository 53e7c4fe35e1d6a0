"""`ocpy client put` and `delete`, against a node."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.client_commands import ClientCommands
from tests.large_messages import Pattern
from tests.node import node_in_thread

LETTER = b"""\
From: Bob <bob@example.test>
To: Alice <alice@example.test>, Carol <carol@example.test>
Cc: Dan <dan@example.test>
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
Date: Mon, 01 Jan 2024 12:00:00 +0000
Message-ID: <letter@example.test>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=x

--x
Content-Type: text/plain; charset=utf-8

Hello there.
--x
Content-Type: application/octet-stream
Content-Disposition: attachment; filename=data.bin

0123456789
--x
Content-Type: message/rfc822

From: Carol <carol@example.test>
Subject: inner

The inner text.
--x--
"""


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClientCommands]:
    with node_in_thread(tmp_path_factory.mktemp("node"), {}) as node:
        yield ClientCommands(node)


@pytest.fixture
def letter(tmp_path: Path) -> str:
    path = tmp_path / "letter.eml"
    path.write_bytes(LETTER)
    return str(path)


def test_an_internet_message_arrives_with_all_its_parts(commands: ClientCommands, letter: str, tmp_path: Path) -> None:
    made = commands.json("put", letter, "--folder", "Drafts")
    read = commands.json("read", made["id"], "--folder", "Drafts")
    assert read["subject"] == "Grüße"
    assert read["body"].strip() == "Hello there."
    assert [one["address"] for one in read["recipients"]] == [
        "alice@example.test",
        "carol@example.test",
        "dan@example.test",
    ]
    assert read["attachments"][0]["name"] == "data.bin"
    inner = commands.json("read", made["id"], "--folder", "Drafts", "--embedded", "2")
    assert inner["subject"] == "inner"
    target = tmp_path / "data.bin"
    commands.ok("attachment", "--message", made["id"], "--folder", "Drafts", "--number", "1", "--save", str(target))
    assert target.read_bytes() == b"0123456789"


def test_large_files_are_attached(commands: ClientCommands, letter: str, tmp_path: Path) -> None:
    large, back = tmp_path / "film.mp4", tmp_path / "back.mp4"
    pattern = Pattern(5_000_000)
    large.write_bytes(pattern.read())
    made = commands.json("put", letter, "--attach", str(large))
    commands.ok("attachment", "--message", made["id"], "--number", "3", "--save", str(back))
    assert hashlib.sha256(back.read_bytes()).hexdigest() == pattern.digest()


def test_read_or_unread(commands: ClientCommands, letter: str) -> None:
    read, unread = commands.json("put", letter)["id"], commands.json("put", letter, "--unread")["id"]
    listed = {one["id"]: one["is_read"] for one in commands.json("messages")["messages"]}
    assert (listed[read], listed[unread]) == (True, False)


def test_deleting(commands: ClientCommands, letter: str) -> None:
    ids = [commands.json("put", letter, "--folder", "Junk Email")["id"] for _ in range(3)]
    commands.ok("delete", ids[0], "1", "--folder", "Junk Email")
    assert commands.json("messages", "--folder", "Junk Email")["total"] == 1
    assert "not all" in commands.fails("delete", ids[0], "--folder", "Junk Email")
    assert "neither" in commands.fails("delete", "x", code=2)


def test_what_is_no_message_and_no_folder(commands: ClientCommands, letter: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty.eml"
    empty.write_bytes(b"")
    assert str(empty) in commands.fails("put", str(empty))
    assert "no folder" in commands.fails("put", letter, "--folder", "Nowhere")
    assert commands.json("messages", "--folder", "Sent Items")["total"] == 0

"""`ocpy client read` and `ocpy client attachment` with the sample mailbox, compared with what is in its files."""

from __future__ import annotations

import datetime
import email
import email.policy
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import cast

import click
import pytest

from openchange_py.cli.client_reading import Wanted
from openchange_py.client.mailbox import parse_id
from openchange_py.mime.importer import message_draft
from openchange_py.resources import setup_path
from openchange_py.store.base import MessageDraft
from openchange_py.wire import proptags as p
from tests.cli.client_commands import ClientCommands
from tests.node import RunningNode, node_in_thread

SAMPLES = sorted((setup_path() / "sample-mailbox").glob("*.eml"))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """Alice has the sample mailbox, and one message without anything."""
    bare = MessageDraft({p.PidTagMessageDeliveryTime: 1})
    html_only = message_draft(
        b"Subject: page\r\nDate: Thu, 1 Jan 1998 00:00:00 +0000\r\nContent-Type: text/html\r\n\r\n<p>One<p>Two"
    )
    mail = [bare, html_only, *(message_draft(path.read_bytes()) for path in SAMPLES)]
    with node_in_thread(tmp_path_factory.mktemp("node"), {"alice": mail}) as running:
        yield running


@pytest.fixture
def alice(node: RunningNode) -> ClientCommands:
    return ClientCommands(node)


def parsed(path: Path) -> EmailMessage:
    return cast(EmailMessage, email.message_from_bytes(path.read_bytes(), policy=email.policy.default))


def sent_at(path: Path) -> str:
    """The Date field in UTC."""
    time: datetime.datetime = parsed(path)["Date"].datetime
    return time.astimezone(datetime.UTC).isoformat()


def parts_of(message: EmailMessage) -> Iterator[EmailMessage]:
    """All parts, but not those of a message in the message."""
    yield message
    if message.get_content_type() != "message/rfc822" and message.is_multipart():
        for part in message.iter_parts():
            yield from parts_of(cast(EmailMessage, part))


def number_of(alice: ClientCommands, path: Path) -> str:
    """The number in the list of the message from that file."""
    (found,) = [
        message["number"]
        for message in alice.json("messages")["messages"]
        if message["subject"] == parsed(path)["Subject"] and message["time"] == sent_at(path)
    ]
    return str(found)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_what_is_read_is_what_was_written(alice: ClientCommands, path: Path) -> None:
    sent = parsed(path)
    read = alice.json("read", "--number", number_of(alice, path))
    assert read["subject"] == sent["Subject"]
    (author,) = sent["From"].addresses
    assert read["from"] == {"name": author.display_name, "address": author.addr_spec}
    to = [recipient["address"] for recipient in read["recipients"] if recipient["kind"] == "to"]
    assert to == [address.addr_spec for address in sent["To"].addresses]
    assert read["submitted"] == sent_at(path)
    plain = sent.get_body(("plain",))
    assert plain is not None
    assert read["body"].splitlines() == plain.get_content().splitlines()


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_attachments_are_saved_as_they_were(alice: ClientCommands, path: Path, tmp_path: Path) -> None:
    sent = [part for part in parts_of(parsed(path)) if part.get_filename()]
    number = number_of(alice, path)
    listed = [one for one in alice.json("read", "--number", number)["attachments"] if not one["is_message"]]
    assert [one["name"] for one in listed] == [part.get_filename() for part in sent]
    for one, part in zip(listed, sent, strict=True):
        saved = alice.json("attachment", "--message", number, "--number", str(one["number"]), "--save", f"{tmp_path}/")
        content = part.get_payload(decode=True)
        assert (saved["file"], saved["size"]) == (str(tmp_path / one["name"]), len(content))  # type: ignore[arg-type]
        assert (tmp_path / one["name"]).read_bytes() == content


def test_the_head_and_the_text_for_a_person(alice: ClientCommands) -> None:
    shown = alice.ok("read", "--number", number_of(alice, SAMPLES[3]))
    head, _, text = shown.partition("\n\n")
    assert "From:         Bob Example <bob@example.test>" in head.splitlines()
    assert "Attachment 1: seed list.csv (text/csv, 221 B)" in head.splitlines()
    assert text.startswith("The list is attached.")


def test_by_id_and_by_number(alice: ClientCommands) -> None:
    first = alice.json("messages")["messages"][0]
    shown = [alice.ok("read", *arguments) for arguments in (["--number", "1"], ["1"], [first["id"]])]
    assert len(set(shown)) == 1


def test_html_as_it_is(alice: ClientCommands) -> None:
    shown = alice.ok("read", "--number", number_of(alice, SAMPLES[2]), "--html")
    page = parsed(SAMPLES[2]).get_body(("html",))
    assert page is not None
    assert shown.strip() == page.get_content().replace("\r\n", "\n").strip()
    assert "no HTML body" in alice.fails("read", "--number", number_of(alice, SAMPLES[0]), "--html")


def test_html_alone_is_read_as_text(alice: ClientCommands) -> None:
    last = alice.json("messages")["total"]
    assert alice.ok("read", "--number", str(last - 1)).endswith("\n\nOne\n\nTwo\n")
    bare = alice.ok("read", "--number", str(last))
    assert "Subject: (no subject)" in bare
    assert bare.endswith("\n\n(no text)\n")


def test_a_message_in_a_message(alice: ClientCommands, tmp_path: Path) -> None:
    number = number_of(alice, SAMPLES[4])
    inner = alice.json("read", "--number", number, "--embedded", "1")
    assert inner["subject"] == "Roof: two offers"
    assert "a message" in alice.ok("read", "--number", number)
    refusal = alice.fails("attachment", "--message", number, "--number", "1", "--save", str(tmp_path / "x"))
    assert "`read --embedded 1` shows it" in refusal
    assert "is no message" in alice.fails("read", "--number", number_of(alice, SAMPLES[3]), "--embedded", "1")
    assert not list(tmp_path.iterdir())


def test_files_are_not_overwritten(alice: ClientCommands, tmp_path: Path) -> None:
    arguments = ["attachment", "--message", number_of(alice, SAMPLES[3]), "--number", "1", "--save"]
    target = tmp_path / "mine.csv"
    assert f"{target}: 73 B" in alice.ok(*arguments, str(target))
    content = target.read_bytes()
    target.write_bytes(b"mine")
    assert f"{target} exists already: --force overwrites it" in alice.fails(*arguments, str(target))
    assert target.read_bytes() == b"mine"
    alice.ok(*arguments, str(target), "--force")
    assert target.read_bytes() == content


def test_an_attachment_to_standard_output(alice: ClientCommands, tmp_path: Path) -> None:
    number = number_of(alice, SAMPLES[3])
    arguments = ["attachment", "--message", number, "--number", "2", "--save"]
    result = alice.run(*arguments, "-")
    alice.ok(*arguments, f"{tmp_path}/")
    assert result.stdout_bytes == (tmp_path / "all bytes.bin").read_bytes()


def test_which_attachment_must_be_said(alice: ClientCommands, tmp_path: Path) -> None:
    arguments = ["attachment", "--message", number_of(alice, SAMPLES[3]), "--save", f"{tmp_path}/"]
    several = alice.fails(*arguments)
    assert "say which attachment with --number: 1 seed list.csv; 2 all bytes.bin" in several
    assert "no attachment 9: the message has 2" in alice.fails(*arguments, "--number", "9")
    none = ["attachment", "--message", number_of(alice, SAMPLES[0]), "--save", f"{tmp_path}/"]
    assert "no attachment 1: the message has 0" in alice.fails(*none)
    single = ["attachment", "--message", number_of(alice, SAMPLES[2]), "--save", f"{tmp_path}/"]
    assert alice.json(*single)["file"].endswith("/badge.png")


def test_messages_that_are_not_there(alice: ClientCommands) -> None:
    assert "no message 99: the folder has" in alice.fails("read", "--number", "99")
    assert "no message 1-ffff" in alice.fails("read", "1-ffff")
    assert "say which message" in alice.fails("read", code=2)
    assert "say which message" in alice.fails("read", "1-2a", "--number", "1", code=2)
    assert "neither a message id such as 1-2a nor a number" in alice.fails("read", "first", code=2)


def test_reading_changes_nothing(alice: ClientCommands) -> None:
    alice.ok("read", "--number", "1")
    assert alice.json("messages", "--limit", "1")["messages"][0]["is_read"] is False


def test_ids_and_numbers_are_told_apart() -> None:
    assert Wanted.parse("3", "Inbox", (), "ID").number == 3
    assert Wanted.parse("1-3", "Inbox", (), "ID").id == parse_id("1-3")
    for wrong in ("0", "-1", "x", "1-", "³"):
        with pytest.raises(click.BadParameter):
            Wanted.parse(wrong, "Inbox", (), "ID")

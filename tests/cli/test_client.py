"""`ocpy client` end to end: the address book, folders and lists of messages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from openchange_py.mime.importer import message_draft
from openchange_py.resources import setup_path
from openchange_py.wire import proptags as p
from tests.cli.client_commands import ClientCommands, run
from tests.node import RunningNode, node_in_thread


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """Alice's Inbox holds the sample mailbox; one message of it is read, one is in a subfolder too."""
    files = sorted((setup_path() / "sample-mailbox").glob("*.eml"))
    mail = [message_draft(path.read_bytes(), is_read=index == 0) for index, path in enumerate(files)]
    with node_in_thread(tmp_path_factory.mktemp("node"), {"alice": mail}) as running:
        mailbox = running.mailbox("alice")
        projects = mailbox.create_folder(mailbox.folder_by_path("Inbox").id, "Projects")
        mailbox.save_message(projects.id, message_draft(b"Subject: hostile \x1b[2J\x07name\r\n\r\nbody"))
        yield running


@pytest.fixture
def alice(node: RunningNode) -> ClientCommands:
    return ClientCommands(node)


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_endpoints_need_no_account(node: RunningNode) -> None:
    where = ["--server", node.server.host, "--port", str(node.server.port)]
    result = run("endpoints", *where)
    assert result.exit_code == 0, result.output
    shown = lines(result.stdout)
    assert shown[0][:2] == ["INTERFACE", "VERSION"]
    expected = ["exchange_nsp", "56.0", "ncacn_ip_tcp", "127.0.0.1", str(node.rpc_port), "openchange_py"]
    assert expected in shown
    by_file = run("--endpoints", str(node.ready_file), "endpoints", "--json")
    assert '"name": "exchange_emsmdb"' in by_file.stdout


def test_resolve_shows_one_person(alice: ClientCommands) -> None:
    assert "Name:    Bob Example\nAccount: bob\nMail:    bob@example.test\nDN:      /o=" in alice.ok("resolve", "bob")
    entry = alice.json("resolve", "BOB@example.test")
    assert (entry["display_name"], entry["account"], entry["title"]) == ("Bob Example", "bob", None)
    assert entry["dn"].endswith("/cn=Recipients/cn=bob")


def test_resolve_tells_none_and_several_apart(alice: ClientCommands) -> None:
    assert "the address book knows no 'mallory'" in alice.fails("resolve", "mallory")
    several = alice.fails("resolve", "example")
    assert "'example' may be one of several entries" in several
    assert "Alice Example <alice@example.test> (alice)" in several
    assert "Bob Example <bob@example.test> (bob)" in several


def test_list_shows_the_address_book(alice: ClientCommands) -> None:
    assert lines(alice.ok("list")) == [
        ["NAME", "ACCOUNT", "MAIL"],
        ["Alice", "Example", "alice", "alice@example.test"],
        ["Bob", "Example", "bob", "bob@example.test"],
    ]
    assert [entry["account"] for entry in alice.json("list", "--limit", "1")] == ["alice"]
    assert alice.json("list", "--list", "all groups") == []
    assert "All Users" in alice.ok("list", "--lists").splitlines()
    assert next(found["name"] for found in alice.json("list", "--lists")) == "Global Address List"
    assert "there is no address list 'Nobodies'" in alice.fails("list", "--list", "Nobodies")


def test_folders_with_their_counts(alice: ClientCommands) -> None:
    shown = lines(alice.ok("folders"))
    assert shown[0] == ["FOLDER", "MESSAGES", "UNREAD", "KIND"]
    assert ["Inbox", "9", "8", "IPF.Note"] in shown
    folders = {folder["path"]: folder for folder in alice.json("folders")}
    assert (folders["Inbox/Projects"]["count"], folders["Inbox/Projects"]["depth"]) == (1, 1)


def test_messages_newest_first(alice: ClientCommands, node: RunningNode) -> None:
    result = alice.run("messages", "--limit", "3")
    shown = lines(result.stdout)
    assert shown[0] == ["NO", "ID", "DATE", "SIZE", "FROM", "SUBJECT"]
    assert [line[0] for line in shown[1:]] == ["1", "2", "3"]
    assert result.stdout.splitlines()[1].endswith("Bob Example    Re: Lunch on Monday?")
    assert "3 of 9 messages" in result.stderr
    listed = alice.json("messages")
    assert listed["total"] == len(listed["messages"]) == 9
    times = [message["time"] for message in listed["messages"]]
    assert times == sorted(times, reverse=True)
    last = listed["messages"][-1]
    assert (last["number"], last["subject"], last["is_read"]) == (9, "Welcome to your mailbox", True)
    assert alice.json("messages", "--start", "9")["messages"] == [last]
    tags = [p.PidTagMid, p.PidTagSubject]
    mailbox = node.mailbox("alice")
    ids = mailbox.message_ids(mailbox.folder_by_path("Inbox").id)
    subjects = [row[p.PidTagSubject] for row in mailbox.message_rows(ids, tags)]
    assert sorted(subjects) == sorted(message["subject"] for message in listed["messages"])


def test_marks_and_alphabets(alice: ClientCommands) -> None:
    (line,) = [line for line in alice.ok("messages").splitlines() if "Zürich" in line]
    assert "*@" in line
    assert line.endswith("Zoë Müller     Grüße aus Zürich · Привет · 日本語")
    (welcome,) = [line for line in alice.ok("messages").splitlines() if "Welcome" in line]
    assert "*" not in welcome


def test_mail_does_not_steer_the_terminal(alice: ClientCommands) -> None:
    shown = alice.ok("messages", "--folder", "inbox/projects")
    assert "hostile" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_a_folder_that_is_not_there(alice: ClientCommands) -> None:
    message = alice.fails("messages", "--folder", "Inbox/Project")
    assert "no folder 'Inbox/Project'; did you mean Inbox/Projects" in message


def test_other_peoples_mailboxes(node: RunningNode, alice: ClientCommands) -> None:
    assert "access denied: this account may not open that mailbox" in alice.fails("folders", "--mailbox", "bob")
    assert "knows no 'mallory'" in alice.fails("folders", "--mailbox", "mallory")
    assert "there is no such mailbox" in alice.fails("folders", "--mailbox", "/o=nobody")
    bob = node.entry("bob")
    node.directory.change_full_access(bob, [node.entry("alice")])
    try:
        for name in ("bob", bob.legacy_exchange_dn):
            assert alice.json("messages", "--mailbox", name)["total"] == 0
    finally:
        node.directory.change_full_access(bob, remove=[node.entry("alice")])


@pytest.mark.parametrize("level", ["connect", "integrity", "privacy"])
def test_levels_of_protection(alice: ClientCommands, level: str) -> None:
    """The node demands encryption, as servers do by default."""
    result = alice.run("folders", "--level", level)
    assert result.exit_code == (0 if level == "privacy" else 1)
    assert level == "privacy" or f"more protection than the level {level}" in result.stderr


@pytest.mark.parametrize("subcommand", ["endpoints", "resolve", "list", "folders", "messages", "read", "attachment"])
def test_help_teaches_with_an_example(subcommand: str) -> None:
    result = run(subcommand, "--help")
    assert result.exit_code == 0
    assert f"ocpy client {subcommand}" in result.output
    for option in ("--server", "--user", "--password-file", "--level", "--json"):
        assert option in result.output
    assert f"\n  {subcommand} " in run("--help").output

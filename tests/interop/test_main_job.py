"""The main job with the client that ships: `ocpy client` as a process, through the hybrid."""

from __future__ import annotations

import email
import email.policy
from pathlib import Path
from typing import Any

import pytest

from openchange_py.resources import setup_path
from tests.interop.nodes import Site, ocpy

pytestmark = pytest.mark.xdist_group("site")

ALICE_DN = "/o=First Organization/ou=First Administrative Group/cn=Recipients/cn=alice"


def sample(name: str) -> Any:
    """A mail of the sample mailbox as Python reads it."""
    raw = (setup_path() / "sample-mailbox" / name).read_bytes()
    return email.message_from_bytes(raw, policy=email.policy.default)


def read(site: Site, subject: str, *arguments: str) -> Any:
    """`ocpy client read` of alice's message with that subject."""
    listed = site.client(site.hybrid, "alice", "messages", "--json")["messages"]
    (number,) = [message["number"] for message in listed if message["subject"] == subject]
    return site.client(site.hybrid, "alice", "read", "--number", str(number), *arguments, "--json")


def test_the_ready_files_say_who_answers(site: Site) -> None:
    relay = {"relay": [f"ncacn_ip_tcp:127.0.0.1[{site.exchange.rpc_port},seal]"]}
    assert site.hybrid.ready["interfaces"] == {
        "exchange_nsp": {"server": "nspi"},
        "exchange_ds_rfr": {"server": "rfr"},
        "exchange_emsmdb": relay,
        "exchange_async_emsmdb": relay,
    }
    assert site.exchange.ready["interfaces"]["exchange_emsmdb"] == {"server": "emsmdb"}


def test_endpoints(site: Site) -> None:
    listed = ocpy("client", "--server", "127.0.0.1", "--port", str(site.hybrid.mapper_port), "endpoints").stdout
    for name in ("exchange_nsp", "exchange_ds_rfr", "exchange_emsmdb"):
        (line,) = [line for line in listed.splitlines() if line.startswith(f"{name} ")]
        assert str(site.hybrid.rpc_port) in line.split()


@pytest.mark.parametrize("node", ["hybrid", "exchange"])
def test_resolve(site: Site, node: str) -> None:
    entry = site.client(getattr(site, node), "alice", "resolve", "ali", "--json")
    assert (entry["display_name"], entry["mail"], entry["dn"]) == ("Alice Example", "alice@example.test", ALICE_DN)


def test_the_hidden_account_of_the_relay_is_in_no_list(site: Site) -> None:
    listed = site.client(site.hybrid, "alice", "list", "--json")
    assert [entry["account"] for entry in listed] == ["alice", "bob"]
    assert site.client(site.hybrid, "alice", "resolve", "relay", check=False).returncode == 1


def test_folders(site: Site) -> None:
    folders = {folder["path"]: folder for folder in site.client(site.hybrid, "alice", "folders", "--json")}
    assert {"Inbox", "Outbox", "Sent Items", "Deleted Items", "Drafts", "Calendar", "Contacts"} <= set(folders)
    assert folders["Inbox"]["count"] == len(list((setup_path() / "sample-mailbox").glob("*.eml")))
    assert folders["Inbox"]["unread"] == folders["Inbox"]["count"]


def test_messages_newest_first(site: Site) -> None:
    listed = site.client(site.hybrid, "alice", "messages", "--json")["messages"]
    originals = [sample(path.name) for path in (setup_path() / "sample-mailbox").glob("*.eml")]
    originals.sort(key=lambda original: original["Date"].datetime, reverse=True)
    assert [message["subject"] for message in listed] == [str(original["Subject"]) for original in originals]


def test_reading_through_the_relay_and_directly_is_the_same(site: Site) -> None:
    directly, relayed = (site.client(node, "alice", "messages", "--json") for node in (site.exchange, site.hybrid))
    assert directly == relayed


def test_read(site: Site) -> None:
    message = read(site, "Seed list for spring")
    original = sample("04-attachment.eml")
    assert message["body"].split() == original.get_body(("plain",)).get_content().split()
    assert message["sender"]["address"] == original["From"].addresses[0].addr_spec
    assert [attachment["name"] for attachment in message["attachments"]] == ["seed list.csv", "all bytes.bin"]


def test_read_the_message_in_a_message(site: Site) -> None:
    outer = sample("05-message-in-message.eml")
    (inner,) = [part.get_payload(0) for part in outer.walk() if part.get_content_type() == "message/rfc822"]
    message = read(site, str(outer["Subject"]), "--embedded", "1")
    assert message["subject"] == str(inner["Subject"])
    assert message["body"].split() == inner.get_body(("plain",)).get_content().split()


@pytest.mark.parametrize("level", ["connect", "integrity", "privacy"])
def test_an_attachment_is_saved_byte_for_byte(site: Site, tmp_path: Path, level: str) -> None:
    listed = site.client(site.hybrid, "alice", "messages", "--json")["messages"]
    (message,) = [message for message in listed if message["subject"] == "Seed list for spring"]
    saved = tmp_path / "saved"
    arguments = ["--level", level, "attachment", "--message", str(message["number"]), "--number", "2", "--save"]
    site.client(site.hybrid, "alice", *arguments, str(saved))
    (content,) = [
        part.get_payload(decode=True)
        for part in sample("04-attachment.eml").walk()
        if part.get_filename() == "all bytes.bin"
    ]
    assert saved.read_bytes() == content

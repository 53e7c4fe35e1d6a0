"""What identifies or discloses is in no cleaned call, and what is left still decodes, with the lengths it had."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from openchange_py.proxy.anonymize import Anonymize, Anonymizer
from openchange_py.proxy.dissection import RopReader
from openchange_py.proxy.leaves import leaves
from openchange_py.proxy.modules.record import RecordModule
from openchange_py.proxy.recording import RecordedCall, read_recording
from openchange_py.proxy.testing import driven
from openchange_py.rpc.call import Call, Session
from openchange_py.wire.oxcdata.properties import PropertyTag, TaggedPropertyValue
from openchange_py.wire.oxcdata.recipients import RecipientRow
from openchange_py.wire.oxcrpc import EcDoConnectExRequest
from openchange_py.wire.proptags import (
    PidTagBody,
    PidTagEntryId,
    PidTagMessageClass,
    PidTagSenderEntryId,
    PidTagSourceKey,
    PidTagSubject,
)
from openchange_py.wire.rop.oxcstor import RopLogonRequest
from tests.proxy.emsmdb_calls import connect
from tests.proxy.parties import ALICE, ALICE_DN
from tests.proxy.recordings import recorded_calls

RECORDINGS = [
    "calls-session-tcp-seal-2010.jsonl",
    "calls-profile-tcp-connect-2010.jsonl",
    "calls-sendmail-tcp-connect-2007.jsonl",
    "calls-fetchmail-tcp-connect-2003.jsonl",
    "calls-attachments-tcp-connect-2007.jsonl.gz",
    "calls-dumps-tcp-connect-2007.jsonl",
]


def test_the_same_name_is_the_same_everywhere_and_another_for_another_recorder() -> None:
    one = Anonymizer(Anonymize.CONTENT)
    alice = one.name("alice")
    assert alice != "alice"
    assert len(alice) == 5
    assert one.name(ALICE_DN) == f"/o={one.name('example')}/ou={one.name('first')}/cn=Recipients/cn={alice}".replace(
        one.name("example"), "Example"
    )
    assert one.name("ALICE@example.test") == f"{alice}@example.test"
    assert Anonymizer(Anonymize.CONTENT).name("alice") != alice
    assert Anonymizer(Anonymize.CONTENT, ["alice.local"]).name("alice") == "alice"


def test_properties_and_recipients() -> None:
    cleaner = Anonymizer(Anonymize.CONTENT)
    assert cleaner.message(TaggedPropertyValue(PidTagSubject, "Dear\r\nBob")).value == "xxxx\r\nxxx"
    assert cleaner.message(TaggedPropertyValue(PidTagMessageClass, "IPM.Note")).value == "IPM.Note"
    entry_id = bytes(20) + ALICE_DN.encode()
    assert cleaner.message(TaggedPropertyValue(PidTagSenderEntryId, entry_id)).value == bytes(len(entry_id))
    row = cleaner.message(RecipientRow.smtp("bob@secret.test", "Bob B"))
    assert row.email_address == f"{cleaner.name('bob')}@{cleaner.name('secret')}.test"
    assert row.display_name == f"{cleaner.name('Bob')} {cleaner.name('B')}"


def test_distinguished_names_with_a_zero_behind_them() -> None:
    """RopLogon's: another name, not nothing, which would mean the caller's own mailbox."""
    cleaner = Anonymizer(Anonymize.CONTENT)
    logon = cleaner.message(RopLogonRequest(0, 0, 1, 12, 0, ALICE_DN.encode() + b"\0"))
    assert logon.essdn == cleaner.name(ALICE_DN).encode() + b"\0"


def test_a_hash_of_a_name_tells_it_to_who_guesses() -> None:
    request = connect(Session("test", ""), ALICE, ALICE_DN, con_mod=0x12345678).request
    assert isinstance(request, EcDoConnectExRequest)
    assert Anonymizer(Anonymize.CONTENT).message(request).con_mod == 0


@pytest.mark.parametrize(
    ("tag", "value", "stays"),
    [
        (PidTagEntryId, bytes(range(46)), True),
        (PidTagEntryId, bytes(20) + b"@" + bytes(25), True),
        (PidTagEntryId, bytes(28) + ALICE_DN.encode(), False),
        (PidTagEntryId, bytes(24) + "SMTP\0al.b@cc.de\0".encode("utf-16-le"), False),
        (PidTagSourceKey, bytes(range(22)), True),
        (PidTagSenderEntryId, bytes(range(46)), False),
    ],
)
def test_identifiers_of_folders_and_messages_stay(tag: PropertyTag, value: bytes, stays: bool) -> None:
    cleaned = Anonymizer(Anonymize.CONTENT).message(TaggedPropertyValue(tag, value)).value
    assert cleaned == (value if stays else bytes(len(value)))


def test_names_alone() -> None:
    cleaner = Anonymizer(Anonymize.NAMES)
    assert cleaner.message(TaggedPropertyValue(PidTagBody, "Dear Bob")).value == "Dear Bob"
    assert "bob" not in str(cleaner.message(RecipientRow.smtp("bob@secret.test", "Bob")).email_address)


def values_of(calls: list[RecordedCall]) -> Iterator[str | bytes]:
    """Every text and all bytes in these calls, as they are decoded; those that are ROPs not."""
    reader, session = RopReader(), Session("test", "")
    for recorded in calls:
        assert recorded.request is not None
        call = Call(recorded.interface, recorded.opnum, recorded.request, session, ALICE)
        found = list(asyncio.run(reader.requests(call)))
        parts = [call.request, *(rop for buffer in found for rop in buffer.rops)]
        tails = [buffer.tail for buffer in found]
        if recorded.reply is not None:
            call.answer(recorded.reply)
            found = reader.responses(call)
            parts += [call.response, *(rop for buffer in found for rop in buffer.rops)]
            tails += [buffer.tail for buffer in found]
        for leaf in (leaf for part in parts for leaf in leaves(part)):
            if isinstance(leaf.value, str | bytes) and leaf.name not in ("rgb_in", "rgb_out", "aux_in", "aux_out"):
                yield leaf.value
        yield from tails


def words_of(values: list[str | bytes]) -> set[str]:
    """Their words, in ASCII and UTF-16."""
    texts = [value for value in values if isinstance(value, str)]
    for value in values:
        if isinstance(value, bytes):
            texts += [value.decode("latin-1"), value.decode("utf-16-le", "ignore")]
    return {word.casefold() for text in texts for word in re.findall(r"[A-Za-z]{5,}", text)}


#: What stays, beside the words of the anonymizer: kinds of messages, folders and attachments.
KEPT = re.compile(r"(?i)fydibohf|spdlt|ipm|ipf|contacts|contactlist|application|message|octet|plain|stream")


@pytest.mark.parametrize("name", RECORDINGS)
def test_no_word_of_a_recorded_session_is_left(name: str, tmp_path: Path) -> None:
    originals, session = [], Session("ncacn_ip_tcp", "192.0.2.1:1")

    async def scenario() -> None:
        async with driven(RecordModule, {"mpm_record:file": str(tmp_path / "out.jsonl")}) as module:
            for recorded in recorded_calls(name):
                if recorded.reply is not None:
                    call = Call(recorded.interface, recorded.opnum, recorded.stub, session, ALICE)
                    await module.call(call, recorded.reply)
                    originals.append(RecordedCall(1, call.interface, call.opnum, recorded.stub, recorded.reply, None))

    asyncio.run(scenario())
    cleaned = read_recording(tmp_path / "out.jsonl").calls
    assert len(cleaned) == len(originals)
    kept = [(b, a) for b, a in zip(originals, cleaned, strict=True) if not a.reason]
    assert len(kept) >= len(originals) - 1, "all but a broken one that the probe sent"
    before, after = (list(values_of([pair[side] for pair in kept])) for side in (0, 1))
    assert list(map(len, before)) == list(map(len, after))
    assert len(words_of(before)) > 10
    cleaner = Anonymizer(Anonymize.CONTENT)
    common = words_of(before) & words_of(after)
    assert not {word for word in common if cleaner.name(word) != word and not KEPT.search(word)}

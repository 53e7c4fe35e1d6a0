"""The working copy of an object's properties."""

from __future__ import annotations

import pytest

from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.servers.emsmdb.objects.message import MessageObject
from openchange_py.servers.emsmdb.objects.working import LARGEST_NARROW, LARGEST_SHORT
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType, TaggedPropertyValue
from tests.servers.emsmdb.parties import DATA, World

HTML8 = p.PidTagBody.with_type(PropertyType.String8)


@pytest.fixture
def message(world: World) -> MessageObject:
    """Open for writing, and never saved."""
    logon = Logon(world.mailbox, 0, world.entries["alice"], world.entries["alice"])
    return MessageObject(logon, world.mailbox.message(world.rich), 1252, writable=True)


def put(message: MessageObject, tag: PropertyTag, value: object) -> list[int]:
    return [problem.error_code for problem in message.set_properties([TaggedPropertyValue(tag, value)])]


def test_what_weighs_is_what_was_set_or_written(message: MessageObject) -> None:
    before = message.weight
    put(message, p.PidTagHtml, b"x" * 5000)
    assert before + 5000 <= message.weight < before + 5100
    message.content_to_write(p.PidTagRtfCompressed).write(0, b"y" * 5000)
    assert before + 10_000 <= message.weight < before + 10_100
    message.close()


def test_a_value_of_a_draft_is_copied_before_it_is_written_again(message: MessageObject) -> None:
    content = message.content_to_write(p.PidTagHtml, empty=True)
    content.write(0, DATA)
    assert message.content_to_write(p.PidTagHtml) is content
    draft = message.draft_values()[p.PidTagHtml]
    again = message.content_to_write(p.PidTagHtml)
    again.write(0, b"changed")
    assert draft.read(0, 7) == DATA[:7]
    assert again.read(0, 9) == b"changed" + DATA[7:9]


def test_a_small_value_that_a_stream_wrote_is_a_plain_one_in_the_draft(message: MessageObject) -> None:
    message.content_to_write(p.PidTagHtml, empty=True).write(0, b"small")
    message.content_to_write(p.PidTagBody, empty=True).write(0, "klein".encode("utf-16-le") + b"x")
    values = message.draft_values()
    assert (values[p.PidTagHtml], values[p.PidTagBody]) == (b"small", "klein")


def test_an_8_bit_stream_takes_the_place_of_the_text(message: MessageObject) -> None:
    message.content_to_write(HTML8).write(0, "ä".encode("cp1252"))
    assert str(message.current()[p.PidTagBody]).startswith("ä long body ü"[0])
    assert HTML8 not in message.current()
    put(message, p.PidTagBody, "text again")
    assert message.current()[p.PidTagBody] == "text again"
    message.content_to_write(HTML8, empty=True)
    message.delete_properties([p.PidTagBody])
    assert p.PidTagBody not in message.current()


def test_limits_by_kind(message: MessageObject) -> None:
    assert message.stream_limit(p.PidTagSubject) == LARGEST_SHORT
    assert message.stream_limit(HTML8) == LARGEST_NARROW
    assert message.stream_limit(p.PidTagBody) is None


def test_deleting_what_is_not_there_is_no_problem(message: MessageObject) -> None:
    assert message.delete_properties([PropertyTag(0x12340003)]) == []
    assert not message.touched


def test_a_read_only_copy(message: MessageObject) -> None:
    message.writable = False
    for action in (lambda: message.set_properties([]), lambda: message.content_to_write(p.PidTagHtml)):
        with pytest.raises(MapiError) as raised:
            action()
        assert raised.value.code == ErrorCode.AccessDenied

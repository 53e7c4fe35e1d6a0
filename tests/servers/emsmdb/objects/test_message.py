"""Message and attachment objects."""

from __future__ import annotations

from openchange_py.servers.emsmdb.objects.logon import Logon
from openchange_py.servers.emsmdb.objects.message import AttachmentObject, MessageObject
from openchange_py.store.base import Recipient, SpecialFolder
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.properties import TaggedPropertyValue
from tests.servers.emsmdb.parties import DATA, World


def message(world: World, code_page: int = 0x0FFF) -> MessageObject:
    logon = Logon(world.mailbox, 0, world.entries["alice"], world.entries["alice"])
    return MessageObject(logon, world.mailbox.message(world.rich), code_page)


def test_a_message_tells_where_it_is(world: World) -> None:
    properties = message(world).properties()
    assert properties[p.PidTagMid] == world.rich
    assert len(properties[p.PidTagEntryId]) == 70
    assert (properties[p.PidTagObjectType], properties[p.PidTagRtfInSync]) == (5, False)


def test_the_code_page_of_a_message_is_its_attachments(world: World) -> None:
    assert message(world).properties()[p.PidTagMessageCodepage] == 1252
    opened = message(world, 65001)
    assert opened.properties()[p.PidTagMessageCodepage] == 65001
    attachment = AttachmentObject(opened, opened.attachment(0), writable=False)
    assert (attachment.code_page, attachment.codec) == (65001, "utf-8")


def test_an_attachment(world: World) -> None:
    opened = message(world)
    properties = AttachmentObject(opened, opened.attachment(0), writable=False).properties()
    assert properties[p.PidTagAttachNumber] == 0
    assert properties[p.PidTagAttachDataBinary].read(0, 1 << 20) == DATA
    assert properties[p.PidTagObjectType] == 7


def test_an_embedded_message_has_no_ids(world: World) -> None:
    opened = message(world)
    attachment = AttachmentObject(opened, opened.attachment(1), writable=False)
    properties = attachment.embedded(0x0FFF, writable=False, create=False).properties()
    assert properties[p.PidTagSubject] == "inner é"
    assert p.PidTagEntryId not in properties


def test_recipients_weigh_what_a_client_put_into_them(world: World) -> None:
    opened = message(world)
    before = opened.weight
    assert before == 2 * 1024
    opened.put_recipient(5, Recipient(1, {p.PidTagDisplayName: "x" * 10_000}))
    assert opened.weight > before + 20_000
    opened.put_recipient(5, None)
    assert sorted(opened.recipients) == [0, 1]


def test_attachments_weigh_what_was_saved_into_them(world: World) -> None:
    logon = Logon(world.mailbox, 0, world.entries["alice"], world.entries["alice"])
    opened = MessageObject.new(logon, world.folder(SpecialFolder.DRAFTS), 1252, associated=False, parent=None)
    attachment = opened.new_attachment()
    inner = attachment.embedded(1252, writable=True, create=True)
    inner.set_properties([TaggedPropertyValue(p.PidTagHtml, b"x" * 20_000)])
    inner.save(force=False, largest=1 << 20)
    assert attachment.weight > 20_000
    before = opened.weight
    attachment.save()
    assert opened.weight > before + 20_000

"""What real clients (OpenChange's libmapi) asked a real server is asked of ours, ROP by ROP.

A mailbox is made that has what the recording shows: folders, messages, attachments. Ids and handles of the recorded
requests are replaced by ours. Every ROP must have the ReturnValue that it had then, every property that had a value
must have one, and nothing that a client needs to read mail may be missing, but for what is named here.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from openchange_py.addressbook.base import Kind
from openchange_py.store.base import AttachmentDraft, Mailbox, MessageDraft, SpecialFolder
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.ids import FolderId, make_id
from openchange_py.wire.oxcdata.named import PropertyName
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType
from openchange_py.wire.oxcdata.rows import PropertyError
from openchange_py.wire.oxcdata.values import TypedPropertyValue
from openchange_py.wire.oxcrpc import EMSMDB, EcDoAsyncConnectExResponse, EcRRegisterPushNotificationResponse
from openchange_py.wire.rop.base import RopReleaseRequest, RopRequest
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import HandleStates
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcfold import (
    RopGetContentsTableRequest,
    RopGetHierarchyTableRequest,
    RopOpenFolderRequest,
)
from openchange_py.wire.rop.oxcmsg import (
    RopOpenAttachmentRequest,
    RopOpenEmbeddedMessageRequest,
    RopOpenMessageRequest,
    RopSaveChangesMessageRequest,
)
from openchange_py.wire.rop.oxcprpt import RopGetPropertiesSpecificRequest, RopGetPropertyIdsFromNamesRequest
from openchange_py.wire.rop.oxcstor import RopLogonPrivateResponse, RopLogonRequest
from openchange_py.wire.rop.oxctabl import RopQueryRowsRequest
from tests.conftest import json_lines, shared_path
from tests.mailboxes import exchange_attributes
from tests.servers.emsmdb.parties import NONE, ORGANIZATION, Client, OldClient, World, build_world, letter, to

#: Recordings in which clients only read, all of them by TCP or RPC over HTTP.
READING = (
    "folders-tcp-connect-2003",
    "folders-tcp-connect-2007",
    "folders-tcp-connect-2010",
    "fetchmail-tcp-connect-2003",
    "fetchmail-tcp-connect-2007",
    "fetchitems-tcp-connect-2007",
    "session-tcp-sign-2007",
    "rpchttp-libmapi-connect-2007",
    "compressed-tcp-connect-2007",
    "compressed-tcp-seal-2010",
    "dumps-tcp-connect-2007",
)
#: ... and in which they write as well; what needs an object that could not be made is left out.
WRITING = (
    "attachments-tcp-connect-2007",
    "sendmail-tcp-connect-2007",
    "senditems-tcp-connect-2007",
    "updateitems-tcp-connect-2007",
    "ocpf-tcp-connect-2007",
    "session-tcp-connect-2010",
    "session-tcp-seal-2010",
    "tasks-tcp-connect-2007",
    "deletemail-tcp-connect-2007",
)
#: ... and in which they ask to be told of new mail, by push notifications.
NOTIFIED = ("notify-tcp-connect-2007", "notify-tcp-connect-2010", "notify-tcp-seal-2010")

#: What libmapi asks for that is not answered yet.
NOT_ANSWERED_READING: set[RopId] = set()
NOT_ANSWERED_WRITING = {RopId.CreateFolder, RopId.DeleteFolder, RopId.EmptyFolder, RopId.SubmitMessage}

#: What the recorded server refused and ours does.
DONE_HERE = {RopId.SaveChangesAttachment}

PS_MAPI = uuid.UUID("00020328-0000-0000-c000-000000000046")

#: Properties that had a value then and have none here. Bodies are not converted between their formats.
NO_VALUES = {p.PidTagRtfCompressed.id}


@dataclasses.dataclass
class RecordedMessage:
    folder: int
    subject: str
    associated: bool
    attachments: dict[int, bool] = dataclasses.field(default_factory=dict)  # number: whether it is a message


@dataclasses.dataclass
class RecordedMailbox:
    """What the recording shows of a mailbox, by the ids of then."""

    special: list[FolderId]
    folders: dict[int, tuple[int, str]] = dataclasses.field(default_factory=dict)  # parent, name
    messages: dict[int, RecordedMessage] = dataclasses.field(default_factory=dict)
    names: list[PropertyName] = dataclasses.field(default_factory=list)

    def folder(self, folder_id: int, parent: int, name: str | None) -> None:
        """It was there; where no name is known, its id serves."""
        if name is not None or folder_id not in self.folders:
            self.folders[folder_id] = (parent, name or f"{folder_id:016x}")


@dataclasses.dataclass
class Exchange:
    """One recorded call: its session, the requests and their responses, None for Release."""

    session: str
    request: RopBuffer
    response: RopBuffer
    columns: dict[int, Any]

    def pairs(self) -> Iterator[tuple[RopRequest, Any]]:
        answers = iter(self.response.rops)
        for request in self.request.rops:
            assert isinstance(request, RopRequest)
            yield request, None if isinstance(request, RopReleaseRequest) else next(answers, None)


def recorded(name: str) -> list[Exchange]:
    """The calls of a recording, decoded, in order."""
    found = [shared_path("wire") / f"calls-{name}.jsonl{suffix}" for suffix in ("", ".gz")]
    path = next((path for path in found if path.exists()), None)
    assert path is not None, f"no recording {name}"
    states: dict[str, HandleStates] = {}
    calls = []
    for call in json_lines(path):
        if call["call"] != "EcDoRpcExt2" or not call.get("rop_response_hex"):
            continue
        session = call["request_stub_hex"][:40]
        state = states.setdefault(session, HandleStates())
        request = RopBuffer.unpack_request(bytes.fromhex(call["rop_request_hex"][0]), state)
        response = RopBuffer.unpack_response(bytes.fromhex(call["rop_response_hex"][0]), request, state)
        assert request.tail == response.tail == b""
        columns = {handle: state.columns(handle) for handle in response.handles}
        calls.append(Exchange(session, request, response, columns))
    return calls


class Survey:
    """Goes through a recording and finds what its mailboxes must have had."""

    def __init__(self, calls: list[Exchange]) -> None:
        self.mailboxes: dict[uuid.UUID, RecordedMailbox] = {}
        self.of_session: dict[str, uuid.UUID] = {}
        self._objects: dict[tuple[str, int], Any] = {}
        for call in calls:
            for request, response in call.pairs():
                if response is not None and response.return_value == 0:
                    self._learn(call, request, response)

    def _learn(self, call: Exchange, request: RopRequest, response: Any) -> None:
        if isinstance(response, RopLogonPrivateResponse):
            self.of_session[call.session] = response.mailbox_guid
            self.mailboxes.setdefault(response.mailbox_guid, RecordedMailbox(response.folder_ids))
            return
        if call.session not in self.of_session:
            return  # of a session whose beginning was not recorded
        index = getattr(request, "output_handle_index", None)
        handle = call.response.handles[request.input_handle_index]
        known = self._objects.get((call.session, handle))
        if index is not None:
            self._objects[call.session, call.response.handles[index]] = self._opened(call, request, known)
        if isinstance(request, RopGetPropertyIdsFromNamesRequest):
            found = zip(request.property_names, response.property_ids, strict=False)
            self.mailboxes[self.of_session[call.session]].names += [name for name, known_id in found if known_id]
        if isinstance(request, RopQueryRowsRequest) and known is not None:
            for row in response.rows:
                self._row(call, known, row.to_map(call.columns[handle] or ()))

    def _opened(self, call: Exchange, request: RopRequest, known: Any) -> Any:
        mailbox = self.mailboxes[self.of_session[call.session]]
        match request:
            case RopOpenFolderRequest():
                if request.folder_id not in mailbox.special:
                    mailbox.folder(request.folder_id, mailbox.special[3], None)
                return request.folder_id
            case RopGetHierarchyTableRequest():
                return ("folders", known)
            case RopGetContentsTableRequest():
                return ("associated" if request.table_flags & 2 else "messages", known)
            case RopOpenMessageRequest():
                folder = request.folder_id or mailbox.special[4]
                return mailbox.messages.setdefault(request.message_id, RecordedMessage(folder, "", False))
            case RopOpenAttachmentRequest() if known is not None:
                known.attachments.setdefault(request.attachment_id, False)
                return (known, request.attachment_id)
            case RopOpenEmbeddedMessageRequest() if known is not None:
                message, number = known
                message.attachments[number] = True
        return None

    def _row(self, call: Exchange, table: Any, row: dict[PropertyTag, Any]) -> None:
        mailbox = self.mailboxes[self.of_session[call.session]]
        match table:
            case ("folders", parent) if p.PidTagFolderId in row and row[p.PidTagFolderId] not in mailbox.special:
                mailbox.folder(row[p.PidTagFolderId], parent, row.get(p.PidTagDisplayName))
            case ("messages" | "associated" as kind, folder) if p.PidTagMid in row and folder is not None:
                subject = row.get(p.PidTagSubject, "")
                new = RecordedMessage(folder, subject, kind == "associated")
                mailbox.messages.setdefault(row[p.PidTagMid], new)


#: What the recorded mail had, as far as clients asked for it.
MAIL = {
    p.PidTagBody: "text\r\n",
    p.PidTagHtml: b"<p>text</p>",
    p.PidTagMessageDeliveryTime: 132_000_000_000_000_000,
    p.PidTagSenderName: "User Two",
    p.PidTagSentRepresentingName: "User One",
    p.PidTagInternetMessageId: "<1@example.test>",
    p.PidTagTransportMessageHeaders: "Subject: text\r\n",
    p.PidTagMessageClass: "IPM.Note",
}


class Replica:
    """A mailbox of ours with what was recorded of another, and our ids for the ids of then."""

    def __init__(self, mailbox: Mailbox, was: RecordedMailbox) -> None:
        self._mailbox = mailbox
        ours = mailbox.special_folders()
        self.folders: dict[int, int] = {theirs: ours[SpecialFolder(n)] for n, theirs in enumerate(was.special)}
        for folder in was.folders:
            self._folder(was, folder)
        self.messages = {mid: self._message(message) for mid, message in was.messages.items()}
        mailbox.property_ids([name for name in was.names if name.guid != PS_MAPI], create=True)

    def _folder(self, was: RecordedMailbox, folder: int) -> int:
        if folder not in self.folders:
            parent, name = was.folders[folder]
            above = FolderId(self._folder(was, parent))
            same = [sub.id for sub in self._mailbox.subfolders(above) if sub.properties[p.PidTagDisplayName] == name]
            self.folders[folder] = same[0] if same else self._mailbox.create_folder(above, name).id
        return self.folders[folder]

    def _message(self, message: RecordedMessage) -> int:
        numbers = range(max(message.attachments, default=-1) + 1)
        attachments = [self._attachment(message.attachments.get(number, False)) for number in numbers]
        draft = MessageDraft(MAIL | {p.PidTagSubject: message.subject}, [to("User", "user@example.test")], attachments)
        folder = FolderId(self.folders[message.folder])
        return self._mailbox.save_message(folder, draft, associated=message.associated)

    @staticmethod
    def _attachment(is_message: bool) -> AttachmentDraft:
        if is_message:
            return AttachmentDraft(
                {p.PidTagAttachMimeTag: "message/rfc822"}, embedded=MessageDraft(MAIL | {p.PidTagSubject: "inner"})
            )
        name = {p.PidTagAttachLongFilename: "file.txt", p.PidTagAttachMimeTag: "text/plain"}
        return AttachmentDraft({p.PidTagAttachDataBinary: b"data" * 4000, p.PidTagAttachMethod: 1, **name})


@dataclasses.dataclass
class Outcome:
    """What came of a replay."""

    same: int = 0
    left_out: int = 0
    not_answered: set[int] = dataclasses.field(default_factory=set)
    other_codes: list[str] = dataclasses.field(default_factory=list)
    no_values: set[int] = dataclasses.field(default_factory=set)


_numbers = itertools.count(1)


class Replay:
    """Asks our server what the recorded clients asked theirs."""

    def __init__(self, world: World, calls: list[Exchange], survey: Survey, kind: type[Client] = Client) -> None:
        self.outcome = Outcome()
        self._kind = kind
        self._world = world
        self._survey = survey
        self._accounts = {guid: f"user{next(_numbers)}" for guid in survey.mailboxes}
        self._replicas = {guid: self._replica(guid) for guid in survey.mailboxes}
        self._clients: dict[str, Client] = {}
        self._handles: dict[tuple[str, int], int] = {}
        for call in calls:
            if call.session in survey.of_session:
                self._repeat(call)

    def _replica(self, guid: uuid.UUID) -> Replica:
        account = self._accounts[guid]
        mail = f"{account}@example.test"
        attributes = exchange_attributes(ORGANIZATION, "SERVER", account, mail, f"User {account}")
        entry = self._world.directory.create(Kind.USER, account, attributes)
        self._world.entries[account] = entry
        assert entry.mailbox_guid is not None
        mailbox = self._world.store.create_mailbox(entry.mailbox_guid, entry.legacy_exchange_dn, entry.display_name)
        return Replica(mailbox, self._survey.mailboxes[guid])

    def _repeat(self, call: Exchange) -> None:
        guid = self._survey.of_session[call.session]
        client = self._clients.get(call.session)
        if client is None:
            client = self._clients[call.session] = self._kind(self._world, self._accounts[guid])
        theirs = call.request.handles
        ours = [NONE if h == NONE else self._handles.get((call.session, h), 0x7FFFFFFF) for h in theirs]
        if 0x7FFFFFFF in ours:
            self.outcome.left_out += 1
            return  # of an object that we could not make
        translate = functools.partial(self._translated, self._replicas[guid], client)
        answer = client.execute(*[translate(*pair) for pair in call.pairs()], handles=list(ours), out_size=0x40000)
        mine = iter(answer.rops)
        for request, response in call.pairs():
            if response is not None:
                answered = next(mine)
                self._compare(call, request, response, answered)
                if (
                    isinstance(request, RopSaveChangesMessageRequest)
                    and not response.return_value | answered.return_value
                ):
                    self._replicas[guid].messages[response.message_id] = answered.message_id
        for then, now in zip(call.response.handles, answer.handles, strict=True):
            if then != NONE and now != NONE:
                self._handles[call.session, then] = now

    @staticmethod
    def _translated(replica: Replica, client: Client, request: RopRequest, response: Any) -> RopRequest:
        """The request with our ids. What was none then is none now."""
        changes: dict[str, Any] = {}
        unknown = make_id(1, 0x7FFFFFFF)
        if isinstance(request, RopLogonRequest):
            known = response.return_value == 0
            changes["essdn"] = client.world.dn(client.identity.account).encode() + (b"\0" if known else b"nobody\0")
        if hasattr(request, "folder_id"):
            changes["folder_id"] = replica.folders.get(request.folder_id, unknown)
        if hasattr(request, "message_id"):
            changes["message_id"] = replica.messages.get(request.message_id, unknown)
        if hasattr(request, "message_ids"):
            changes["message_ids"] = [replica.messages.get(one, unknown) for one in request.message_ids]
        return dataclasses.replace(request, **changes)

    def _compare(self, call: Exchange, request: RopRequest, then: Any, now: Any) -> None:
        assert type(now) is type(then) or now.return_value != then.return_value, (request, then, now)
        if now.return_value == ErrorCode.NotImplemented:
            self.outcome.not_answered.add(request.rop_id)
        elif now.return_value == 0 and request.rop_id in DONE_HERE:
            self.outcome.same += 1
        elif now.return_value != then.return_value:
            codes = f"0x{then.return_value:08x} then, 0x{now.return_value:08x} now"
            self.outcome.other_codes.append(f"{request}: {codes}")
        else:
            self.outcome.same += 1
            self._compare_values(call, request, then, now)

    def _compare_values(self, call: Exchange, request: RopRequest, then: Any, now: Any) -> None:
        if isinstance(request, RopGetPropertiesSpecificRequest) and then.return_value == 0:
            self._compare_row(request.property_tags, then.row_data, now.row_data)
        if isinstance(request, RopQueryRowsRequest) and then.return_value == 0:
            columns = call.columns[call.response.handles[request.input_handle_index]]
            for row, ours in zip(then.rows, now.rows, strict=False):
                self._compare_row(columns or (), row, ours)

    def _compare_row(self, tags: Any, then: Any, now: Any) -> None:
        for tag, was, value in zip(tags, then.values, now.values, strict=True):
            if has_value(was) and not has_value(value):
                self.outcome.no_values.add(PropertyTag(tag).id)


def has_value(cell: Any) -> bool:
    """Whether a cell is no error, or the one of a value that is only too large."""
    if isinstance(cell, TypedPropertyValue):
        return cell.type != PropertyType.ErrorCode
    return not isinstance(cell, PropertyError) or cell.code == ErrorCode.OutOfMemory


@pytest.fixture(scope="module")
def growing_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Every replay adds mailboxes to it."""
    built = build_world(tmp_path_factory.mktemp("recorded"))
    yield built
    built.store.close()
    built.directory.close()


def replay(world: World, name: str, kind: type[Client] = Client) -> Outcome:
    calls = recorded(name)
    return Replay(world, calls, Survey(calls), kind).outcome


@pytest.mark.parametrize("name", READING)
def test_a_client_that_reads_gets_what_it_got(growing_world: World, name: str) -> None:
    outcome = replay(growing_world, name)
    assert outcome.same > 20
    assert outcome.left_out == 0
    assert outcome.other_codes == []
    assert outcome.not_answered <= NOT_ANSWERED_READING
    assert outcome.no_values <= NO_VALUES


@pytest.mark.parametrize("name", ["folders-tcp-connect-2003", "fetchmail-tcp-connect-2003"])
def test_the_calls_of_old_clients_come_to_the_same(growing_world: World, name: str) -> None:
    """The same ROPs by EcDoRpc."""
    old, new = (replay(growing_world, name, kind) for kind in (OldClient, Client))
    assert old == new
    assert old.same > 20


@pytest.mark.parametrize("name", WRITING)
def test_a_client_that_writes_gets_what_it_got(growing_world: World, name: str) -> None:
    outcome = replay(growing_world, name)
    assert outcome.same > 10
    assert outcome.other_codes == []
    assert outcome.not_answered <= NOT_ANSWERED_WRITING
    assert outcome.no_values <= NO_VALUES


@pytest.mark.parametrize("name", NOTIFIED)
def test_a_client_that_waits_for_mail_gets_what_it_got(growing_world: World, name: str) -> None:
    """EcDoAsyncConnectEx succeeds, push notifications are refused, and the client goes on with neither."""
    outcome = replay(growing_world, name)
    assert (outcome.left_out, outcome.other_codes, outcome.not_answered) == (0, [], set())
    client = Client(growing_world)
    answers = {4: EcRRegisterPushNotificationResponse, 14: EcDoAsyncConnectExResponse}
    seen: dict[int, set[int]] = {}
    for call in json_lines(shared_path("wire") / f"calls-{name}.jsonl"):
        if call["interface"] == "emsmdb" and call["opnum"] in answers:
            method = EMSMDB.methods[call["opnum"]]
            assert method.request is not None
            request: Any = method.request.unpack(bytes.fromhex(call["request_stub_hex"]))
            request.cxh = client.cxh
            then = answers[call["opnum"]].unpack(bytes.fromhex(call["response_stub_hex"]))
            now = client.call(call["opnum"], request)
            assert now.return_value == then.return_value
            seen.setdefault(call["opnum"], set()).add(now.return_value)
    assert seen == {4: {ErrorCode.NotSupported}, 14: {ErrorCode.Success}}


def test_a_recorded_subscription_gets_what_it_got(growing_world: World) -> None:
    """The probe's RopRegisterNotification, as it came over MAPI over HTTP, on our logon."""
    found = [
        (bytes.fromhex(asked), bytes.fromhex(answered))
        for name in ("mapihttp-probe", "mapihttp-probe-compressed")
        for call in json_lines(shared_path("wire") / f"{name}.jsonl.gz")
        for asked, answered in zip(call.get("rop_request_hex") or (), call.get("rop_response_hex") or (), strict=False)
        if asked[4:6] == f"{RopId.RegisterNotification:02x}"
    ]
    assert len(found) == 2
    for asked, answered in found:
        request = RopBuffer.unpack_request(asked)
        then = RopBuffer.unpack_response(answered, request, HandleStates())
        client = Client(growing_world)
        handles = [client.logon, *request.handles[1:]]
        now = client.execute(*[rop for rop in request.rops if isinstance(rop, RopRequest)], handles=handles)
        assert now.rops == then.rops
        growing_world.mailbox.deliver_message(growing_world.folder(SpecialFolder.INBOX), letter(1))
        client.execute(handles=[])
        assert [rop.notification_data.notification_flags for rop in client.told] == [0x8004, 0x8002]

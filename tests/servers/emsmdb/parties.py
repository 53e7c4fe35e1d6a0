"""A directory and mailboxes in a real database, and a client that talks to their EMSMDB server by calls.

alice and bob have mailboxes; `relay` was granted full access to alice's; `contact` is in the directory without one.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, TypeVar, cast

from openchange_py.addressbook import migrate as directory_tables
from openchange_py.addressbook.base import Directory, Entry, Kind, Organization
from openchange_py.addressbook.source import open_directory
from openchange_py.rpc.call import Call, Session
from openchange_py.rpc.security import AuthLevel, Identity
from openchange_py.servers.emsmdb.server import EmsmdbServer
from openchange_py.store import migrate as mailbox_tables
from openchange_py.store.base import (
    AttachmentDraft,
    Mailbox,
    MessageDraft,
    Recipient,
    RecipientType,
    SpecialFolder,
    Store,
)
from openchange_py.store.source import open_store
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.oxcdata.properties import PropertyTag, TaggedPropertyValue
from openchange_py.wire.oxcdata.rows import PropertyError
from openchange_py.wire.oxcrpc import (
    EMSMDB,
    EcDoConnectExRequest,
    EcDoConnectExResponse,
    EcDoConnectRequest,
    EcDoConnectResponse,
    EcDoDisconnectRequest,
    EcDoRpcExt2Request,
    EcDoRpcExt2Response,
)
from openchange_py.wire.oxcrpc_old import MAXIMUM_OLD_BUFFER, EcDoRpcRequest, EcDoRpcResponse
from openchange_py.wire.rop.base import Rop, RopReleaseRequest, RopRequest
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import HandleStates
from openchange_py.wire.rop.oxcfold import RopGetContentsTableRequest, RopOpenFolderRequest
from openchange_py.wire.rop.oxcmsg import (
    RopCreateMessageRequest,
    RopOpenMessageRequest,
    RopSaveChangesMessageRequest,
)
from openchange_py.wire.rop.oxcnotif import RopNotifyResponse, RopPendingResponse
from openchange_py.wire.rop.oxcprpt import RopGetPropertiesSpecificRequest, RopSetPropertiesRequest
from openchange_py.wire.rop.oxcstor import RopLogonPrivateResponse, RopLogonRequest
from openchange_py.wire.rop.oxctabl import RopQueryRowsRequest, RopSetColumnsRequest
from openchange_py.wire.rpcheaderext import pack_payload, unpack_payloads
from tests.mailboxes import exchange_attributes

ORGANIZATION = Organization("Example", "Site")
NONE = 0xFFFFFFFF
#: 132 * 10^15 is in April 2019.
TIME = 132_000_000_000_000_000
#: A body that no buffer holds, with a character that takes two bytes in UTF-8.
LONG_BODY = "a long body ü " * 2000
DATA = bytes(range(256)) * 200
RECIPIENTS = 400

R = TypeVar("R", bound=Rop)


def to(name: str, address: str, kind: int = RecipientType.TO) -> Recipient:
    """A recipient outside of the address book."""
    properties = {
        p.PidTagDisplayName: name,
        p.PidTagEmailAddress: address,
        p.PidTagSmtpAddress: address,
        p.PidTagAddressType: "SMTP",
    }
    return Recipient(kind, properties)


def letter(number: int, **more: Any) -> MessageDraft:
    """The inbox's plain messages, newest last: `RE: letter 3`."""
    properties = {
        p.PidTagSubject: f"RE: letter {number}",
        p.PidTagBody: f"body of {number}",
        p.PidTagMessageClass: "IPM.Note",
        p.PidTagMessageDeliveryTime: TIME + number,
        p.PidTagSenderName: f"Sender {9 - number % 10}",
    }
    return MessageDraft(properties, [to("Bob", "bob@example.test")], **more)


@dataclasses.dataclass
class World:
    """What the server serves. Message ids are of alice's mailbox."""

    directory: Directory
    store: Store
    server: EmsmdbServer
    entries: dict[str, Entry]
    mailbox: Mailbox
    #: Three letters, the oldest first.
    letters: list[MessageId]
    #: Bodies: `LONG_BODY`, HTML; two attachments: a file of `DATA`, a message.
    rich: MessageId
    #: To `RECIPIENTS` people.
    crowd: MessageId

    def folder(self, special: SpecialFolder) -> FolderId:
        return self.mailbox.special_folders()[special]

    def dn(self, account: str) -> str:
        return self.entries[account].legacy_exchange_dn


def build_world(folder: Path) -> World:
    """Databases in the folder, and all that stands in them."""
    directory = _directory(f"sqlite:///{folder}/directory.db")
    mailboxes = f"sqlite:///{folder}/mailboxes.db"
    mailbox_tables.upgrade(mailboxes)
    store = open_store(mailboxes)
    entries = {name: _entry(directory, name) for name in ("alice", "bob", "relay", "contact")}
    for name in ("alice", "bob"):
        guid = entries[name].mailbox_guid
        assert guid is not None
        store.create_mailbox(guid, entries[name].legacy_exchange_dn, entries[name].display_name)
    guid = entries["alice"].mailbox_guid
    assert guid is not None
    mailbox = store.mailbox(guid)
    inbox = mailbox.special_folders()[SpecialFolder.INBOX]
    letters = [mailbox.save_message(inbox, letter(number)) for number in range(3)]
    sent = mailbox.special_folders()[SpecialFolder.SENT_ITEMS]
    rich = mailbox.save_message(sent, _rich())
    crowd = MessageDraft(
        {p.PidTagSubject: "to all"}, [to(f"Name {n:03}", f"n{n}@example.test") for n in range(RECIPIENTS)]
    )
    settings = MessageDraft({p.PidTagSubject: "settings", p.PidTagMessageClass: "IPM.Configuration"})
    mailbox.save_message(inbox, settings, associated=True)
    return World(
        directory,
        store,
        # Tests leave their sessions open.
        EmsmdbServer(directory, store, session_limit=1_000_000),
        entries,
        mailbox,
        letters,
        rich,
        mailbox.save_message(sent, crowd),
    )


def _directory(url: str) -> Directory:
    directory_tables.upgrade(url)
    directory = open_directory(url)
    directory.provision(ORGANIZATION, "SERVER")
    for name in ("alice", "bob", "relay"):
        attributes = exchange_attributes(ORGANIZATION, "SERVER", name, f"{name}@example.test", f"{name.title()} É.")
        directory.create(Kind.USER, name, attributes)
    without = {"displayName": ["Contact"], "legacyExchangeDN": [ORGANIZATION.recipient_dn("contact")]}
    directory.create(Kind.USER, "contact", without)
    grant(directory, "alice", "relay")
    return directory


def _entry(directory: Directory, account: str) -> Entry:
    entry = directory.by_account(account)
    assert entry is not None
    return entry


def grant(directory: Directory, mailbox: str, *accounts: str) -> None:
    """Those accounts, and no others, have full access to the mailbox."""
    owner = _entry(directory, mailbox)
    directory.change_full_access(owner, remove=directory.full_access(owner))
    directory.change_full_access(owner, [_entry(directory, account) for account in accounts])


def _rich() -> MessageDraft:
    properties = {
        p.PidTagSubject: "AW: Grüße aus 東京",
        p.PidTagBody: LONG_BODY,
        p.PidTagHtml: b"<p>html</p>",
        p.PidTagImportance: 2,
        PropertyTag(0x80001003): [1, 2, 3],
        PropertyTag(0x8001101F): ["eins", "zwölf"],
    }
    file = AttachmentDraft(
        {p.PidTagAttachLongFilename: "größe.bin", p.PidTagAttachDataBinary: DATA, p.PidTagAttachMethod: 1}
    )
    inner = MessageDraft({p.PidTagSubject: "inner é"}, [to("Carol", "carol@example.test")])
    recipients = [to("Bob", "bob@example.test"), to("Carol", "carol@example.test", RecipientType.CC)]
    return MessageDraft(
        properties, recipients, [file, AttachmentDraft({p.PidTagDisplayName: "a message"}, embedded=inner)]
    )


class Client:
    """One session of an account, which remembers what it needs to read responses."""

    def __init__(self, world: World, account: str = "alice", **connect: Any) -> None:
        self.world = world
        self.session = Session("test", "127.0.0.1:1")
        self.identity = Identity(account, "", AuthLevel.PRIVACY) if account else Identity("")
        self.states = HandleStates()
        #: RopNotify and RopPending that came in answers.
        self.told: list[Any] = []
        self.connected = self.connect(**connect)
        self.cxh = self.connected.cxh
        self._logon: int | None = None

    def call(self, opnum: int, request: Any) -> Any:
        """One call, from stub to stub."""
        call = Call(EMSMDB, opnum, request.pack(), self.session, self.identity)
        self.world.server.call(call)
        response = EMSMDB.methods[opnum].response
        assert response is not None
        return response.unpack(call.reply_bytes())

    def connect(self, dn: str | None = None, cpid: int = 1252) -> EcDoConnectExResponse:
        """EcDoConnectEx as oneself, or with another's DN."""
        name = self.world.dn(self.identity.account or "alice") if dn is None else dn
        request = EcDoConnectExRequest(name.encode(), 0, 0, 0, cpid, 0x407, 0x409, NONE, 1, (0x0F00, 0x8000, 0), 0)
        return cast("EcDoConnectExResponse", self.call(10, request))

    def old_connect(self, dn: str | None = None) -> EcDoConnectResponse:
        """EcDoConnect as oneself, or with another's DN."""
        name = self.world.dn(self.identity.account or "alice") if dn is None else dn
        request = EcDoConnectRequest(name.encode(), 0, 0, 0, 1252, 0x407, 0x409, NONE, 1, (12, 6206, 1000), 0)
        return cast("EcDoConnectResponse", self.call(0, request))

    def old_send(self, payload: bytes, room: int = MAXIMUM_OLD_BUFFER) -> EcDoRpcResponse:
        """EcDoRpc with a ROP buffer."""
        return cast("EcDoRpcResponse", self.call(2, EcDoRpcRequest.of(self.cxh, payload, room)))

    def disconnect(self) -> Any:
        return self.call(1, EcDoDisconnectRequest(self.cxh))

    def send(self, rgb_in: bytes, *, flags: int = 0, out_size: int = 0x8008) -> EcDoRpcExt2Response:
        """EcDoRpcExt2 with bytes."""
        return cast("EcDoRpcExt2Response", self.call(11, EcDoRpcExt2Request(self.cxh, flags, rgb_in, out_size)))

    def execute(
        self, *rops: RopRequest, handles: list[int], xor: bool = False, compress: bool = False, **options: int
    ) -> RopBuffer:
        """Those ROPs in one buffer, decoded."""
        request = RopBuffer(list(rops), handles)
        payload = self.answered(request.pack(), xor=xor, compress=compress, **options)
        response = RopBuffer.unpack_response(payload, request, self.states)
        assert response.tail == b""
        unsolicited = (RopNotifyResponse, RopPendingResponse)
        self.told += [rop for rop in response.rops if isinstance(rop, unsolicited)]
        response.rops = [rop for rop in response.rops if not isinstance(rop, unsolicited)]
        return response

    def answered(self, payload: bytes, *, xor: bool, compress: bool, **options: int) -> bytes:
        """The ROP buffer that answers one."""
        answer = self.send(pack_payload(payload, xor=xor, compress=compress), **options)
        assert answer.return_value == 0, hex(answer.return_value)
        (answered,) = unpack_payloads(answer.rgb_out)
        return answered

    def ask(self, request: RopRequest, handle: int, **options: int) -> Any:
        """The response to one ROP that acts on the object at index 0."""
        (response,) = self.execute(request, handles=[handle], **options).rops
        return response

    def open(self, request: RopRequest, handle: int) -> int:
        """The handle that one ROP makes (input index 0, output index 1)."""
        answer = self.execute(request, handles=[handle, NONE])
        assert getattr(answer.rops[0], "return_value") == 0, answer.rops  # noqa: B009  # every response has one
        return answer.handles[1]

    def log_on(self, account: str | None = None, *, logon_id: int = 0, **changes: Any) -> Any:
        """RopLogon's response; an empty account is an empty Essdn."""
        account = self.identity.account if account is None else account
        essdn = self.world.dn(account).encode() + b"\0" if account else b""
        fields = {"logon_flags": 1, "open_flags": 0x01000004, "store_state": 0, "essdn": essdn} | changes
        answer = self.execute(RopLogonRequest(logon_id, 0, **fields), handles=[NONE])
        self.last_handle = answer.handles[0]
        return answer.rops[0]

    @property
    def logon(self) -> int:
        """The handle of the logon to one's own mailbox, or alice's."""
        if self._logon is None:
            response = self.log_on("alice" if self.identity.account == "relay" else None)
            assert isinstance(response, RopLogonPrivateResponse), response
            self._logon = self.last_handle
        return self._logon

    def folder(self, special: SpecialFolder = SpecialFolder.INBOX) -> int:
        """An open folder."""
        return self.open(RopOpenFolderRequest(0, 0, 1, self.world.folder(special), 0), self.logon)

    def message(self, message_id: MessageId, code_page: int = 0x0FFF, mode: int = 0) -> int:
        """An open message."""
        request = RopOpenMessageRequest(0, 0, 1, code_page, FolderId(0), mode, message_id)
        return self.open(request, self.logon)

    def new_message(self, special: SpecialFolder = SpecialFolder.INBOX, *, associated: bool = False) -> int:
        """A message that is not saved."""
        request = RopCreateMessageRequest(0, 0, 1, 0x0FFF, self.world.folder(special), associated)
        return self.open(request, self.logon)

    def save(self, message: int, flags: int = 0x0A) -> Any:
        """RopSaveChangesMessage's response."""
        request = RopSaveChangesMessageRequest(0, 1, 0, flags)
        return self.execute(request, handles=[message, self.logon]).rops[0]

    def set(self, handle: int, values: dict[PropertyTag, Any]) -> Any:
        """RopSetProperties: its problems as (index, error), or the error of all of it."""
        tagged = [TaggedPropertyValue(tag, value) for tag, value in values.items()]
        response = self.ask(RopSetPropertiesRequest(0, 0, tagged), handle)
        if response.return_value:
            return response.return_value
        return [(problem.index, problem.error_code) for problem in response.property_problems]

    def get(self, handle: int, *tags: PropertyTag) -> list[Any]:
        """Values, and the error codes of those that there are not."""
        response = self.ask(RopGetPropertiesSpecificRequest(0, 0, 0, 1, list(tags)), handle)
        return [value.code if isinstance(value, PropertyError) else value for value in response.row_data.values]

    def contents(self, *columns: PropertyTag, special: SpecialFolder = SpecialFolder.INBOX, flags: int = 0) -> int:
        """A contents table with columns."""
        table = self.open(RopGetContentsTableRequest(0, 0, 1, flags), self.folder(special))
        self.columns(table, *columns)
        return table

    def columns(self, table: int, *columns: PropertyTag) -> None:
        assert self.ask(RopSetColumnsRequest(0, 0, 0, list(columns)), table).return_value == 0

    def rows(self, table: int, count: int = 50, *, forward: bool = True, flags: int = 0) -> Any:
        """RopQueryRows' response."""
        return self.ask(RopQueryRowsRequest(0, 0, flags, int(forward), count), table)

    def release(self, handle: int) -> None:
        assert self.execute(RopReleaseRequest(0, 0), handles=[handle]).handles == [NONE]

    def open_objects(self) -> int:
        """How many objects the server holds for this session."""
        return len(self.session.handles[self.cxh].objects)


class OldClient(Client):
    """One that knows EcDoConnect and EcDoRpc alone."""

    def connect(self, dn: str | None = None, cpid: int = 1252) -> Any:
        return self.old_connect(dn)

    def answered(self, payload: bytes, *, xor: bool, compress: bool, **options: int) -> bytes:
        answer = self.old_send(payload)
        assert answer.return_value == 0, hex(answer.return_value)
        return answer.payload

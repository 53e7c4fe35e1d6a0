"""A mailbox with a large inbox, and a client's session in it that spends as little as possible itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from openchange_py.addressbook.base import Directory
from openchange_py.rpc.call import Call, Session
from openchange_py.rpc.security import AuthLevel, Identity
from openchange_py.servers.emsmdb.server import EmsmdbServer
from openchange_py.store import migrate
from openchange_py.store.base import MessageDraft, Recipient, RecipientType, SpecialFolder
from openchange_py.store.source import open_store
from openchange_py.wire import proptags as p
from openchange_py.wire.ndr import NULL_HANDLE, ContextHandle
from openchange_py.wire.oxcdata.ids import FolderId
from openchange_py.wire.oxcrpc import EMSMDB, EcDoConnectExResponse, EcDoRpcExt2Request, EcDoRpcExt2Response, RpcFlags
from openchange_py.wire.rop.base import RopRequest, RopResponse
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import NO_HANDLE, HandleStates
from openchange_py.wire.rop.oxcfold import RopOpenFolderRequest
from openchange_py.wire.rop.oxcstor import LogonFlags, OpenFlags, RopLogonPrivateResponse, RopLogonRequest
from openchange_py.wire.rpcheaderext import pack_payload, unpack_payloads
from tests.bench.parts import people
from tests.bench.parts.calls import EC_DO_CONNECT_EX, EC_DO_RPC_EXT2, connect_request

#: Makes a call of EMSMDB: opnum and stub, to the answer's stub.
CallEmsmdb = Callable[[int, bytes], Awaitable[bytes]]

#: 2020-01-01, in units of 100 ns since 1601.
_EPOCH = 132_223_104_000_000_000
_MINUTE = 600_000_000
_BATCH = 500
#: The mailbox's owner's logon, and the inbox, in the handle table.
LOGON, INBOX = 0, 1


def make_mailbox(database: Path, directory: Directory, messages: int) -> None:
    """The client's mailbox in a new database, with so many messages in its inbox."""
    url = f"sqlite:///{database}"
    migrate.upgrade(url)
    owner = directory.by_account(people.USER)
    assert owner is not None
    assert owner.mailbox_guid is not None
    store = open_store(url)
    try:
        mailbox = store.create_mailbox(owner.mailbox_guid, owner.legacy_exchange_dn, owner.display_name)
        inbox = mailbox.special_folders()[SpecialFolder.INBOX]
        drafts = map(_draft, range(messages))
        while batch := list(islice(drafts, _BATCH)):
            mailbox.save_messages(inbox, batch)
    finally:
        store.close()


def _draft(number: int) -> MessageDraft:
    """One of many messages. Texts and times differ, in an order that is not that of their numbers."""
    shuffled = number * 7919 % 1_000_003
    sender = f"Sender {shuffled % 997:03}"
    properties = {
        p.PidTagMessageClass: "IPM.Note",
        p.PidTagSubjectPrefix: "Re: " if number % 3 else "",
        p.PidTagNormalizedSubject: f"Subject {shuffled} of a message as long as subjects are",
        p.PidTagSenderName: sender,
        p.PidTagSentRepresentingName: sender,
        p.PidTagSenderEmailAddress: f"sender{shuffled % 997}@example.test",
        p.PidTagMessageDeliveryTime: _EPOCH + shuffled * _MINUTE,
        p.PidTagClientSubmitTime: _EPOCH + shuffled * _MINUTE - _MINUTE,
        p.PidTagImportance: 1,
        p.PidTagMessageFlags: number % 2,
        p.PidTagInternetMessageId: f"<{number}@example.test>",
        p.PidTagConversationTopic: f"Subject {shuffled}",
        p.PidTagIconIndex: 256,
        p.PidTagInternetCodepage: 65001,
        p.PidTagTransportMessageHeaders: "Received: from a.example.test by b.example.test\r\n" * 8,
        p.PidTagBody: "A line of the message's text.\r\n" * 20,
    }
    recipient = Recipient(RecipientType.TO, {p.PidTagDisplayName: "Alice", p.PidTagSmtpAddress: "alice@example.test"})
    return MessageDraft(properties, [recipient])


class MailboxSession:
    """The client's session: logged on, with its inbox open. Handles are the first ones of its handle table."""

    def __init__(self, call: CallEmsmdb) -> None:
        self._call = call
        self._cxh = NULL_HANDLE
        self.states = HandleStates()
        self.handles = [NO_HANDLE] * 8
        self.inbox = FolderId(0)

    async def open(self) -> None:
        """EcDoConnectEx, RopLogon, RopOpenFolder."""
        reply = await self._call(EC_DO_CONNECT_EX, connect_request(people.USER_DN))
        self._cxh: ContextHandle = EcDoConnectExResponse.unpack(reply).cxh
        essdn = people.USER_DN.encode() + b"\0"
        flags = OpenFlags.HomeLogon | OpenFlags.UsePerMdbReplidMapping
        (logon,) = await self.execute([RopLogonRequest(0, LOGON, LogonFlags.Private, flags, 0, essdn)])
        assert isinstance(logon, RopLogonPrivateResponse)
        self.inbox = logon.folder_ids[SpecialFolder.INBOX]
        await self.execute([RopOpenFolderRequest(0, LOGON, INBOX, self.inbox, 0)])

    def stub(self, rops: Sequence[RopRequest]) -> bytes:
        """An EcDoRpcExt2 request, to be sent any number of times."""
        rgb_in = pack_payload(RopBuffer(list(rops), self.handles).pack())
        return EcDoRpcExt2Request(self._cxh, RpcFlags.NoCompression | RpcFlags.NoXorMagic, rgb_in, 0x8010).pack()

    async def send(self, stub: bytes) -> bytes:
        """Send it; the answer's stub."""
        return await self._call(EC_DO_RPC_EXT2, stub)

    async def execute(self, rops: Sequence[RopRequest]) -> list[RopResponse]:
        """Run ROPs, which must succeed; handles that they made are in `handles` then."""
        answered = self.decode(rops, await self.send(self.stub(rops)))
        self.handles = answered.handles
        return list(self.successes(answered))

    def decode(self, rops: Sequence[RopRequest], reply: bytes) -> RopBuffer:
        """The ROPs in an answer."""
        response = EcDoRpcExt2Response.unpack(reply)
        assert response.return_value == 0, hex(response.return_value)
        request = RopBuffer(list(rops), self.handles)
        return RopBuffer.unpack_response(unpack_payloads(response.rgb_out)[0], request, self.states)

    @staticmethod
    def successes(buffer: RopBuffer) -> Iterator[RopResponse]:
        """The responses, none of which may have failed."""
        assert not buffer.tail
        for response in buffer.rops:
            assert isinstance(response, RopResponse)
            assert response.return_value == 0, response
            yield response


def calling(server: EmsmdbServer) -> CallEmsmdb:
    """A server in this process, called as its worker thread would."""
    session, caller = Session("bench", "here"), Identity(people.USER, people.DOMAIN, AuthLevel.PRIVACY)

    async def call(opnum: int, stub: bytes) -> bytes:
        made = Call(EMSMDB, opnum, stub, session, caller)
        server.call(made)
        return made.reply_bytes()

    return call

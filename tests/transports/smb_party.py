"""An SMB 2/3 server in this process, made of the client's own codecs, whose only pipe leads to a TCP port.

That the codecs are right, Samba's smbd says (`tests/interop/test_smb_client.py`); this one can be made to lie.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import uuid
from collections.abc import AsyncIterator, Callable

from openchange_py.auth.spnego import SpnegoAcceptor
from openchange_py.rpc.security import SecurityError
from openchange_py.transports.smb_protection import PreauthHash, Protection
from openchange_py.wire import smb2
from openchange_py.wire.buffer import Reader
from openchange_py.wire.smb2 import Cipher, Command, Dialect, Flag, Header, Status
from tests.auth.ntlm_parties import acceptor

SESSION, TREE, FILE = 0x0123_4567_89AB, 7, b"a file's id, 16B"
GUID = uuid.UUID("7b5a3c11-3f0e-4a52-9f0e-0d1f8a1c2b3d")


@dataclasses.dataclass
class Manners:
    """How the server is. `change` may change any body before it is protected."""

    dialect: int = Dialect.SMB_3_1_1
    cipher: int | None = Cipher.AES_128_GCM
    encrypts: bool = False
    session_flags: int = 0
    share_flags: int = 0
    pipe_status: int = Status.SUCCESS
    #: Credits granted with each response.
    credits: int = 1
    change: Callable[[Header, bytes], bytes] = lambda header, body: body
    #: What becomes of a response behind that, as if somebody on the way had changed it.
    on_the_way: Callable[[Header, bytes], bytes] = lambda header, message: message
    signs: bool = True


class _Connection:
    def __init__(self, manners: Manners, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.manners, self.port, self.reader, self.writer = manners, port, reader, writer
        self.hash = PreauthHash()
        self.protection: Protection | None = None
        self.context = SpnegoAcceptor([acceptor()])
        self.sealing = False
        self.reads: asyncio.Queue[int] = asyncio.Queue()
        self.tasks: list[asyncio.Task[None]] = []
        self.upstream: asyncio.StreamWriter | None = None

    async def serve(self) -> None:
        try:
            while True:
                length = int.from_bytes(await self.reader.readexactly(4), "big")
                await self.take(await self.reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for task in self.tasks:
                task.cancel()
            self.writer.close()
            if self.upstream is not None:
                self.upstream.close()

    async def take(self, message: bytes) -> None:
        if message.startswith(smb2.SEALED):
            assert self.protection is not None
            message, self.sealing = self.protection.unsealed(message), True
        elif self.protection is not None:
            self.protection.verify(message)
        header = Header.of_message(message)
        if header.command in (Command.NEGOTIATE, Command.SESSION_SETUP):
            self.hash.add(message)
        await {
            Command.NEGOTIATE: self.negotiate,
            Command.SESSION_SETUP: self.session_setup,
            Command.TREE_CONNECT: self.tree_connect,
            Command.IOCTL: self.ioctl,
            Command.CREATE: self.create,
            Command.READ: self.read,
            Command.WRITE: self.write,
        }[Command(header.command)](header, message)

    async def negotiate(self, header: Header, message: bytes) -> None:
        manners, contexts = self.manners, b""
        newest = manners.dialect == Dialect.SMB_3_1_1
        if newest:
            found = [(smb2.ContextType.PREAUTH_INTEGRITY, smb2.integrity(bytes(32)))]
            if manners.cipher is not None:
                found.append((smb2.ContextType.ENCRYPTION, smb2.encryption([manners.cipher])))
            contexts = smb2.pack_contexts(found)
        offset = smb2.behind(64)
        count = contexts and (1 + (manners.cipher is not None))
        capabilities = smb2.CAP_ENCRYPTION if manners.cipher is not None and not newest else 0
        sizes = (0x10000, 0x10000, 0x10000, 0, 0)
        fixed = smb2.NegotiateResponse(
            65, 1, manners.dialect, count or 0, GUID, capabilities, *sizes, offset, 0, offset
        )
        self.answer(header, fixed.pack() + contexts)

    async def session_setup(self, header: Header, message: bytes) -> None:
        request = smb2.SessionSetupRequest.read(Reader(message, smb2.HEADER_SIZE))
        token = smb2.buffer_of(message, request.token_offset, request.token_length)
        try:
            answer = self.context.step(token)
        except SecurityError:
            self.answer(header, b"\x09\0" + bytes(7), Status.LOGON_FAILURE)
            return
        flags = self.manners.session_flags | (smb2.ENCRYPT_DATA if self.manners.encrypts else 0)
        fixed = smb2.SessionSetupResponse(9, flags if self.context.complete else 0, smb2.behind(8), len(answer))
        if not self.context.complete:
            self.answer(header, smb2.body_of(fixed, answer), Status.MORE_PROCESSING_REQUIRED)
            return
        manners = self.manners
        self.protection = Protection(
            manners.dialect, self.context.session_key, self.hash.value, manners.cipher, client=False
        )
        self.answer(header, smb2.body_of(fixed, answer))

    async def tree_connect(self, header: Header, message: bytes) -> None:
        self.answer(header, smb2.TreeConnectResponse(16, 2, 0, self.manners.share_flags, 0, 0x1FF).pack())

    async def ioctl(self, header: Header, message: bytes) -> None:
        capabilities = smb2.CAP_ENCRYPTION if self.manners.cipher is not None else 0
        said = smb2.Negotiated(capabilities, GUID, 1, self.manners.dialect).pack()
        code = smb2.FSCTL_VALIDATE_NEGOTIATE_INFO
        fixed = smb2.IoctlResponse(49, 0, code, smb2.NO_FILE, smb2.behind(48), 0, smb2.behind(48), len(said), 0, 0)
        self.answer(header, fixed.pack() + said)

    async def create(self, header: Header, message: bytes) -> None:
        if self.manners.pipe_status == Status.PENDING:  # for ever
            self.answer(header, b"\x09\0" + bytes(7), Status.PENDING, Flag.ASYNC)
            return
        if self.manners.pipe_status:
            self.answer(header, b"\x09\0" + bytes(7), self.manners.pipe_status)
            return
        reader, self.upstream = await asyncio.open_connection("127.0.0.1", self.port)
        self.tasks.append(asyncio.ensure_future(self.pump(reader)))
        self.answer(header, smb2.CreateResponse(89, 0, 0, 1, bytes(48), 0x80, 0, FILE, 0, 0).pack())

    async def read(self, header: Header, message: bytes) -> None:
        self.answer(header, b"\x09\0" + bytes(7), Status.PENDING, Flag.ASYNC)
        self.reads.put_nowait(header.message_id)

    async def pump(self, reader: asyncio.StreamReader) -> None:
        """Each piece that comes answers a read."""
        while True:
            message_id = await self.reads.get()
            data = await reader.read(4000)
            header = Header.of(Command.READ, message_id, SESSION, TREE)
            if not data:
                self.answer(header, b"\x09\0" + bytes(7), Status.PIPE_DISCONNECTED)
                return
            fixed = smb2.ReadResponse(17, smb2.behind(16), 0, len(data), 0, 0)
            self.answer(header, fixed.pack() + data, credits=0)

    async def write(self, header: Header, message: bytes) -> None:
        request = smb2.WriteRequest.read(Reader(message, smb2.HEADER_SIZE))
        assert request.file_id == FILE
        assert self.upstream is not None
        if self.upstream.is_closing():
            self.answer(header, b"\x09\0" + bytes(7), Status.PIPE_DISCONNECTED)
            return
        self.upstream.write(smb2.buffer_of(message, request.data_offset, request.length))
        self.answer(header, smb2.WriteResponse(17, 0, request.length, 0, 0, 0).pack())

    def answer(
        self,
        header: Header,
        body: bytes,
        status: int = Status.SUCCESS,
        flags: int = 0,
        credits: int | None = None,
    ) -> None:
        """A response, protected as the session is by now."""
        manners = self.manners
        pending = status == Status.PENDING
        signed = self.protection is not None and manners.signs and not pending and not self.sealing
        response = Header.of(
            header.command,
            header.message_id,
            SESSION,
            TREE,
            status=status,
            credits=manners.credits if credits is None else credits,
            flags=flags | Flag.RESPONSE | (Flag.SIGNED if signed else 0),
        )
        message = response.pack() + manners.change(response, body)
        if header.command == Command.NEGOTIATE or status == Status.MORE_PROCESSING_REQUIRED:
            self.hash.add(message)
        if self.protection is not None:
            if self.sealing:
                message = self.protection.sealed(message, SESSION)
            elif signed:
                message = self.protection.signed(message)
        message = manners.on_the_way(response, message)
        self.writer.write(len(message).to_bytes(4, "big") + message)


@contextlib.asynccontextmanager
async def smb_server(port: int, manners: Manners | None = None) -> AsyncIterator[int]:
    """Its port; the pipe leads to `port` of this machine."""
    served: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served.append(task)
        with contextlib.suppress(asyncio.CancelledError):
            await _Connection(manners or Manners(), port, reader, writer).serve()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in served:
            task.cancel()
        await asyncio.gather(*served, return_exceptions=True)

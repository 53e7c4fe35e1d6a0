"""A client of SMB 2 and 3 on the event loop, as far as to open a named pipe: [MS-SMB2] 3.2.

    smb = SmbConnection(r"\\\\exch1.example.test")
    await loop.create_connection(lambda: smb, "exch1.example.test", SMB_PORT)
    await smb.log_on(context, encrypt=False)     # Negotiate, around NTLM or Kerberos
    file_id = await smb.open_pipe("protected_storage")
    smb.request(Command.READ, ReadRequest.of(file_id, 65536), answered)

From the logon on everything is signed, and encrypted where either side wants it. What the server negotiated is checked:
by the hash in SMB 3.1.1, by FSCTL_VALIDATE_NEGOTIATE_INFO before it. A guest is a failed logon.
Not done: SMB 1, several sessions or channels in a connection, a second logon when the first one's time is over.
"""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import logging
import os
import uuid
from collections.abc import Callable
from typing import Final, cast

from openchange_py.rpc.security import KeyedContext, SecurityError
from openchange_py.transports.smb_protection import PreauthHash, Protection
from openchange_py.transports.steps import stepped
from openchange_py.transports.tcp_client import AuthenticationFailed, BindError, ConnectionLost
from openchange_py.wire import smb2
from openchange_py.wire.buffer import DecodeError, Reader
from openchange_py.wire.smb2 import Cipher, Command, Dialect, Flag, Header, Status, buffer_of, status_name

_log: Final = logging.getLogger(__name__)

SMB_PORT: Final = 445
#: No answer to what is asked here is longer: what READ asks for, and headers.
LONGEST_READ: Final = 0x10000
_LONGEST: Final = LONGEST_READ + 0x1000
_CIPHERS: Final = (Cipher.AES_128_GCM, Cipher.AES_128_CCM, Cipher.AES_256_GCM, Cipher.AES_256_CCM)
_DIALECTS: Final = tuple(Dialect)
#: What is asked for with each request; [MS-SMB2] 3.2.4.1.2.
_CREDITS: Final = 32
#: The message id of what nobody asked for.
_UNASKED: Final = 0xFFFF_FFFF_FFFF_FFFF
#: Logons that another server, or another moment, would refuse as well: another try would count as a wrong one.
_REFUSALS: Final = frozenset(
    {
        Status.ACCESS_DENIED,
        Status.WRONG_PASSWORD,
        Status.LOGON_FAILURE,
        Status.ACCOUNT_RESTRICTION,
        Status.INVALID_LOGON_HOURS,
        Status.INVALID_WORKSTATION,
        Status.PASSWORD_EXPIRED,
        Status.ACCOUNT_DISABLED,
        Status.LOGON_TYPE_NOT_GRANTED,
        Status.ACCOUNT_EXPIRED,
        Status.PASSWORD_MUST_CHANGE,
        Status.ACCOUNT_LOCKED_OUT,
    }
)


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """A response: its header, and all of it."""

    header: Header
    message: bytes

    @property
    def status(self) -> int:
        """Its NTSTATUS."""
        return self.header.status

    def reader(self) -> Reader:
        """Of its body."""
        return Reader(self.message, smb2.HEADER_SIZE)

    def buffer(self, offset: int, length: int) -> bytes:
        """See `smb2.buffer_of`."""
        return buffer_of(self.message, offset, length)


#: Is told the answer to a request, or why there will be none.
Answered = Callable[[Answer | ConnectionLost], None]


class SmbConnection(asyncio.Protocol):
    r"""One connection with one session and one share, IPC$. `server` is its name as a path has it: `\\exch1`."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self._lost: ConnectionLost | None = None
        self._buffer = bytearray()
        self._client_guid = uuid.uuid4()
        self._dialect = 0
        self._negotiated: smb2.Negotiated | None = None
        self._cipher: int | None = None
        #: Of the messages before there are keys.
        self._hash: PreauthHash | None = PreauthHash()
        self._protection: Protection | None = None
        self._encrypts = False
        self._session_id = self._tree_id = 0
        self._next_id, self._credits = 0, 1
        self._answered: dict[int, Answered] = {}
        self._waiting: collections.deque[tuple[Command, bytes, Answered]] = collections.deque()

    # From the connection to the pipe

    async def log_on(self, context: KeyedContext, *, encrypt: bool = False) -> None:
        """Negotiate, log on and connect to IPC$. `context` is an initiator of Negotiate.

        Raises `ConnectionLost`, of which `BindError` and `AuthenticationFailed`; `DecodeError`, `SecurityError`.
        """
        await self.negotiate()
        answer = await self._set_up_session(context)
        flags = smb2.SessionSetupResponse.read(answer.reader()).session_flags
        if flags & (smb2.IS_GUEST | smb2.IS_NULL):
            raise AuthenticationFailed(f"{self._server} takes the account for a guest")
        assert self._hash is not None
        self._protection = Protection(self._dialect, context.session_key, self._hash.value, self._cipher)
        self._hash = None
        # 3.2.5.3: the answer was there before its key was.
        self._verify(answer)
        if encrypt or flags & smb2.ENCRYPT_DATA:
            self._encrypt()
        await self._connect_share()
        if self._dialect < Dialect.SMB_3_1_1:
            await self._validate()

    async def negotiate(self) -> None:
        """The first half of `log_on`. Raises `ConnectionLost`, `DecodeError`."""
        request = smb2.NegotiateRequest.of(self._client_guid, _DIALECTS, os.urandom(32), _CIPHERS)
        answer = self._succeeded(await self._exchange(Command.NEGOTIATE, request.pack()), "negotiation")
        response = smb2.NegotiateResponse.read(answer.reader())
        if response.dialect not in _DIALECTS:
            raise BindError(f"{self._server} speaks SMB 0x{response.dialect:04x} alone")
        self._dialect = response.dialect
        self._negotiated = smb2.Negotiated(
            response.capabilities, response.server_guid, response.security_mode, response.dialect
        )
        if self._dialect == Dialect.SMB_3_1_1:
            self._cipher = response.cipher(answer.message)
            if self._cipher not in (None, *_CIPHERS):
                raise DecodeError(f"cipher {self._cipher}, which was not offered")
        elif self._dialect >= Dialect.SMB_3_0 and response.capabilities & smb2.CAP_ENCRYPTION:
            self._cipher = Cipher.AES_128_CCM

    async def _set_up_session(self, context: KeyedContext) -> Answer:
        """The last answer, which is yet to be verified."""
        try:
            token = await stepped(context, b"")
            while True:
                answer = await self._exchange(Command.SESSION_SETUP, smb2.SessionSetupRequest.of(token))
                self._check_logon(answer.status)
                self._session_id = answer.header.session_id
                response = smb2.SessionSetupResponse.read(answer.reader())
                received = answer.buffer(response.token_offset, response.token_length)
                token = await stepped(context, received) if received or not context.complete else b""
                if answer.status == Status.SUCCESS:
                    break
            if not context.complete:
                raise SecurityError("the server ends the logon before it proved who it is")
        except SecurityError as error:
            raise AuthenticationFailed(f"{self._server}: {error}") from error
        return answer

    def _check_logon(self, status: int) -> None:
        if status in (Status.SUCCESS, Status.MORE_PROCESSING_REQUIRED):
            return
        kind = AuthenticationFailed if status in _REFUSALS else ConnectionLost
        raise kind(f"{self._server}: SMB refused the logon: {status_name(status)}")

    async def _connect_share(self) -> None:
        request = smb2.TreeConnectRequest.of(rf"{self._server}\IPC$")
        answer = self._succeeded(await self._exchange(Command.TREE_CONNECT, request), "IPC$")
        self._tree_id = answer.header.tree_id
        if smb2.TreeConnectResponse.read(answer.reader()).share_flags & smb2.SHARE_ENCRYPT_DATA:
            self._encrypt()

    async def _validate(self) -> None:
        """3.2.5.14.12; a server that does not know it says so, and signs that."""
        data = smb2.validation(self._client_guid, _DIALECTS)
        request = smb2.IoctlRequest.of(smb2.FSCTL_VALIDATE_NEGOTIATE_INFO, data, 24)
        answer = await self._exchange(Command.IOCTL, request)
        if answer.status == Status.ACCESS_DENIED:
            raise BindError(f"{self._server} negotiated something else than what arrived here")
        if answer.status == Status.SUCCESS:
            response = smb2.IoctlResponse.read(answer.reader())
            said = smb2.Negotiated.unpack(answer.buffer(response.output_offset, response.output_length))
            if said != self._negotiated:
                raise BindError(f"{self._server}: what it negotiated was changed on the way")

    async def open_pipe(self, pipe: str) -> bytes:
        """The pipe's FileId. Raises `ConnectionLost`, of which `AuthenticationFailed` where the account may not."""
        answer = self._succeeded(
            await self._exchange(Command.CREATE, smb2.CreateRequest.of_pipe(pipe)), rf"\pipe\{pipe}"
        )
        return smb2.CreateResponse.read(answer.reader()).file_id

    def _succeeded(self, answer: Answer, what: str) -> Answer:
        if answer.status == Status.SUCCESS:
            return answer
        kind = AuthenticationFailed if answer.status == Status.ACCESS_DENIED else ConnectionLost
        raise kind(f"{self._server}: {what}: {status_name(answer.status)}")

    def _encrypt(self) -> None:
        if self._protection is None or not self._protection.can_seal:
            version = Dialect(self._dialect).name
            raise BindError(f"{self._server} does not encrypt, it speaks {version}, and encryption is wanted")
        self._encrypts = True

    async def _exchange(self, command: Command, body: bytes) -> Answer:
        """One request and its answer. Raises `ConnectionLost`, for what can't be understood too."""
        future: asyncio.Future[Answer] = self._loop.create_future()

        def settle(answer: Answer | ConnectionLost) -> None:
            if not future.done():
                future.set_result(answer) if isinstance(answer, Answer) else future.set_exception(answer)

        self.request(command, body, settle)
        return await future

    # Requests and their answers

    def request(self, command: Command, body: bytes, answered: Answered) -> None:
        """Send it, as soon as the server grants a credit for it."""
        if self._lost is not None:
            answered(self._lost)
            return
        self._waiting.append((command, body, answered))
        self._send()

    def _send(self) -> None:
        while self._waiting and self._credits > 0:
            command, body, answered = self._waiting.popleft()
            charge = int(self._dialect > Dialect.SMB_2_0_2)
            self._credits -= 1
            self._answered[self._next_id] = answered
            header = Header.of(
                command,
                self._next_id,
                self._session_id,
                self._tree_id,
                credit_charge=charge,
                credits=_CREDITS,
                flags=Flag.SIGNED if self._protection is not None and not self._encrypts else 0,
            )
            self._next_id += 1
            self._write(header.pack() + body)

    def _write(self, message: bytes) -> None:
        if self._hash is not None:
            self._hash.add(message)
        if self._protection is not None:
            seal = self._encrypts
            message = self._protection.sealed(message, self._session_id) if seal else self._protection.signed(message)
        assert self.transport is not None
        self.transport.write(len(message).to_bytes(4, "big") + message)

    def _take(self, data: bytes) -> None:
        """What came in one TCP message: 3.2.5.1."""
        sealed = data.startswith(smb2.SEALED)
        if sealed:
            if self._protection is None:
                raise SecurityError("an encrypted message before the logon")
            data = self._protection.unsealed(data)
        pos = 0
        while True:
            header = Header.of_message(data[pos:])
            end = pos + header.next_command if header.next_command else len(data)
            if not pos + smb2.HEADER_SIZE <= end <= len(data):
                raise DecodeError(f"the next message at {header.next_command}", pos)
            self._take_one(Answer(header, data[pos:end]), sealed)
            if not header.next_command:
                return
            pos = end

    def _take_one(self, answer: Answer, sealed: bool) -> None:
        header = answer.header
        if header.message_id == _UNASKED:
            return
        if header.message_id not in self._answered:
            raise DecodeError(f"an answer to request {header.message_id}, which waits for none")
        # Interim answers alone need no signature, 3.2.5.1.3.
        interim = header.status == Status.PENDING and bool(header.flags & Flag.ASYNC)
        if self._encrypts and not sealed:
            raise SecurityError(f"an answer that is not encrypted: {status_name(header.status)}")
        if self._protection is not None and not sealed and not interim:
            self._verify(answer)
        self._credits += header.credits
        if not interim:
            self._hash_if_due(answer)
            self._answered.pop(header.message_id)(answer)
        self._send()

    def _hash_if_due(self, answer: Answer) -> None:
        """3.2.5.2, 3.2.5.3.1: the answer that ends the logon is signed with what the hash gives, and not part of it."""
        ends = answer.header.command == Command.SESSION_SETUP and answer.status == Status.SUCCESS
        if self._hash is not None and not ends:
            self._hash.add(answer.message)

    def _verify(self, answer: Answer) -> None:
        if not answer.header.flags & Flag.SIGNED:
            raise SecurityError(f"an answer without signature: {status_name(answer.status)}")
        assert self._protection is not None
        self._protection.verify(answer.message)

    # The socket's events

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports follow asyncio.Transport without being one.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            while len(self._buffer) >= 4:
                length = int.from_bytes(self._buffer[:4], "big")
                if length > _LONGEST:
                    raise DecodeError(f"a message of {length} bytes")
                if len(self._buffer) < 4 + length:
                    return
                message = bytes(self._buffer[4 : 4 + length])
                del self._buffer[: 4 + length]
                self._take(message)
        except (DecodeError, SecurityError) as error:
            self.abort(f"{self._server}: SMB: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(ConnectionLost(f"{self._server}: connection lost{f': {exc}' if exc else ''}"))

    def abort(self, reason: str) -> None:
        """Give the connection up at once; what waits for an answer is told."""
        if self.transport is not None:
            self.transport.abort()
        self._fail(ConnectionLost(reason))

    def close(self) -> None:
        """Close it, and with it what is open at the server."""
        if self.transport is not None:
            self.transport.close()

    def _fail(self, error: ConnectionLost) -> None:
        if self._lost is not None:
            return
        self._lost = error
        answered = [*self._answered.values(), *(waiting for _, _, waiting in self._waiting)]
        self._answered.clear()
        self._waiting.clear()
        for told in answered:
            told(error)

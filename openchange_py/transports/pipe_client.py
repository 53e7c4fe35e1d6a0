"""The client of ncacn_np: a named pipe of a server, over SMB 2 and 3. [MS-RPCE] 2.1.1.2.

    place = PipePlace("exch1.example.test", "lsass")
    client = await connect(place, SpnegoInitiator(mechanism), EMSMDB, context=context, level=AuthLevel.PRIVACY)

What comes of it is an `RpcClient` like one over TCP. Each pipe has an SMB connection and a logon of its own, so that
pipes of several accounts have nothing in common, and one that waits holds no other up.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from typing import Any, Final

from openchange_py.rpc.security import KeyedContext, SecurityError
from openchange_py.transports.epmapper import EPMAPPER_PIPE, ask_mapper
from openchange_py.transports.smb_client import LONGEST_READ, SMB_PORT, Answer, SmbConnection
from openchange_py.transports.tcp_client import ConnectionLost, RpcClient
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.epm import EPMAPPER, Tower
from openchange_py.wire.named_pipe_auth import messages_of
from openchange_py.wire.ndr import RpcInterface, SyntaxId
from openchange_py.wire.smb2 import Command, ReadRequest, ReadResponse, Status, WriteRequest, status_name

#: The pipe that Exchange has its interfaces on.
PIPE: Final = "protected_storage"
#: Bytes that may wait to be written before `RpcClient` is told to wait.
_HIGH: Final = 64 << 10
#: Of the length in front of each of `messages_of`'s messages, which SMB has in its header.
_MESSAGE_LENGTH: Final = 2


@dataclasses.dataclass(frozen=True, slots=True)
class PipePlace:
    """A pipe of a server, which is called `name` where `host` is an address. `encrypt`: nothing goes unencrypted."""

    host: str
    pipe: str = PIPE
    port: int = SMB_PORT
    name: str = ""
    encrypt: bool = False
    local_address: str | None = None

    def __str__(self) -> str:
        return rf"\\{self.host}\pipe\{self.pipe}"


async def connect(
    place: PipePlace, logon: KeyedContext, interface: RpcInterface | SyntaxId, **options: Any
) -> RpcClient:
    """An `RpcClient` over the pipe. `logon` is an initiator of Negotiate; `options` and errors are `RpcClient.over`'s.

    Raises `AuthenticationFailed` also where SMB refuses the logon.
    """

    async def reach(client: asyncio.Protocol) -> None:
        smb = await _reach(place)
        try:
            await smb.log_on(logon, encrypt=place.encrypt)
            file_id = await smb.open_pipe(place.pipe)
        except (DecodeError, SecurityError) as error:
            smb.abort("not what it must be")
            raise ConnectionLost(f"{place}: {error}") from error
        except BaseException:
            smb.abort("not opened")
            raise
        PipeTransport(smb, file_id, client).start()

    client = await RpcClient.over(reach, str(place), interface, **options)
    client.server_names = (*getattr(logon, "server_names", ()), *client.server_names)
    return client


async def find_pipe(
    place: PipePlace, logon: KeyedContext, interface: RpcInterface, *, connect_timeout: float = 30.0
) -> str:
    """The interface's pipe, asked of the endpoint mapper behind the pipe of that name.

    Raises `NotRegistered`, or `ConnectionLost` where it can't be asked.
    """
    mapper = dataclasses.replace(place, pipe=EPMAPPER_PIPE)
    client = await connect(mapper, logon, EPMAPPER, connect_timeout=connect_timeout, call_timeout=connect_timeout)
    return await ask_mapper(client, Tower.named_pipe(interface.syntax, ""), lambda tower: tower.pipe)


async def answers(place: PipePlace, seconds: float) -> None:
    """Raises `ConnectionLost` where nobody speaks SMB within so long."""
    smb = None
    try:
        async with asyncio.timeout(seconds):
            smb = await _reach(place)
            await smb.negotiate()
    except TimeoutError:
        raise ConnectionLost(f"{place.host}:{place.port}: no answer within {seconds:g} s") from None
    except (DecodeError, SecurityError) as error:
        raise ConnectionLost(f"{place.host}:{place.port}: {error}") from error
    finally:
        if smb is not None:
            smb.abort("it was only asked whether it lives")


async def _reach(place: PipePlace) -> SmbConnection:
    """Connected; nothing was said yet."""
    smb = SmbConnection(rf"\\{place.name or place.host}")
    source = None if place.local_address is None else (place.local_address, 0)
    try:
        await asyncio.get_running_loop().create_connection(lambda: smb, place.host, place.port, local_addr=source)
    except OSError as error:
        raise ConnectionLost(f"{place.host}:{place.port}: {error}") from error
    return smb


class PipeTransport(asyncio.Transport):
    """An open pipe as the transport of `protocol`: a read is always under way, and writes are acknowledged."""

    def __init__(self, smb: SmbConnection, file_id: bytes, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._smb = smb
        self._file_id = file_id
        self._protocol = protocol
        self._queued = 0
        self._closing = self._lost = self._blocked = False

    def start(self) -> None:
        """Tell the protocol, and begin to read."""
        self._protocol.connection_made(self)
        self._read()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """See `asyncio.BaseTransport`: that of the connection."""
        transport = self._smb.transport
        return default if transport is None else transport.get_extra_info(name, default)

    def _read(self) -> None:
        self._smb.request(Command.READ, ReadRequest.of(self._file_id, LONGEST_READ), self._was_read)

    def _was_read(self, answer: Answer | ConnectionLost) -> None:
        if isinstance(answer, ConnectionLost):
            self._end(answer)
        elif answer.status not in (Status.SUCCESS, Status.BUFFER_OVERFLOW):
            self._end(ConnectionLost(f"the pipe ends: {status_name(answer.status)}"))
        elif not self._lost:
            self._take(answer)

    def _take(self, answer: Answer) -> None:
        try:
            response = ReadResponse.read(answer.reader())
            data = answer.buffer(response.data_offset, response.data_length)
        except DecodeError as error:
            self._end(ConnectionLost(f"the pipe: {error}"))
            return
        self._read()
        self._protocol.data_received(data)

    def _was_written(self, count: int, answer: Answer | ConnectionLost) -> None:
        if isinstance(answer, ConnectionLost):
            self._end(answer)
            return
        if answer.status != Status.SUCCESS:
            self._end(ConnectionLost(f"the pipe takes nothing: {status_name(answer.status)}"))
            return
        self._queued -= count
        if self._blocked and self._queued <= _HIGH:
            self._blocked = False
            self._protocol.resume_writing()
        if self._closing and not self._queued:
            self._smb.close()

    def _end(self, error: ConnectionLost) -> None:
        if self._lost:
            return
        self._lost = True
        expected, self._closing = self._closing, True
        self._smb.close()
        self._protocol.connection_lost(None if expected else error)

    def write(self, data: Any) -> None:
        """Whole PDUs, one or several."""
        if self._closing:
            return
        for message in messages_of(bytes(data)):
            pdu = message[_MESSAGE_LENGTH:]
            self._queued += len(pdu)
            written = functools.partial(self._was_written, len(pdu))
            self._smb.request(Command.WRITE, WriteRequest.of(self._file_id, pdu), written)
        if self._queued > _HIGH and not self._blocked and not self._lost:
            self._blocked = True
            self._protocol.pause_writing()

    def is_closing(self) -> bool:
        """See `asyncio.BaseTransport`."""
        return self._closing

    def close(self) -> None:
        """Close behind what waits to be sent."""
        if not self._closing:
            self._closing = True
            if not self._queued:
                self._smb.close()

    def abort(self) -> None:
        """Close at once."""
        self._closing = True
        self._smb.abort("aborted")

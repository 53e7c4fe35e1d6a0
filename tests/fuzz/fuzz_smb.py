"""Targets of the SMB client: a server that sends anything, from the first message on to an open pipe."""

from __future__ import annotations

import asyncio
import contextlib
import uuid

from openchange_py.rpc.security import AuthType, Identity, SecurityError
from openchange_py.transports.pipe_client import PipeTransport
from openchange_py.transports.smb_client import Answer, SmbConnection
from openchange_py.transports.tcp_client import ConnectionLost
from openchange_py.wire import smb2
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.smb2 import Command, Dialect, Flag, Header, Status
from tests.fuzz.fuzz_transports import _TURNS, _loop, _Socket
from tests.fuzz.target import target

_FILE = bytes(range(16))
_GUID = uuid.UUID(int=1)


class _Context:
    """A logon that any two tokens complete."""

    auth_type = AuthType.SPNEGO
    always_signs_headers = False
    identity: Identity | None = None
    session_key = bytes(32)

    def __init__(self) -> None:
        self.complete = False
        self._steps = 0

    async def exchange(self, token: bytes) -> bytes:
        """In place of a step in a thread, for which a fuzzer has no time."""
        self._steps += 1
        if self._steps > 3:
            raise SecurityError("enough")
        self.complete = self._steps > 1
        return b"token"

    step = signature_size = sign = verify = seal = unseal = None


class _Trusting(SmbConnection):
    """Takes every signature for a good one, or nothing would come behind the logon."""

    def _verify(self, answer: Answer) -> None:
        return


class _Sink(asyncio.Protocol):
    def __init__(self) -> None:
        self.made = self.lost = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.made += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost += 1


async def _client(smb: SmbConnection, sink: _Sink) -> None:
    with contextlib.suppress(ConnectionLost, DecodeError, SecurityError):
        await smb.log_on(_Context())  # type: ignore[arg-type]  # it is never asked to sign
        pipe = PipeTransport(smb, await smb.open_pipe("lsass"), sink)
        pipe.start()
        pipe.write(b"\x05\0\x0b\x03\x10\0\0\0\x10\0\0\0\0\0\0\0" * 3)


async def _fed(data: bytes) -> None:
    smb, sink, socket = _Trusting(r"\\server"), _Sink(), _Socket()
    smb.connection_made(socket)
    client = asyncio.ensure_future(_client(smb, sink))
    await _turns()
    pos = 0
    while pos < len(data) and not socket.closed:
        end = pos + 4 + int.from_bytes(data[pos : pos + 4], "big")
        smb.data_received(data[pos:end])
        pos = end
        await _turns()
    smb.connection_lost(None)
    await client
    assert sink.made == sink.lost, "who has a pipe hears of its end, once"
    assert not smb._answered, "somebody waits for ever"
    assert not smb._waiting, "somebody waits for ever"


async def _turns() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def _framed(number: int, command: Command, body: bytes, status: int = Status.SUCCESS, flags: int = 0) -> bytes:
    header = Header.of(command, number, 7, 1, status=status, credits=8, flags=flags | Flag.RESPONSE | Flag.SIGNED)
    message = header.pack() + body
    return len(message).to_bytes(4, "big") + message


def _seeds() -> list[bytes]:
    found = []
    for dialect in Dialect:
        contexts = smb2.pack_contexts([(1, smb2.integrity(bytes(32))), (2, smb2.encryption([2]))])
        count = 2 if dialect == Dialect.SMB_3_1_1 else 0
        sizes = (0x10000, 0x10000, 0x10000, 0, 0)
        offset = smb2.behind(64)
        negotiate = smb2.NegotiateResponse(65, 1, dialect, count, _GUID, 0x40, *sizes, offset, 0, offset)
        setup = smb2.body_of(smb2.SessionSetupResponse(9, 0, smb2.behind(8), 2), b"ok")
        said = smb2.Negotiated(0x40, _GUID, 1, dialect).pack()
        code, place = smb2.FSCTL_VALIDATE_NEGOTIATE_INFO, smb2.behind(48)
        control = smb2.IoctlResponse(49, 0, code, smb2.NO_FILE, place, 0, place, len(said), 0, 0).pack() + said
        answers = [
            (Command.NEGOTIATE, negotiate.pack() + (contexts if count else b"")),
            (Command.SESSION_SETUP, setup),
            (Command.TREE_CONNECT, smb2.TreeConnectResponse(16, 2, 0, 0, 0, 0).pack()),
            *([(Command.IOCTL, control)] if dialect < Dialect.SMB_3_1_1 else []),
            (Command.CREATE, smb2.CreateResponse(89, 0, 0, 1, bytes(48), 0x80, 0, _FILE, 0, 0).pack()),
            (Command.READ, smb2.ReadResponse(17, smb2.behind(16), 0, 4, 0, 0).pack() + b"data"),
            (Command.WRITE, smb2.WriteResponse(17, 0, 16, 0, 0, 0).pack()),
        ]
        whole = b"".join(_framed(number, command, body) for number, (command, body) in enumerate(answers))
        pending = _framed(len(answers), Command.READ, b"\x09\0" + bytes(7), Status.PENDING, Flag.ASYNC)
        found += [whole, whole + pending]
    return found


@target("smb-client", _seeds, longest=4096)
def fuzz_smb_client(data: bytes) -> None:
    """What a server says to the SMB client: it logs on, or gives up, and nobody is left waiting."""
    _loop().run_until_complete(_fed(data))

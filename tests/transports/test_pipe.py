"""Named pipes, with this test in smbd's place."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from openchange_py.rpc.association import AssociationGroups
from openchange_py.transports.pipe import PipeServer, PipeTaken
from openchange_py.transports.tcp import TcpLimits
from openchange_py.wire.named_pipe_auth import NCACN_NP, NamedPipeAuthRequest, pack_reply
from openchange_py.wire.pdu import Bind, BindAck, Response, decode_pdu
from tests.auth.ntlm_parties import authenticator
from tests.rpc.echo import EchoHandler
from tests.rpc.parties import Pair
from tests.transports.serving import LOOPS, run

REQUEST = NamedPipeAuthRequest(NCACN_NP, "pc", "192.0.2.7", 50000, "srv", "192.0.2.1", 445)


class Smbd:
    """smbd's end of one pipe."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, path: Path) -> Smbd:
        smbd = cls(*await asyncio.open_unix_connection(str(path)))
        smbd.writer.write(REQUEST.pack())
        expected = pack_reply()
        assert await smbd.reader.readexactly(len(expected)) == expected
        return smbd

    def send(self, *messages: bytes) -> None:
        self.writer.write(b"".join(len(message).to_bytes(2, "little") + message for message in messages))

    async def receive(self) -> bytes:
        return await self.reader.readexactly(int.from_bytes(await self.reader.readexactly(2), "little"))


@asynccontextmanager
async def pipe(folder: Path, limits: TcpLimits | None = None) -> AsyncIterator[tuple[PipeServer, EchoHandler, Path]]:
    handler = EchoHandler()
    server = PipeServer(handler, authenticator(), limits=limits, groups=AssociationGroups("ncacn_np"))
    path = await server.listen(folder / "np", "lsass")
    try:
        yield server, handler, path
    finally:
        await server.stop()


def bind() -> bytes:
    pair = Pair()
    pair.bind()
    assert isinstance(pair.trace[0], Bind)
    return pair.trace[0].pack()


@pytest.mark.parametrize("loop", LOOPS)
def test_a_call_whose_fragments_are_messages(tmp_path: Path, loop: str) -> None:
    async def main() -> None:
        async with pipe(tmp_path) as (_, handler, path):
            smbd = await Smbd.open(path)
            first = bind()
            smbd.send(first[:20], first[20:])  # a client may write a PDU in pieces
            ack = decode_pdu(await smbd.receive())
            assert isinstance(ack, BindAck)
            assert ack.secondary_address == rb"\PIPE\lsass" + b"\0"
            client = Pair()
            client.bind()
            _, request = client.client.send_request(0, 0, bytes(range(200)) * 60)
            smbd.send(*[request[at : at + 4000] for at in range(0, len(request), 4000)])
            stub = b""
            while len(stub) < 12000:
                fragment = decode_pdu(await smbd.receive())
                assert isinstance(fragment, Response)
                stub += fragment.stub
            assert stub == (bytes(range(200)) * 60)[::-1]
            assert handler.sessions[0].transport == "ncacn_np"
            assert handler.sessions[0].peer == "192.0.2.7:50000"
            smbd.writer.close()
            await handler.all_ended.wait()

    run(main, loop)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x20" + bytes(32), b"\xff" * 64])
def test_who_is_not_smbd_is_hung_up_on(tmp_path: Path, data: bytes) -> None:
    async def main() -> None:
        async with pipe(tmp_path) as (server, _, path):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(data)
            assert await _all_of(reader) == b""
            writer.close()
            assert len(server.groups) == 0

    run(main)


async def _all_of(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


def test_a_handshake_that_never_comes_ends(tmp_path: Path) -> None:
    async def main() -> None:
        async with pipe(tmp_path, TcpLimits(handshake_seconds=0.05)) as (_, _, path):
            reader, writer = await asyncio.open_unix_connection(str(path))
            assert await _all_of(reader) == b""
            writer.close()

    run(main)


def test_only_the_own_user_reaches_the_socket_and_it_goes_with_the_server(tmp_path: Path) -> None:
    async def main() -> None:
        async with pipe(tmp_path) as (_, _, path):
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            with pytest.raises(PipeTaken):
                await PipeServer(EchoHandler()).listen(path.parent, "lsass")
        assert not path.exists()

    run(main)


def test_a_forgotten_socket_is_replaced_and_another_ones_left_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with pipe(tmp_path) as (_, _, path):
            path.rename(path.with_name("moved"))
            path.write_text("another's")
        assert path.read_text() == "another's"
        with pytest.raises(PipeTaken):
            await PipeServer(EchoHandler()).listen(path.parent, "lsass")
        path.unlink()
        path.with_name("moved").rename(path)  # nobody listens there any more
        async with pipe(tmp_path) as (_, _, again):
            (await Smbd.open(again)).writer.close()

    run(main)

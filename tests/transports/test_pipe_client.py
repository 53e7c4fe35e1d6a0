"""A named pipe as the transport of an RPC client. Against Samba's smbd: `tests/interop/test_pipe_client.py`."""

from __future__ import annotations

import asyncio

import pytest

from openchange_py.rpc.epmapper import Endpoint, EpmapperServer
from openchange_py.rpc.interface import InlineHandler
from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.epmapper import NotRegistered
from openchange_py.transports.pipe_client import PipePlace, find_pipe
from openchange_py.transports.tcp import TcpServer
from openchange_py.transports.tcp_client import ConnectionLost, NoAnswer
from tests.auth.ntlm_parties import authenticator
from tests.rpc.echo import ECHO, OTHER, REVERSE, WAIT, WHO
from tests.transports.pipe_parties import logon, piped
from tests.transports.serving import LOOPS, run, serving
from tests.transports.smb_party import Manners, smb_server

LEVELS = [AuthLevel.NONE, AuthLevel.CONNECT, AuthLevel.INTEGRITY, AuthLevel.PRIVACY]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("level", LEVELS)
def test_calls_of_many_fragments_and_the_end(loop: str, level: AuthLevel) -> None:
    async def main() -> None:
        async with serving() as (_, handler, port), smb_server(port, Manners(credits=8)) as smb:
            client = await piped(smb, level=level)
            stub = bytes(range(256)) * (200 if level is AuthLevel.NONE else 2000)  # what a stranger may send
            for part in (b"short", stub):
                assert await client.call(REVERSE, part) == part[::-1]
            who = "anonymous NONE" if level is AuthLevel.NONE else f"EXAMPLE\\alice {level.name}"
            assert await client.call(WHO, b"") == f"echo {who} None".encode()
            assert client.peer == f"127.0.0.1:{smb}"
            await client.close()
            await handler.all_ended.wait()
            with pytest.raises(ConnectionLost, match="closed here"):
                await client.call(REVERSE, b"")

    run(main, loop)


def test_a_call_that_waits_holds_no_other_pipe_up() -> None:
    async def main() -> None:
        async with serving() as (_, handler, port), smb_server(port) as smb:
            waits, other = await piped(smb), await piped(smb)
            waiting = asyncio.ensure_future(waits.call(WAIT, b""))
            await handler.waiting.wait()
            assert await other.call(REVERSE, b"abc") == b"cba"
            handler.gate.set()
            assert await waiting == b"waited"
            await waits.close()
            await other.close()

    run(main)


def test_a_call_that_is_not_answered_takes_the_pipe_with_it() -> None:
    async def main() -> None:
        async with serving() as (_, handler, port), smb_server(port) as smb:
            client = await piped(smb, call_timeout=0.1)
            with pytest.raises(NoAnswer, match="no answer within"):
                await client.call(WAIT, b"")
            handler.gate.set()
            await handler.all_ended.wait()

    run(main)


def test_a_server_that_goes_away_behind_the_pipe() -> None:
    async def main() -> None:
        async with serving() as (server, handler, port), smb_server(port) as smb:
            client = await piped(smb)
            waiting = asyncio.ensure_future(client.call(WAIT, b""))
            await handler.waiting.wait()
            for connection in list(server._connections):
                connection.abort()
            with pytest.raises(ConnectionLost, match="PIPE_DISCONNECTED"):
                await waiting
            handler.gate.set()
            assert not client.connected

    run(main)


def test_an_smb_server_that_goes_away() -> None:
    async def main() -> None:
        async with serving() as (_, handler, port):
            async with smb_server(port) as smb:
                client = await piped(smb)
                waiting = asyncio.ensure_future(client.call(WAIT, b""))
                await handler.waiting.wait()
            with pytest.raises(ConnectionLost, match="lost"):
                await waiting
            handler.gate.set()

    run(main)


def test_the_pipe_is_asked_of_the_endpoint_mapper() -> None:
    async def main() -> None:
        endpoint = Endpoint(ECHO, 0, "EXCH1", pipe=r"\pipe\protected_storage")
        mapper = TcpServer(InlineHandler([EpmapperServer([endpoint])]), authenticator(allow_anonymous=True))
        _, port = await mapper.start("127.0.0.1", 0)
        try:
            async with smb_server(port) as smb:
                place = PipePlace("127.0.0.1", port=smb)
                assert await find_pipe(place, logon(), ECHO) == "protected_storage"
                with pytest.raises(NotRegistered):
                    await find_pipe(place, logon(), OTHER)
        finally:
            await mapper.stop()

    run(main)


def test_what_a_place_is_called() -> None:
    assert str(PipePlace("exch1", "lsass")) == r"\\exch1\pipe\lsass"

"""SMB toward servers that are strange, hostile, or none at all. To Samba's smbd: `tests/interop/test_smb_client.py`."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

import pytest

from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.pipe_client import PipePlace, answers
from openchange_py.transports.tcp_client import AuthenticationFailed, BindError, ConnectionLost
from openchange_py.wire.smb2 import (
    IS_GUEST,
    IS_NULL,
    SHARE_ENCRYPT_DATA,
    Cipher,
    Command,
    Dialect,
    Header,
    Status,
)
from tests.auth.ntlm_parties import PASSWORD
from tests.rpc.echo import REVERSE
from tests.transports.pipe_parties import piped
from tests.transports.serving import run, serving
from tests.transports.smb_party import Manners, smb_server


def attempt(manners: Manners, *, encrypt: bool = False, password: str = PASSWORD) -> None:
    """Log on, open the pipe, make a call; raises what the client says of it."""

    async def main() -> None:
        async with serving() as (_, _, port), smb_server(port, manners) as smb:
            client = await piped(smb, encrypt=encrypt, password=password)
            assert await client.call(REVERSE, b"abc") == b"cba"
            await client.close()

    run(main)


@pytest.mark.parametrize("dialect", list(Dialect))
def test_every_dialect(dialect: Dialect) -> None:
    attempt(Manners(dialect, Cipher.AES_128_CCM if dialect >= Dialect.SMB_3_0 else None))


@pytest.mark.parametrize("cipher", list(Cipher))
@pytest.mark.parametrize("who", ["client", "session", "share"])
def test_encryption_that_either_side_wants(cipher: Cipher, who: str) -> None:
    shared = SHARE_ENCRYPT_DATA if who == "share" else 0
    attempt(Manners(cipher=cipher, encrypts=who == "session", share_flags=shared), encrypt=who == "client")


def test_encryption_before_smb_3_1_1() -> None:
    attempt(Manners(Dialect.SMB_3_0, Cipher.AES_128_CCM), encrypt=True)


@pytest.mark.parametrize(
    "manners", [Manners(Dialect.SMB_2_1, None), Manners(cipher=None), Manners(Dialect.SMB_3_0, None)]
)
def test_a_server_that_does_not_encrypt_is_refused_where_encryption_is_wanted(manners: Manners) -> None:
    attempt(manners)
    with pytest.raises(BindError, match="does not encrypt"):
        attempt(manners, encrypt=True)


def test_a_wrong_password() -> None:
    with pytest.raises(AuthenticationFailed, match="SMB refused the logon: LOGON_FAILURE"):
        attempt(Manners(), password="wrong")


@pytest.mark.parametrize("flags", [IS_GUEST, IS_NULL])
def test_nobody_is_a_guest(flags: int) -> None:
    with pytest.raises(AuthenticationFailed, match="guest"):
        attempt(Manners(session_flags=flags))


@pytest.mark.parametrize(
    ("status", "kind"),
    [(Status.OBJECT_NAME_NOT_FOUND, ConnectionLost), (Status.ACCESS_DENIED, AuthenticationFailed)],
)
def test_a_pipe_that_can_not_be_opened(status: Status, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=status.name) as caught:
        attempt(Manners(pipe_status=status))
    assert isinstance(caught.value, AuthenticationFailed) is (kind is AuthenticationFailed)


def test_one_credit_at_a_time_is_enough_and_none_is_the_end() -> None:
    async def main() -> None:
        async with serving() as (_, _, port), smb_server(port, Manners(credits=1)) as smb:
            client = await piped(smb, level=AuthLevel.PRIVACY)
            stub = bytes(range(256)) * 1500
            assert await client.call(REVERSE, stub) == stub[::-1]
            await client.close()

    run(main)
    with pytest.raises(ConnectionLost, match=r"did not answer within 0\.3 s"):
        run(lambda: _without_credit())


async def _without_credit() -> None:
    async with serving() as (_, _, port), smb_server(port, Manners(credits=0)) as smb:
        await piped(smb, connect_timeout=0.3)


def changed(command: Command, change: Callable[[bytes], bytes]) -> Manners:
    """A server whose responses to one command are changed before they are protected."""
    return Manners(change=lambda header, body: change(body) if header.command == command else body)


def replaced(command: Command, message: bytes) -> Manners:
    """A server in whose place somebody else answers one command."""
    return Manners(on_the_way=lambda header, sent: message if header.command == command else sent)


MESSAGE = Header.of(Command.TREE_CONNECT, 3, 1, 1, flags=1).pack() + b"\x10\0\x02" + bytes(13)
UNKNOWN = Header.of(Command.NEGOTIATE, 77, 1, 1, flags=1).pack() + bytes(65)


@pytest.mark.parametrize(
    ("manners", "says"),
    [
        (changed(Command.NEGOTIATE, lambda body: body[:4] + b"\xff\x02" + body[6:]), "speaks SMB 0x02ff"),
        (changed(Command.NEGOTIATE, lambda body: body[:30]), "needed"),
        (changed(Command.NEGOTIATE, lambda body: body[:-2] + b"\x09\0"), "cipher 9"),
        (changed(Command.SESSION_SETUP, lambda body: body[:4] + b"\xff\xff\xff\xff" + body[8:]), "buffer"),
        (changed(Command.CREATE, lambda body: body[:50]), "needed"),
        (changed(Command.READ, lambda body: body[:4] + b"\xff\xff\0\0" + body[8:]), "buffer"),
        (Manners(signs=False), "without signature"),
        (replaced(Command.TREE_CONNECT, MESSAGE), "without signature"),
        (replaced(Command.TREE_CONNECT, b"\xfdSMB" + bytes(80)), "changed"),
        (replaced(Command.NEGOTIATE, b"\xfdSMB" + bytes(80)), "before the logon"),
        (replaced(Command.NEGOTIATE, b"\xffSMB" + bytes(80)), "no SMB 2 message"),
        (replaced(Command.NEGOTIATE, UNKNOWN), "waits for none"),
        (replaced(Command.NEGOTIATE, b"x"), "needed"),
        (replaced(Command.NEGOTIATE, bytes(0x20000)), "a message of"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_what_is_not_the_protocol_ends_the_connection_at_once(manners: Manners, says: str) -> None:
    with pytest.raises(ConnectionLost, match=says) as caught:
        attempt(manners)
    assert PASSWORD not in str(caught.value)


def test_who_encrypts_takes_nothing_that_is_not_encrypted() -> None:
    manners = replaced(Command.TREE_CONNECT, MESSAGE)
    manners.encrypts = True
    with pytest.raises(ConnectionLost, match="not encrypted"):
        attempt(manners)


def test_a_negotiation_that_was_changed_on_the_way() -> None:
    """Toward 3.0 by the server's signed word, toward 3.1.1 by the hash that is in all keys."""

    def without_capabilities(header: Header, message: bytes) -> bytes:
        return message[:88] + bytes(4) + message[92:] if header.command == Command.NEGOTIATE else message

    with pytest.raises(BindError, match="changed on the way"):
        attempt(Manners(Dialect.SMB_3_0, Cipher.AES_128_CCM, on_the_way=without_capabilities))

    def with_another_cipher(header: Header, message: bytes) -> bytes:
        return message[:-2] + b"\x01\0" if header.command == Command.NEGOTIATE else message

    with pytest.raises(ConnectionLost, match="signature"):
        attempt(Manners(on_the_way=with_another_cipher))


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ConnectionLost) as caught:
        run(lambda: _reached(port))
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


async def _reached(port: int) -> None:
    await piped(port, connect_timeout=0.3)


def test_a_server_that_says_nothing_is_given_up() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(ConnectionLost, match=r"did not answer within 0\.3 s"),
    ):
        run(lambda: _reached(silent.getsockname()[1]))


def test_whether_a_server_lives() -> None:
    async def main() -> None:
        async with smb_server(1) as port:
            await answers(PipePlace("127.0.0.1", port=port), 10)
        with pytest.raises(ConnectionLost):
            await answers(PipePlace("127.0.0.1", port=port), 10)
        async with smb_server(1, replaced(Command.NEGOTIATE, b"x")) as port:
            with pytest.raises(ConnectionLost):
                await answers(PipePlace("127.0.0.1", port=port), 10)

    run(main)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ConnectionLost, match="no answer within"):
        asyncio.run(answers(PipePlace("127.0.0.1", port=silent.getsockname()[1]), 0.1))


def test_no_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    attempt(Manners(encrypts=True))
    assert PASSWORD not in caplog.text

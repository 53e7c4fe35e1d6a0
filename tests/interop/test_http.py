"""`ocpy serve` over HTTPS as a process: curl with every scheme on every page, recorded clients again, hostile input."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from openchange_py.client.connection import Account, Connector
from openchange_py.client.endpoints import read_https, read_ready_file
from openchange_py.client.profile import Profile
from openchange_py.client.web import Web, WebTransport
from openchange_py.transports.tls import ClientTls
from openchange_py.wire.oxcmapihttp import (
    MAILBOX_TYPES,
    ConnectRequest,
    ErrorCodeResponse,
    ExecuteRequest,
    ResponseCode,
    split_answer,
)
from openchange_py.wire.oxcmapihttp_nspi import ADDRESS_BOOK_TYPES, SPELLINGS
from openchange_py.wire.rpch import FlowControlAck, Forward, rts
from openchange_py.wire.rpcheaderext import extended_buffers, pack_payload
from tests.auth.test_http import basic
from tests.conftest import json_lines, shared_path
from tests.interop.web import PAGES, PASSWORDS, WebNode, curl, page, ping, running_web_node
from tests.transports.http_parties import RawClient, raw_client, trusting
from tests.transports.mapi_parties import MapiClient
from tests.transports.rpch_parties import OUT, a1, b1, head
from tests.transports.serving import run

pytestmark = [pytest.mark.xdist_group("web")]

ENDPOINTS = ("/mapi/emsmdb/", "/mapi/nspi/")


@pytest.fixture(scope="module")
def web() -> Iterator[WebNode]:
    with running_web_node() as running:
        yield running


def connection(web: WebNode) -> Any:
    """A TLS connection to it."""
    return raw_client(web.node.ready["https"]["port"], trusting(web.certificate))


def test_provision_alone_makes_https(web: WebNode) -> None:
    assert set(web.node.ready["http_paths"]) >= {"/mapi/emsmdb", "/mapi/nspi", "/autodiscover"}
    status, head, _ = curl("--cacert", web.certificate, f"{web.https}/nothing")
    assert status == 404
    assert "HTTP/1.1" in head
    with pytest.raises(AssertionError, match="60"):  # curl's code for a certificate that it does not trust
        curl(f"{web.https}/nothing")


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("scheme", ["--basic", "--ntlm"])
def test_curl_with_every_scheme(web: WebNode, path: str, scheme: str) -> None:
    """On every page; `--negotiate` needs a KDC: `test_http_domain.py`."""
    asked = (web.https, path, "alice@example.test", "--cacert", web.certificate, scheme, "--user")
    assert page(*asked, f"alice:{PASSWORDS['alice']}") == 200
    assert page(*asked, "bob:wrong") == 401


@pytest.mark.parametrize("path", PAGES)
def test_every_page_tells_a_stranger_the_schemes_and_nothing_else(web: WebNode, path: str) -> None:
    status, head, body = curl("--cacert", web.certificate, *PAGES[path][0], web.https + path)
    assert status == 401
    assert {"WWW-Authenticate: Negotiate", "WWW-Authenticate: NTLM"} <= set(head.splitlines())
    assert 'WWW-Authenticate: Basic realm="localhost"' in head
    assert b"alice" not in body


@pytest.mark.parametrize("path", ENDPOINTS)
def test_no_password_without_tls(web: WebNode, path: str) -> None:
    with web.node.log.expect("'Basic' is not offered without TLS"):
        status, head, _ = ping(web.http + path, "--basic", "--user", f"alice:{PASSWORDS['alice']}")
    assert status == 401
    assert "Basic" not in head
    assert ping(web.http + path, "--ntlm", "--user", f"alice:{PASSWORDS['alice']}")[0] == 200


def test_old_tls_is_refused(web: WebNode) -> None:
    context = trusting(web.certificate)
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    address = "127.0.0.1", web.node.ready["https"]["port"]
    with socket.create_connection(address) as plain, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(plain, server_hostname="localhost")


#: The recorded user's name, which is replaced by alice's.
_DN = re.compile(rb"/o=Gromox default/ou=[^\0]*?/cn=Recipients/cn=[^\0]*-user1(?=\0)")


def as_alice(payload: bytes, dn: bytes) -> bytes:
    """A ROP buffer with a RopLogon of alice in place of the recorded user's: sizes are those of her name."""
    found = _DN.search(payload)
    if found is None:
        return payload
    start, end = found.span()
    assert payload[start - 2 : start] == (end - start + 1).to_bytes(2, "little")
    data = payload[: start - 2] + (len(dn) + 1).to_bytes(2, "little") + dn + payload[end:]
    size = int.from_bytes(payload[:2], "little") + len(data) - len(payload)
    return size.to_bytes(2, "little") + data[2:]


def replayed(kind: str, body: bytes, dn: bytes) -> bytes:
    """A recorded request's body, of alice."""
    if kind == "Connect":
        connect = ConnectRequest.unpack(body)
        connect.user_dn = dn
        return connect.pack()
    if kind != "Execute":
        return body
    execute = ExecuteRequest.unpack(body)
    buffers = [buffer.payload for buffer in extended_buffers(execute.rop_buffer)]
    parts = [
        pack_payload(as_alice(payload, dn), compress=False, xor=False, last=index == len(buffers) - 1)
        for index, payload in enumerate(buffers)
    ]
    execute.rop_buffer = b"".join(parts)
    return execute.pack()


@pytest.mark.parametrize("name", ["mapihttp-ruler.jsonl", "mapihttp-nspi.jsonl", "mapihttp-probe.jsonl.gz"])
def test_recorded_clients_again(web: WebNode, name: str) -> None:
    """What the recorded server took is taken here, and the answer can be read; waits for events are left out."""
    dn, clients, answered = web.dn("alice"), {}, 0

    async def again(client: RawClient, recorded: dict) -> bool:
        kind = recorded["request_type"]
        mailbox = "/emsmdb" in recorded["path"]
        types = MAILBOX_TYPES if mailbox else ADDRESS_BOOK_TYPES
        codecs = types.get(SPELLINGS.get(kind.lower(), kind))
        headers = {name.lower(): value for name, value in recorded["response_headers"]}
        if codecs is None or kind == "NotificationWait" or headers.get("x-responsecode") != "0":
            return False
        cookie = dict(recorded["request_headers"]).get("Cookie", "")
        credentials = basic("alice", PASSWORDS["alice"])
        party = clients.get((mailbox, cookie.partition(";")[0])) if kind not in ("Connect", "Bind") else None
        party = party or MapiClient(ENDPOINTS[not mailbox], authorization=credentials)
        clients[mailbox, headers.get("set-cookie", "").partition(";")[0]] = party
        for field, value in recorded["response_headers"]:
            if field == "Set-Cookie" and value.startswith("sid="):
                clients[mailbox, value.partition(";")[0]] = party
        answer = await party.ask(client, kind, replayed(kind, bytes.fromhex(recorded["request_body_hex"]), dn))
        assert answer.code == 0, (kind, answer.raw)
        assert codecs[1].unpack(answer.body).pack() == answer.body
        return True

    async def main() -> None:
        nonlocal answered
        async with connection(web) as client:
            for recorded in json_lines(shared_path(f"wire/{name}")):
                if recorded["transport"] == "mapihttp" and recorded["request_type"]:
                    answered += await again(client, recorded)

    run(main)
    assert answered >= {"mapihttp-ruler.jsonl": 10, "mapihttp-nspi.jsonl": 30, "mapihttp-probe.jsonl.gz": 130}[name]


# Hostile input


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ("POST /mapi/emsmdb/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", b"401"),
        ("POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", b"400"),
        ("POST /mapi/emsmdb/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n", b"401"),
        ("POST /mapi/emsmdb/ HTTP/1.1\r\nHost: x\r\nX-RequestId: a\rSet-Cookie: b\r\n\r\n", b"400"),
        ("GET /%0d%0aSet-Cookie:%20x HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
        ("RPC_IN_DATA /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n", b"404"),
        ("GET " + "/a" * 100_000 + " HTTP/1.1\r\n", b"431"),
        ("\x16\x03\x01" * 200 + "\r\n\r\n", b"400"),
    ],
    # The name of a test is in the environment of what it starts, which is not to be too long for that.
    ids=[
        "chunks",
        "both lengths",
        "1 GiB",
        "CR in a field",
        "CRLF in the path",
        "1 GiB to nowhere",
        "long path",
        "TLS",
    ],
)
def test_hostile_requests(web: WebNode, data: str, status: bytes) -> None:
    async def main() -> None:
        async with connection(web) as client:
            client.send(data)
            answer = (
                await client.closed() if status != b"401" or "1073741824" in data else await client.reader.read(1000)
            )
            assert answer.startswith(b"HTTP/1.1 " + status), answer
            assert b"Set-Cookie" not in answer
            assert b"Traceback" not in answer

    run(main)
    account = ("--basic", "--user", f"alice:{PASSWORDS['alice']}")
    assert ping(web.https + ENDPOINTS[0], "--cacert", web.certificate, *account)[0] == 200


def test_slow_heads_and_bodies(web: WebNode) -> None:
    """A byte now and then keeps nothing open for long, whatever is behind it."""

    async def slow(data: bytes) -> None:
        async with connection(web) as client:
            for byte in data:
                client.send(bytes([byte]))
                await asyncio.sleep(0.1)
                if client.writer.transport.is_closing():
                    return
            raise AssertionError("all of it was waited for")

    async def main() -> None:
        credentials = f"Authorization: {basic('alice', PASSWORDS['alice'])}\r\n"
        request = MapiClient(authorization=basic("alice", PASSWORDS["alice"])).message("Connect", b"x" * 500)
        assert credentials.encode() in request

        async def slow_body() -> None:
            async with connection(web) as client:
                client.send(request[: -len(b"x" * 500)])
                for _ in range(100):
                    client.send(b"x")
                    await asyncio.sleep(0.1)
                    if client.writer.transport.is_closing():
                        return
                raise AssertionError("all of it was waited for")

        await asyncio.gather(slow(request), slow(b"G" * 100), slow_body())

    run(main)


def test_cookies_of_another_user_and_of_nobody(web: WebNode) -> None:
    async def main() -> None:
        async with connection(web) as client:
            alice = MapiClient(authorization=basic("alice", PASSWORDS["alice"]))
            bob = MapiClient(authorization=basic("bob", PASSWORDS["bob"]))
            assert (await alice.connect(client, web.dn("alice"))).error_code == 0
            bob.cookies = dict(alice.cookies)
            execute = ExecuteRequest(3, b"", 0x8000)
            assert (await bob.ask(client, "Execute", execute)).code == ResponseCode.NoPrivilege
            bob.cookies = {"MapiContext": "invented", "MapiSequence": "invented"}
            assert (await bob.ask(client, "Execute", execute)).code == ResponseCode.ContextNotFound
            answer = await alice.ask(client, "Disconnect", b"\0\0\0\0")
            assert ErrorCodeResponse.unpack(answer.body).error_code == 0

    with web.node.log.expect("the cookie of another account's session"):
        run(main)


def test_a_gigabyte_is_refused_before_it_is_sent(web: WebNode) -> None:
    async def main() -> None:
        async with connection(web) as client:
            alice = MapiClient(authorization=basic("alice", PASSWORDS["alice"]))
            answer = await alice.ask(client, "Execute", b"", Content_Length="1073741824", Expect="100-continue")
            assert answer.code == ResponseCode.TooLarge
            assert split_answer(b"DONE\r\n\r\n")[1] == b""

    run(main)


CHUNK_TRICKS = {
    "a size that is negative": "-1\r\nx\r\n0\r\n\r\n",
    "one of 65 bits": "10000000000000000\r\nx\r\n0\r\n\r\n",
    "no number": "zz\r\nx\r\n0\r\n\r\n",
    "more than it says": "1\r\nxx\r\n0\r\n\r\n",
    "an endless extension": "1;" + "a" * 100_000,
}


@pytest.mark.parametrize("trick", CHUNK_TRICKS)
def test_tricks_with_chunk_sizes_behind_a_good_logon(web: WebNode, trick: str) -> None:
    """The body is asked for here: it is refused with what it hides, and is never somebody's next request."""

    async def main() -> None:
        async with connection(web) as client:
            alice = MapiClient(authorization=basic("alice", PASSWORDS["alice"]))
            smuggled = alice.message("PING")
            client.send(alice.message("Execute", b"", Content_Length=None, Transfer_Encoding="chunked"))
            client.send(CHUNK_TRICKS[trick].encode() + smuggled)
            said = await client.closed()
            # What never ends is waited for as long as any body, 64 KiB of it at most, and then nothing is answered.
            endless = trick in ("one of 65 bits", "an endless extension")
            assert said == b"" if endless else said.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431")), said
            assert said.count(b"HTTP/1.1") == (not endless)

    run(main)
    account = ("--basic", "--user", f"alice:{PASSWORDS['alice']}")
    assert ping(web.https + ENDPOINTS[0], "--cacert", web.certificate, *account)[0] == 200


def rpch_head(direction: str, user: str = "alice") -> str:
    """A channel's request to the mailboxes' port."""
    return head(direction, f"Authorization: {basic(user, PASSWORDS[user])}")


@pytest.mark.parametrize("direction", ["IN", "OUT"])
def test_a_channel_without_its_partner(web: WebNode, direction: str) -> None:
    """It is given up after `ocpy:authentication timeout`, two seconds here."""

    async def main() -> None:
        async with connection(web) as client:
            client.send(rpch_head(direction))
            client.send(a1() if direction == "OUT" else b1())
            said = await client.closed()
            assert said.startswith(b"HTTP/1.1 200" if direction == "OUT" else b"HTTP/1.0 503 RPC Error: 6ba")

    with web.node.log.expect("waited too long for its partner"):
        run(main)


OUT_OF_SEQUENCE = {
    "a second A1": lambda: a1(),
    "an end of recycling that never began": lambda: rts("IN_R2/A5", uuid.UUID(int=4)).pack(),
    "the server's own word": lambda: rts("CONN/C2", 1, 0x10000, 120_000).pack(),
    "an acknowledgement of what was never sent": lambda: rts(
        "FlowControlAckWithDestination", Forward.OUT_PROXY, FlowControlAck(1 << 30, 0x10000, OUT)
    ).pack(),
    "an RPC PDU that is none": lambda: b"\5\0\xff\3\x10\0\0\0\x74\0" + bytes(106),
}


@pytest.mark.parametrize("kind", OUT_OF_SEQUENCE)
def test_rts_pdus_out_of_sequence(web: WebNode, kind: str) -> None:
    """They end the virtual connection that they came on, and no other one, of the same account's either."""

    async def opened(into: RawClient, out: RawClient, cookie: uuid.UUID) -> None:
        out.send(rpch_head("OUT"))
        out.send(a1(cookie))
        into.send(rpch_head("IN"))
        into.send(b1(cookie))
        assert (await out.answer(head=True))[0] == 200
        await out.reader.readexactly(28 + 44)  # CONN/A3, CONN/C2

    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            ends = [await stack.enter_async_context(connection(web)) for _ in range(4)]
            await opened(ends[0], ends[1], uuid.uuid4())
            await opened(ends[2], ends[3], uuid.uuid4())
            ends[0].send(OUT_OF_SEQUENCE[kind]())
            await ends[1].closed()
            ends[2].send(rts("Ping").pack())
            assert not ends[3].reader.at_eof()
            ends[3].writer.transport.abort()

    run(main)
    host, port = read_https(web.node.ready_file)
    over = Web(WebTransport.RPC_HTTP, host, port, ClientTls(web.certificate))
    account, server = Account("alice", "EXAMPLE", PASSWORDS["alice"]), read_ready_file(web.node.ready_file)

    async def folders() -> None:
        async with Profile(Connector(server, account, web=over)) as profile:
            assert await (await profile.mailbox()).folders()

    run(folders)


def test_a_second_channel_of_another_account(web: WebNode) -> None:
    """With the cookie of alice's virtual connection, which bob could not know."""

    async def main() -> None:
        async with connection(web) as out, connection(web) as foreign:
            out.send(rpch_head("OUT"))
            out.send(a1())
            assert (await out.answer(head=True))[0] == 200
            foreign.send(rpch_head("IN", "bob"))
            foreign.send(b1())
            assert (await foreign.closed()).startswith(b"HTTP/1.0 503 RPC Error: 6ba")
            assert not out.reader.at_eof()
            out.writer.transport.abort()

    with web.node.log.expect("somebody else's virtual connection"):
        run(main)

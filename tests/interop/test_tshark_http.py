"""What goes over HTTP, as tshark reads it: MAPI over HTTP's requests, RPC over HTTP's channels and the PDUs in them."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from openchange_py.auth.http_initiator import MechanismLogon
from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.client.connection import Account, Channel, Connector, Server
from openchange_py.client.notifications import subscribe
from openchange_py.client.nspi import NspiClient
from openchange_py.client.profile import Profile
from openchange_py.client.web import Web, WebTransport
from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.http_client import Place
from openchange_py.transports.rpch_client import RpcProxyPlace, connect
from openchange_py.wire.oxnspi import NSPI
from openchange_py.wire.rop.oxcnotif import NotificationType
from tests.interop.capture import Dissection, capturing, tool
from tests.interop.channels import pdus_of, write_streams
from tests.interop.new_mail import deliver
from tests.interop.nodes import PATIENCE, ocpy
from tests.interop.web import PASSWORDS, WebNode, running_web_node

#: A letter that the window of a channel does not hold.
LETTER: Final = "Subject: long\nFrom: bob@example.test\n\n" + "a line of a letter\n" * 10_000
PORTS: Final = (6001, 6004)
ERROR: Final = 0x800000
WHAT: Final = ("request", "response")


def account() -> NtlmCredential:
    return NtlmCredential.from_password("alice", "EXAMPLE", PASSWORDS["alice"])


async def read_and_wait(web: WebNode, transport: WebTransport) -> None:
    """Address book, a long message, and new mail."""
    place = Web(transport, "localhost", web.node.ready["http"]["port"], None)
    alice = Account("alice", "EXAMPLE", PASSWORDS["alice"])
    connector = Connector(Server("localhost"), alice, web=place, connect_timeout=PATIENCE, call_timeout=PATIENCE)
    async with Profile(connector) as profile:
        book = await profile.address_book()
        assert [entry async for entry in book.query_rows()]
        mailbox = await profile.mailbox()
        inbox = await mailbox.find_folder("Inbox")
        (summary,) = [m for m in (await mailbox.messages(inbox.id)).messages if m.subject == "long"]
        async with await mailbox.open_message(inbox.id, summary.id) as message:
            assert len(await message.body() or "") > 100_000
        await subscribe(mailbox, NotificationType.NewMail)
        coming = asyncio.ensure_future(anext((await profile.waiter()).events()))
        await asyncio.to_thread(deliver, web.node.config, f"news by {transport.value}")
        async with asyncio.timeout(PATIENCE):
            await coming


async def replace_the_channel(web: WebNode) -> None:
    """Calls until the IN channel, which may carry 128 KiB, is another one."""

    async def mechanism(bindings: object) -> NtlmInitiator:
        return NtlmInitiator(account(), level=AuthLevel.CONNECT)

    proxy = Place("localhost", web.node.ready["http"]["port"], None)
    place = RpcProxyPlace(proxy, "localhost", 6004, logon=MechanismLogon(mechanism))
    context, level = NtlmInitiator(account(), level=AuthLevel.PRIVACY), AuthLevel.PRIVACY
    client = await connect(place, NSPI, lifetime=128 << 10, context=context, level=level, call_timeout=PATIENCE)
    book = NspiClient(Channel(client, NSPI, "refused"))
    await book.bind()
    for _ in range(30):
        await book.dn_to_mid([f"/o=First Organization/cn={'x' * 250}"] * 20)
    await book.unbind()
    await client.close()


class Captured:
    """The capture of a node's port for plain HTTP, and the one of its channels' PDUs."""

    def __init__(self, place: Path, web: WebNode) -> None:
        self.http, self.streams = place / "http.pcap", place / "streams.pcap"
        port = self.port = web.node.ready["http"]["port"]
        with capturing([port], self.http):
            for transport in WebTransport:
                asyncio.run(read_and_wait(web, transport))
            asyncio.run(replace_the_channel(web))
        write_streams(pdus_of(self.http, port), self.streams)

    def fields(self, display_filter: str, *names: str) -> list[list[str]]:
        """The fields of every packet with HTTP in it that the display filter passes."""
        command: list[Any] = [tool("tshark"), "-n", "-2", "-r", self.http, "-d", f"tcp.port=={self.port},http"]
        command += ["-Y", display_filter, "-T", "fields", "-E", "aggregator=\x1f"]
        for name in names:
            command += ["-e", name]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return [line.split("\t") for line in done.stdout.splitlines()]

    def calls(self, display_filter: str, *names: str) -> list[tuple[str, ...]]:
        """The fields of every PDU that the display filter passes, decrypted."""
        return Dissection(self.streams, PORTS).fields(display_filter, *names, password=PASSWORDS["alice"])


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Captured:
    tool("tshark")
    with running_web_node("    ocpy:minimum auth level = connect") as web:
        ocpy("deliver", "-c", web.node.config, "alice", stdin=LETTER)
        return Captured(tmp_path_factory.mktemp("http"), web)


def test_http_is_well_formed(captured: Captured) -> None:
    """All of it, but that tshark 4.0 takes offence at an RTS PDU without commands, as the document has the echo."""
    echo = "050014031000000014000000000000004000" + "0000"
    wrong = captured.fields(f"_ws.malformed || _ws.expert.severity == {ERROR}", "http.file_data", "tcp.payload")
    assert [payload for _, payload in wrong if not payload.endswith(echo)] == []
    assert captured.fields("http.response.code >= 400 && http.response.code != 401", "http.response.line") == []


def test_requests_of_mapi_over_http_and_their_answers(captured: Captured) -> None:
    """As tshark puts them together: types by their field, answers whole from their chunks, with their codes."""
    asked = captured.fields('http.request.uri contains "/mapi/"', "http.request.uri", "http.request.line")
    types = set()
    for uri, lines in asked:
        fields = dict(line.split(": ", 1) for line in lines.replace("\\r\\n", "").split("\x1f") if ": " in line)
        types.add((uri.split("/")[2], fields["X-RequestType"]))
    mailbox = {("emsmdb", kind) for kind in ("PING", "Connect", "Execute", "NotificationWait", "Disconnect")}
    book = {("nspi", kind) for kind in ("PING", "Bind", "QueryRows", "ResolveNames", "Unbind")}
    assert types == mailbox | book
    answers = captured.fields(
        'http.response.code == 200 && http.content_type == "application/mapi-http"',
        "http.response.line",
        "http.transfer_encoding",
    )
    assert len(answers) > len(types)
    assert all("X-ResponseCode: 0" in lines and encoding == "chunked" for lines, encoding in answers)


def test_channels_are_opened_acknowledged_and_replaced_as_tshark_knows_it(captured: Captured) -> None:
    infos = [info for (info,) in captured.calls("dcerpc.pkt_type == 20", "_ws.col.Info")]
    names = {name.strip() for info in infos for name in info.split(",") if name.strip()}
    opening = {"CONN/A1", "CONN/B1", "CONN/A3", "CONN/C1", "CONN/C2"}
    assert opening <= names, names
    assert any(name.startswith("IN_R") for name in names), names
    assert any("FlowControlAck" in name for name in names), names


def test_the_pdus_of_the_channels_are_calls_that_tshark_names_and_decrypts(captured: Captured) -> None:
    assert (
        captured.calls(f"_ws.malformed || _ws.expert.severity == {ERROR}", "_ws.col.Info", "_ws.expert.message") == []
    )
    assert captured.calls("dcerpc.pkt_type == 3 || dcerpc.pkt_type == 13", "_ws.col.Info") == []
    named = {info.split("[")[0].split(",")[0] for (info,) in captured.calls("nspi || mapi", "_ws.col.Info")}
    book = {f"Nspi{name} {what}" for name in ("Bind", "QueryRows", "ResolveNamesW", "Unbind") for what in WHAT}
    # tshark knows the newer calls of the mailbox by their numbers.
    mailbox = {f"{name} {what}" for name in ("Unknown operation 10", "Unknown operation 11") for what in WHAT}
    assert book | mailbox | {"EcDoDisconnect request", "EcDoDisconnect response"} <= named
    texts = captured.calls("nspi && dcerpc.pkt_type == 2", "nspi.SPropValue_CTR.lpszW")
    assert any("alice@example.test" in text for (text,) in texts), "what was sealed"

"""No client sees the real server: a conversation with one whose names stand everywhere, over real connections."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Self, cast

import pytest

from openchange_py.auth.accounts import LocalAuthenticator
from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.config.routes import Credentials
from openchange_py.proxy.authorize import Authorizer
from openchange_py.proxy.credentials import SpecifiedAccount
from openchange_py.proxy.dispatcher import Dispatcher
from openchange_py.proxy.names import NameBook, OwnNames
from openchange_py.proxy.pool import UpstreamPool
from openchange_py.proxy.relay import Relay
from openchange_py.proxy.rewrite import Renamer
from openchange_py.proxy.upstream import TcpConnector
from openchange_py.rpc.binding import Binding
from openchange_py.rpc.call import Call, CallHandler, RpcFault, Session
from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.tcp import TcpServer
from openchange_py.transports.tcp_client import RpcClient
from openchange_py.wire import proptags as p
from openchange_py.wire.ndr import RpcInterface, RpcMessage
from openchange_py.wire.oxabref import (
    RFR,
    Name,
    RfrGetFQDNFromServerDNRequest,
    RfrGetFQDNFromServerDNResponse,
    RfrGetNewDSARequest,
    RfrGetNewDSAResponse,
)
from openchange_py.wire.oxcdata.properties import PropertyType
from openchange_py.wire.oxcrpc import (
    ASYNCEMSMDB,
    EMSMDB,
    EcDoConnectExRequest,
    EcDoConnectRequest,
    EcDoRpcExt2Request,
    EcDoRpcExt2Response,
)
from openchange_py.wire.oxcrpc_old import EcDoRpcRequest, EcDoRpcResponse
from openchange_py.wire.oxnspi import (
    NSPI,
    NspiBindRequest,
    NspiDNToMIdRequest,
    NspiDNToMIdResponse,
    NspiGetMatchesRequest,
    NspiGetPropsRequest,
    NspiGetPropsResponse,
    NspiGetSpecialTableRequest,
    NspiGetTemplateInfoRequest,
    NspiQueryColumnsRequest,
    NspiQueryRowsRequest,
    NspiQueryRowsResponse,
    NspiResolveNamesRequest,
    NspiResolveNamesWRequest,
    NspiSeekEntriesRequest,
)
from openchange_py.wire.oxnspi_restrictions import AndRestriction_r, ContentRestriction_r, NotRestriction_r
from openchange_py.wire.oxnspi_types import STAT, PropertyValue_r
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.oxcfold import RopOpenFolderRequest, RopOpenFolderResponse
from openchange_py.wire.rop.oxcprpt_streams import RopReadStreamRequest
from openchange_py.wire.rop.oxcstor import RopGetOwningServersRequest
from openchange_py.wire.rpcheaderext import obfuscate, pack_payload, unpack_payloads
from tests.auth import ntlm_parties
from tests.auth.ntlm_parties import PASSWORD
from tests.proxy import named_exchange as ex
from tests.proxy.emsmdb_calls import logon, rops
from tests.proxy.named_exchange import CONNECT, NamedExchange, naming_rops
from tests.proxy.parties import ALICE, ALICE_DN, Upstream, people

OWN = OwnNames("PROXY", "proxy.example.test", ("netbios:PROXY", "ncacn_ip_tcp:proxy.example.test"))
PROXY_DN = ex.GROUP + "PROXY"
HIDDEN = (ex.NETBIOS, ex.FQDN, ex.ADDRESS, ex.OTHER, "alias.corp.test")
STAT_0 = STAT(code_page=1252)


@dataclasses.dataclass
class Client:
    """A client of the proxy; `seen` is every byte of a stub that it received."""

    port: int
    seen: list[bytes] = dataclasses.field(default_factory=list)
    channels: dict[str, RpcClient] = dataclasses.field(default_factory=dict)

    async def call(self, interface: RpcInterface, request: RpcMessage) -> Any:
        """The decoded response."""
        [(opnum, method)] = [(o, m) for o, m in interface.methods.items() if m.request is type(request)]
        if interface.name not in self.channels:
            first = next(iter(self.channels.values()), None)
            context = NtlmInitiator(NtlmCredential.from_password("alice", "EXAMPLE", PASSWORD))
            self.channels[interface.name] = await RpcClient.connect(
                *("127.0.0.1", self.port, interface),
                context=context,
                level=AuthLevel.PRIVACY,
                assoc_group=first.assoc_group if first else 0,
            )
        reply = await self.channels[interface.name].call(opnum, request.pack())
        self.seen.append(reply)
        assert method.response is not None
        return method.response.unpack(reply)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        for channel in self.channels.values():
            await channel.close()


@asynccontextmanager
async def serving(handler: CallHandler, authenticator: LocalAuthenticator) -> AsyncIterator[int]:
    """A server on a free port, which it gives."""
    server = TcpServer(handler, authenticator)
    _, port = await server.start("127.0.0.1")
    try:
        yield port
    finally:
        await server.stop()


@asynccontextmanager
async def proxy_for(*ports: int) -> AsyncIterator[tuple[int, Renamer]]:
    """The proxy in front of servers at these ports: its own port, and what it knows of their names."""
    renamer = Renamer(NameBook(OWN))
    account = SpecifiedAccount(Credentials("alice", "EXAMPLE", PASSWORD))
    bindings = [Binding.parse(f"ncacn_ip_tcp:127.0.0.1[{port}]") for port in ports]
    connectors = [TcpConnector(binding, account, _no_mapper) for binding in bindings]
    relay = Relay(UpstreamPool(connectors, preferred=renamer.preferred), Authorizer(people()), renamer=renamer)
    dispatcher = Dispatcher({}, relayed={i.name: i for i in (EMSMDB, NSPI, RFR)}, relay=relay)
    try:
        async with serving(dispatcher, ntlm_parties.authenticator()) as port:
            yield port, renamer
    finally:
        dispatcher.close()


def through_the_proxy(work: Callable[[Client, NamedExchange, Renamer], Awaitable[None]]) -> None:
    """Run `work` with a client of a proxy in front of the exchange, all over real connections."""

    async def run() -> None:
        exchange = NamedExchange()
        async with (
            asyncio.timeout(30),
            serving(exchange, ex.authenticator()) as port,
            proxy_for(port) as (proxy_port, renamer),
            Client(proxy_port) as client,
        ):
            await work(client, exchange, renamer)

    asyncio.run(run())


async def _no_mapper(binding: Binding, interface: RpcInterface, seconds: float) -> int:
    raise AssertionError("the binding has a port")


def assert_hidden(data: bytes) -> None:
    """None of the names, in whatever case and encoding."""
    lower = data.lower()
    for name in HIDDEN:
        for encoding in ("ascii", "utf-16-le"):
            assert name.lower().encode(encoding) not in lower, f"{name} in {data!r}"


async def ask_address_book(client: Client) -> None:
    await client.call(NSPI, NspiBindRequest(0, STAT_0, None))
    target = PropertyValue_r(p.PidTagEmailAddress, PROXY_DN)
    ids = [PropertyValue_r(p.PidTagEmailAddress.with_type(PropertyType.String8), PROXY_DN.lower().encode())]
    inner = ContentRestriction_r(0, ids[0].prop_tag, ids[0])
    restriction = AndRestriction_r([NotRestriction_r(inner), inner])
    strings = ["=" + PROXY_DN, "nobody", None]
    octets = [text and text.encode() for text in strings]
    for request in (
        NspiDNToMIdRequest(ex.HANDLE, 0, [PROXY_DN.encode(), None]),
        NspiGetPropsRequest(ex.HANDLE, 0, STAT_0, None),
        NspiQueryRowsRequest(ex.HANDLE, 0, STAT_0, 0, None, 50, None),
        NspiSeekEntriesRequest(ex.HANDLE, 0, STAT_0, target, None, None),
        NspiGetMatchesRequest(ex.HANDLE, 0, STAT_0, None, 0, restriction, None, 100, None),
        NspiGetSpecialTableRequest(ex.HANDLE, 0, STAT_0, 0),
        NspiGetTemplateInfoRequest(ex.HANDLE, 0, 0, PROXY_DN.encode(), 1252, 1033),
        NspiQueryColumnsRequest(ex.HANDLE, 0, 0),
        NspiResolveNamesRequest(ex.HANDLE, 0, STAT_0, None, octets),
        NspiResolveNamesWRequest(ex.HANDLE, 0, STAT_0, None, strings),
    ):
        await client.call(NSPI, request)


async def ask_for_referrals(client: Client) -> None:
    new = await client.call(RFR, RfrGetNewDSARequest(0, f"{PROXY_DN}/cn=x".encode(), None, Name(b"PROXY")))
    assert new == RfrGetNewDSAResponse(None, Name(OWN.fqdn.encode()), 0)
    dn = PROXY_DN.encode()
    found = await client.call(RFR, RfrGetFQDNFromServerDNRequest(0, len(dn) + 1, dn))
    assert found == RfrGetFQDNFromServerDNResponse(OWN.fqdn.encode(), 0)


async def ask_for_mail(client: Client) -> None:
    await client.call(EMSMDB, EcDoConnectRequest(*CONNECT))
    await client.call(EMSMDB, EcDoConnectExRequest(*CONNECT))
    for payload in (rops(logon(ALICE_DN)), naming_rops()):
        for how in ({}, {"xor": True}, {"compress": True}, {"compress": True, "xor": True}):
            rgb_in = pack_payload(payload, **how)
            answer = await client.call(EMSMDB, EcDoRpcExt2Request(ex.HANDLE, 0, rgb_in, 0x8000))
            assert isinstance(answer, EcDoRpcExt2Response)
            # As it travelled it is in `seen`; this is what it means.
            client.seen += [*unpack_payloads(answer.rgb_out), *unpack_payloads(answer.aux_out)]
        answer = await client.call(EMSMDB, EcDoRpcRequest.of(ex.HANDLE, payload))
        assert isinstance(answer, EcDoRpcResponse)
        client.seen.append(answer.payload)


def test_no_client_sees_the_real_server(caplog: pytest.LogCaptureFixture) -> None:
    async def work(client: Client, exchange: NamedExchange, renamer: Renamer) -> None:
        await ask_address_book(client)
        await ask_for_referrals(client)
        await ask_for_mail(client)
        assert len(client.seen) > 30
        for reply in client.seen:
            assert_hidden(reply)
            assert_hidden(obfuscate(reply))
        # And none of the proxy's names reached the server, which got its own in their place.
        arrived = b"".join(request.pack() for request in exchange.received).lower()
        for encoding in ("ascii", "utf-16-le"):
            assert "proxy".encode(encoding) not in arrived
        # DNToMId, twice in the restriction, template, ResolveNames, both referrals; SeekEntries and ResolveNamesW.
        assert arrived.count(ex.SERVER_DN.lower().encode()) == 1 + 2 + 1 + 1 + 2
        assert arrived.count(ex.SERVER_DN.lower().encode("utf-16-le")) == 2

    through_the_proxy(work)
    assert f"redirected to '{ex.GROUP}{ex.OTHER}', which is none that is relayed to" in caplog.text


def test_the_first_call_of_all_may_name_the_proxy() -> None:
    """After a restart of the proxy, from a client that remembers: nothing was learned but from the handshake."""

    async def work(client: Client, exchange: NamedExchange, renamer: Renamer) -> None:
        await client.call(NSPI, NspiBindRequest(0, STAT_0, None))
        found = await client.call(NSPI, NspiDNToMIdRequest(ex.HANDLE, 0, [PROXY_DN.encode()]))
        assert cast("NspiDNToMIdResponse", found).out_mids == [ex.SERVER_MID]

    through_the_proxy(work)


def test_what_stands_in_the_places_of_names() -> None:
    async def work(client: Client, exchange: NamedExchange, renamer: Renamer) -> None:
        await client.call(NSPI, NspiBindRequest(0, STAT_0, None))
        answer: NspiGetPropsResponse = await client.call(NSPI, NspiGetPropsRequest(ex.HANDLE, 0, STAT_0, None))
        assert answer.row is not None
        values = {value.prop_tag: value.value for value in answer.row.values or []}
        assert values[p.PidTagAddressBookNetworkAddress] == list(OWN.bindings)
        assert values[p.PidTagEmailAddress] == PROXY_DN
        assert values[p.PidTagDisplayName] == "PROXY"
        assert values[p.PidTagAddressType] == "EX"
        assert values[p.PidTagEntryId][28:] == PROXY_DN.encode() + b"\0"
        assert values[p.PidTagComment] == r"runs on proxy.example.test (proxy.example.test), \\PROXY\log"

    through_the_proxy(work)


def test_mail_is_not_touched() -> None:
    async def work(client: Client, exchange: NamedExchange, renamer: Renamer) -> None:
        await client.call(EMSMDB, EcDoConnectExRequest(*CONNECT))
        payload = rops(RopReadStreamRequest(0, 0, 0x1000))
        answer = await client.call(EMSMDB, EcDoRpcExt2Request(ex.HANDLE, 0, pack_payload(payload), 0x8000))
        assert ex.BODY in unpack_payloads(answer.rgb_out)[0]

    through_the_proxy(work)


async def log_on(port: int) -> bytes:
    """A client's whole session: the answer to its RopLogon."""
    async with Client(port) as client:
        await client.call(EMSMDB, EcDoConnectExRequest(*CONNECT))
        answer = await client.call(
            EMSMDB, EcDoRpcExt2Request(ex.HANDLE, 0, pack_payload(rops(logon(ALICE_DN))), 0x8000)
        )
        [payload] = unpack_payloads(answer.rgb_out)
        return payload


def test_a_redirect_leads_to_this_server_and_from_there_to_the_one_that_was_meant() -> None:
    """Whichever of two servers a client comes to first, it is sent to the other, which has its mailbox next time."""

    async def run() -> None:
        one, other = NamedExchange(), NamedExchange(redirects_to=ex.NETBIOS)
        async with (
            asyncio.timeout(30),
            serving(one, ex.authenticator()) as port,
            serving(other, ex.authenticator(ex.OTHER, "mbx08.corp.test")) as other_port,
            proxy_for(port, other_port) as (proxy_port, renamer),
        ):
            # Until it was connected to, nobody knows what the server is called.
            for number, name in ((port, ex.NETBIOS), (other_port, ex.OTHER)):
                renamer.book.learn(f"ncacn_ip_tcp:127.0.0.1[{number}]", name)
            asked: list[NamedExchange] = []
            for _ in range(4):
                before = len(one.received), len(other.received)
                assert PROXY_DN.encode() + b"\0" in await log_on(proxy_port)
                after = len(one.received), len(other.received)
                assert (before[0] < after[0]) is not (before[1] < after[1])
                asked.append(one if before[0] < after[0] else other)
            assert asked[0] is asked[2] is not asked[1] is asked[3]

    asyncio.run(run())


# Without sockets: what passes unchanged, and what can't be made anew.


def relayed(answer: bytes, call: Call, renamer: Renamer | None = None) -> tuple[Call, Upstream]:
    """A call relayed to an upstream that gives this answer."""
    upstream = Upstream(lambda interface, opnum, stub: answer)
    if renamer is None:
        renamer = Renamer(NameBook(OWN))
        renamer.book.learn("ncacn_ip_tcp:upstream", ex.NETBIOS, ex.FQDN)
    relay = Relay(upstream, Authorizer(people()), renamer=renamer)
    asyncio.run(relay.call(call))
    return call, upstream


def new_dsa() -> Call:
    return Call(RFR, 0, RfrGetNewDSARequest(0, b"x", None, None).pack(), Session("test", "client"), ALICE)


@pytest.mark.parametrize("answer", [b"", b"\1", ex.FQDN.encode() * 3])
def test_what_can_not_be_decoded_passes(answer: bytes, caplog: pytest.LogCaptureFixture) -> None:
    call, _ = relayed(answer, new_dsa())
    assert call.reply == answer
    assert "passes as it is" in caplog.text


def test_a_malformed_request_passes() -> None:
    stub = b"\xff" * 8 + PROXY_DN.encode()
    call = Call(RFR, 1, stub, Session("test", "client"), ALICE)
    _, upstream = relayed(RfrGetFQDNFromServerDNResponse(None, 5).pack(), call)
    assert upstream.stubs == [stub]


def test_names_that_are_the_same_change_no_byte() -> None:
    renamer = Renamer(NameBook(OwnNames(ex.NETBIOS, ex.FQDN, ())))
    renamer.book.learn("ncacn_ip_tcp:upstream", ex.NETBIOS, ex.FQDN)
    answer = RfrGetNewDSAResponse(None, Name(ex.FQDN.encode()), 0).pack() + b"\0\0"
    call, upstream = relayed(answer, new_dsa(), renamer)
    assert call.reply == answer
    assert upstream.stubs == [call.stub]


def test_the_fqdn_of_another_server_is_answered_as_it_is() -> None:
    dn = (ex.GROUP + "FAR").encode()
    stub = RfrGetFQDNFromServerDNRequest(0, len(dn) + 1, dn).pack()
    answer = RfrGetFQDNFromServerDNResponse(b"far.corp.test", 0).pack()
    call, upstream = relayed(answer, Call(RFR, 1, stub, Session("test", "client"), ALICE))
    assert (call.reply, upstream.stubs) == (answer, [stub])


def test_a_response_that_grows_beyond_what_the_client_takes_is_a_fault() -> None:
    own = OwnNames("P" * 63, OWN.fqdn, ())
    renamer = Renamer(NameBook(own))
    renamer.book.learn("ncacn_ip_tcp:upstream", ex.NETBIOS)
    request = rops(RopGetOwningServersRequest(0, 0, 1))  # type: ignore[arg-type]
    answer = ex.answer_to(EcDoRpcExt2Request(ex.HANDLE, 0, pack_payload(request), 0x8000))
    stub = EcDoRpcExt2Request(ex.HANDLE, 0, pack_payload(request), len(answer.rgb_out)).pack()
    session = Session("test", "client")
    call = Call(EMSMDB, 11, stub, session, ALICE, reply=answer.pack())
    client = Upstream(lambda *_: b"")
    connection = asyncio.run(client(call, 0))
    with pytest.raises(RpcFault, match="names do not fit"):
        asyncio.run(renamer.response(connection, call))


def test_calls_that_wait_are_left_alone() -> None:
    renamer = Renamer(NameBook(OWN))
    renamer.book.learn("ncacn_ip_tcp:upstream", "EX")
    call = Call(ASYNCEMSMDB, 0, b"", Session("test", "client"), ALICE, reply=b"EX")
    connection = asyncio.run(Upstream(lambda *_: b"")(call, 0))
    asyncio.run(renamer.response(connection, call))
    assert call.reply == b"EX"


def test_long_answers_are_rewritten_too() -> None:
    """Those are handed to a thread."""
    answer = NspiQueryRowsResponse(STAT_0, ex.rows() * 40, 0).pack()
    assert len(answer) > 32768
    call = Call(NSPI, 3, b"", Session("test", "client"), ALICE, reply=answer)
    renamer = Renamer(NameBook(OWN))
    renamer.book.learn("ncacn_ip_tcp:upstream", ex.NETBIOS, ex.FQDN)
    connection = asyncio.run(Upstream(lambda *_: b"")(call, 0))
    asyncio.run(renamer.response(connection, call))
    assert_hidden((call.reply or b"").replace(b"127.0.0.1", b"").replace("127.0.0.1".encode("utf-16-le"), b""))


def test_rop_buffers_without_names_keep_their_bytes() -> None:
    """Compressed and obfuscated as they came, though the request could have been answered with names."""
    request = rops(RopOpenFolderRequest(0, 0, 0, 1, 0))  # type: ignore[arg-type]
    payload = RopBuffer([RopOpenFolderResponse(0, 0, 0, 0)], [1]).pack()
    answer = EcDoRpcExt2Response(ex.HANDLE, 0, pack_payload(payload, xor=True), b"", 0, 0).pack()
    stub = EcDoRpcExt2Request(ex.HANDLE, 0, pack_payload(request), 0x8000).pack()
    call = Call(EMSMDB, 11, stub, Session("test", "client"), ALICE, reply=answer)
    renamer = Renamer(NameBook(OWN))
    renamer.book.learn("ncacn_ip_tcp:upstream", ex.NETBIOS, ex.FQDN)
    connection = asyncio.run(Upstream(lambda *_: b"")(call, 0))
    asyncio.run(renamer.response(connection, call))
    assert call.reply is answer

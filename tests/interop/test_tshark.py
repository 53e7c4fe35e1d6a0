"""What goes over the wire, as tshark reads it: nothing malformed, calls named, sealed ones decrypted."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable

import pytest
from impacket.dcerpc.v5 import epm, nspi, oxabref

from openchange_py.rpc.security import AuthLevel
from openchange_py.wire import proptags as p
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxcrpc import EMSMDB, EcDoConnectExRequest
from openchange_py.wire.oxnspi import NSPI
from openchange_py.wire.rop.base import RopReleaseRequest
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import NO_HANDLE
from tests.interop.capture import Dissection, capturing
from tests.interop.foreign import LEVELS, RECIPIENTS, Session, connection, interface_id, logon_rop, session, unbound
from tests.interop.nodes import RELAY, Node, Site

pytestmark = pytest.mark.xdist_group("site")


def by_impacket(site: Site, node: Node, level: str) -> None:
    """Endpoint mapper, address book, referral and a logon."""
    for interface in (NSPI, RFR, EMSMDB):
        dce = unbound(node.host, node.mapper_port)
        epm.hept_map(node.host, interface_id(interface), protocol="ncacn_ip_tcp", dce=dce)
    epm.hept_lookup(None, dce=unbound(node.host, node.mapper_port))
    with connection(site, node, NSPI, level=level) as dce:
        handle = nspi.hNspiBind(dce)["contextHandle"]
        nspi.hNspiQueryRows(dce, handle, pPropTags=[p.PidTagDisplayName])
        nspi.hNspiResolveNamesW(dce, handle, pPropTags=[p.PidTagAccount], paStr=["alice"])
        nspi.hNspiDNToMId(dce, handle, [f"{RECIPIENTS}bob"])
        nspi.hNspiUnbind(dce, handle)
    with connection(site, node, RFR, level=level) as dce:
        oxabref.hRfrGetNewDSA(dce, f"{RECIPIENTS}alice")
    with session(site, node, "alice", level=level) as opened:
        opened.log_on("alice", compress=True, xor=True)
        opened.disconnect()
    with connection(site, node, EMSMDB, level=level) as dce:
        old = Session(dce)
        old.old_connect("alice")
        request = RopBuffer([logon_rop("alice")], [NO_HANDLE])
        handles = old.old_execute(request).handles
        old.old_execute(RopBuffer([RopReleaseRequest(0, 0)], handles))
        old.disconnect()


async def by_our_client(site: Site, node: Node, level: AuthLevel) -> None:
    async with site.profile(node, "alice", level=level) as profile:
        book = await profile.address_book()
        await book.special_table()
        await book.matches("ali")
        (mid,) = await book.dn_to_mid([f"{RECIPIENTS}bob"])
        # tshark's dissector cannot do without the list of properties, nor with several 8-bit strings in an answer.
        await book.get_props(mid, [p.PidTagDisplayName, p.PidTagAccount, p.PidTagEntryId])
        assert [entry async for entry in book.query_rows()]
        opened = await profile.mailbox()
        inbox = await opened.find_folder("Inbox")
        for summary in (await opened.messages(inbox.id)).messages:
            async with await opened.open_message(inbox.id, summary.id) as message:
                await message.body()
        await profile.referral()


@pytest.fixture(scope="module")
def dissection(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Dissection:
    path = tmp_path_factory.mktemp("capture") / "loopback.pcap"
    ports = [port for node in (site.hybrid, site.exchange) for port in (node.rpc_port, node.mapper_port)]
    with capturing(ports, path):
        for node in (site.hybrid, site.exchange):
            for level in LEVELS:
                by_impacket(site, node, level)
            for rpc_level in (AuthLevel.CONNECT, AuthLevel.INTEGRITY, AuthLevel.PRIVACY):
                asyncio.run(by_our_client(site, node, rpc_level))
    return Dissection(path, ports)


#: What the captured clients call at every level, as tshark shows it.
NSPI_CALLS = {
    f"{name} {what}"
    for name in (
        *("NspiBind", "NspiUnbind", "NspiQueryRows", "NspiGetMatches", "NspiDNToEph", "NspiGetProps"),
        *("NspiGetHierarchyInfo", "NspiResolveNamesW"),
    )
    for what in ("request", "response")
}
RFR_CALLS = {"RfrGetNewDSA request", "RfrGetNewDSA response"}
MAPPER_CALLS = {"Map request", "Map response", "Lookup request", "Lookup response"}


def named(infos: Iterable[str]) -> set[str]:
    """tshark's name of a call, and whether it is request or response, without what it appends."""
    return {re.split(r"[,\[]", info)[0] for info in infos}


@pytest.mark.parametrize("user", ["alice", RELAY])
def test_nothing_is_malformed(dissection: Dissection, site: Site, user: str) -> None:
    """With each of the passwords, because sealed stubs are dissected only where they can be decrypted."""
    error = 0x800000
    wrong = dissection.fields(
        f"_ws.malformed || _ws.expert.severity == {error}",
        "frame.number",
        "_ws.col.Info",
        "_ws.expert.message",
        password=site.passwords[user],
    )
    assert wrong == []


def test_no_call_was_refused(dissection: Dissection) -> None:
    assert dissection.fields("dcerpc.pkt_type == 3 || dcerpc.pkt_type == 13", "_ws.col.Info") == []


def test_the_endpoint_mapper_s_calls_are_named(dissection: Dissection) -> None:
    infos = [info for (info,) in dissection.fields("epm", "_ws.col.Info")]
    assert named(infos) == MAPPER_CALLS
    for interface in ("NSPI", "RFR", "MAPI"):
        assert f"Map response, {interface}, 32bit NDR" in infos


@pytest.mark.parametrize("level", LEVELS)
def test_nspi_and_rfr_calls_are_named_at_every_level(dissection: Dissection, site: Site, level: str) -> None:
    password = site.passwords["alice"]
    authenticated = f"dcerpc.pkt_type == 16 && dcerpc.auth_level == {LEVELS[level]}"
    streams = {stream for (stream,) in dissection.fields(authenticated, "tcp.stream")}
    calls = dissection.fields("nspi || rfr", "tcp.stream", "_ws.col.Protocol", "_ws.col.Info", password=password)
    for protocol, expected in (("NSPI", NSPI_CALLS), ("RFR", RFR_CALLS)):
        assert named(info for stream, name, info in calls if stream in streams and name == protocol) == expected


def test_sealed_calls_are_decrypted_with_the_password(dissection: Dissection, site: Site) -> None:
    sealed = "dcerpc.auth_level == 6 && dcerpc.pkt_type == 2"
    names = ("rfr.RfrGetNewDSA.ppszServer", "nspi.SPropValue_CTR.lpszW")
    assert set(dissection.fields(f"({sealed}) && (rfr || nspi)", *names)) == {("", "")}
    found = dissection.fields(f"({sealed}) && (rfr || nspi)", *names, password=site.passwords["alice"])
    assert {server for server, _ in found} == {"", "localhost"}
    rows = "Alice Example,Bob Example"
    # Every client at both nodes asked for the rows of the address book.
    assert sum(texts == rows or texts.startswith("Alice Example,alice") for _, texts in found) >= 4


def test_the_relay_s_calls_are_sealed_with_its_own_account(dissection: Dissection, site: Site) -> None:
    """Also those of clients that did not ask for it: the binding does."""
    users = {
        user
        for (user,) in dissection.fields(
            f"dcerpc.pkt_type == 16 && tcp.dstport == {site.exchange.rpc_port} && dcerpc.auth_level == 6",
            "ntlmssp.auth.username",
        )
    }
    assert users == {"alice", RELAY}
    # EcDoConnectEx, of which tshark knows no more than the number.
    connects = f"mapi && tcp.dstport == {site.exchange.rpc_port} && dcerpc.opnum == 10 && dcerpc.auth_level == 6"
    stubs = dissection.fields(connects, "dcerpc.decrypted_stub_data", password=site.passwords[RELAY])
    names = [EcDoConnectExRequest.unpack(bytes.fromhex(stub)).user_dn.decode() for (stub,) in stubs if stub]
    assert names == [f"{RECIPIENTS}alice"] * 2 * len(LEVELS)  # of both clients at the hybrid, at every level


@pytest.mark.parametrize("level", LEVELS)
def test_the_calls_of_old_clients_are_dissected_field_by_field(dissection: Dissection, site: Site, level: str) -> None:
    """tshark knows EcDoConnect and EcDoRpc, whose ROP buffer it makes readable: nobody else here does."""
    authenticated = f"dcerpc.pkt_type == 16 && dcerpc.auth_level == {LEVELS[level]}"
    streams = " || ".join(f"tcp.stream == {stream}" for (stream,) in dissection.fields(authenticated, "tcp.stream"))

    def seen(packets: str, *names: str) -> set[tuple[str, ...]]:
        display_filter = f"mapi && ({streams}) && ({packets})"
        found = dissection.fields(display_filter, *names, password=site.passwords["alice"])
        return {values for values in found if any(values)}  # the relay's are sealed with another password

    connect = ("mapi.EcDoConnect.name", "mapi.EcDoConnect.user", "mapi.EcDoConnect.org_group")
    assert seen("dcerpc.opnum == 0", *connect) == {
        (f"{RECIPIENTS}alice", "", ""),
        ("", "Alice Example", RECIPIENTS),
    }
    sizes = ("mapi.EcDoRpc.size", "mapi.EcDoRpc.offset", "mapi.EcDoRpc.length", "mapi.EcDoRpc.max_data")
    assert seen("dcerpc.opnum == 2 && dcerpc.pkt_type == 0", *sizes, "mapi.EcDoRpc.mailbox") == {
        ("32767", "0", str(len(f"{RECIPIENTS}alice") + 21), "32767", f"{RECIPIENTS}alice"),  # RopLogon
        ("32767", "0", "9", "32767", ""),  # RopRelease
    }
    infos = {info for (info,) in seen("dcerpc.opnum == 2", "_ws.col.Info")}
    assert {"EcDoRpc request + op_MAPI_OpenMsgStore", "EcDoRpc response + op_MAPI_OpenMsgStore"} <= infos
    assert "EcDoRpc request + op_MAPI_Release" in infos

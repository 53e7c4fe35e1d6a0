"""Every NSPI and RFR call of a server: through impacket where it encodes the call rightly, and as tshark reads it."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from impacket.dcerpc.v5 import nspi

from openchange_py.addressbook.base import Kind, Organization
from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.addressbook.migrate import upgrade
from openchange_py.rpc.interface import InlineHandler
from openchange_py.servers.nspi.entryids import permanent_entry_id
from openchange_py.servers.nspi.server import NspiServer
from openchange_py.transports.oxcmapihttp_client import MapiHttpClient
from openchange_py.wire import proptags as p
from openchange_py.wire.ndr import ContextHandle, RpcMessage
from openchange_py.wire.oxabref import (
    RFR,
    Name,
    RfrGetFQDNFromServerDNRequest,
    RfrGetFQDNFromServerDNResponse,
    RfrGetNewDSARequest,
    RfrGetNewDSAResponse,
)
from openchange_py.wire.oxnspi import (
    NSPI,
    NspiBindRequest,
    NspiCompareMIdsRequest,
    NspiDNToMIdRequest,
    NspiGetIDsFromNamesRequest,
    NspiGetMatchesRequest,
    NspiGetNamesFromIDsRequest,
    NspiGetPropListRequest,
    NspiGetPropsRequest,
    NspiGetSpecialTableRequest,
    NspiGetTemplateInfoRequest,
    NspiModLinkAttRequest,
    NspiModPropsRequest,
    NspiQueryColumnsRequest,
    NspiQueryRowsRequest,
    NspiResolveNamesRequest,
    NspiResolveNamesWRequest,
    NspiResortRestrictionRequest,
    NspiSeekEntriesRequest,
    NspiUnbindRequest,
    NspiUpdateStatRequest,
)
from openchange_py.wire.oxnspi_restrictions import PropertyRestriction_r
from openchange_py.wire.oxnspi_types import STAT, PropertyRow_r, PropertyValue_r
from openchange_py.wire.oxoabkt import ControlType, unpack_template
from tests.interop.capture import Dissection, capturing
from tests.interop.foreign import ORGANIZATION, RECIPIENTS, call, connection, raw_call
from tests.interop.nodes import Node, Site
from tests.mailboxes import exchange_attributes
from tests.transports.mapi_bridging import https_serving
from tests.transports.serving import run
from tests.transports.test_http_client import ntlm

pytestmark = pytest.mark.xdist_group("site")

TAGS = [p.PidTagDisplayName, p.PidTagEntryId, p.PidTagObjectType]


@pytest.fixture(params=["hybrid", "exchange"])
def node(request: pytest.FixtureRequest, site: Site) -> Node:
    """Each of the two, which answer the address book themselves."""
    return getattr(site, request.param)


def mids_of(tags: Any) -> list[int]:
    return [mid["Data"] for mid in tags["aulPropTag"]]


# impacket


def bound(dce: Any) -> tuple[Any, int]:
    """A context handle, and Alice's Minimal Entry Id."""
    handle = nspi.hNspiBind(dce)["contextHandle"]
    return handle, mids_of(nspi.hNspiDNToMId(dce, handle, [f"{RECIPIENTS}alice"])["ppOutMIds"])[0]


def test_impacket_moves_and_seeks_in_the_list(site: Site, node: Node) -> None:
    with connection(site, node, NSPI) as dce:
        handle, alice = bound(dce)
        stat = nspi.STAT()
        stat["CodePage"] = 1252
        stat["Delta"] = 1
        moved = nspi.hNspiUpdateStat(dce, handle, stat)["pStat"]
        assert (moved["NumPos"], moved["TotalRecs"], moved["Delta"]) == (1, 2, 0)
        found = nspi.hNspiSeekEntries(dce, handle, "Alice Ex")
        assert (found["pStat"]["CurrentRec"], found["pStat"]["NumPos"]) == (alice, 0)


def test_impacket_lists_properties(site: Site, node: Node) -> None:
    with connection(site, node, NSPI) as dce:
        handle, alice = bound(dce)
        has = mids_of(nspi.hNspiGetPropList(dce, handle, alice)["ppOutMIds"])
        assert p.PidTagDisplayName.with_type(0x1E) in has
        known = mids_of(nspi.hNspiQueryColumns(dce, handle)["ppColumns"])
        assert {tag >> 16 for tag in has} <= {tag >> 16 for tag in known}
        names = nspi.hNspiGetNamesFromIDs(dce, handle, pPropTags=[p.PidTagTitle])
        assert names["ppNames"]["cNames"] == 1


def test_impacket_gets_a_template(site: Site, node: Node) -> None:
    with connection(site, node, NSPI) as dce:
        handle, _ = bound(dce)
        answer = nspi.hNspiGetTemplateInfo(dce, handle, dwLocaleID=0x407, dwCodePage=1252, dwFlags=1)
        (value,) = answer["ppData"]["lpProps"]
        controls = unpack_template(b"".join(value["Value"]["bin"]["lpb"]), lambda raw: raw.decode("cp1252"))
        assert controls[0].text == "Allgemein"
        assert {control.type for control in controls} >= {ControlType.PAGE, ControlType.EDIT, ControlType.LIST_BOX}


# tshark

#: tshark's names, where they are not the document's.
TSHARK_NAMES = {
    "NspiDNToMId": "NspiDNToEph",
    "NspiCompareMIds": "NspiCompareDNTs",
    "NspiModLinkAtt": "NspiModLInkAtt",
    "NspiGetSpecialTable": "NspiGetHierarchyInfo",
}


class Caller:
    """Makes NSPI calls with this project's codecs; `transact` takes an opnum and a request stub."""

    def __init__(self, transact: Callable[[int, bytes], bytes]) -> None:
        self._transact = transact
        self.called: list[str] = []
        self.handle: ContextHandle = self.send(NspiBindRequest(0, STAT())).context_handle

    def send(self, request: RpcMessage) -> Any:
        (method,) = [method for method in NSPI.methods.values() if method.request is type(request)]
        assert method.response
        self.called.append(method.name)
        return method.response.unpack(self._transact(method.opnum, request.pack()))

    def ask(self, kind: type[RpcMessage], *parameters: Any, result: int = 0) -> Any:
        response = self.send(kind(self.handle, *parameters))  # type: ignore[call-arg]
        assert response.return_value == result, kind
        return response


def every_nspi_call(caller: Caller, *, names: bool = True) -> None:
    """With a result for each; the writing ones change nothing. `names`: also those that HTTP does not have."""
    stat = STAT()
    alice, bob = caller.ask(
        NspiDNToMIdRequest, 0, [f"{RECIPIENTS}{name}".encode() for name in ("alice", "bob")]
    ).out_mids
    at_alice = dataclasses.replace(stat, current_rec=alice)
    caller.ask(NspiUpdateStatRequest, 0, dataclasses.replace(stat, delta=1), 0)
    caller.ask(NspiQueryRowsRequest, 0, stat, 0, None, 10, TAGS)
    caller.ask(NspiSeekEntriesRequest, 0, stat, PropertyValue_r(p.PidTagDisplayName, "A"), None, TAGS)
    is_alice = PropertyRestriction_r(4, p.PidTagAccount, PropertyValue_r(p.PidTagAccount, "alice"))
    assert caller.ask(NspiGetMatchesRequest, 0, stat, None, 0, is_alice, None, 10, TAGS).out_mids == [alice]
    assert caller.ask(NspiResortRestrictionRequest, 0, stat, [bob, alice], None).out_mids == [alice, bob]
    caller.ask(NspiGetPropListRequest, 0, alice, 1252)
    caller.ask(NspiGetPropsRequest, 0, at_alice, TAGS)
    assert caller.ask(NspiCompareMIdsRequest, 0, stat, alice, bob).result < 0
    caller.ask(NspiModPropsRequest, 0, at_alice, [p.PidTagUserX509Certificate], PropertyRow_r([]))
    caller.ask(NspiGetSpecialTableRequest, 4, stat, 0)
    assert caller.ask(NspiGetSpecialTableRequest, 2, stat, 0).rows
    caller.ask(NspiGetTemplateInfoRequest, 1, 0, None, 1252, 0x409)
    delegate = permanent_entry_id(0, f"{RECIPIENTS}bob")
    caller.ask(NspiModLinkAttRequest, 1, p.PidTagAddressBookPublicDelegates, alice, [delegate])
    caller.ask(NspiQueryColumnsRequest, 0, 0x80000000)
    if names:
        given = caller.ask(NspiGetNamesFromIDsRequest, 0, None, [p.PidTagTitle]).names
        caller.ask(NspiGetIDsFromNamesRequest, 0, 0, 1, given)
    caller.ask(NspiResolveNamesRequest, 0, stat, TAGS, [b"alice"])
    caller.ask(NspiResolveNamesWRequest, 0, stat, TAGS, ["bob"])
    caller.send(NspiUnbindRequest(caller.handle))


def every_rfr_call(dce: Any) -> None:
    new_dsa = RfrGetNewDSARequest(0, f"{RECIPIENTS}alice".encode(), None, Name(None))
    assert call(dce, RFR, new_dsa, RfrGetNewDSAResponse).return_value == 0
    dn = f"{ORGANIZATION}/cn=Configuration/cn=Servers/cn=EXCHANGE".encode()
    fqdn = RfrGetFQDNFromServerDNRequest(0, len(dn) + 1, dn)
    assert call(dce, RFR, fqdn, RfrGetFQDNFromServerDNResponse).return_value == 0


@pytest.fixture(scope="module")
def captured(site: Site, tmp_path_factory: pytest.TempPathFactory) -> tuple[Dissection, list[str]]:
    """What tshark has of all calls to both nodes, and the names of those calls."""
    path = tmp_path_factory.mktemp("capture") / "calls.pcap"
    ports = [node.rpc_port for node in (site.hybrid, site.exchange)]
    called: list[str] = []
    with capturing(ports, path):
        for node in (site.hybrid, site.exchange):
            with connection(site, node, NSPI, level="connect") as dce:
                caller = Caller(partial(raw_call, dce))
                every_nspi_call(caller)
                called += caller.called
            with connection(site, node, RFR, level="connect") as dce:
                every_rfr_call(dce)
    return Dissection(path, ports), called


def test_every_call_of_the_interface_was_made(captured: tuple[Dissection, list[str]]) -> None:
    assert set(captured[1]) == {method.name for method in NSPI.methods.values() if method.request}


def test_tshark_names_every_call_both_ways(captured: tuple[Dissection, list[str]]) -> None:
    dissection, called = captured
    infos = {re.split(r"[,\[]", info)[0] for (info,) in dissection.fields("nspi || rfr", "_ws.col.Info")}
    names = {TSHARK_NAMES.get(name, name) for name in called} | {"RfrGetNewDSA", "RfrGetFQDNFromLegacyDN"}
    assert infos == {f"{name} {way}" for name in names for way in ("request", "response")}


def test_tshark_finds_nothing_malformed(captured: tuple[Dissection, list[str]]) -> None:
    wrong = captured[0].fields(
        "_ws.malformed || _ws.expert.severity == 0x800000", "frame.number", "_ws.col.Info", "_ws.expert.message"
    )
    assert wrong == []


def test_no_call_was_refused(captured: tuple[Dissection, list[str]]) -> None:
    assert captured[0].fields("dcerpc.pkt_type == 3 || dcerpc.pkt_type == 13", "_ws.col.Info") == []


# MAPI over HTTP


def test_the_same_server_answers_over_mapi_over_http(tmp_path: Path) -> None:
    """The same calls of the same client library, as request types of [MS-OXCMAPIHTTP] on the way."""
    url = f"sqlite:///{tmp_path}/directory.db"
    upgrade(url)
    directory = EmbeddedDirectory(url)
    organization = Organization("First Organization", "First Administrative Group")
    directory.provision(organization, "EXCHANGE")
    for account in ("alice", "bob"):
        name, mail = f"{account.title()} Example", f"{account}@example.test"
        attributes = exchange_attributes(organization, "EXCHANGE", account, mail, name)
        directory.create(Kind.USER, account, attributes)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        server = InlineHandler([NspiServer(directory, "EXCHANGE", "localhost")])
        async with https_serving(server, tmp_path) as endpoints:
            client = await MapiHttpClient.connect(endpoints, NSPI, ntlm())

            def transact(opnum: int, stub: bytes) -> bytes:
                return bytes(asyncio.run_coroutine_threadsafe(client.call(opnum, stub), loop).result())

            await asyncio.to_thread(lambda: every_nspi_call(Caller(transact), names=False))
            await client.close()

    run(main)
    directory.close()

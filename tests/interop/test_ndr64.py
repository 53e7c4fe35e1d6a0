"""NDR64 as others read it, and from end to end: client, relay and server all speaking it.

smbtorture and python3-samba in NDR64 are in `test_rpc.py`. What tshark reads here was recorded of real clients and a
real server in NDR 2.0, which 64-bit Windows sends as well; no recording of theirs in NDR64 was at hand.
"""

from __future__ import annotations

import asyncio
import json
import re
import struct
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openchange_py.client.connection import Account, Connector
from openchange_py.client.endpoints import read_ready_file
from openchange_py.client.profile import Profile
from openchange_py.rpc.fragments import DEFAULT_FRAGMENT, fragments_of
from openchange_py.rpc.representation import ndr64_request, ndr64_response
from openchange_py.wire import proptags as p
from openchange_py.wire.epm import EPMAPPER
from openchange_py.wire.mgmt import InqIfIdsResponse, InqPrincNameRequest, IsServerListeningResponse
from openchange_py.wire.ndr import NDR20, RpcInterface, RpcMessage, SyntaxId
from openchange_py.wire.ndr64 import Ndr64Writer
from openchange_py.wire.netlogon import (
    NetrLogonSamLogonExRequest,
    NetrServerAuthenticate3Request,
    NetrServerAuthenticate3Response,
    NetrServerReqChallengeRequest,
    NetrServerReqChallengeResponse,
)
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxnspi import NSPI
from openchange_py.wire.pdu import (
    Bind,
    BindAck,
    PresentationContextElement,
    PresentationResult,
    Request,
    Response,
)
from openchange_py.wire.syntax import NDR64
from tests.conftest import json_lines, shared_path
from tests.interop.capture import tool
from tests.interop.nodes import PATIENCE, Node, Site
from tests.interop.samba_dc import DEBIAN_PYTHON

pytestmark = pytest.mark.xdist_group("site")

SERVER_PORT = 6001


class Pcap:
    """Conversations over TCP, as a capture."""

    def __init__(self) -> None:
        self.data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
        self._sent: dict[tuple[int, int], int] = {}

    def add(self, source: int, target: int, payload: bytes) -> None:
        """What the port `source` sends to the port `target`."""
        sent, received = self._sent.get((source, target), 1), self._sent.get((target, source), 1)
        self._sent[source, target] = sent + len(payload)
        tcp = struct.pack(">HHIIBBHHH", source, target, sent, received, 0x50, 0x18, 65535, 0, 0) + payload
        ends = [b"\x0a\0\0\1", b"\x0a\0\0\2"][:: 1 if target == SERVER_PORT else -1]
        packet = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0, *ends) + tcp
        self.data += struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet


def calls(interface: RpcInterface, each: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Opnum, request and response of the first recorded calls of each kind."""
    seen: dict[int, int] = {}
    for path in sorted(shared_path("wire").glob("calls-*.jsonl*")):
        for record in json_lines(path):
            opnum, answer = record["opnum"], record["response_stub_hex"]
            if uuid.UUID(record["interface_uuid"]) == interface.syntax.uuid and answer and seen.get(opnum, 0) < each:
                seen[opnum] = seen.get(opnum, 0) + 1
                yield opnum, bytes.fromhex(record["request_stub_hex"]), bytes.fromhex(answer)


def conversations(interface: RpcInterface, transfer: SyntaxId) -> bytes:
    """A capture of recorded calls in a transfer syntax, each on a connection of its own."""
    capture, client = Pcap(), 20000
    for opnum, request, response in calls(interface, 12):
        client += 1
        if transfer == NDR64:
            request = ndr64_request(interface, opnum, request)
            response = ndr64_response(interface, opnum, response)
        bind = Bind(call_id=1, contexts=(PresentationContextElement(0, interface.syntax, (transfer,)),))
        ack = BindAck(call_id=1, assoc_group_id=1, results=(PresentationResult(0, 0, transfer),))
        asked = Request(call_id=2, context_id=0, opnum=opnum, stub=request)
        answered = Response(call_id=2, context_id=0, stub=response)
        capture.add(client, SERVER_PORT, bind.pack())
        capture.add(SERVER_PORT, client, ack.pack())
        capture.add(client, SERVER_PORT, fragments_of(asked, DEFAULT_FRAGMENT, None))
        capture.add(SERVER_PORT, client, fragments_of(answered, DEFAULT_FRAGMENT, None))
    return capture.data


def dissected(path: Path, protocol: str) -> list[str]:
    """tshark's reading of each call: the lines of its protocol, without what the transfer syntax itself is."""
    command: list[Any] = [tool("tshark"), "-n", "-2", "-r", path, "-d", f"tcp.port=={SERVER_PORT},dcerpc"]
    command += ["-O", protocol, "-Y", protocol]
    text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    found = []
    for frame in re.split(r"^Frame ", text, flags=re.MULTILINE)[1:]:
        _, _, body = frame.partition("Distributed Computing Environment")
        lines = [line for line in body.splitlines()[1:] if "NDR-Padding" not in line]
        found.append("\n".join(re.sub(r"Referent ID: 0x0*", "Referent ID: 0x", line) for line in lines))
    return found


@pytest.mark.parametrize(
    ("interface", "protocol"), [(NSPI, "nspi"), (RFR, "rfr"), (EPMAPPER, "epm")], ids=["nspi", "rfr", "epm"]
)
def test_tshark_reads_the_same_in_either_transfer_syntax(
    interface: RpcInterface, protocol: str, tmp_path: Path
) -> None:
    """Every field of recorded calls, with one exception: tshark does not align the union in a Restriction_r.

    [MS-RPCE] 2.2.5.3.4.4 does, as tshark itself does in PropertyValue_r.
    """
    readings = []
    for transfer in (NDR20, NDR64):
        path = tmp_path / f"{transfer.uuid}.pcap"
        path.write_bytes(conversations(interface, transfer))
        readings.append(dissected(path, protocol))
    narrow, wide = readings
    assert len(narrow) == len(wide) >= 20
    compared = 0
    for one, other in zip(narrow, wide, strict=True):
        if "NspiGetMatches" in one and "Pointer to Restrictions" in one:
            continue
        assert other == one
        compared += 1
    assert compared >= 20


# Samba


CHALLENGE = bytes(range(8))
LOGON = NetrLogonSamLogonExRequest("dc", None, "EXAMPLE", 0x820, "älice", "PC", CHALLENGE, b"sixteen bytes...", b"")

#: What Samba's IDL has as well, with its names. Left out are three of which it has another one than the documents:
#: a validation level of 16 bits ([MS-NRPC] 2.2.1.4.17 has an enumeration: the logon above aligns what is behind it),
#: statistics whose number stands inside of the array's (C706 appendix Q), and towers with counts of 32 bits.
SAMBA_CALLS: list[tuple[RpcMessage, str, str, str]] = [
    (NetrServerReqChallengeRequest(None, "EXCH1", CHALLENGE), "netlogon", "netr_ServerReqChallenge", "in"),
    (NetrServerReqChallengeResponse(CHALLENGE, 0xC0000022), "netlogon", "netr_ServerReqChallenge", "out"),
    (
        NetrServerAuthenticate3Request("dc", "EXCH1$", 2, "EXCH1", CHALLENGE, 0x613FFFFF),
        "netlogon",
        "netr_ServerAuthenticate3",
        "in",
    ),
    (
        NetrServerAuthenticate3Response(CHALLENGE, 0x613FFFFF, 1105, 0),
        "netlogon",
        "netr_ServerAuthenticate3",
        "out",
    ),
    (LOGON, "netlogon", "netr_LogonSamLogonEx", "in"),
    (InqIfIdsResponse([NSPI.syntax, None, RFR.syntax], 0), "mgmt", "inq_if_ids", "out"),
    (InqIfIdsResponse(None, 5), "mgmt", "inq_if_ids", "out"),
    (InqPrincNameRequest(10, 300), "mgmt", "inq_princ_name", "in"),
    (IsServerListeningResponse(0, 1), "mgmt", "is_server_listening", "out"),
]


def test_samba_packs_the_same_bytes_of_what_it_read() -> None:
    if not DEBIAN_PYTHON.exists():
        pytest.skip(f"no {DEBIAN_PYTHON}")
    stubs = [message.pack(Ndr64Writer).hex() for message, *_ in SAMBA_CALLS]
    asked = [
        [module, structure, side, stub] for (_, module, structure, side), stub in zip(SAMBA_CALLS, stubs, strict=True)
    ]
    script = Path(__file__).with_name("samba_ndr.py")
    done = subprocess.run([DEBIAN_PYTHON, script], input=json.dumps(asked), capture_output=True, text=True, timeout=60)
    if "No module named 'samba'" in done.stderr:
        pytest.skip("Debian's python3-samba is not installed")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == stubs


# Client, relay and server


@pytest.fixture(scope="module")
def relaying(site: Site) -> Iterator[Node]:
    """A third node, which relays everything to node exchange in NDR64."""
    config = site.place / "ndr64.conf"
    lines = site.hybrid.config.read_text("utf-8").replace(",seal]", ",seal,ndr64]").splitlines()
    kept = [line.replace("hybrid", "ndr64") for line in lines if "_server = " not in line]
    config.write_text("\n".join(kept) + "\n", "utf-8")
    (site.place / "ndr64").mkdir()
    node = Node("ndr64", config)
    try:
        node.start()
        node.wait_until_ready()
        yield node
        assert node.stop() == 0
    finally:
        node.abandon()


async def seen(site: Site, node: Node, *, ndr64: bool) -> list[Any]:
    """What alice reads of her address book and mailbox, of every kind of answer something."""
    account = Account("alice", "EXAMPLE", site.passwords["alice"])
    options = {"connect_timeout": PATIENCE, "call_timeout": PATIENCE}
    connector = Connector(read_ready_file(node.ready_file), account, ndr64=ndr64, **options)
    async with Profile(connector) as profile:
        book = await profile.address_book()
        found: list[Any] = [await book.special_table(), await book.matches("ali")]
        (mid,) = await book.dn_to_mid(["/o=First Organization/ou=First Administrative Group/cn=Recipients/cn=bob"])
        found.append(await book.get_props(mid, [p.PidTagDisplayName, p.PidTagAccount, p.PidTagEntryId]))
        found.append([entry async for entry in book.query_rows()])
        found.append(await profile.referral())
        mailbox = await profile.mailbox()
        inbox = await mailbox.find_folder("Inbox")
        for summary in (await mailbox.messages(inbox.id)).messages:
            async with await mailbox.open_message(inbox.id, summary.id) as message:
                found += [summary, await message.body()]
        return found


def test_client_relay_and_server_in_ndr64(site: Site, relaying: Node) -> None:
    """The client's calls are made anew at the relay, and again on the way to the server behind it."""
    expected = asyncio.run(seen(site, site.exchange, ndr64=False))
    assert len(expected) > 10
    assert asyncio.run(seen(site, site.exchange, ndr64=True)) == expected
    for ndr64 in (True, False):
        assert asyncio.run(seen(site, relaying, ndr64=ndr64)) == expected

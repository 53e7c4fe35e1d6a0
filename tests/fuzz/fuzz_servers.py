"""Targets of the local servers: calls as a client that is logged on sends them, over real databases."""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from openchange_py.rpc.call import Call, RpcFault, Session
from openchange_py.rpc.security import AuthLevel, Identity
from openchange_py.servers.autodiscover.pox import MOBILESYNC
from openchange_py.servers.autodiscover.server import AutodiscoverServer, Request
from openchange_py.servers.autodiscover.settings import Offer
from openchange_py.servers.emsmdb.processor import decode_request, execute
from openchange_py.servers.emsmdb.registry import MapiError
from openchange_py.servers.emsmdb.session import ClientSettings, EmsmdbSession
from openchange_py.servers.nspi.server import NspiServer
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.oxnspi import NSPI, NspiBindRequest
from openchange_py.wire.oxnspi_types import STAT
from tests.fuzz.fuzz_mapi import _recorded, _stub_seeds
from tests.fuzz.target import target
from tests.node import FQDN, SERVER_NAME, provision

ALICE = Identity("alice", "EXAMPLE", AuthLevel.PRIVACY)


@functools.cache
def parts():  # type: ignore[no-untyped-def]
    """Directory and store of one process, in a folder that goes with it."""
    place = tempfile.TemporaryDirectory(prefix="ocpy-fuzz-")
    atexit.register(place.cleanup)
    return provision(Path(place.name), {})


@target("nspi-server", lambda: _stub_seeds(NSPI), longest=512)
def fuzz_nspi_server(data: bytes) -> None:
    """NSPI calls to the address book server: opnum, then the stub behind the context handle."""
    if not data:
        return
    directory, _ = parts()
    server = NspiServer(directory, SERVER_NAME, FQDN)
    session = Session("ncacn_ip_tcp", "192.0.2.1:1")
    bind = Call(NSPI, 0, NspiBindRequest(0, STAT()).pack(), session, ALICE)
    server.call(bind)
    response = bind.response
    handle = response.context_handle  # type: ignore[union-attr]
    stub = handle.uuid.bytes_le if data[0] & 0x80 else b""
    call = Call(NSPI, data[0] & 0x1F, (b"\0\0\0\0" + stub if stub else b"") + data[1:], session, ALICE)
    with contextlib.suppress(DecodeError, RpcFault):
        server.call(call)
        call.reply_bytes()


def _autodiscover_seeds() -> list[bytes]:
    from tests.servers.autodiscover import test_pox, test_soap

    domains = test_soap.envelope("GetDomainSettings", "<a:Domains><a:Domain>example.test</a:Domain></a:Domains>")
    mobile = test_pox.request(schema=MOBILESYNC, ns=test_pox.MOBILE)
    pox = [test_pox.request(), test_pox.request("", "<LegacyDN>/o=x/cn=y</LegacyDN>"), mobile]
    return [
        *(b"\0" + body for body in pox),
        *(b"\1" + body for body in (test_soap.users("alice@example.test", "x@y"), domains)),
        b"\2/v1.0/alice@example.test?Protocol=AutodiscoverV1",
        b"\2?Email=alice%40example.test&Protocol=Ews",
    ]


@target("autodiscover", _autodiscover_seeds)
def fuzz_autodiscover(data: bytes) -> None:
    """Autodiscover requests: which service, then body or path; what is answered is XML or JSON, whatever was asked."""
    directory, _ = parts()
    offer = Offer(SERVER_NAME, FQDN, FQDN, mapi_http=True, rpc_http=True, activesync_url="https://eas.test/x")
    server = AutodiscoverServer(directory, lambda: offer)
    page, rest = ("autodiscover.xml", "autodiscover.svc", "autodiscover.json")[data[0] % 3] if data else "", data[1:]
    path, _, query = rest.decode("latin-1").partition("?") if page.endswith("json") else ("", "", "")
    asked = Request("GET" if page.endswith("json") else "POST", f"/autodiscover/{page}{path}", query, {}, secure=True)
    answer = server.answer_anybody(asked)
    if answer is None:
        ElementTree.fromstring(server.answer(asked, ALICE, rest).body)
    elif answer.body:
        json.loads(answer.body)


@target("rop-server", lambda: _recorded("calls-*.jsonl*", "rop_request_hex"), longest=1024)
def fuzz_rop_server(data: bytes) -> None:
    """ROP buffers to the mailbox server, in a session of alice's."""
    directory, store = parts()
    alice = directory.by_account("alice")
    session = EmsmdbSession(directory, store, alice, alice, ClientSettings(1252, 1033, 1033))
    with contextlib.suppress(MapiError):
        execute(session, decode_request(data), 0x8000)
    session.close()

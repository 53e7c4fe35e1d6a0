"""The address book: pages of 50 entries by 10 columns, names and searches, µs per call, the codec's part apart."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import cast

from openchange_py.addressbook.base import Directory, Kind
from openchange_py.rpc.call import Call, Session
from openchange_py.rpc.security import AuthLevel, Identity
from openchange_py.servers.nspi.server import NspiServer
from openchange_py.wire import proptags as p
from openchange_py.wire.ndr import ContextHandle, RpcMessage
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType
from openchange_py.wire.oxnspi import (
    NSPI,
    NspiBindRequest,
    NspiBindResponse,
    NspiGetMatchesRequest,
    NspiGetMatchesResponse,
    NspiQueryRowsRequest,
    NspiQueryRowsResponse,
    NspiResolveNamesWRequest,
    NspiResolveNamesWResponse,
)
from openchange_py.wire.oxnspi_restrictions import ContentRestriction_r
from openchange_py.wire.oxnspi_types import STAT, PropertyValue_r
from tests.bench.parts import people
from tests.bench.parts.report import Report
from tests.bench.parts.timing import microseconds
from tests.mailboxes import exchange_attributes

ENTRIES = 1000
PAGE = 50
QUERY_ROWS, GET_MATCHES, RESOLVE_NAMES_W = 3, 5, 20

#: What an address book shows of its entries.
COLUMNS: tuple[PropertyTag, ...] = (
    p.PidTagDisplayName,
    p.PidTagEmailAddress.with_type(PropertyType.String),
    p.PidTagAddressType.with_type(PropertyType.String),
    p.PidTagSmtpAddress,
    p.PidTagAccount,
    p.PidTagDisplayType,
    p.PidTagObjectType,
    p.PidTagEntryId,
    p.PidTagInstanceKey,
    p.PidTagTitle,
)


def run(quick: bool) -> Report:
    """Server and codec in turn."""
    entries = 2 * PAGE if quick else ENTRIES
    report = Report(
        "nspi",
        notes=[
            f"embedded directory of {entries} people, SQLite; best rounds, in one process",
            "server: NspiServer.call, decoding and encoding included; codec: the same call's messages alone",
        ],
    )
    with tempfile.TemporaryDirectory(prefix="ocpy-bench-") as place, contextlib.ExitStack() as stack:
        directory = people.make_directory(Path(place))
        stack.callback(directory.close)
        _fill(directory, entries)
        _measure(report, NspiServer(directory, "EXCHANGE", "exchange.example.test"), entries, quick=quick)
    return report


def _fill(directory: Directory, entries: int) -> None:
    for number in range(entries):
        account = f"user{number:05}"
        mail = f"{account}@example.test"
        attributes = exchange_attributes(people.ORGANIZATION, "EXCHANGE", account, mail, _name(number))
        directory.create(Kind.USER, account, {**attributes, "title": ["Engineer"]})


def _name(number: int) -> str:
    return f"{_NAMES[number * 7 % len(_NAMES)]} {number:05}"


_NAMES = ("Anna Berg", "Boris Ceh", "Chen Li", "Dora Ek", "Émile Faure", "Fatma Gül", "Gerd Holm", "Hana Itō")


class Client:
    """One that has bound."""

    def __init__(self, server: NspiServer) -> None:
        self._server = server
        self._session = Session("bench", "here")
        self._caller = Identity(people.USER, people.DOMAIN, AuthLevel.PRIVACY)
        bound = cast("NspiBindResponse", self.call(0, NspiBindRequest(0, STAT(), None).pack()).response)
        self.handle: ContextHandle = bound.context_handle

    def call(self, opnum: int, stub: bytes) -> Call:
        """Make a call, as a worker thread would."""
        call = Call(NSPI, opnum, stub, self._session, self._caller)
        self._server.call(call)
        call.reply_bytes()
        return call


def _measure(report: Report, server: NspiServer, entries: int, *, quick: bool) -> None:
    client = Client(server)
    pages = [_query(client.handle, start) for start in range(0, entries - PAGE + 1, PAGE)]
    rows = client.call(QUERY_ROWS, pages[-1].pack())
    answer = cast("NspiQueryRowsResponse", rows.response)
    assert answer.rows is not None
    assert len(answer.rows) == PAGE
    names = [f"user{number:05}" for number in range(0, entries, 13)]
    resolve = [NspiResolveNamesWRequest(client.handle, 0, STAT(code_page=1252), list(COLUMNS), [n]) for n in names]
    resolved = client.call(RESOLVE_NAMES_W, resolve[0].pack())
    mids = cast("NspiResolveNamesWResponse", resolved.response).mids
    assert mids is not None
    assert mids[0] == 2, "MID_RESOLVED"
    sought = [_begins(_name(number)[:-1]) for number in range(0, entries, 13)]
    matches = [
        NspiGetMatchesRequest(client.handle, 0, STAT(), None, 0, one, None, PAGE, list(COLUMNS)) for one in sought
    ]
    matched = client.call(GET_MATCHES, matches[0].pack())
    assert cast("NspiGetMatchesResponse", matched.response).return_value == 0
    times = microseconds(
        {
            "query": _in_turn(client, QUERY_ROWS, [page.pack() for page in pages]),
            "query codec": _codec(rows),
            "resolve": _in_turn(client, RESOLVE_NAMES_W, [one.pack() for one in resolve]),
            "resolve codec": _codec(resolved),
            "match": _in_turn(client, GET_MATCHES, [one.pack() for one in matches]),
            "match codec": _codec(matched),
        },
        quick=quick,
    )
    table = report.table("one call", "call", "server µs", "codec µs", "server vs codec", "per second")
    for what, key in (
        (f"NspiQueryRows, {PAGE} x {len(COLUMNS)}", "query"),
        ("NspiResolveNamesW, one name", "resolve"),
        ("NspiGetMatches, names that begin so", "match"),
    ):
        whole, codec = times[key], times[f"{key} codec"]
        table.add(what, whole, codec, whole / codec, round(1e6 / whole))


def _query(handle: ContextHandle, start: int) -> NspiQueryRowsRequest:
    stat = STAT(current_rec=0, delta=start, code_page=1252)
    return NspiQueryRowsRequest(handle, 0, stat, 0, None, PAGE, list(COLUMNS))


def _begins(name: str) -> ContentRestriction_r:
    """Whose display name begins so."""
    return ContentRestriction_r(2, p.PidTagDisplayName, PropertyValue_r(p.PidTagDisplayName, name))


def _in_turn(client: Client, opnum: int, stubs: list[bytes]) -> Callable[[], object]:
    """Another one with every call."""
    turns = itertools.cycle(stubs)
    return lambda: client.call(opnum, next(turns))


def _codec(call: Call) -> Callable[[], object]:
    """What decoding the request and encoding the response of a call takes."""
    request, response = type(call.request), call.response
    assert isinstance(response, RpcMessage)
    stub, packing = call.stub, response

    def code() -> object:
        request.unpack(stub)
        return packing.pack()

    return code

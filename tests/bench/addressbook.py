"""The address book of a large directory in OpenLDAP: its index, and each call beside the same question to slapd."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

from openchange_py.addressbook import migrate
from openchange_py.addressbook.indexed import IndexedDirectory
from openchange_py.addressbook.ldap.connection import connect
from openchange_py.addressbook.ldap.directory import LdapDirectory
from openchange_py.addressbook.ldap.session import Session as LdapSession
from openchange_py.rpc.call import Call, Session
from openchange_py.rpc.security import AuthLevel, Identity
from openchange_py.servers.nspi.server import NspiServer
from openchange_py.wire import proptags as p
from openchange_py.wire.ndr import ContextHandle
from openchange_py.wire.oxnspi import (
    NSPI,
    NspiBindRequest,
    NspiDNToMIdRequest,
    NspiGetMatchesRequest,
    NspiGetPropsRequest,
    NspiQueryRowsRequest,
    NspiResolveNamesWRequest,
    NspiSeekEntriesRequest,
)
from openchange_py.wire.oxnspi_restrictions import ContentRestriction_r
from openchange_py.wire.oxnspi_types import STAT, PropertyValue_r
from tests.bench.nspi import COLUMNS
from tests.bench.parts.large_slapd import account_of, dn_of, large_slapd, name_of, numbers, servers_of
from tests.bench.parts.people import DOMAIN, ORGANIZATION
from tests.bench.parts.processes import resident_kib
from tests.bench.parts.report import Report
from tests.conftest import ROOT
from tests.slapd import BASE, Slapd, find

PEOPLE, GROUPS, MEMBERS = 100_000, 20, 10_000
PAGE = 50
#: Calls of each kind, and sessions that are counted together.
CALLS, SESSIONS = 200, 1000
#: What slapd is asked for where a client asks for `COLUMNS`.
ATTRIBUTES = ("displayName", "legacyExchangeDN", "proxyAddresses", "mail", "mailNickname", "title", "cn", "entryUUID")


def run(quick: bool) -> Report:
    """Index, calls, memory."""
    report = Report("addressbook")
    if find("slapd") is None:
        report.notes.append("not measured: slapd is not installed")
        return report
    people, groups, members = (300, 2, 50) if quick else (PEOPLE, GROUPS, MEMBERS)
    report.notes += [
        f"OpenLDAP (mdb) with {people} people and {groups} groups of {members} members; index in SQLite; one client",
        "server: NspiServer.call, decoding and encoding included; slapd: the same question by ldap3 over TLS",
    ]
    with tempfile.TemporaryDirectory(prefix="ocpy-bench-") as place, contextlib.ExitStack() as stack:
        slapd = large_slapd(Path(place), people, groups, members)
        stack.callback(slapd.stop)
        index = f"sqlite:///{place}/index.db"
        _index(report, slapd, index, people)
        migrate.upgrade(index)
        directory = LdapDirectory(servers_of(slapd), index, ORGANIZATION.name)
        stack.callback(directory.close)
        _increments(report, slapd, directory, people)
        began = time.perf_counter()
        IndexedDirectory.start(directory)
        report.notes.append(f"a server reads the lists into memory in {time.perf_counter() - began:.2f} s")
        _calls(report, slapd, directory, people, 10 if quick else CALLS)
        _sessions(report, directory, 10 if quick else SESSIONS)
    return report


def _index(report: Report, slapd: Slapd, index: str, people: int) -> None:
    child = [sys.executable, "-m", "tests.bench.parts.first_index", index, slapd.ldaps, str(slapd.ca_file)]
    done = subprocess.run(child, cwd=ROOT, check=True, capture_output=True, text=True)
    took = json.loads(done.stdout)
    assert took["entries"] > people
    table = report.table("the first index, in a process of its own", "", "seconds", "CPU s", "RSS MiB", "entries/s")
    table.add("first index", took["seconds"], took["cpu"], took["rss"], round(took["entries"] / took["seconds"]))


def _increments(report: Report, slapd: Slapd, directory: LdapDirectory, people: int) -> None:
    """From a change at slapd to the index that has it, without the wait between two looks."""
    directory.catch_up()
    table = report.table("changes that are followed", "people changed", "ms")
    for many in (0, 1, 100, 1000):
        changed = list(dict.fromkeys(numbers(people, min(many, people))))
        if changed:
            slapd.change("".join(_change(number) for number in changed))
        began = time.perf_counter()
        directory.catch_up()
        table.add(str(len(changed)), (time.perf_counter() - began) * 1000)
        assert all(
            (entry := directory.by_account(account_of(number))) is not None and entry.first("title") == "Boss"
            for number in changed[:10]
        )


def _change(number: int) -> str:
    return f"dn: {dn_of(number)}\nchangetype: modify\nreplace: title\ntitle: Boss\n\n"


class Client:
    """One that has bound."""

    def __init__(self, server: NspiServer) -> None:
        self._server = server
        self._session = Session("bench", "here")
        self._caller = Identity(account_of(0), DOMAIN, AuthLevel.PRIVACY)
        bound = self.call(NspiBindRequest(0, STAT(), None))
        assert bound.return_value == 0
        self.handle: ContextHandle = bound.context_handle

    def call(self, request: Any) -> Any:
        """Make a call, as a worker thread would."""
        call = Call(NSPI, _OPNUMS[type(request)], request.pack(), self._session, self._caller)
        self._server.call(call)
        call.reply_bytes()
        return cast("Any", call.response)


_OPNUMS = {method.request: opnum for opnum, method in NSPI.methods.items() if method.request}

#: One question: the calls that ask it, and how slapd is asked it.
Question = tuple[str, Callable[[int], Any], Callable[[int], object] | None]


def _calls(report: Report, slapd: Slapd, directory: LdapDirectory, people: int, calls: int) -> None:
    client = Client(NspiServer(directory, "EXCHANGE", "exchange.example.test"))
    ldap = LdapSession(connect(servers_of(slapd), 30))
    entry = directory.by_account(account_of(0))
    assert entry is not None
    total = directory.lists(entry).count(directory.lists(entry).containers()[0].mid)
    columns = ("call", "p50", "p99", "longest", "CPU p50", "slapd p50", "slapd p99", "p50 vs slapd")
    table = report.table("one call, ms", *columns)
    for what, ask, ask_slapd in _questions(client, ldap, directory, people, total):
        ours, cpu = _times(lambda number, ask=ask: _answered(client.call(ask(number))), people, calls)  # type: ignore[misc]
        theirs = _times(ask_slapd, people, calls)[0] if ask_slapd else None
        row = [ours[len(ours) // 2], ours[len(ours) * 99 // 100], ours[-1], cpu[len(cpu) // 2]]
        if theirs is None:
            table.add(what, *row, None, None, None)
        else:
            middle = theirs[len(theirs) // 2]
            table.add(what, *row, middle, theirs[len(theirs) * 99 // 100], row[0] / middle)
    ldap.close()


def _answered(response: Any) -> None:
    assert response.return_value in (0, 0x00040380), hex(response.return_value)  # Success, ErrorsReturned


def _times(ask: Callable[[int], object], people: int, calls: int) -> tuple[list[float], list[float]]:
    """ms, and ms of this thread's CPU, sorted, each call about somebody else; the first ones are not counted."""
    times, cpu = [], []
    for number in numbers(people, calls + 5):
        began, cpu_began = time.perf_counter(), time.thread_time()
        ask(number)
        times.append((time.perf_counter() - began) * 1000)
        cpu.append((time.thread_time() - cpu_began) * 1000)
    return sorted(times[5:]), sorted(cpu[5:])


def _questions(
    client: Client, ldap: LdapSession, directory: LdapDirectory, people: int, total: int
) -> Iterator[Question]:
    handle, columns, stat = client.handle, list(COLUMNS), STAT(code_page=1252)

    def query(start: int) -> Any:
        return NspiQueryRowsRequest(handle, 0, STAT(delta=start, code_page=1252), 0, None, PAGE, columns)

    def found(condition: str) -> int:
        return sum(1 for _ in ldap.search(BASE, condition, ATTRIBUTES))

    def mid(number: int) -> int:
        entry = directory.by_account(account_of(number))
        assert entry is not None
        return int(entry.mid)

    mids = {number: mid(number) for number in numbers(people, CALLS + 5)}
    fifty = "(|" + "".join("(uid={})" for _ in range(PAGE)) + ")"

    def page_of_slapd(number: int) -> int:
        accounts = [account_of((number + place) % people) for place in range(PAGE)]
        return found(fifty.format(*accounts))

    yield f"QueryRows, {PAGE} x {len(columns)}, at the start", lambda _n: query(0), page_of_slapd
    yield "... in the middle", lambda n: query(total // 2 + n % 1000), None
    yield "... at the end", lambda n: query(max(0, total - PAGE - n % 1000)), None
    yield (
        "SeekEntries",
        lambda n: NspiSeekEntriesRequest(
            handle, 0, stat, PropertyValue_r(p.PidTagDisplayName, " ".join(name_of(n))), None, None
        ),
        lambda n: found(f"(displayName={' '.join(name_of(n))})"),
    )
    yield (
        "GetMatches, a prefix of 10",
        lambda n: NspiGetMatchesRequest(
            handle, 0, stat, None, 0, _prefix(" ".join(name_of(n))[:-1]), None, 100, columns
        ),
        lambda n: found(f"(displayName={' '.join(name_of(n))[:-1]}*)"),
    )
    yield (
        "ResolveNames, one name",
        lambda n: NspiResolveNamesWRequest(handle, 0, stat, columns, [f"{n:06}"]),
        lambda n: found(f"(|(sn=*{n:06})(mail={account_of(n)}*)(mailNickname={n:06}*))"),
    )
    yield (
        "ResolveNames, an account",
        lambda n: NspiResolveNamesWRequest(handle, 0, stat, columns, [account_of(n)]),
        lambda n: found(f"(|(uid={account_of(n)})(mailNickname={account_of(n)}))"),
    )
    yield (
        "ResolveNames, what thousands are called",
        lambda n: NspiResolveNamesWRequest(handle, 0, stat, columns, [name_of(n)[0]]),
        None,
    )
    yield (
        "GetProps",
        lambda n: NspiGetPropsRequest(handle, 0, STAT(current_rec=mids[n], code_page=1252), columns),
        lambda n: found(f"(uid={account_of(n)})"),
    )
    yield (
        "GetProps, all",
        lambda n: NspiGetPropsRequest(handle, 0, STAT(current_rec=mids[n], code_page=1252), None),
        None,
    )
    yield (
        "DNToMId",
        lambda n: NspiDNToMIdRequest(handle, 0, [ORGANIZATION.recipient_dn(account_of(n)).encode()]),
        lambda n: found(f"(legacyExchangeDN={ORGANIZATION.recipient_dn(account_of(n))})"),
    )
    group = directory.by_account("group000") or directory.by_address("group000@example.test")
    assert group is not None
    table = int(p.PidTagAddressBookMember)
    yield (
        "GetMatches, a group's members, ids",
        lambda _n: NspiGetMatchesRequest(
            handle,
            0,
            STAT(sort_type=1000, container_id=table, current_rec=int(group.mid), code_page=1252),
            None,
            0,
            None,
            None,
            50_000,
            None,
        ),
        lambda _n: ldap.read(group.name, ["member"]),
    )


def _prefix(text: str) -> ContentRestriction_r:
    tag = p.PidTagDisplayName
    return ContentRestriction_r(0x00010002, int(tag), PropertyValue_r(tag, text))


def _sessions(report: Report, directory: LdapDirectory, many: int) -> None:
    server = NspiServer(directory, "EXCHANGE", "exchange.example.test")
    before = resident_kib(os.getpid())
    clients = [Client(server) for _ in range(many)]
    after = resident_kib(os.getpid())
    table = report.table("memory", "", "MiB", "KiB per session")
    table.add("a server with the lists in memory", before / 1024, None)
    table.add(f"and {len(clients)} sessions that have bound", after / 1024, (after - before) / many)

"""The endpoint mapper's answers."""

from __future__ import annotations

import uuid

import pytest

from openchange_py.rpc.association import LOCAL_ADDRESS
from openchange_py.rpc.call import Call, RpcFault, Session
from openchange_py.rpc.epmapper import Endpoint, EpmapperServer
from openchange_py.wire.epm import (
    EPMAPPER,
    EptLookupHandleFreeRequest,
    EptLookupHandleFreeResponse,
    EptLookupRequest,
    EptLookupResponse,
    EptMapRequest,
    EptMapResponse,
    EptStatus,
    EptStatusResponse,
    FloorProtocol,
    InquiryType,
    Tower,
    VersionOption,
)
from openchange_py.wire.ndr import NDR20, NULL_HANDLE, ContextHandle, RpcInterface, RpcMessage, SyntaxId
from openchange_py.wire.syntax import NDR64, NULL_SYNTAX
from tests.rpc.echo import ECHO, OTHER

EMSMDB = RpcInterface("emsmdb-like", "60a15ec5-4de8-11d7-a637-005056a2aaaa", 0, 81)
OBJECT = uuid.UUID("11111111-2222-3333-4444-555555555555")
SERVER = EpmapperServer(
    [
        Endpoint(ECHO, 6001, annotation="echo"),
        Endpoint(EMSMDB, 6001, "192.0.2.1", "Exchange " * 20),
        Endpoint(OTHER, 6004, object=OBJECT),
    ]
)


def session() -> Session:
    return Session("ncacn_ip_tcp", "peer", state={LOCAL_ADDRESS: "127.0.0.9"})


def ask(opnum: int, request: RpcMessage, who: Session | None = None) -> RpcMessage:
    call = Call(EPMAPPER, opnum, request.pack(), who or session())
    SERVER.call(call)
    call.reply_bytes()
    assert call.response is not None
    return type(call.response).unpack(call.reply_bytes())


def test_map_gives_the_endpoint_at_the_address_that_the_client_reached() -> None:
    answer = ask(3, EptMapRequest(None, Tower.tcp(ECHO.syntax, 0), NULL_HANDLE, 1))
    assert answer == EptMapResponse(NULL_HANDLE, 1, [Tower.tcp(ECHO.syntax, 6001, "127.0.0.9")], EptStatus.OK)


def test_map_gives_the_configured_address_for_an_older_minor_version() -> None:
    wanted = SyntaxId(EMSMDB.syntax.uuid, 0, 80)
    answer = ask(3, EptMapRequest(None, Tower.tcp(wanted, 0), NULL_HANDLE, 4))
    assert isinstance(answer, EptMapResponse)
    assert answer.towers == [Tower.tcp(EMSMDB.syntax, 6001, "192.0.2.1")]


def test_full_pointers_of_the_answer_are_not_those_of_the_request() -> None:
    request = EptMapRequest(uuid.UUID(int=0), Tower.tcp(ECHO.syntax, 0), NULL_HANDLE, 1)
    for referents in ((1, 2), (0x20000, 0x20004), (3, 1), (1, 0xFFFFFFFF)):
        request.referents = referents
        answer = ask(3, request)
        assert len(answer.referents) == 1
        assert not set(answer.referents) & set(referents)


@pytest.mark.parametrize(
    "tower",
    [
        None,
        Tower(b"garbage"),
        Tower.tcp(SyntaxId(uuid.UUID(int=1), 1, 0), 0),
        Tower.tcp(SyntaxId(EMSMDB.syntax.uuid, 0, 82), 0),
        Tower.tcp(ECHO.syntax, 0, transfer=NULL_SYNTAX),
        Tower.of(Tower.tcp(ECHO.syntax, 0).floors[:3]),
    ],
    ids=["null", "garbage", "unknown", "newer", "unknown transfer syntax", "no TCP"],
)
def test_map_of_what_is_not_there(tower: Tower | None) -> None:
    assert ask(3, EptMapRequest(None, tower, NULL_HANDLE, 4)) == EptMapResponse(
        NULL_HANDLE, 4, [], EptStatus.NOT_REGISTERED
    )


@pytest.mark.parametrize("syntax", [NDR20, NDR64], ids=["NDR 2.0", "NDR64"])
def test_map_tells_the_transfer_syntax_that_was_asked_for(syntax: SyntaxId) -> None:
    answer = ask(3, EptMapRequest(None, Tower.tcp(ECHO.syntax, 0, transfer=syntax), NULL_HANDLE, 4))
    assert isinstance(answer, EptMapResponse)
    (tower,) = answer.towers
    assert tower is not None
    assert (tower.transfer_syntax, tower.port) == (syntax, 6001)


def lookup(
    inquiry: int = InquiryType.ALL,
    interface: SyntaxId | None = None,
    option: int = VersionOption.ALL,
    obj: uuid.UUID | None = None,
) -> list[int]:
    answer = ask(2, EptLookupRequest(inquiry, obj, interface, option, NULL_HANDLE, 500))
    assert isinstance(answer, EptLookupResponse)
    assert answer.status == (EptStatus.OK if answer.entries else EptStatus.NOT_REGISTERED)
    known = [endpoint.interface.syntax for endpoint in SERVER.endpoints]
    return [known.index(entry.tower.interface) for entry in answer.entries if entry.tower is not None]


def version(minor: int, major: int = 0) -> SyntaxId:
    return SyntaxId(EMSMDB.syntax.uuid, major, minor)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, [0, 1, 2]),
        ({"inquiry": InquiryType.BY_INTERFACE, "interface": ECHO.syntax}, [0]),
        ({"inquiry": InquiryType.BY_INTERFACE, "interface": None}, []),
        ({"inquiry": InquiryType.BY_OBJECT, "obj": OBJECT}, [2]),
        ({"inquiry": InquiryType.BY_OBJECT}, [0, 1]),
        ({"inquiry": InquiryType.BY_BOTH, "obj": OBJECT, "interface": OTHER.syntax}, [2]),
        ({"inquiry": InquiryType.BY_BOTH, "obj": OBJECT, "interface": ECHO.syntax}, []),
        ({"inquiry": 9}, []),
        ({"inquiry": InquiryType.BY_INTERFACE, "interface": version(5, 9), "option": VersionOption.ALL}, [1]),
        ({"inquiry": InquiryType.BY_INTERFACE, "interface": version(80), "option": VersionOption.COMPATIBLE}, [1]),
        ({"inquiry": InquiryType.BY_INTERFACE, "interface": version(82), "option": VersionOption.COMPATIBLE}, []),
        ({"inquiry": InquiryType.BY_INTERFACE, "interface": version(80), "option": VersionOption.EXACT}, []),
        ({"inquiry": InquiryType.BY_INTERFACE, "interface": version(99), "option": VersionOption.MAJOR_ONLY}, [1]),
        ({"inquiry": InquiryType.BY_INTERFACE, "interface": version(80), "option": VersionOption.UPTO}, []),
        ({"inquiry": InquiryType.BY_INTERFACE, "interface": version(0, 1), "option": VersionOption.UPTO}, [1]),
        ({"inquiry": InquiryType.BY_INTERFACE, "interface": version(81), "option": 77}, []),
    ],
)
def test_lookup(query: dict, found: list[int]) -> None:
    assert lookup(**query) == found


def test_lookup_in_pages_and_annotations() -> None:
    who, handle, seen = session(), NULL_HANDLE, []
    while True:
        answer = ask(2, EptLookupRequest(0, None, None, 1, handle, 1), who)
        assert isinstance(answer, EptLookupResponse)
        seen += answer.entries
        handle = answer.entry_handle
        if handle.is_null:
            break
    assert [entry.annotation for entry in seen] == [b"echo", (b"Exchange " * 20)[:63], b""]
    assert answer.status == EptStatus.NOT_REGISTERED, "how rpcclient knows that it has seen all"
    assert who.handles == {}


def test_a_page_that_is_not_full_is_the_last_one() -> None:
    who = session()
    answer = ask(2, EptLookupRequest(0, None, None, 1, NULL_HANDLE, 500), who)
    assert isinstance(answer, EptLookupResponse)
    assert (len(answer.entries), answer.entry_handle, answer.status) == (3, NULL_HANDLE, EptStatus.OK)
    assert who.handles == {}


def test_a_lookup_handle_is_freed_once_and_only_by_its_session() -> None:
    who = session()
    answer = ask(2, EptLookupRequest(0, None, None, 1, NULL_HANDLE, 1), who)
    assert isinstance(answer, EptLookupResponse)
    free = EptLookupHandleFreeRequest(answer.entry_handle)
    with pytest.raises(RpcFault):
        ask(4, free, session())
    assert ask(4, free, who) == EptLookupHandleFreeResponse(NULL_HANDLE, EptStatus.OK)
    with pytest.raises(RpcFault):
        ask(4, free, who)
    with pytest.raises(RpcFault):
        ask(2, EptLookupRequest(0, None, None, 1, ContextHandle(0, uuid.UUID(int=5)), 1), who)


def test_a_client_that_never_frees_keeps_no_more_than_a_few() -> None:
    who = session()
    for _ in range(100):
        ask(2, EptLookupRequest(0, None, None, 1, NULL_HANDLE, 1), who)
    assert len(who.handles) <= 16


@pytest.mark.parametrize("opnum", [0, 1, 6])
def test_changing_the_database_is_refused(opnum: int) -> None:
    call = Call(EPMAPPER, opnum, b"anything", session())
    SERVER.call(call)
    assert EptStatusResponse.unpack(call.reply_bytes()).status == EptStatus.CANT_PERFORM_OP


def test_a_call_that_is_not_there() -> None:
    with pytest.raises(RpcFault):
        SERVER.call(Call(EPMAPPER, 5, b"", session()))


def test_named_pipes_have_towers_of_their_own() -> None:
    pipe = Endpoint(ECHO, 0, r"\\SRV", "echo", pipe=r"\pipe\lsass")
    tower = Tower.named_pipe(ECHO.syntax, r"\pipe\lsass", r"\\SRV")
    assert [(floor.protocol, floor.rhs) for floor in tower.floors[2:]] == [
        (FloorProtocol.NCACN, b"\0\0"),
        (FloorProtocol.NAMED_PIPE, b"\\pipe\\lsass\0"),
        (FloorProtocol.NETBIOS, b"\\\\SRV\0"),
    ]
    server = EpmapperServer([Endpoint(ECHO, 6001, "192.0.2.1"), pipe])
    for wanted, found in ((Tower.named_pipe(ECHO.syntax, ""), tower), (Tower.tcp(ECHO.syntax, 0), None)):
        request = EptMapRequest(uuid.UUID(int=0), wanted, NULL_HANDLE, 4)
        call = Call(EPMAPPER, 3, request.pack(), session())
        server.call(call)
        assert isinstance(call.response, EptMapResponse)
        assert call.response.towers == [found or Tower.tcp(ECHO.syntax, 6001, "192.0.2.1")]


def test_rpc_over_http_has_towers_of_its_own() -> None:
    server = EpmapperServer([Endpoint(ECHO, 6001), Endpoint(ECHO, 6004, http=True)])

    def mapped(wanted: Tower) -> list[Tower | None]:
        call = Call(EPMAPPER, 3, EptMapRequest(None, wanted, NULL_HANDLE, 4).pack(), session())
        server.call(call)
        answer = EptMapResponse.unpack(call.reply_bytes())
        return answer.towers

    assert mapped(Tower.http(ECHO.syntax, 593)) == [Tower.http(ECHO.syntax, 6004, "127.0.0.9")]
    assert mapped(Tower.tcp(ECHO.syntax, 135)) == [Tower.tcp(ECHO.syntax, 6001, "127.0.0.9")]

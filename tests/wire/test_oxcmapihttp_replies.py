"""NSPI's calls there and back through the bodies of MAPI over HTTP: what the server's half makes of a client's half."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from openchange_py.wire.ndr import NULL_HANDLE, ContextHandle
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxcmapihttp_calls import ADDRESS_BOOK
from openchange_py.wire.oxcmapihttp_nspi import ADDRESS_BOOK_TYPES, BindResponse
from openchange_py.wire.oxcmapihttp_replies import NSPI_BRIDGES, bind_body, bound, unbind_body, unbound
from openchange_py.wire.oxnspi import (
    NSPI,
    NspiBindRequest,
    NspiBindResponse,
    NspiCompareMIdsRequest,
    NspiCompareMIdsResponse,
    NspiDNToMIdRequest,
    NspiDNToMIdResponse,
    NspiGetMatchesRequest,
    NspiGetMatchesResponse,
    NspiGetPropListRequest,
    NspiGetPropListResponse,
    NspiGetPropsRequest,
    NspiGetPropsResponse,
    NspiGetSpecialTableRequest,
    NspiGetSpecialTableResponse,
    NspiGetTemplateInfoRequest,
    NspiGetTemplateInfoResponse,
    NspiModLinkAttRequest,
    NspiModLinkAttResponse,
    NspiModPropsRequest,
    NspiModPropsResponse,
    NspiQueryColumnsRequest,
    NspiQueryColumnsResponse,
    NspiQueryRowsRequest,
    NspiQueryRowsResponse,
    NspiResolveNamesRequest,
    NspiResolveNamesWRequest,
    NspiResolveNamesWResponse,
    NspiResortRestrictionRequest,
    NspiResortRestrictionResponse,
    NspiSeekEntriesRequest,
    NspiSeekEntriesResponse,
    NspiUnbindRequest,
    NspiUnbindResponse,
    NspiUpdateStatRequest,
    NspiUpdateStatResponse,
)
from openchange_py.wire.oxnspi_restrictions import PropertyRestriction_r
from openchange_py.wire.oxnspi_types import STAT, PropertyRow_r, PropertyValue_r

HANDLE = ContextHandle(0, uuid.UUID(int=9))
POSITION = STAT(0, 0, 0x1B, -3, 4, 5, 1252, 1033, 1031)
MOVED = STAT(0, 0, 0x1C, 0, 5, 5, 1252, 1033, 1031)
NAME, TITLE, COUNT = PropertyTag(0x3001001F), PropertyTag(0x3A17001F), PropertyTag(0x36020003)
COLUMNS = [NAME, TITLE, COUNT]
ROW = PropertyRow_r(
    [PropertyValue_r(NAME, "Älice"), PropertyValue_r(0x3A17000A, 0x8004010F), PropertyValue_r(COUNT, 7)]
)
ROWS = [ROW, PropertyRow_r([PropertyValue_r(NAME, ""), PropertyValue_r(TITLE, "x"), PropertyValue_r(COUNT, 0)])]
TARGET = PropertyValue_r(NAME, "Al")
FILTER = PropertyRestriction_r(4, NAME, PropertyValue_r(NAME, "Al"))

#: A call, and the response that the server gives to it.
EXAMPLES: list[tuple[Any, Any]] = [
    (NspiUpdateStatRequest(HANDLE, 0, POSITION, 0), NspiUpdateStatResponse(MOVED, -2, 0)),
    (NspiUpdateStatRequest(HANDLE, 0, POSITION, None), NspiUpdateStatResponse(MOVED, None, 0)),
    (NspiQueryRowsRequest(HANDLE, 1, POSITION, 0, None, 50, COLUMNS), NspiQueryRowsResponse(MOVED, ROWS, 0)),
    (NspiQueryRowsRequest(HANDLE, 0, POSITION, 2, [16, 17], 2, None), NspiQueryRowsResponse(MOVED, [], 0)),
    (NspiQueryRowsRequest(HANDLE, 0, POSITION, 0, None, 2, COLUMNS), NspiQueryRowsResponse(MOVED, None, 0x80040111)),
    (NspiSeekEntriesRequest(HANDLE, 0, POSITION, TARGET, [1], COLUMNS), NspiSeekEntriesResponse(MOVED, ROWS, 0)),
    (
        NspiGetMatchesRequest(HANDLE, 0, POSITION, None, 0, FILTER, None, 20, COLUMNS),
        NspiGetMatchesResponse(MOVED, [21, 22], ROWS, 0),
    ),
    (
        NspiResortRestrictionRequest(HANDLE, 0, POSITION, [3, 2], None),
        NspiResortRestrictionResponse(MOVED, [2, 3], 0),
    ),
    (NspiDNToMIdRequest(HANDLE, 0, [b"/o=x/cn=alice", b"/o=x"]), NspiDNToMIdResponse([16, 0], 0)),
    (NspiGetPropListRequest(HANDLE, 1, 16, 1252), NspiGetPropListResponse(COLUMNS, 0)),
    (NspiGetPropsRequest(HANDLE, 0, POSITION, COLUMNS), NspiGetPropsResponse(ROW, 0x00040380)),
    (NspiGetPropsRequest(HANDLE, 0, POSITION, None), NspiGetPropsResponse(None, 0x80070005)),
    (NspiCompareMIdsRequest(HANDLE, 0, POSITION, 16, 17), NspiCompareMIdsResponse(-1, 0)),
    (NspiModPropsRequest(HANDLE, 0, POSITION, [TITLE], ROW), NspiModPropsResponse(0x80070005)),
    (NspiGetSpecialTableRequest(HANDLE, 4, POSITION, 1), NspiGetSpecialTableResponse(2, ROWS, 0)),
    (NspiGetTemplateInfoRequest(HANDLE, 1, 0, b"/cn=t", 1252, 1033), NspiGetTemplateInfoResponse(ROW, 0)),
    (NspiGetTemplateInfoRequest(HANDLE, 1, 6, None, 1252, 1033), NspiGetTemplateInfoResponse(None, 0x80040102)),
    (NspiModLinkAttRequest(HANDLE, 1, 0x8009000D, 16, [b"entry id"]), NspiModLinkAttResponse(0)),
    (NspiQueryColumnsRequest(HANDLE, 0, 0x80000000), NspiQueryColumnsResponse(COLUMNS, 0)),
    (
        NspiResolveNamesWRequest(HANDLE, 0, POSITION, COLUMNS, ["älice", "bob"]),
        NspiResolveNamesWResponse([2, 0], ROWS, 0),
    ),
]


def through(kind: str, body: Any, *, answer: bool = False) -> Any:
    """A body as the other side reads it."""
    return ADDRESS_BOOK_TYPES[kind][int(answer)].unpack(body.pack())


@pytest.mark.parametrize(("call", "response"), EXAMPLES, ids=lambda value: type(value).__name__)
def test_calls_there_and_responses_back(call: Any, response: Any) -> None:
    opnum = next(number for number, method in NSPI.methods.items() if method.request is type(call))
    bridge = NSPI_BRIDGES[opnum]
    server = ADDRESS_BOOK[bridge.name.lower()]
    body = through(bridge.name, bridge.body(call))
    assert (server.opnum, server.request(body, HANDLE)) == (opnum, call)
    answered = bridge.response(call, through(bridge.name, server.body(body, response), answer=True))
    assert answered == response
    assert type(response).unpack(answered.pack()) == response


def test_names_of_a_code_page_are_unicode_over_http() -> None:
    position = STAT(code_page=1253)
    call = NspiResolveNamesRequest(HANDLE, 0, position, COLUMNS, ["Ωmega".encode("cp1253"), None])
    body = through("ResolveNames", NSPI_BRIDGES[19].body(call))
    assert body.names == ["Ωmega", ""]
    response = NSPI_BRIDGES[19].response(call, ADDRESS_BOOK_TYPES["ResolveNames"][1](0, 0, 1253, [2, 0], None))
    assert response.pack()


def test_handles_are_the_callers() -> None:
    guid = uuid.UUID(int=77)
    call = NspiBindRequest(0, POSITION, uuid.UUID(int=0))
    assert through("Bind", bind_body(call)).state == POSITION
    assert bound(call, BindResponse(0, 0, guid), HANDLE) == NspiBindResponse(guid, HANDLE, 0)
    assert bound(NspiBindRequest(0, POSITION), BindResponse(0, 0, guid), HANDLE) == NspiBindResponse(None, HANDLE, 0)
    refused = bound(call, BindResponse(0, 0x80040111, guid), HANDLE)
    assert (refused.context_handle, refused.return_value) == (NULL_HANDLE, 0x80040111)
    body = through("Unbind", unbind_body(NspiUnbindRequest(HANDLE, 0)))
    answer = ADDRESS_BOOK["unbind"].body(body, NspiUnbindResponse(NULL_HANDLE, 1))
    assert unbound(through("Unbind", answer, answer=True)) == NspiUnbindResponse(NULL_HANDLE, 1)

"""Bodies as calls, responses as bodies: recorded requests become stubs that decode, and nothing is lost on the way."""

from __future__ import annotations

import uuid

import pytest

from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import ContextHandle
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.oxcmapihttp import ConnectRequest, ConnectResponse, ExecuteRequest, ExecuteResponse
from openchange_py.wire.oxcmapihttp_calls import ADDRESS_BOOK, MAILBOX
from openchange_py.wire.oxcmapihttp_nspi import (
    ADDRESS_BOOK_TYPES,
    QueryRowsRequest,
    RowsResponse,
    SeekEntriesRequest,
    UpdateStatRequest,
    UpdateStatResponse,
)
from openchange_py.wire.oxcmapihttp_values import ColumnsAndRows
from openchange_py.wire.oxcrpc import (
    EcDoConnectExRequest,
    EcDoConnectExResponse,
    EcDoRpcExt2Request,
    EcDoRpcExt2Response,
)
from openchange_py.wire.oxnspi import NspiQueryRowsResponse, NspiUpdateStatResponse
from openchange_py.wire.oxnspi_types import STAT, PropertyRow_r, PropertyValue_r
from tests.wire.test_oxcmapihttp import bodies

HANDLE = ContextHandle(0, uuid.UUID(int=9))


def test_every_recorded_request_becomes_a_call() -> None:
    tried = set()
    for kind, direction, codec, data, taken in bodies():
        translation = (MAILBOX | ADDRESS_BOOK).get(kind.lower())
        if direction != "request" or not taken or translation is None:
            continue
        message = translation.request(codec.unpack(data), HANDLE)
        method = translation.interface.methods[translation.opnum]
        assert method.request is type(message), kind
        assert method.request.unpack(message.pack()) == message, kind
        tried.add(translation.name)
    assert len(tried) == 3 + 17


def test_all_types_but_those_that_are_no_single_call() -> None:
    names = {translation.name for translation in ADDRESS_BOOK.values()}
    assert set(ADDRESS_BOOK_TYPES) - names == {"GetMailboxUrl", "GetAddressBookUrl"}


@pytest.mark.parametrize("name", sorted(MAILBOX | ADDRESS_BOOK))
def test_an_error_code_alone(name: str) -> None:
    translation = (MAILBOX | ADDRESS_BOOK)[name]
    failed = translation.failed(ErrorCode.NotSupported)
    assert translation.response_body.unpack(failed.pack()) == failed
    assert failed.pack()[:8] == bytes.fromhex("0000000002010480")


def test_connect_both_ways() -> None:
    translation = MAILBOX["connect"]
    asked = ConnectRequest(b"/o=x", 1, 1251, 1049, 1033, b"aux")
    message = translation.request(asked, HANDLE)
    assert isinstance(message, EcDoConnectExRequest)
    assert (message.user_dn, message.flags, message.cpid) == (b"/o=x", 1, 1251)
    assert (message.lcid_sort, message.lcid_string, message.aux_in) == (1049, 1033, b"aux")
    name, version = "Ольга".encode("cp1251"), (0, 0, 0)
    response = EcDoConnectExResponse(HANDLE, 1, 2, 3, 4, b"/o=x/cn=", name, version, version, 0, b"out", 0)
    assert translation.body(asked, response) == ConnectResponse(0, 0, 1, 2, 3, b"/o=x/cn=", "Ольга", b"out")


def test_execute_both_ways() -> None:
    translation = MAILBOX["execute"]
    message = translation.request(ExecuteRequest(3, b"rops", 0xFFFFFFFF, b"aux"), HANDLE)
    assert message == EcDoRpcExt2Request(HANDLE, 3, b"rops", 0x40000, b"aux")
    response = EcDoRpcExt2Response(HANDLE, 0, b"answers", b"out", 7, 5)
    assert translation.body(None, response) == ExecuteResponse(0, 5, 0, b"answers", b"out")
    for wrong in (ExecuteRequest(0, bytes(0x40001), 0), ExecuteRequest(0, b"", 0, bytes(0x1009))):
        with pytest.raises(DecodeError):
            translation.request(wrong, HANDLE)


def test_rows_have_the_columns_that_were_asked_for_or_those_that_came() -> None:
    translation, name = ADDRESS_BOOK["queryrows"], PropertyTag(0x3001001F)
    error = PropertyValue_r(PropertyTag(0x3A08000A), ErrorCode.NotFound)
    response = NspiQueryRowsResponse(STAT(), [PropertyRow_r([PropertyValue_r(name, "a"), error])], 0)
    asked = QueryRowsRequest(0, None, [], 5, [name, PropertyTag(0x3A08001F)])
    body = translation.body(asked, response)
    assert isinstance(body, RowsResponse)
    assert isinstance(body.rows, ColumnsAndRows)
    assert body.rows.columns == asked.columns
    assert RowsResponse.unpack(body.pack()) == body
    asked.columns = None
    columns = translation.body(asked, response).rows.columns
    assert columns == [name, PropertyTag(0x3A08000A)]


def test_delta_of_update_stat_has_a_sign() -> None:
    translation = ADDRESS_BOOK["updatestat"]
    asked = UpdateStatRequest(0, STAT(), 1)
    assert translation.request(asked, HANDLE).delta == 0
    body = translation.body(asked, NspiUpdateStatResponse(STAT(), -3, 0))
    assert isinstance(body, UpdateStatResponse)
    assert body.delta == 0xFFFFFFFD


def test_seek_entries_needs_its_target() -> None:
    with pytest.raises(DecodeError, match="Target"):
        ADDRESS_BOOK["seekentries"].request(SeekEntriesRequest(0, None, None, None, None), HANDLE)

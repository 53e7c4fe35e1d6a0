import dataclasses
from typing import Any

import pytest

from openchange_py.addressbook.embedded import EmbeddedDirectory
from openchange_py.servers.nspi.names import PS_MAPI
from openchange_py.servers.nspi.registry import METHODS, method
from openchange_py.wire import proptags as p
from openchange_py.wire.ndr import RpcMessage
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxnspi import (
    NSPI,
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
    NspiUpdateStatRequest,
)
from openchange_py.wire.oxnspi_restrictions import ExistRestriction_r
from openchange_py.wire.oxnspi_types import STAT, PropertyRow_r, PropertyValue_r
from tests.servers.nspi.conftest import Client, mid


def test_a_function_is_registered_for_its_request_and_stays_callable(monkeypatch: object) -> None:
    class Request(RpcMessage):
        pass

    @method(Request, lambda request, code: request)
    def answer(book: object, request: object) -> RpcMessage:
        return RpcMessage()

    try:
        assert METHODS[Request].method is answer
    finally:
        del METHODS[Request]


def test_errors_are_answered_with_the_call_s_own_response() -> None:
    responses = {m.request: m.response for m in NSPI.methods.values()}
    stat = type("Request", (), {"stat": None, "delta": None, "version": 0})()
    for request, registered in METHODS.items():
        failed = registered.failed(stat, 0x80004005)
        assert isinstance(failed, responses[request] or ())
        assert failed.return_value == 0x80004005  # type: ignore[attr-defined]


BAD_PAGE = STAT(code_page=0x4B0)
BAD_LIST = STAT(container_id=4711)
BAD_ROW = STAT(current_rec=4711)
BAD_SORT = STAT(sort_type=77)
NAME = PropertyValue_r(p.PidTagDisplayName, "A")
ANYBODY = ExistRestriction_r(0, p.PidTagDisplayName, 0)
DELEGATES = int(p.PidTagAddressBookPublicDelegates)

#: The errors that [MS-OXNSPI] 3.1.4.1 ([MS-NSPI] for the calls with names) has for each call, that the address book of
#: the other tests can give. `ALICE` stands for her Minimal Entry Id.
ALICE = object()
DOCUMENTED: list[tuple[type[RpcMessage], tuple[Any, ...], ErrorCode]] = [
    (NspiUpdateStatRequest, (0, BAD_PAGE, 3), ErrorCode.InvalidCodepage),
    (NspiUpdateStatRequest, (0, BAD_LIST, None), ErrorCode.InvalidBookmark),
    (NspiUpdateStatRequest, (0, BAD_ROW, 3), ErrorCode.NotFound),
    (NspiQueryRowsRequest, (0, BAD_PAGE, 0, None, 5, None), ErrorCode.InvalidCodepage),
    (NspiQueryRowsRequest, (0, BAD_LIST, 0, None, 5, None), ErrorCode.InvalidBookmark),
    (NspiQueryRowsRequest, (0, BAD_ROW, 0, None, 5, None), ErrorCode.NotFound),
    (NspiQueryRowsRequest, (0, STAT(), 0, None, 0, None), ErrorCode.InvalidParameter),
    (NspiSeekEntriesRequest, (0, BAD_PAGE, NAME, None, None), ErrorCode.InvalidCodepage),
    (NspiSeekEntriesRequest, (0, BAD_LIST, NAME, None, None), ErrorCode.InvalidBookmark),
    (NspiSeekEntriesRequest, (0, BAD_SORT, NAME, None, None), ErrorCode.GeneralFailure),
    (NspiSeekEntriesRequest, (0, STAT(), PropertyValue_r(p.PidTagTitle, "A"), None, None), ErrorCode.GeneralFailure),
    (NspiSeekEntriesRequest, (0, STAT(), PropertyValue_r(p.PidTagDisplayName, "zz"), None, []), ErrorCode.NotFound),
    (NspiGetMatchesRequest, (0, BAD_PAGE, None, 0, ANYBODY, None, 9, None), ErrorCode.InvalidCodepage),
    (NspiGetMatchesRequest, (0, BAD_LIST, None, 0, ANYBODY, None, 9, None), ErrorCode.InvalidBookmark),
    (NspiGetMatchesRequest, (0, BAD_SORT, None, 0, ANYBODY, None, 9, None), ErrorCode.GeneralFailure),
    (NspiGetMatchesRequest, (0, STAT(), None, 0, ANYBODY, None, 2, []), ErrorCode.TableTooBig),
    (NspiResortRestrictionRequest, (0, BAD_PAGE, [17], None), ErrorCode.InvalidCodepage),
    (NspiResortRestrictionRequest, (0, BAD_SORT, [17], None), ErrorCode.GeneralFailure),
    (NspiDNToMIdRequest, (0, [b"/o=x"] * 1001), ErrorCode.TooComplex),
    (NspiGetPropListRequest, (0, 4711, 1252), ErrorCode.GeneralFailure),
    (NspiGetPropsRequest, (0, BAD_LIST, []), ErrorCode.InvalidBookmark),
    (NspiGetPropsRequest, (0, BAD_ROW, None), ErrorCode.GeneralFailure),
    (NspiGetPropsRequest, (0, BAD_PAGE, [p.PidTagTitle.with_type(0x1E)]), ErrorCode.InvalidCodepage),
    (NspiGetPropsRequest, (0, STAT(), [p.PidTagTitle] * 10_001), ErrorCode.TableTooBig),
    (NspiCompareMIdsRequest, (0, BAD_PAGE, ALICE, ALICE), ErrorCode.InvalidCodepage),
    (NspiCompareMIdsRequest, (0, BAD_LIST, ALICE, ALICE), ErrorCode.InvalidBookmark),
    (NspiCompareMIdsRequest, (0, STAT(), ALICE, 4711), ErrorCode.GeneralFailure),
    (NspiModPropsRequest, (0, BAD_PAGE, [], PropertyRow_r([])), ErrorCode.InvalidCodepage),
    (NspiModPropsRequest, (0, STAT(), None, PropertyRow_r([])), ErrorCode.InvalidParameter),
    (NspiModPropsRequest, (0, BAD_ROW, [], PropertyRow_r([])), ErrorCode.InvalidParameter),
    (NspiGetSpecialTableRequest, (0, BAD_PAGE, 7), ErrorCode.InvalidCodepage),
    (NspiGetTemplateInfoRequest, (1, 0, None, 0x4B0, 1033), ErrorCode.InvalidCodepage),
    (NspiGetTemplateInfoRequest, (1, 0x100, None, 1252, 1033), ErrorCode.InvalidLocale),
    (NspiModLinkAttRequest, (0, 0x6613000D, ALICE, []), ErrorCode.NotFound),
    (NspiModLinkAttRequest, (0, DELEGATES, 4711, []), ErrorCode.InvalidParameter),
    (NspiModLinkAttRequest, (0, DELEGATES, ALICE, [b"bad"]), ErrorCode.AccessDenied),
    (NspiGetNamesFromIDsRequest, (0, PS_MAPI, None), ErrorCode.NotSupported),
    (NspiGetIDsFromNamesRequest, (0, 2, 1, [None]), ErrorCode.AccessDenied),
    (NspiResolveNamesRequest, (0, BAD_PAGE, None, [b"a"]), ErrorCode.InvalidCodepage),
    (NspiResolveNamesRequest, (0, BAD_LIST, None, [b"a"]), ErrorCode.InvalidBookmark),
    (NspiResolveNamesWRequest, (0, BAD_PAGE, None, ["a"]), ErrorCode.InvalidCodepage),
    (NspiResolveNamesWRequest, (0, BAD_LIST, None, ["a"]), ErrorCode.InvalidBookmark),
]


@pytest.mark.parametrize(
    ("kind", "parameters", "error"), DOCUMENTED, ids=[f"{kind.__name__}-{error.name}" for kind, _, error in DOCUMENTED]
)
def test_a_documented_error_says_nothing_else(
    client: Client,
    directory: EmbeddedDirectory,
    kind: type[RpcMessage],
    parameters: tuple[Any, ...],
    error: ErrorCode,
) -> None:
    """What the call would give is null; what the client sent to be changed comes back as it was."""
    alice = mid(directory, "alice")
    request: Any = kind(client.handle, *(alice if one is ALICE else one for one in parameters))  # type: ignore[call-arg]
    response = client.send(request)
    sent = {name: getattr(request, name) for name in ("stat", "delta", "version") if hasattr(request, name)}
    given = {field.name: getattr(response, field.name) for field in dataclasses.fields(response)}
    assert given.pop("return_value") == error
    assert given.pop("result", 0) == 0
    assert given == {name: sent.get(name) for name in given}


def test_every_call_that_has_documented_errors_is_among_them() -> None:
    """NspiQueryColumns has none, NspiBind and NspiUnbind answer in the server itself."""
    assert set(METHODS) - {kind for kind, _, _ in DOCUMENTED} == {NspiQueryColumnsRequest}

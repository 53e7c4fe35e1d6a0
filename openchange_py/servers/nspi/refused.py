"""Calls that the server does not do, with the errors that [MS-OXNSPI] has for that."""

from __future__ import annotations

from typing import Any, NoReturn

from openchange_py.servers.nspi.properties import AddressBook
from openchange_py.servers.nspi.registry import method
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxnspi import (
    NspiGetIDsFromNamesRequest,
    NspiGetIDsFromNamesResponse,
    NspiGetNamesFromIDsRequest,
    NspiGetNamesFromIDsResponse,
    NspiModLinkAttRequest,
    NspiModLinkAttResponse,
    NspiModPropsRequest,
    NspiModPropsResponse,
)


@method(NspiModPropsRequest, lambda _request, code: NspiModPropsResponse(code))
@method(NspiModLinkAttRequest, lambda _request, code: NspiModLinkAttResponse(code))
@method(NspiGetNamesFromIDsRequest, lambda _request, code: NspiGetNamesFromIDsResponse(None, None, code))
@method(NspiGetIDsFromNamesRequest, lambda _request, code: NspiGetIDsFromNamesResponse(None, code))
def not_supported(_book: AddressBook, request: Any) -> NoReturn:
    """3.1.4.1.14 and .15: the address book is not written by way of NSPI. It has no named properties."""
    raise MapiError(ErrorCode.NotSupported, type(request).__name__)

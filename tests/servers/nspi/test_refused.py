import uuid

import pytest

from openchange_py.wire import proptags as p
from openchange_py.wire.ndr import RpcMessage
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxnspi import (
    NspiGetIDsFromNamesRequest,
    NspiGetNamesFromIDsRequest,
    NspiModLinkAttRequest,
    NspiModPropsRequest,
)
from openchange_py.wire.oxnspi_types import STAT, PropertyName_r, PropertyRow_r
from tests.servers.nspi.conftest import Client


@pytest.mark.parametrize(
    ("kind", "parameters", "error"),
    [
        (NspiModPropsRequest, (0, STAT(), None, PropertyRow_r([])), ErrorCode.NotSupported),
        (NspiModLinkAttRequest, (0, p.PidTagAddressBookMember, 17, []), ErrorCode.NotSupported),
        (NspiGetNamesFromIDsRequest, (0, uuid.UUID(int=1), []), ErrorCode.NotSupported),
        (NspiGetIDsFromNamesRequest, (0, 0, 1, [PropertyName_r(None, 1)]), ErrorCode.NotSupported),
    ],
)
def test_what_the_server_does_not_do(
    client: Client, kind: type[RpcMessage], parameters: tuple[object, ...], error: ErrorCode
) -> None:
    assert client.ask(kind, *parameters).return_value == error

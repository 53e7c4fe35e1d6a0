import uuid

import pytest

from openchange_py.servers.nspi.names import PS_MAPI
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxnspi import NspiGetIDsFromNamesRequest, NspiGetNamesFromIDsRequest
from openchange_py.wire.oxnspi_types import PropertyName_r
from tests.servers.nspi.conftest import Client

OTHER = uuid.UUID("00062004-0000-0000-c000-000000000046")
NOTHING = PropertyName_r(None, 0)
TITLE = PropertyName_r(PS_MAPI, 0x3A17001F)
MEMBER = PropertyName_r(PS_MAPI, 0x8009000D - (1 << 32))


def test_properties_are_named_by_their_tags_and_found_again(client: Client) -> None:
    tags = [p.PidTagTitle, p.PidTagAddressBookMember]
    response = client.ask(NspiGetNamesFromIDsRequest, 0, None, tags)
    assert (response.returned_prop_tags, response.names, response.return_value) == (None, [TITLE, MEMBER], 0)
    found = client.ask(NspiGetIDsFromNamesRequest, 0, 0, 2, response.names)
    assert (found.prop_tags, found.return_value) == ([0x3A170000, 0x80090000], 0)


@pytest.mark.parametrize(
    ("guid", "names"),
    [(None, [TITLE, NOTHING]), (PS_MAPI, [TITLE, NOTHING]), (OTHER, [NOTHING, NOTHING])],
)
def test_what_has_no_name_in_a_property_set(
    client: Client, guid: uuid.UUID | None, names: list[PropertyName_r]
) -> None:
    """One name for each tag: of an unknown property, and in another set, it is no name."""
    assert client.ask(NspiGetNamesFromIDsRequest, 0, guid, [p.PidTagTitle, 0x6613001F]).names == names


def test_all_names_of_a_property_set(client: Client) -> None:
    """[MS-NSPI] 3.1.4.16: not those of PS_MAPI, neither when it is asked for nor among all sets."""
    refused = client.ask(NspiGetNamesFromIDsRequest, 0, PS_MAPI, None)
    assert (refused.returned_prop_tags, refused.names, refused.return_value) == (None, None, ErrorCode.NotSupported)
    every = client.ask(NspiGetNamesFromIDsRequest, 0, None, None)
    assert (every.returned_prop_tags, every.names, every.return_value) == (None, [], 0)
    other = client.ask(NspiGetNamesFromIDsRequest, 0, OTHER, None)
    assert (other.returned_prop_tags, other.names, other.return_value) == ([], [], 0)


@pytest.mark.parametrize("name", [None, NOTHING, PropertyName_r(OTHER, 0x3A17001F), PropertyName_r(PS_MAPI, 5)])
def test_a_name_that_means_nothing(client: Client, name: PropertyName_r | None) -> None:
    """[MS-NSPI] 3.1.4.17: a tag of no property in its place, or no tags at all with NspiVerifyNames."""
    response = client.ask(NspiGetIDsFromNamesRequest, 0, 0, 2, [name, TITLE])
    assert (response.prop_tags, response.return_value) == ([0x0000000A, 0x3A170000], ErrorCode.ErrorsReturned)
    verified = client.ask(NspiGetIDsFromNamesRequest, 0, 2, 2, [name, TITLE])
    assert (verified.prop_tags, verified.return_value) == (None, ErrorCode.AccessDenied)
    assert client.ask(NspiGetIDsFromNamesRequest, 0, 2, 1, [TITLE]).return_value == 0

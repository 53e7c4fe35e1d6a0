"""Walking decoded structures."""

from __future__ import annotations

import uuid

from openchange_py.proxy.leaves import Leaf, leaves, replace_leaves
from openchange_py.wire.ndr import ContextHandle
from openchange_py.wire.oxabref import Name, RfrGetNewDSAResponse
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.properties import TaggedPropertyValue
from openchange_py.wire.oxcdata.restrictions import AndRestriction, PropertyRestriction
from openchange_py.wire.oxcdata.rows import ABSENT, PropertyError, PropertyRow
from openchange_py.wire.oxcrpc import EcDoDisconnectRequest
from openchange_py.wire.proptags import PidTagContentCount, PidTagDisplayName, PidTagSubject
from openchange_py.wire.rop.oxctabl import RopQueryRowsResponse, RopSetColumnsRequest
from tests.proxy.recordings import recorded_calls

ROWS = [PropertyRow(["Inbox", 3]), PropertyRow([PropertyError(ErrorCode.NotFound), ABSENT], flagged=True)]
TABLE = RopQueryRowsResponse(1, 0, 2, ROWS, (PidTagDisplayName, PidTagContentCount))


def test_cells_of_rows_know_their_columns() -> None:
    found = [(leaf.value, leaf.tag) for leaf in leaves(TABLE) if leaf.tag is not None]
    assert found == [("Inbox", PidTagDisplayName), (3, PidTagContentCount)]


def test_property_values_know_their_tags() -> None:
    value = TaggedPropertyValue(PidTagSubject, "hello")
    restriction = AndRestriction([PropertyRestriction(4, PidTagSubject, value)])
    assert ("hello", PidTagSubject) in [(leaf.value, leaf.tag) for leaf in leaves(restriction)]


def test_names_of_fields_and_their_structure() -> None:
    handle = ContextHandle(0, uuid.UUID(int=7))
    request = EcDoDisconnectRequest(handle)
    assert [(leaf.name, leaf.value, leaf.owner) for leaf in leaves(request)] == [("cxh", handle, request)]
    [server] = [leaf for leaf in leaves(RfrGetNewDSAResponse(None, Name(b"exch1"), 0)) if leaf.value == b"exch1"]
    assert server.name == "server"


def test_others_are_put_in_their_place() -> None:
    def shout(leaf: Leaf) -> object:
        return leaf.value.upper() if isinstance(leaf.value, str) else leaf.value

    changed = replace_leaves(RopQueryRowsResponse(1, 0, 2, [PropertyRow(["Inbox", 3])], TABLE.columns), shout)
    assert changed.rows == [PropertyRow(["INBOX", 3])]
    tags = RopSetColumnsRequest(0, 1, 0, [PidTagSubject])
    assert replace_leaves(tags, lambda leaf: 0).property_tags == [PidTagSubject], "tags are not values"


def test_nothing_changes_where_nothing_is_changed() -> None:
    """Every recorded call packs to the same bytes when it was walked."""
    count = 0
    for recorded in recorded_calls("calls-profile-tcp-connect-2010.jsonl"):
        method = recorded.interface.methods[recorded.opnum]
        if method.request is not None and method.response is not None and recorded.reply is not None:
            request = replace_leaves(method.request.unpack(recorded.stub), lambda leaf: leaf.value)
            response = replace_leaves(method.response.unpack(recorded.reply), lambda leaf: leaf.value)
            assert (request.pack(), response.pack()) == (recorded.stub, recorded.reply)
            count += 1
    assert count > 5

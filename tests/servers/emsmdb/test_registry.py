"""Handlers and what they are called with."""

from __future__ import annotations

from typing import NoReturn

import pytest

from openchange_py.servers.emsmdb.objects.base import ServerObject
from openchange_py.servers.emsmdb.registry import HANDLERS, RopCall, handles
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.rop.base import REQUESTS
from openchange_py.wire.rop.oxctabl import RopQueryPositionRequest
from tests.servers.emsmdb.parties import NONE, Client


def never(_call: RopCall, _request: RopQueryPositionRequest) -> NoReturn:
    raise AssertionError("not to be called")


def test_a_rop_has_one_handler() -> None:
    before = dict(HANDLERS)
    with pytest.raises(TypeError, match="RopQueryPositionRequest has a handler already"):
        handles(RopQueryPositionRequest)(never)
    assert before == HANDLERS


def test_every_handler_is_one_of_a_rop() -> None:
    assert set(HANDLERS) <= set(REQUESTS)


def test_opening_and_undoing(client: Client) -> None:
    session = client.session.handles[client.cxh]
    call = RopCall(session, [NONE, 7], 100)
    call.undo()
    call.open(1, ServerObject())
    assert call.handles[1] not in (7, NONE)
    assert len(session.objects) == 1
    call.undo()
    assert (call.handles, len(session.objects)) == ([NONE, NONE], 0)


def test_an_index_outside_of_the_handle_table(client: Client) -> None:
    call = RopCall(client.session.handles[client.cxh], [NONE], 100)
    with pytest.raises(MapiError) as raised:
        call.open(1, ServerObject())
    assert raised.value.code == ErrorCode.NullObject
    call.close(1)
    assert call.opened is None

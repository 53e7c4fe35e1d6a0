"""Server objects by handle."""

from __future__ import annotations

import pytest

from openchange_py.proxy import server_objects
from openchange_py.proxy.server_objects import ServerObject, ServerObjects
from openchange_py.wire.oxcdata.properties import PropertyTag
from openchange_py.wire.rop.oxcmsg import RopOpenMessageRequest
from openchange_py.wire.rop.oxcprpt_streams import RopOpenStreamRequest

OPEN_MESSAGE = RopOpenMessageRequest(0, 0, 1, 0x0FFF, 0x10, 0, 0x4321)
OPEN_STREAM = RopOpenStreamRequest(0, 1, 2, PropertyTag(0x1000001F), 0)


def test_ancestors_by_what_opened_them() -> None:
    message = ServerObject(OPEN_MESSAGE, None)
    stream = ServerObject(OPEN_STREAM, message)
    assert stream.ancestor(RopOpenStreamRequest) is stream
    assert stream.ancestor(RopOpenMessageRequest) is message
    assert message.ancestor(RopOpenStreamRequest) is None


def test_a_handle_used_again_is_another_object() -> None:
    objects = ServerObjects()
    before, after = ServerObject(OPEN_MESSAGE, None, 7), ServerObject(OPEN_STREAM, None, 7)
    objects.add(before)
    objects.add(after)
    assert objects.find(7) is after
    objects.forget(7)
    objects.forget(7)
    assert objects.find(7) is None


def test_what_has_no_handle_is_not_kept() -> None:
    objects = ServerObjects()
    objects.add(ServerObject(OPEN_MESSAGE, None))
    objects.add(ServerObject(OPEN_MESSAGE, None, 0xFFFFFFFF))
    assert len(objects) == 0


def test_there_is_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_objects, "MAXIMUM_OBJECTS", 2)
    objects = ServerObjects()
    for handle in (1, 2, 3):
        objects.add(ServerObject(OPEN_MESSAGE, None, handle))
    assert [objects.find(handle) is None for handle in (1, 2, 3)] == [True, False, False]

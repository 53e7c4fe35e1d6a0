"""What a client sees of a message."""

from __future__ import annotations

from openchange_py.proxy.server_objects import ServerObjects
from openchange_py.proxy.streamcache.views import is_changed, is_pristine, mark_changed, version_in, version_request
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.rows import PropertyRow
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.oxcprpt import RopGetPropertiesSpecificResponse
from tests.proxy.streamcache.test_names import attachment, logon, message, stream


def test_a_change_of_an_attachment_is_one_of_its_message() -> None:
    opened = message()
    objects = ServerObjects()
    objects.add(opened)
    assert is_pristine(objects, opened)
    mark_changed(stream(attachment(opened)))
    assert is_changed(opened)
    assert not is_pristine(objects, opened)
    mark_changed(logon())
    mark_changed(None)


def test_a_view_that_is_not_known_for_certain() -> None:
    opened, objects = message(), ServerObjects()
    assert not is_pristine(objects, opened), "it was released"
    objects.add(opened)
    objects.is_complete = False
    assert not is_pristine(objects, opened)


def test_the_version_in_an_answer() -> None:
    request = version_request(1, 2)
    assert request.property_tags == [p.PidTagChangeKey, p.PidTagLastModificationTime]
    row = RopGetPropertiesSpecificResponse(0, 0, PropertyRow.of([b"key", 5]), request.property_tags)
    found = version_in(RopBuffer([row], []))
    assert found is not None
    assert len(found) == 64
    assert version_in(RopBuffer([], [])) is None

"""Names of cache entries: which streams are the same, and which never are."""

from __future__ import annotations

import dataclasses
import uuid
from typing import Any

import pytest

from openchange_py.proxy.server_objects import ServerObject
from openchange_py.proxy.streamcache.names import MessageVersion, StreamSource, source_of, store_of, subject_of
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.oxcdata.properties import PropertyTag, PropertyType
from openchange_py.wire.rop.oxcfold import RopOpenFolderRequest
from openchange_py.wire.rop.oxcmsg import (
    RopCreateAttachmentRequest,
    RopCreateMessageRequest,
    RopOpenAttachmentRequest,
    RopOpenEmbeddedMessageRequest,
    RopOpenMessageRequest,
)
from openchange_py.wire.rop.oxcprpt_streams import RopOpenStreamRequest
from openchange_py.wire.rop.oxcstor import (
    LogonTime,
    RopLogonPrivateResponse,
    RopLogonPublicResponse,
    RopLogonRequest,
)

GUID, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)
TIME = LogonTime(0, 0, 0, 0, 1, 1, 2020)
FOLDERS = [FolderId(0)] * 13
SOURCE = StreamSource(b"private" + GUID.bytes_le, 77, (1,), p.PidTagAttachDataBinary)
VERSION = MessageVersion(b"key", 5).digest


def logon(guid: uuid.UUID = GUID) -> ServerObject:
    response = RopLogonPrivateResponse(0, 0, 1, FOLDERS, 7, guid, 1, OTHER, TIME, 0, 0)
    return ServerObject(RopLogonRequest(0, 0, 1, 0, 0, b""), None, 1, response)


def message(parent: ServerObject | None = None, message_id: int = 77) -> ServerObject:
    request = RopOpenMessageRequest(0, 0, 1, 0x0FFF, FolderId(3), 0, MessageId(message_id))
    return ServerObject(request, parent or logon(), 2)


def attachment(parent: ServerObject, number: int = 1) -> ServerObject:
    return ServerObject(RopOpenAttachmentRequest(0, 0, 1, 0, number), parent, 3)


def stream(parent: ServerObject | None, tag: PropertyTag = p.PidTagAttachDataBinary, mode: int = 0) -> ServerObject:
    return ServerObject(RopOpenStreamRequest(0, 0, 1, tag, mode), parent)


def test_a_stream_is_named_by_store_message_way_and_tag() -> None:
    assert source_of(stream(attachment(message()))) == SOURCE
    in_folder = ServerObject(RopOpenFolderRequest(0, 0, 1, FolderId(3), 0), logon())
    assert source_of(stream(attachment(message(in_folder)))) == SOURCE
    embedded = ServerObject(RopOpenEmbeddedMessageRequest(0, 0, 1, 0x0FFF, 0), attachment(message()))
    found = source_of(stream(attachment(embedded, 4), mode=3))
    assert found is not None
    assert found.path == (1, None, 4)
    assert found.subject == SOURCE.subject == subject_of(SOURCE.store, 77)


@pytest.mark.parametrize(
    "opened",
    [
        stream(message(), mode=1),
        stream(message(), mode=2),
        stream(message(), p.PidTagBody.with_type(PropertyType.String8)),
        stream(logon()),
        stream(None),
        stream(ServerObject(RopOpenFolderRequest(0, 0, 1, FolderId(3), 0), logon())),
        stream(ServerObject(RopCreateMessageRequest(0, 0, 1, 0, FolderId(3), False), logon())),
        stream(ServerObject(RopCreateAttachmentRequest(0, 0, 1), message())),
        stream(ServerObject(RopOpenEmbeddedMessageRequest(0, 0, 1, 0, 2), attachment(message()))),
        stream(ServerObject(message().opened_by, None)),
        message(),
    ],
)
def test_streams_that_have_no_name(opened: ServerObject) -> None:
    assert source_of(opened) is None


def test_the_store_is_told_by_the_logon() -> None:
    assert store_of(message(logon(OTHER))) == b"private" + OTHER.bytes_le
    public = RopLogonPublicResponse(0, 0, 0, FOLDERS, 1, GUID, OTHER)
    assert store_of(ServerObject(logon().opened_by, None, 1, public)) == b"public" + GUID.bytes_le
    assert store_of(None) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"store": b"public" + GUID.bytes_le},
        {"message_id": 78},
        {"path": ()},
        {"path": (2,)},
        {"path": (1, None)},
        {"tag": p.PidTagHtml},
    ],
)
def test_what_differs_has_another_name(changes: dict[str, Any]) -> None:
    name = SOURCE.name(VERSION, 100)
    assert len(name) == 64
    assert dataclasses.replace(SOURCE, **changes).name(VERSION, 100) != name
    assert SOURCE.name(VERSION, 101) != name
    assert SOURCE.name(MessageVersion(b"key", 6).digest, 100) != name
    assert SOURCE.name(MessageVersion(b"kez", 5).digest, 100) != name


def test_names_stay_what_they_are() -> None:
    """Another proxy, or another version of this program, must find the same file."""
    assert SOURCE.name(VERSION, 100) == "aa7616b1be236d742253e5b237d42afa86b9ab68ff46e175cf3586ce8487a589"


def test_a_version_needs_both() -> None:
    assert MessageVersion.of({p.PidTagChangeKey: b"key", p.PidTagLastModificationTime: 5}) == MessageVersion(b"key", 5)
    assert MessageVersion.of({p.PidTagChangeKey: b"key"}) is None
    assert MessageVersion.of({p.PidTagChangeKey: b"", p.PidTagLastModificationTime: 5}) is None

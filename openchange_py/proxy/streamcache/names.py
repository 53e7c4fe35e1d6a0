"""Which stream it is, in which version: the name of a cache entry.

A name is the SHA-256 of everything that says which bytes the stream has, and of nothing else:

- the store: kind and GUID of the logon (RopLogon's MailboxGuid, or ReplGuid of public folders), as MessageIds are
  unique in one store only;
- the MessageId, and the way from that message to the stream: attachment numbers, embedded messages;
- the property tag with its type, as the same text as String has other bytes than as Binary;
- the version: PidTagChangeKey and PidTagLastModificationTime of the message, which every save changes, those of its
  attachments and embedded messages included, and the stream's size.

So an entry is never wrong, it can only be out of use; two proxies in a row give the same stream the same name
without having talked to each other; and no text of a client's stands in a file name. The FolderId is not in it:
[MS-OXCMSG] finds a message by its MessageId, and one that is moved gets another.
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Final

from openchange_py.proxy.server_objects import ServerObject
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag, PropertyType
from openchange_py.wire.proptags import PidTagChangeKey, PidTagLastModificationTime
from openchange_py.wire.rop.oxcmsg import (
    RopOpenAttachmentRequest,
    RopOpenEmbeddedMessageRequest,
    RopOpenMessageRequest,
)
from openchange_py.wire.rop.oxcprpt_streams import OpenModeFlags, RopOpenStreamRequest
from openchange_py.wire.rop.oxcstor import RopLogonPrivateResponse, RopLogonPublicResponse, RopLogonRequest

#: What the message is asked for: its version.
VERSION_TAGS: Final = (PidTagChangeKey, PidTagLastModificationTime)
#: String8 is not among them: its bytes depend on the code page of who asks.
_TYPES: Final = frozenset({PropertyType.Binary, PropertyType.String, PropertyType.Object})
#: BestAccess is what clients open with that mean to read; what is written to it shows in time.
_READING: Final = frozenset({OpenModeFlags.ReadOnly, OpenModeFlags.BestAccess})
#: OpenModeFlags of RopOpenEmbeddedMessage ([MS-OXCMSG] 2.2.3.16.1).
_CREATE: Final = 0x02
#: Messages in messages in messages: clients stop long before.
_DEEPEST: Final = 64
#: In front of everything that is hashed; another number for another layout.
_LAYOUT: Final = b"openchange_py stream 1"


@dataclasses.dataclass(frozen=True, slots=True)
class StreamSource:
    """A stream of a saved message, of whatever version."""

    store: bytes
    message_id: int
    #: From the message to the stream's object: attachment numbers, None for the message embedded in one.
    path: tuple[int | None, ...]
    tag: PropertyTag

    @property
    def subject(self) -> str:
        """The message, as the index knows it: all its streams have the same."""
        return subject_of(self.store, self.message_id)

    def name(self, version: str, size: int) -> str:
        """The name of the entry for a version (`MessageVersion.digest`): 64 hexadecimal digits."""
        steps = [b"embedded" if step is None else step.to_bytes(4, "little") for step in self.path]
        return _digest(
            *(_LAYOUT, self.store, self.message_id.to_bytes(8, "little"), *steps),
            *(b"of", self.tag.to_bytes(4, "little"), version.encode(), size.to_bytes(8, "little")),
        )


@dataclasses.dataclass(frozen=True, slots=True)
class MessageVersion:
    """What every save changes: PidTagChangeKey, and PidTagLastModificationTime (100 ns since 1601)."""

    change_key: bytes
    modified: int

    @classmethod
    def of(cls, properties: PropertyMap) -> MessageVersion | None:
        """None where the server does not tell: then nothing can be known for certain."""
        key, modified = properties.get(PidTagChangeKey), properties.get(PidTagLastModificationTime)
        if not isinstance(key, bytes) or not key or not isinstance(modified, int):
            return None
        return cls(key, modified)

    @property
    def digest(self) -> str:
        """The version, as the index knows it."""
        return _digest(self.change_key, self.modified.to_bytes(8, "little"))


def subject_of(store: bytes, message_id: int) -> str:
    """A message, as the index knows it."""
    return _digest(_LAYOUT, store, message_id.to_bytes(8, "little"))


def store_of(opened: ServerObject | None) -> bytes | None:
    """Kind and GUID of the store that an object is in; None where the logon was not seen."""
    logon = None if opened is None else opened.ancestor(RopLogonRequest)
    match None if logon is None else logon.opening:
        case RopLogonPrivateResponse(mailbox_guid=guid):
            return b"private" + guid.bytes_le
        case RopLogonPublicResponse(repl_guid=guid):
            return b"public" + guid.bytes_le
    return None


def message_of(opened: ServerObject | None) -> ServerObject | None:
    """The saved message that an object belongs to: it, or the outermost that it is attached to."""
    return None if opened is None else opened.ancestor(RopOpenMessageRequest)


def source_of(stream: ServerObject) -> StreamSource | None:
    """Which stream it is; None for one that is of no saved message, or was opened to be written."""
    request = stream.opened_by
    if not isinstance(request, RopOpenStreamRequest) or request.open_mode_flags not in _READING:
        return None
    tag = PropertyTag(request.property_tag)
    path = _path(stream.parent)
    message, store = message_of(stream.parent), store_of(stream.parent)
    if tag.type not in _TYPES or path is None or message is None or store is None:
        return None
    opened_by = message.opened_by
    assert isinstance(opened_by, RopOpenMessageRequest)
    return StreamSource(store, int(opened_by.message_id), path, tag)


def _path(opened: ServerObject | None) -> tuple[int | None, ...] | None:
    path: list[int | None] = []
    while opened is not None and len(path) <= _DEEPEST:
        match opened.opened_by:
            case RopOpenMessageRequest():
                return tuple(reversed(path))
            case RopOpenAttachmentRequest(attachment_id=number):
                path.append(number)
            case RopOpenEmbeddedMessageRequest(open_mode_flags=flags) if not flags & _CREATE:
                path.append(None)
            case _:
                return None
        opened = opened.parent
    return None


def _digest(*parts: bytes) -> str:
    """Each part behind its length, so that no two lists of parts look alike."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(4, "little") + part)
    return digest.hexdigest()

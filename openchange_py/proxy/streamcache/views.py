"""A client's view of a message: what it opened, until it changes something itself.

"The server maintains a separate transaction for each" handle ([MS-OXCMSG] 3.2.5.3): what others save does not change
what a client has open, and what it changes itself is in its view before it is saved.
"""

from __future__ import annotations

from typing import Final

from openchange_py.proxy.server_objects import ServerObject, ServerObjects
from openchange_py.proxy.streamcache.names import VERSION_TAGS, MessageVersion, message_of
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.oxcfxics import (
    RopFastTransferDestinationConfigureRequest,
)
from openchange_py.wire.rop.oxcmsg import (
    RopCreateAttachmentRequest,
    RopDeleteAttachmentRequest,
    RopModifyRecipientsRequest,
    RopReloadCachedInformationRequest,
    RopRemoveAllRecipientsRequest,
    RopSaveChangesAttachmentRequest,
    RopSaveChangesMessageRequest,
)
from openchange_py.wire.rop.oxcprpt import (
    RopDeletePropertiesNoReplicateRequest,
    RopDeletePropertiesRequest,
    RopGetPropertiesSpecificRequest,
    RopGetPropertiesSpecificResponse,
    RopSetPropertiesNoReplicateRequest,
    RopSetPropertiesRequest,
)
from openchange_py.wire.rop.oxcprpt_streams import (
    RopCommitStreamRequest,
    RopSetStreamSizeRequest,
    RopWriteAndCommitStreamRequest,
    RopWriteStreamExtendedRequest,
    RopWriteStreamRequest,
)
from openchange_py.wire.rop.oxomsg import (
    RopSubmitMessageRequest,
    RopTransportSendRequest,
)

_CHANGED: Final = "openchange_py.streamcache.changed"

#: ROPs behind which an open message, or what is attached to it, is no longer what it was when it was opened.
CHANGING: Final = (
    RopCreateAttachmentRequest,
    RopDeleteAttachmentRequest,
    RopModifyRecipientsRequest,
    RopReloadCachedInformationRequest,
    RopRemoveAllRecipientsRequest,
    RopSaveChangesAttachmentRequest,
    RopSaveChangesMessageRequest,
    RopDeletePropertiesNoReplicateRequest,
    RopDeletePropertiesRequest,
    RopSetPropertiesNoReplicateRequest,
    RopSetPropertiesRequest,
    RopCommitStreamRequest,
    RopSetStreamSizeRequest,
    RopWriteAndCommitStreamRequest,
    RopWriteStreamExtendedRequest,
    RopWriteStreamRequest,
    RopFastTransferDestinationConfigureRequest,
    RopSubmitMessageRequest,
    RopTransportSendRequest,
)


def is_pristine(objects: ServerObjects, message: ServerObject) -> bool:
    """Whether the client's view of the message is that of the store, and it can be asked for its version."""
    return (
        objects.is_complete
        and not is_changed(message)
        and message.handle is not None
        and objects.find(message.handle) is message
    )


def version_request(logon_id: int, handle_index: int = 0) -> RopGetPropertiesSpecificRequest:
    """Asks a message for its version."""
    return RopGetPropertiesSpecificRequest(logon_id, handle_index, 0, 1, list(VERSION_TAGS))


def version_in(answer: RopBuffer) -> str | None:
    """The version that the first response tells; None where the upstream does not tell."""
    row = answer.rops[0] if answer.rops else None
    version = MessageVersion.of(row.properties) if isinstance(row, RopGetPropertiesSpecificResponse) else None
    return None if version is None else version.digest


def is_changed(message: ServerObject) -> bool:
    """Whether the client changed it, or what is attached to it, or had its view renewed."""
    return bool(message.data.get(_CHANGED))


def mark_changed(found: ServerObject | None) -> None:
    """The client changes the message that an object belongs to."""
    message = message_of(found)
    if message is not None:
        message.data[_CHANGED] = True

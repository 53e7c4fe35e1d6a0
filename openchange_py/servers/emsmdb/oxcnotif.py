"""[MS-OXCNOTIF]: subscriptions. `notifications` keeps what they are told, `asyncemsmdb` waits for it.

Not done yet: events of searches (SearchComplete), as there are no search folders; critical errors; push notifications.
Nothing moves or copies messages and folders yet, so nothing tells of ObjectMoved and ObjectCopied.
"""

from __future__ import annotations

from typing import Final

from openchange_py.servers.emsmdb.objects.base import ServerObject
from openchange_py.servers.emsmdb.objects.subscription import SubscriptionObject
from openchange_py.servers.emsmdb.registry import RopCall, handles
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.rop.oxcnotif import (
    NotificationType,
    RopRegisterNotificationRequest,
    RopRegisterNotificationResponse,
)

#: What can be asked for: [MS-OXCNOTIF] 2.2.1.2.1.1. Some of it never happens here.
_KNOWN: Final = (
    NotificationType.CriticalError
    | NotificationType.NewMail
    | NotificationType.ObjectCreated
    | NotificationType.ObjectDeleted
    | NotificationType.ObjectModified
    | NotificationType.ObjectMoved
    | NotificationType.ObjectCopied
    | NotificationType.SearchComplete
    | NotificationType.TableModified
    | NotificationType.StatusObjectModified
    | NotificationType.Extended
)


@handles(RopRegisterNotificationRequest)
def register_notification(call: RopCall, request: RopRegisterNotificationRequest) -> RopRegisterNotificationResponse:
    """RopRegisterNotification: [MS-OXCNOTIF] 3.1.5.1. An object that is not there (yet) can be asked for."""
    logon = call.object(request, ServerObject).mailbox_logon
    if not request.notification_types & _KNOWN:
        raise MapiError(ErrorCode.InvalidParameter, f"NotificationTypes 0x{request.notification_types:04x}")
    folder_id = None if request.want_whole_store else request.folder_id
    subscription = SubscriptionObject(logon, request.notification_types, folder_id, request.message_id)
    call.follow(request.output_handle_index, subscription)
    return RopRegisterNotificationResponse(request.output_handle_index, ErrorCode.Success)

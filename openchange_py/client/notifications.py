"""What happens in a mailbox, told to a client: [MS-OXCNOTIF] 3.2.

    async with await subscribe(mailbox, NotificationType.NewMail):
        waiter = await profile.waiter()
        async for told in waiter.events():
            print(told.notification_data.message_id)

Not done yet: push notifications, and polling where a server has no asynchronous interface.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from openchange_py.client.connection import Channel
from openchange_py.client.emsmdb import EmsmdbClient
from openchange_py.client.errors import check_return
from openchange_py.client.mailbox import MailboxClient
from openchange_py.client.objects import RemoteObject
from openchange_py.wire.ndr import ContextHandle
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.oxcrpc import NOTIFICATION_PENDING, EcDoAsyncWaitExRequest, EcDoAsyncWaitExResponse
from openchange_py.wire.rop.context import NO_HANDLE
from openchange_py.wire.rop.oxcnotif import NotificationType, RopNotifyResponse, RopRegisterNotificationRequest

#: Seconds that a server may take for EcDoAsyncWaitEx: its five minutes, and some more on the way.
WAIT_TIMEOUT: Final = 360.0

#: All that can happen to messages and folders.
EVERYTHING: Final = (
    NotificationType.NewMail
    | NotificationType.ObjectCreated
    | NotificationType.ObjectDeleted
    | NotificationType.ObjectModified
    | NotificationType.ObjectMoved
    | NotificationType.ObjectCopied
)

#: Seconds that a server which tells of nothing, but says that it would, is left alone; longer each time.
_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 30.0


async def subscribe(
    mailbox: MailboxClient, types: int = EVERYTHING, folder_id: FolderId | None = None, message_id: int = 0
) -> RemoteObject:
    """RopRegisterNotification: for the whole mailbox, a folder, or a message. It ends when it is released."""
    whole = int(folder_id is None)
    request = RopRegisterNotificationRequest(
        mailbox.logon_id, 0, 1, types, None, whole, folder_id or FolderId(0), MessageId(message_id)
    )
    done = await mailbox.session.execute([request], [mailbox.handle, NO_HANDLE])
    return RemoteObject(mailbox.session, done.handles[1], mailbox.logon_id)


class Waiter:
    """Waits for what a session is told. `channel` is bound to the asynchronous interface, in the session's group."""

    def __init__(self, session: EmsmdbClient, channel: Channel, acxh: ContextHandle) -> None:
        self._session = session
        self._channel = channel
        self._acxh = acxh

    async def wait(self) -> bool:
        """EcDoAsyncWaitEx: whether something is pending, when it is, or after five minutes. `MapiError` (Rejected)."""
        response = await self._channel.call(EcDoAsyncWaitExRequest(self._acxh), EcDoAsyncWaitExResponse)
        check_return(response.return_value, "EcDoAsyncWaitEx")
        return bool(response.flags_out & NOTIFICATION_PENDING)

    async def events(self) -> AsyncIterator[RopNotifyResponse]:
        """What happens from now on, and what was not fetched yet, as it happens; without end."""
        pause = _PAUSE
        while True:
            if not await self.wait():
                continue
            told = await self._session.fetch()
            for one in told:
                yield one
            if told:
                pause = _PAUSE
                continue
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

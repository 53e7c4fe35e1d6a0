"""How soon a client is told of mail that another process delivers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from openchange_py.client.notifications import subscribe
from openchange_py.client.profile import Profile
from openchange_py.wire.rop.oxcnotif import NotificationType
from tests.interop.nodes import PATIENCE, ocpy

_MAIL = "From: Bob <bob@example.test>\nTo: alice@example.test\nSubject: {subject}\n\nhello\n"


def deliver(config: Path, subject: str, user: str = "alice@example.test") -> float:
    """`ocpy deliver` as a process; when it ended."""
    ocpy("deliver", "-c", config, "-f", "bob@example.test", user, stdin=_MAIL.format(subject=subject))
    return time.monotonic()


def soonest(profile: Profile, deliver: Callable[[str], float], name: str) -> float:
    """Seconds from a delivery until a client that waits knows which message it is, which it can read then.

    The best of up to three, where one took a second: the machine that tests this may be busy.
    """
    late: list[float] = []

    async def work() -> None:
        async with profile:
            mailbox = await profile.mailbox()
            await subscribe(mailbox, NotificationType.NewMail)
            events = (await profile.waiter()).events()
            for number in range(3):
                coming = asyncio.ensure_future(anext(events))
                ended = await asyncio.to_thread(deliver, f"{name} {number}")
                async with asyncio.timeout(PATIENCE):
                    told = await coming
                late.append(time.monotonic() - ended)
                message = told.notification_data.message_id
                assert message is not None
                page = await mailbox.messages((await mailbox.find_folder("Inbox")).id, 0, 1)
                assert (page.messages[0].id, page.messages[0].subject) == (message, f"{name} {number}")
                if late[-1] < 1.0:
                    break

    asyncio.run(work())
    return min(late)

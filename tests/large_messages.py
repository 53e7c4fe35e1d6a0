"""Messages with large attachments, made through the wire, for tests of whatever stands between client and server.

message_id = await upload(mailbox, inbox.id, size=50 * MEGABYTE)
...
assert digest_of(file) == Pattern(50 * MEGABYTE).digest()
"""

from __future__ import annotations

import hashlib
import io
import random
from typing import BinaryIO

from openchange_py.client.mailbox import MailboxClient
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.ids import FolderId, MessageId

MEGABYTE = 1 << 20
#: What a pattern repeats: of a length that no chunk is a multiple of.
_PERIOD = 65_521


class Pattern(io.RawIOBase):
    """A file of that many bytes, which is nowhere as a whole. What does not compress, and another one per `seed`."""

    def __init__(self, size: int, seed: int = 0) -> None:
        self._size = size
        self._place = 0
        self._block = random.Random(seed).randbytes(_PERIOD)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        left = self._size - self._place
        count = left if size < 0 else min(size, left)
        start = self._place % _PERIOD
        self._place += count
        copies = (start + count) // _PERIOD + 1
        return (self._block * copies)[start : start + count] if count else b""

    def digest(self) -> str:
        """Of the whole file; it stands at its beginning then."""
        self._place = 0
        found = digest_of(self)  # type: ignore[arg-type]
        self._place = 0
        return found


def digest_of(file: BinaryIO) -> str:
    """SHA-256 of what is left of a file."""
    digest = hashlib.sha256()
    while piece := file.read(MEGABYTE):
        digest.update(piece)
    return digest.hexdigest()


async def upload(
    mailbox: MailboxClient, folder_id: FolderId, *, size: int, seed: int = 0, subject: str = "large"
) -> MessageId:
    """A message with one attachment, `Pattern(size, seed)`."""
    async with await mailbox.create_message(folder_id) as message:
        await message.set_properties({p.PidTagSubject: subject, p.PidTagBody: f"{size} bytes are attached."})
        await message.attach("large.bin", Pattern(size, seed), "application/octet-stream")  # type: ignore[arg-type]
        return await message.save()

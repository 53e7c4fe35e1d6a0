"""MIME to MAPI: [MS-OXCMAIL] 2.2.3. `message_draft` makes a draft of one message, `import_mail` reads whole files."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from openchange_py.mime import charsets
from openchange_py.mime.attachments import attachment_draft
from openchange_py.mime.bodies import Layout, body_properties, declared_charset, layout, part_bytes
from openchange_py.mime.classes import message_class
from openchange_py.mime.envelope import envelope_properties, recipients
from openchange_py.mime.mailboxes import read_mail
from openchange_py.mime.parser import ImportRefused, Part, header_block, parse
from openchange_py.store.base import Mailbox, MessageDraft, StoreError
from openchange_py.store.changes import now
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.ids import FolderId

#: Messages in each other that become messages in each other; the next one is attached as a file.
EMBEDDING_LIMIT = 16
#: Bytes of header that PidTagTransportMessageHeaders keeps.
HEADER_LIMIT = 1 << 20
#: [MS-OXCMSG] 2.2.1.6 (PidTagMessageFlags): mfRead.
_MF_READ = 0x00000001

__all__ = ["ImportRefused", "ImportReport", "import_mail", "message_draft"]


@dataclasses.dataclass(slots=True)
class ImportReport:
    """What an import did. `refused` names each message that was not imported, and why."""

    imported: int = 0
    refused: list[tuple[str, str]] = dataclasses.field(default_factory=list)


def message_draft(raw: bytes, *, is_read: bool = False) -> MessageDraft:
    """The draft of one Internet message; `ImportRefused` says why it cannot be one.

    Time and memory are bounded by the size of `raw` (see `parser`).
    """
    message = parse(raw)
    try:
        draft = _draft(message, 0)
    except RecursionError as error:
        raise ImportRefused("its parts are in each other too deeply") from error
    head = charsets.decode(header_block(raw.lstrip(b"\r\n"))[:HEADER_LIMIT], None)
    draft.properties[proptags.PidTagTransportMessageHeaders] = "\r\n".join(head.replace("\0", "\ufffd").splitlines())
    draft.properties[proptags.PidTagMessageFlags] = _MF_READ if is_read else 0
    return draft


def _draft(message: Part, depth: int) -> MessageDraft:
    parts = layout(message)
    properties = envelope_properties(message) | body_properties(parts)
    properties[proptags.PidTagMessageClass] = message_class(message)
    properties[proptags.PidTagMessageFlags] = _MF_READ

    def embed(part: Part) -> MessageDraft | None:
        return _draft(part, depth + 1) if depth < EMBEDDING_LIMIT else None

    html = _html_text(parts)
    attached = [attachment_draft(leaf, number, html, embed) for number, leaf in enumerate(parts.attachments, 1)]
    return MessageDraft(properties, recipients(message), attached)


def _html_text(parts: Layout) -> str:
    return "" if parts.html is None else charsets.decode(part_bytes(parts.html), declared_charset(parts.html))


def import_mail(
    mailbox: Mailbox,
    path: Path | str,
    folder: FolderId | str = "Inbox",
    progress: Callable[[ImportReport], None] | None = None,
) -> ImportReport:
    """Saves all messages of an .eml file, an mbox, a maildir or a folder of .eml files.

    `folder` is a FolderId, or a path as of `Mailbox.folder_by_path`. Each message is its own transaction;
    `progress` is told after each. `ImportRefused` where there is nothing to read at `path`.
    """
    target = mailbox.folder_by_path(folder).id if isinstance(folder, str) else mailbox.folder(folder).id
    report = ImportReport()
    for source in read_mail(Path(path)):
        try:
            draft = message_draft(source.read(), is_read=source.is_read)
            draft.properties.setdefault(proptags.PidTagMessageDeliveryTime, now())
            mailbox.save_message(target, draft)
            report.imported += 1
        except (ImportRefused, StoreError) as error:
            report.refused.append((source.name, str(error)))
        if progress is not None:
            progress(report)
    return report

"""Attachments: [MS-OXCMAIL] 2.2.3.4 (attachment elements)."""

from __future__ import annotations

import email.generator
import io
import mimetypes
import re
from collections.abc import Callable

from openchange_py.mime import headers
from openchange_py.mime.bodies import LeafPart, part_bytes, sub_parts
from openchange_py.mime.parser import Part
from openchange_py.store.base import AttachmentDraft, MessageDraft
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.properties import PropertyMap

#: [MS-OXCMSG] 2.2.2.9 (PidTagAttachMethod).
ATTACH_BY_VALUE = 1
ATTACH_EMBEDDED_MESSAGE = 5
#: [MS-OXCMSG] 2.2.2.18 (PidTagAttachFlags): attRenderedInBody.
RENDERED_IN_BODY = 0x00000004

NAME_LIMIT = 255
_EXTENSIONS = {"text/plain": ".txt", "image/jpeg": ".jpg", "message/rfc822": ".eml", "application/octet-stream": ".dat"}

#: Makes a draft of an embedded message; None where messages are in each other too deeply.
Embed = Callable[[Part], MessageDraft | None]


def attachment_draft(leaf: LeafPart, number: int, html: str, embed: Embed) -> AttachmentDraft:
    """The attachment that a part becomes. `html`: the body that may show it; `number` names what has no name."""
    part = leaf.part
    kind = part.get_content_type()
    properties: PropertyMap = {proptags.PidTagAttachMimeTag: kind, proptags.PidTagRenderingPosition: -1}
    properties |= _placement(leaf, html)
    embedded = _embedded(part, embed) if kind == "message/rfc822" else None
    if embedded is not None:
        title = embedded.properties.get(proptags.PidTagSubject) or file_name(part) or ""
        properties[proptags.PidTagDisplayName] = title[:NAME_LIMIT]
        properties[proptags.PidTagAttachMethod] = ATTACH_EMBEDDED_MESSAGE
        if name := file_name(part):
            properties |= _names(name)
        return AttachmentDraft(properties, embedded)
    name = file_name(part) or f"ATT{number:05}{_extension(kind)}"
    properties |= _names(name)
    properties[proptags.PidTagDisplayName] = name
    properties[proptags.PidTagAttachMethod] = ATTACH_BY_VALUE
    properties[proptags.PidTagAttachDataBinary] = flat_bytes(part) if part.is_multipart() else part_bytes(part)
    return AttachmentDraft(properties)


def file_name(part: Part) -> str:
    """The name that the sender gave it (RFC 2231, RFC 2047 or bare), fit for a file; empty where there is none."""
    try:
        name = part.get_filename()
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
    return safe_name(headers.decode_text(str(name))) if name else ""


def safe_name(name: str) -> str:
    """Without folders and characters that no file name may have."""
    last = re.split(r"[/\\]", name)[-1]
    cleaned = re.sub(r'[\x00-\x1f\x7f<>:"|?*]', "_", last).strip(" ")
    if not cleaned.strip("."):
        return ""
    if len(cleaned) > NAME_LIMIT:
        stem, dot, extension = cleaned.rpartition(".")
        keep = extension if dot and len(extension) < 20 else ""
        cleaned = (stem if keep else cleaned)[: NAME_LIMIT - len(keep) - 1] + (f".{keep}" if keep else "")
    return cleaned


class _Generator(email.generator.BytesGenerator):
    """Python's decodes text that stands where parts should, and can't write what is not ASCII then."""

    def write(self, s: str) -> None:
        super().write(s.encode("utf-8", "surrogateescape").decode("ascii", "surrogateescape"))


def flat_bytes(part: Part) -> bytes:
    """The content of a part that Python's parser took apart (message/delivery-status and its like)."""
    pieces = []
    for child in sub_parts(part):
        buffer = io.BytesIO()
        _Generator(buffer, mangle_from_=False, maxheaderlen=0).flatten(child)
        pieces.append(buffer.getvalue())
    return b"".join(pieces)


def _embedded(part: Part, embed: Embed) -> MessageDraft | None:
    children = sub_parts(part)
    return embed(children[0]) if len(children) == 1 else None


def _placement(leaf: LeafPart, html: str) -> PropertyMap:
    """[MS-OXCMAIL] 2.2.3.4.1.3: what the HTML body shows is marked so, and hidden from the list of attachments."""
    properties: PropertyMap = {}
    content_id = (headers.text_field(leaf.part, "Content-ID") or "").strip("<> ")
    location = headers.text_field(leaf.part, "Content-Location") or ""
    if content_id:
        properties[proptags.PidTagAttachContentId] = content_id
    if location:
        properties[proptags.PidTagAttachContentLocation] = location
    shown = bool((content_id and f"cid:{content_id}" in html) or (leaf.related and location and location in html))
    if shown or (leaf.related and html):
        properties[proptags.PidTagAttachFlags] = RENDERED_IN_BODY
    if shown:
        properties[proptags.PidTagAttachmentHidden] = True
    return properties


def _names(name: str) -> PropertyMap:
    """Long and 8.3 file name, and the extension with its dot."""
    stem, dot, extension = name.rpartition(".")
    if not dot or not stem:
        stem, extension = name, ""
    short = re.sub(r"[^A-Za-z0-9_-]", "", stem)[:8] or "ATT"
    suffix = re.sub(r"[^A-Za-z0-9_-]", "", extension)[:3]
    return {
        proptags.PidTagAttachLongFilename: name,
        proptags.PidTagAttachFilename: f"{short}.{suffix}" if suffix else short,
        proptags.PidTagAttachExtension: f".{extension}" if extension else "",
    }


def _extension(kind: str) -> str:
    return _EXTENSIONS.get(kind) or mimetypes.guess_extension(kind) or ".dat"

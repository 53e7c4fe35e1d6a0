"""A message's bodies: [MS-OXCMAIL] 2.2.3.2 (body text), and which parts are attachments instead.

Every part is a body or an attachment; none is dropped, but for the text around the parts of a multipart.
Not done yet: text/enriched as a body (it becomes an attachment), joining `format=flowed` lines, RTF.
"""

from __future__ import annotations

import dataclasses
import re

from openchange_py.mime import charsets
from openchange_py.mime.parser import Part
from openchange_py.wire import proptags
from openchange_py.wire.oxcdata.properties import PropertyMap

#: [MS-OXCMSG] 2.2.1.56.2 (PidTagNativeBody).
NATIVE_PLAIN = 1
NATIVE_HTML = 3


@dataclasses.dataclass(slots=True)
class LeafPart:
    """A part that becomes an attachment; `related`: it belongs to the HTML beside it."""

    part: Part
    related: bool = False


@dataclasses.dataclass(slots=True)
class Layout:
    """The parts of a message by what becomes of them."""

    plain: Part | None = None
    html: Part | None = None
    attachments: list[LeafPart] = dataclasses.field(default_factory=list)

    @property
    def has_body(self) -> bool:
        """Whether a body was found."""
        return self.plain is not None or self.html is not None


def layout(message: Part) -> Layout:
    """Sorts the parts of a message; parts of an embedded message are not looked at. Parsing bounded the nesting."""
    return _sort(message, related=False, outermost=True)


def _sort(part: Part, *, related: bool, outermost: bool = False) -> Layout:
    if part.get_content_maintype() != "multipart":
        return _sort_leaf(part, related=related, outermost=outermost)
    if not part.is_multipart():
        # A multipart whose boundary never came: what it says is still there.
        return Layout(plain=part) if part_bytes(part).strip() else Layout()
    kind = part.get_content_subtype()
    result = Layout()
    for child in sub_parts(part):
        found = _sort(child, related=related or kind == "related")
        result.attachments += found.attachments
        if not result.has_body:
            result.plain, result.html = found.plain, found.html
        elif kind == "alternative":
            _add_alternative(result, found)
        else:
            result.attachments += [LeafPart(body, related) for body in (found.plain, found.html) if body is not None]
    return result


def _add_alternative(result: Layout, found: Layout) -> None:
    """The last of several alternatives of one kind is the best one (RFC 2046, 5.1.4); the others are attached."""
    if found.plain is not None:
        result.attachments += [] if result.plain is None else [LeafPart(result.plain)]
        result.plain = found.plain
    if found.html is not None:
        result.attachments += [] if result.html is None else [LeafPart(result.html)]
        result.html = found.html


def _sort_leaf(part: Part, *, related: bool, outermost: bool) -> Layout:
    named = part.get_content_disposition() == "attachment" or (has_name(part) and not outermost)
    kind = part.get_content_type()
    if named or part.is_multipart() or kind not in ("text/plain", "text/html"):
        return Layout(attachments=[LeafPart(part, related)])
    return Layout(plain=part) if kind == "text/plain" else Layout(html=part)


def has_name(part: Part) -> bool:
    """Whether the sender gave the part a file name."""
    fields = f"{part.get('Content-Disposition', '')};{part.get('Content-Type', '')}".lower()
    return "name" in fields and re.search(r";\s*(?:file)?name[*0-9]*\s*=", fields) is not None


def sub_parts(part: Part) -> list[Part]:
    """The parts of a multipart, or the message in a message/rfc822."""
    payload = part.get_payload()
    return [child for child in payload if isinstance(child, Part)] if isinstance(payload, list) else []


def part_bytes(part: Part) -> bytes:
    """A leaf's content with its transfer encoding undone, as far as it can be."""
    try:
        payload = part.get_payload(decode=True)
    except (ValueError, LookupError, TypeError, AssertionError):
        payload = None
    if isinstance(payload, bytes):
        return payload
    text = part.get_payload()
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else b""


def declared_charset(part: Part) -> str | None:
    """The charset parameter of a part."""
    try:
        value = part.get_content_charset()
    except (ValueError, LookupError, TypeError):
        return None
    return value if isinstance(value, str) and value else None


def body_properties(found: Layout) -> PropertyMap:
    """PidTagBody, PidTagHtml, PidTagInternetCodepage and PidTagNativeBody."""
    properties: PropertyMap = {}
    if found.plain is not None:
        raw, charset = part_bytes(found.plain), declared_charset(found.plain)
        properties[proptags.PidTagBody] = _text(charsets.decode(raw, charset))
        properties[proptags.PidTagInternetCodepage] = charsets.codepage(charset or "") or charsets.UTF8_CODEPAGE
        properties[proptags.PidTagNativeBody] = NATIVE_PLAIN
    if found.html is not None:
        html, codepage = _html(part_bytes(found.html), declared_charset(found.html))
        properties[proptags.PidTagHtml] = html
        properties[proptags.PidTagInternetCodepage] = codepage
        properties[proptags.PidTagNativeBody] = NATIVE_HTML
    return properties


def _html(raw: bytes, charset: str | None) -> tuple[bytes, int]:
    """The page as it was sent and its code page; as UTF-8 where there is no code page for it."""
    declared = charset or charsets.declared_in_html(raw)
    codepage = charsets.codepage(declared) if declared else charsets.ASCII_CODEPAGE if raw.isascii() else None
    if codepage == charsets.ASCII_CODEPAGE and not raw.isascii():
        codepage = None
    if codepage is not None:
        return raw, codepage
    return charsets.decode(raw, declared).encode("utf-8", "replace"), charsets.UTF8_CODEPAGE


def _text(text: str) -> str:
    """Lines end with CR LF, as in mail on its way; a zero character cannot stand in a PtypString."""
    return re.sub(r"\r\n|\r|\n", "\r\n", text).replace("\0", "\ufffd")

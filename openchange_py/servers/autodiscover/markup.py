"""XML as these protocols use it: small documents from strangers, and the answers to them.

What comes in has no document type: no entities are defined, nothing is fetched, and size, depth and the number of
elements are bounded while it is read. What goes out is escaped, and holds no character that XML 1.0 has not (2.2).
"""

from __future__ import annotations

import re
from typing import Any, Final
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

MAXIMUM_SIZE: Final = 256 << 10
_MAXIMUM_DEPTH: Final = 24
_MAXIMUM_ELEMENTS: Final = 2000
_MAXIMUM_ATTRIBUTES: Final = 32

_NO_CHARACTERS: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class MarkupError(Exception):
    """What came is no document that is read here; the text says why, for the log."""


def parse(document: bytes) -> Element:
    """The root element; names are `{namespace}name`, as `xml.etree` has them. Raises `MarkupError`."""
    if len(document) > MAXIMUM_SIZE:
        raise MarkupError(f"{len(document)} bytes are more than {MAXIMUM_SIZE}")
    return _Reader().read(document)


class _Reader:
    def __init__(self) -> None:
        self._tree = TreeBuilder()
        self._depth = self._elements = 0
        self._parser = parser = expat.ParserCreate(namespace_separator="}")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._tree.data

    def read(self, document: bytes) -> Element:
        try:
            self._parser.Parse(document, True)
        except expat.ExpatError as error:
            raise MarkupError(f"not well-formed: {error}") from error
        except (LookupError, ValueError) as error:  # an encoding that Python has not, or that is none of 8 bits
            raise MarkupError(f"encoding: {error}") from error
        return self._tree.close()

    def _doctype(self, *_: Any) -> None:
        raise MarkupError("it has a document type")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > _MAXIMUM_DEPTH or self._elements > _MAXIMUM_ELEMENTS or len(attributes) > _MAXIMUM_ATTRIBUTES:
            raise MarkupError("too deep, or too many elements or attributes")
        self._tree.start(_qualified(name), {_qualified(key): value for key, value in attributes.items()})

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._tree.end(_qualified(name))


def _qualified(name: str) -> str:
    return f"{{{name}" if "}" in name else name


def text_of(parent: Element, name: str) -> str:
    """The text of a child element without the white space around it; "" where there is none."""
    return (parent.findtext(name) or "").strip()


class Markup(str):
    """Text that is XML already."""

    __slots__ = ()


def element(name: str, *content: str | None, **attributes: str) -> Markup:
    """An element: `Markup` in it stays, other text is escaped, None is left out.

    The attribute `xmlns_s` stands for `xmlns:s`.
    """
    inner = "".join(part if isinstance(part, Markup) else escape(_clean(part)) for part in content if part is not None)
    named = "".join(f" {key.replace('_', ':')}={quoteattr(_clean(value))}" for key, value in attributes.items())
    return Markup(f"<{name}{named}>{inner}</{name}>" if inner else f"<{name}{named}/>")


def _clean(text: str) -> str:
    return _NO_CHARACTERS.sub("\ufffd", text)


def document(root: Markup) -> bytes:
    """The whole document, in UTF-8."""
    return f'<?xml version="1.0" encoding="utf-8"?>\n{root}'.encode()

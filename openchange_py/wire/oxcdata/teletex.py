"""Teletex (ITU-T T.61 in its 8-bit form, with RFC 1345's table) as a codec of Python's: CP_TELETEX, 20261.

An accent is a byte of its own that stands before its letter. ASCII characters that T.61 leaves out keep their ASCII
codes, as addresses and distinguished names need them.
"""

# ruff: noqa: RUF001  accents that stand alone are what this is about

from __future__ import annotations

import codecs
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: The codec's name, for `str.encode` and `bytes.decode` once this module is imported.
NAME: Final = "x-teletex"

#: Characters from 0xA0 on; a space where there is none.
_UPPER: Final = (
    "\xa0¡¢£$¥#§¤  «    °±²³\N{MULTIPLICATION SIGN}µ¶·÷  »¼½¾¿                                "
    "ΩÆÐªĦ ĲĿŁØŒºÞŦŊŉĸæđðħıĳŀłøœßþŧŋ "
)
#: The combining character that each accent byte is, from 0xC1 on.
_ACCENTS: Final = dict(
    zip(
        (0xC1, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF),
        "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u0327\u030b\u0328\u030c",
        strict=True,
    )
)
#: What an accent is before a space, where Unicode has a character for that.
_ALONE: Final = {
    0xC2: "´",
    0xC5: "¯",
    0xC6: "˘",
    0xC7: "˙",
    0xC8: "¨",
    0xCA: "˚",
    0xCB: "¸",
    0xCD: "˝",
    0xCE: "˛",
    0xCF: "ˇ",
}

_DECODED: Final = {code: chr(code) for code in range(0x80)} | {
    code: character for code, character in enumerate(_UPPER, 0xA0) if character != " "
}
_ENCODED: Final = {character: bytes((code,)) for code, character in reversed(_DECODED.items())} | {
    character: bytes((accent, 0x20)) for accent, character in _ALONE.items()
}
_ACCENT_OF: Final = {character: code for code, character in _ACCENTS.items()}


def encode(text: str, errors: str = "strict") -> tuple[bytes, int]:
    """As `codecs.encode`."""
    raw, normal = bytearray(), unicodedata.normalize("NFC", text)
    for position, character in enumerate(normal):
        found = _ENCODED.get(character) or _accented(character)
        if found is None:
            problem = UnicodeEncodeError(NAME, normal, position, position + 1, "no Teletex character")
            replacement, _ = codecs.lookup_error(errors)(problem)
            found = replacement if isinstance(replacement, bytes) else replacement.encode("ascii", "replace")
        raw += found
    return bytes(raw), len(text)


def _accented(character: str) -> bytes | None:
    """A letter with one accent."""
    parts = unicodedata.normalize("NFD", character)
    if len(parts) == 2 and parts[0].isascii() and parts[1] in _ACCENT_OF:
        return bytes((_ACCENT_OF[parts[1]], ord(parts[0])))
    return None


def decode(encoded: ReadableBuffer, errors: str = "strict") -> tuple[str, int]:
    """As `codecs.decode`."""
    raw, text, position = bytes(encoded), list[str](), 0
    while position < len(raw):
        code, length = raw[position], 1
        found = _DECODED.get(code)
        if code in _ACCENTS and position + 1 < len(raw) and raw[position + 1] < 0x80:
            found, length = _with_accent(code, chr(raw[position + 1])), 2
        if found is None:
            problem = UnicodeDecodeError(NAME, raw, position, position + 1, "no Teletex character")
            replacement, position = codecs.lookup_error(errors)(problem)
            text.append(str(replacement))
            continue
        text.append(found)
        position += length
    return "".join(text), len(raw)


def _with_accent(accent: int, letter: str) -> str:
    if letter == " " and accent in _ALONE:
        return _ALONE[accent]
    return unicodedata.normalize("NFC", letter + _ACCENTS[accent])


def _find(name: str) -> codecs.CodecInfo | None:
    if name.replace("_", "-") != NAME:
        return None
    return codecs.CodecInfo(encode, decode, name=NAME)


codecs.register(_find)

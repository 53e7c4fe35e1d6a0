"""How names compare: [MS-OXNSPI] 2.2.1.6 and 3.1.4.3.5 (comparison flags for Unicode strings).

Case, marks above and below letters, the kind of kana and the width of a character make no difference; in the orders of
locales, symbols, punctuation and spaces make none either. Which letters stand apart in which language is for
`tailorings`. A key is bytes, so that every database orders, and finds the beginnings of, names alike.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from openchange_py.addressbook.tailorings import Tailoring, language_of, tailoring

_WORD = re.compile(r"[^\s,;]+")
#: Characters of a text that count: more than any name has, and few enough for one letter to become eighteen.
_LONGEST = 4096
#: Symbols stand before letters ([MS-OXNSPI] 2.2.1.6, SORT_STRINGSORT), most of ASCII's anyhow; this one puts the others
#: behind the last of those that stand before digits.
_BEFORE_DIGITS = "/"
#: Below: letters and marks of the scripts that most names are in, worth remembering once they were looked at.
_REMEMBERED = 0x3100


def fold(text: str) -> str:
    """For names that are compared as a whole: accounts, addresses, distinguished names.

    What a database can't hold (a zero, a lone surrogate; clients may send both) becomes what no name has.
    """
    return text.casefold().replace("\0", "\ufffd").encode("utf-8", "replace").decode()


class _Characters(dict[int, str]):
    """What each character of a text in lower case becomes, for `str.translate`."""

    def __init__(self, letters: Tailoring, *, symbols: bool) -> None:
        super().__init__()
        self._letters = letters.letters
        self._symbols = symbols

    def __missing__(self, code: int) -> str:
        character = chr(code)
        found = self._letters.get(character)
        if found is None:
            parts = unicodedata.normalize("NFKD", character)
            found = "".join(map(self._part, parts.casefold() if len(parts) > 1 else parts))
        if code < _REMEMBERED:
            self[code] = found
        return found

    def _part(self, character: str) -> str:
        """Of a character that stands for itself."""
        if unicodedata.combining(character):
            return ""
        category = unicodedata.category(character)
        if category[0] in "PSZ":
            if not self._symbols:
                return ""
            return character if category[0] == "Z" or character < "{" else _BEFORE_DIGITS + character
        # From katakana to hiragana, which stands 0x60 before it.
        return chr(ord(character) - 0x60) if "\u30a1" <= character <= "\u30f6" else character


class _Order:
    """Makes the keys of one order."""

    def __init__(self, language: str, *, symbols: bool) -> None:
        rules = tailoring(language)
        self._contract = rules.contract
        self._without_dot = rules.without_dot
        self._characters = _Characters(rules, symbols=symbols)

    def key(self, text: str) -> bytes:
        text = text[:_LONGEST]
        if self._without_dot:
            text = text.replace("I", "\u0131").replace("\u0130", "i")
        text = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text.casefold())
        if self._contract is not None:
            text = self._contract(text)
        return text.translate(self._characters).strip().encode("utf-8", "surrogatepass")


@lru_cache(maxsize=64)  # more than there are languages in `tailorings`
def _order(language: str) -> _Order:
    return _Order(language, symbols=not language)


def sort_key(text: str, locale: int = 0) -> bytes:
    """Bytes that order, equal and begin as the texts do, up to their 4096th character. No key has a byte of 0xFF.

    `locale` is an LCID; in orders other than the neutral one a beginning may end within a letter (c of ch).
    """
    return _order(language_of(locale)).key(text)


def behind(key: bytes) -> bytes:
    """The least key behind all that begin with `key`."""
    return key + b"\xff"


def tails(text: str) -> list[str]:
    """The text from each of its words on: `Anna Maria Berg` also begins like `Maria Berg` and `Berg`."""
    return [text[match.start() :] for match in _WORD.finditer(text)]

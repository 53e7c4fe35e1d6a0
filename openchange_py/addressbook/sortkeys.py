"""How names compare: [MS-OXNSPI] 2.2.1.6 and 3.1.4.3.5 (comparison flags for Unicode strings).

Case, marks above and below letters, the kind of kana and the width of a character make no difference. One order
for every locale: [MS-OXNSPI] asks for at least one and lets the server take the closest that it has.
"""

from __future__ import annotations

import re
import unicodedata

#: From katakana U+30A1-U+30F6 to hiragana, which stands 0x60 before it.
_KANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}
_WORD = re.compile(r"[^\s,;]+")
#: Characters of a text that count: more than any name has, and few enough for one letter to become eighteen.
_LONGEST = 4096


def fold(text: str) -> str:
    """For names that are compared as a whole: accounts, addresses, distinguished names.

    What a database can't hold (a zero, a lone surrogate; clients may send both) becomes what no name has.
    """
    return text.casefold().replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def sort_key(text: str) -> bytes:
    """Bytes that order, equal and begin as the texts do, up to their 4096th character. No key has a byte of 0xFF."""
    decomposed = unicodedata.normalize("NFKD", text[:_LONGEST].casefold())
    plain = "".join(character for character in decomposed if not unicodedata.combining(character))
    return plain.casefold().translate(_KANA).strip().encode("utf-8", "surrogatepass")


def behind(key: bytes) -> bytes:
    """The least key behind all that begin with `key`."""
    return key + b"\xff"


def tails(text: str) -> list[str]:
    """The text from each of its words on: `Anna Maria Berg` also begins like `Maria Berg` and `Berg`."""
    return [text[match.start() :] for match in _WORD.finditer(text)]

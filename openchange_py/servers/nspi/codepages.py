"""8-bit strings in the client's code page: [MS-OXNSPI] 2.2.1.5 and 3.1.4.3.

What a code page cannot express becomes `?`. Not done: CP_TELETEX is taken for Latin-1, from which T.61 differs in
its accents, as no client that asks for it is known to expect more.
"""

from __future__ import annotations

import codecs
from functools import lru_cache
from typing import Final

from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError

CP_WINUNICODE: Final = 0x000004B0
CP_TELETEX: Final = 0x00004F25

_NAMES: Final = {
    0: "cp1252",  # CP_ACP: the server's own
    CP_TELETEX: "latin-1",
    20127: "ascii",
    20866: "koi8-r",
    21866: "koi8-u",
    51932: "euc_jp",
    54936: "gb18030",
    65001: "utf-8",
}


@lru_cache(maxsize=64)
def codec(code_page: int) -> str:
    """The name of Python's codec; `MapiError` (InvalidCodepage) where there is none for 8-bit strings."""
    if code_page == CP_WINUNICODE:
        raise MapiError(ErrorCode.InvalidCodepage, "CP_WINUNICODE with 8-bit strings")
    name = _NAMES.get(code_page)
    if name is None:
        name = f"iso8859-{code_page - 28590}" if 28591 <= code_page <= 28606 else f"cp{code_page}"
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise MapiError(ErrorCode.InvalidCodepage, f"code page {code_page}") from None


def encode(text: str, code_page: int) -> bytes:
    """The string for a client of that code page. Nothing behind a zero character is sent."""
    return text.partition("\0")[0].encode(codec(code_page), "replace")


def decode(raw: bytes, code_page: int) -> str:
    """What a client of that code page sent."""
    return raw.decode(codec(code_page), "replace")

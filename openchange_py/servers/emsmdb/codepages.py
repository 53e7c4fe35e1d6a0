"""The code pages that clients want 8-bit texts in: EcDoConnectEx's ulCpid ([MS-OXCRPC] 3.1.4.1), RopOpenMessage's
CodePageId ([MS-OXCMSG] 2.2.3.1.1). What a code page cannot express becomes `?`.
"""

from __future__ import annotations

import codecs
from functools import lru_cache
from typing import Final

#: CodePageId of RopOpenMessage: that of the logon.
OF_LOGON: Final = 0x0FFF

#: What texts are in where the client's code page is not known, or is UTF-16, which no 8-bit text can be in.
FALLBACK: Final = 1252

_UTF16: Final = (1200, 1201)

#: Code pages whose Python codec has another name than `cpN`, and which are not those of ISO 8859 (28591 and on).
_NAMES: Final = {
    0: "cp1252",
    20127: "ascii",
    20261: "latin-1",
    20866: "koi8-r",
    20932: "euc_jp",
    20936: "gb2312",
    20949: "euc_kr",
    21866: "koi8-u",
    50220: "iso2022_jp",
    50221: "iso2022_jp",
    50222: "iso2022_jp",
    50225: "iso2022_kr",
    51932: "euc_jp",
    51936: "gb2312",
    51949: "euc_kr",
    52936: "hz",
    54936: "gb18030",
    65000: "utf-7",
    65001: "utf-8",
}


def _name(code_page: int) -> str:
    if 28591 <= code_page <= 28606:
        return f"iso8859-{code_page - 28590}"
    return _NAMES.get(code_page, f"cp{code_page}")


@lru_cache(maxsize=64)
def is_known(code_page: int) -> bool:
    """Whether texts can be put into that code page, if only by way of `FALLBACK` for UTF-16."""
    try:
        codecs.lookup(_name(code_page))
    except LookupError:
        return code_page in _UTF16
    return True


@lru_cache(maxsize=64)
def codec_of(code_page: int) -> str:
    """The Python codec of a code page; that of `FALLBACK` where there is none."""
    if code_page in _UTF16 or not is_known(code_page):
        code_page = FALLBACK
    return codecs.lookup(_name(code_page)).name


def narrow(text: str, codec: str) -> bytes:
    """The text in a code page."""
    return text.encode(codec, "replace")

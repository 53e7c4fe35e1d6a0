"""Character sets of mail, and the code pages that name them in MAPI. Decoding never fails, and shows what was wrong."""

from __future__ import annotations

import codecs
import re
from functools import lru_cache

UTF8_CODEPAGE = 65001
ASCII_CODEPAGE = 20127

#: Names that mail uses and Python does not know, or knows as something narrower than what is sent under them.
_ALIASES = {
    "ansi_x3.110-1983": "latin-1",
    "cp-850": "cp850",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "x-sjis": "cp932",
    "iso-2022-jp": "iso2022_jp_ext",
    "unicode-1-1-utf-7": "utf-7",
    "x-mac-roman": "mac-roman",
    "macintosh": "mac-roman",
    "x-unknown": "",
    "unknown-8bit": "",
    "8bit": "",
    "7bit": "ascii",
    "binary": "",
}
#: Codecs that turn texts into texts in a way that no mail means, or that are slow on purpose-made input.
_REFUSED = {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "mbcs", "oem", "utf-8-sig"}

_CODEPAGES: dict[str, int] = {
    "utf-8": UTF8_CODEPAGE,
    "utf-7": 65000,
    "utf-16": 1200,
    "utf-16-le": 1200,
    "utf-16-be": 1201,
    "ascii": ASCII_CODEPAGE,
    "koi8-r": 20866,
    "koi8-u": 21866,
    "gb18030": 54936,
    "big5": 950,
    "euc_jp": 51932,
    "iso2022_jp": 50220,
    "iso2022_jp_ext": 50220,
    "iso2022_kr": 50225,
    "mac-roman": 10000,
    "tis-620": 874,
} | {f"iso8859-{part}": 28590 + part for part in (*range(1, 10), 13, 15)}

_META = re.compile(rb"""<meta[^>]{0,200}?charset\s{0,8}=\s{0,8}["']?([A-Za-z0-9_.:-]{1,40})""", re.IGNORECASE)


@lru_cache(maxsize=256)
def codec_name(charset: str) -> str | None:
    """Python's name of that charset; None where it is not one."""
    name = charset.strip().strip("\"'").lower()
    name = _ALIASES.get(name, name)
    if not name or len(name) > 40 or not name.isascii() or "\0" in name:
        return None
    try:
        info = codecs.lookup(name)
        b"".decode(info.name)
    except (LookupError, ValueError, TypeError):
        return None
    return None if info.name.replace("_", "-") in _REFUSED else info.name


def codepage(charset: str) -> int | None:
    """The code page that MAPI names that charset by ([MS-OXCMAIL] 2.2.3.1, PidTagInternetCodepage)."""
    name = codec_name(charset)
    if name is None:
        return None
    if name in _CODEPAGES:
        return _CODEPAGES[name]
    digits: str = name.removeprefix("cp").removeprefix("windows-")
    return int(digits) if digits.isdigit() and name.startswith(("cp", "windows-")) else None


def decode(raw: bytes, charset: str | None) -> str:
    """Text as it was declared; else as UTF-8; else with U+FFFD where it is neither."""
    name = codec_name(charset) if charset else None
    for attempt in (name, "utf-8"):
        if attempt is not None:
            try:
                return raw.decode(attempt)
            except (UnicodeError, ValueError):
                continue
    try:
        return raw.decode("cp1252" if name in (None, "ascii", "utf-8") else name or "cp1252", "replace")
    except (UnicodeError, ValueError):
        return raw.decode("cp1252", "replace")


def declared_in_html(raw: bytes) -> str | None:
    """The charset that a page's own head declares."""
    match = _META.search(raw[:4096])
    return match.group(1).decode("ascii") if match else None

"""8-bit strings in the client's code page: [MS-OXNSPI] 2.2.1.5 and 3.1.4.3.

What a code page cannot express becomes `?`.
"""

from __future__ import annotations

from typing import Final

from openchange_py.wire.oxcdata.codepages import codec_name
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError

CP_WINUNICODE: Final = 0x000004B0
CP_TELETEX: Final = 0x00004F25


def codec(code_page: int) -> str:
    """The name of Python's codec; `MapiError` (InvalidCodepage) where there is none for 8-bit strings."""
    name = codec_name(code_page)
    if name is None:
        raise MapiError(ErrorCode.InvalidCodepage, f"code page {code_page} for 8-bit strings")
    return name


def encode(text: str, code_page: int) -> bytes:
    """The string for a client of that code page. Nothing behind a zero character is sent."""
    return text.partition("\0")[0].encode(codec(code_page), "replace")


def decode(raw: bytes, code_page: int) -> str:
    """What a client of that code page sent."""
    return raw.decode(codec(code_page), "replace")

"""The code pages that clients want 8-bit texts in: EcDoConnectEx's ulCpid ([MS-OXCRPC] 3.1.4.1), RopOpenMessage's
CodePageId ([MS-OXCMSG] 2.2.3.1.1). What a code page cannot express becomes `?`.
"""

from __future__ import annotations

from typing import Final

from openchange_py.wire.oxcdata.codepages import UTF16_CODE_PAGES, codec_name

#: CodePageId of RopOpenMessage: that of the logon.
OF_LOGON: Final = 0x0FFF

#: What texts are in where the client's code page is not known, or is UTF-16, which no 8-bit text can be in.
FALLBACK: Final = 1252


def is_known(code_page: int) -> bool:
    """Whether texts can be put into that code page, if only by way of `FALLBACK` for UTF-16."""
    return code_page in UTF16_CODE_PAGES or codec_name(code_page) is not None


def codec_of(code_page: int) -> str:
    """The Python codec of a code page; that of `FALLBACK` where there is none."""
    return codec_name(code_page) or f"cp{FALLBACK}"


def narrow(text: str, codec: str) -> bytes:
    """The text in a code page."""
    return text.encode(codec, "replace")


def widen(text: bytes, codec: str) -> str:
    """The text that a code page's bytes are; what is none becomes U+FFFD."""
    return text.decode(codec, "replace")

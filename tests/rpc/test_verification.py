"""What a verification trailer proves."""

from __future__ import annotations

import pytest

from openchange_py.rpc.events import PresentationContext
from openchange_py.rpc.verification import contradiction
from openchange_py.wire.auth_trailer import VerificationTrailer
from openchange_py.wire.ndr import NDR20
from openchange_py.wire.pdu import Request
from openchange_py.wire.syntax import NDR64
from tests.rpc.echo import ECHO, OTHER

CONTEXT = PresentationContext(1, ECHO, NDR20)
CALL = Request(call_id=5, context_id=1, opnum=11, stub=b"")


def header(opnum: int, drep: str = "10000000") -> VerificationTrailer:
    body = bytes.fromhex("00000000" + drep + "050000000100") + bytes([opnum, 0])
    return VerificationTrailer(((0x4003, body),))


@pytest.mark.parametrize(
    ("trailer", "header_signing", "wrong"),
    [
        (VerificationTrailer.of(ECHO.syntax, NDR20, 1), True, ""),
        (VerificationTrailer.of(ECHO.syntax, NDR20, 0), False, ""),
        (VerificationTrailer.of(ECHO.syntax, NDR20, 1), False, "header signing"),
        (VerificationTrailer.of(OTHER.syntax, NDR20, 1), True, "meant for"),
        (VerificationTrailer.of(ECHO.syntax, NDR64, 1), True, "meant for"),
        (header(11), True, ""),
        (header(12), True, "header was changed"),
        (header(11, drep="00000000"), True, "header was changed"),
        (VerificationTrailer(((0xC009, b""),)), True, "not understood"),
        (VerificationTrailer(((0x4009, b""),)), True, ""),
    ],
)  # fmt: skip
def test_contradiction(trailer: VerificationTrailer, header_signing: bool, wrong: str) -> None:
    found = contradiction(trailer, CONTEXT, CALL, header_signing=header_signing)
    assert wrong in found
    assert bool(found) is bool(wrong)

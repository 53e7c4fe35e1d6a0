"""Which return values are errors."""

from __future__ import annotations

import pytest

from openchange_py.client.errors import AmbiguousName, check_return
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError


@pytest.mark.parametrize("code", [0, 0x00040380, 0x00040481, 0x00040482, 0x00040680])
def test_warnings_pass(code: int) -> None:
    check_return(code, "RopX")


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (0x8004010F, "NotFound: RopX"),
        (0x000003F2, "LoginPermission: RopX"),
        (0xDEADBEEF, "0xDEADBEEF: RopX"),
        (0x00000001, "0x00000001: RopX"),
    ],
)
def test_errors_have_their_code_and_the_name(code: int, text: str) -> None:
    with pytest.raises(MapiError) as error:
        check_return(code, "RopX")
    assert error.value.code == code
    assert str(error.value) == text
    assert isinstance(error.value.code, ErrorCode) is (code in set(ErrorCode))


def test_candidates_stay_with_the_error() -> None:
    assert AmbiguousName("several", [{1: 2}]).candidates == [{1: 2}]

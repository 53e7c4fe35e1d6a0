"""Error codes."""

from __future__ import annotations

import pytest

from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError


# [MS-OXCDATA] 2.4, 2.4.1 and 2.4.2.
@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("Success", 0),
        ("NotFound", 0x8004010F),
        ("AccessDenied", 0x80070005),
        ("NotSupported", 0x80040102),
        ("InvalidParameter", 0x80070057),
        ("NullObject", 0x000004B9),
        ("RpcFormat", 0x000004B6),
        ("UnknownUser", 0x000003EB),
        ("WrongServer", 0x00000478),
        ("ErrorsReturned", 0x00040380),
    ],
)
def test_numbers_of_the_document(name: str, number: int) -> None:
    assert ErrorCode[name] == number


def test_a_failure_says_which_and_why() -> None:
    assert str(MapiError(ErrorCode.NotFound, "no folder 7")) == "NotFound: no folder 7"
    assert str(MapiError(0x80012345)) == "0x80012345"
    assert MapiError(ErrorCode.NotFound).code is ErrorCode.NotFound

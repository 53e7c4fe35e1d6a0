"""Management interface codecs. That impacket reads them is seen in tests/interop/test_epmapper.py."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.mgmt import (
    MGMT,
    InqIfIdsRequest,
    InqIfIdsResponse,
    InqPrincNameRequest,
    InqPrincNameResponse,
    InqStatsRequest,
    InqStatsResponse,
    IsServerListeningResponse,
    StopServerListeningResponse,
)
from openchange_py.wire.ndr import RpcMessage

GOLDEN: list[tuple[RpcMessage, str]] = [
    (InqIfIdsRequest(), ""),
    (InqStatsRequest(4), "04000000"),
    (InqPrincNameRequest(10, 64), "0a000000" "40000000"),
    (
        InqIfIdsResponse([MGMT.syntax, None], 0),
        "00000200" "02000000" "02000000" "04000200" "00000000" "80bda8af8a7dc911bef408002b102989" "01000000" "00000000",
    ),
    (InqIfIdsResponse(None, 5), "00000000" "05000000"),
    (InqStatsResponse([1, 2], 0), "02000000" "02000000" "01000000" "02000000" "00000000"),
    (IsServerListeningResponse(0, 1), "00000000" "01000000"),
    (StopServerListeningResponse(5), "05000000"),
    (InqPrincNameResponse(b"host", 64, 0), "40000000" "00000000" "05000000" "686f737400" "000000" "00000000"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "golden"), GOLDEN, ids=lambda v: type(v).__name__)
def test_golden_bytes(message: RpcMessage, golden: str) -> None:
    assert message.pack().hex() == golden
    assert type(message).unpack(bytes.fromhex(golden)) == message


@pytest.mark.parametrize(("message", "golden"), GOLDEN, ids=lambda v: type(v).__name__)
def test_every_truncation_is_an_error(message: RpcMessage, golden: str) -> None:
    raw = bytes.fromhex(golden)
    for end in range(len(raw)):
        with pytest.raises(DecodeError):
            type(message).unpack(raw[:end])


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([type(m) for m, _ in GOLDEN]), st.binary(max_size=80))
def test_garbage_is_a_value_or_an_error(kind: type[RpcMessage], stub: bytes) -> None:
    try:
        kind.unpack(stub).pack()
    except (DecodeError, EncodeError):
        return

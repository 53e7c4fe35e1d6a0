"""What a bind negotiates with: layouts by hand, and counts that the bytes do not justify."""

from __future__ import annotations

import uuid

import pytest

from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import NDR20, SyntaxId
from openchange_py.wire.pdu import decode_pdu
from openchange_py.wire.pdu_bind import (
    AlterContext,
    Auth3,
    Bind,
    BindAck,
    BindNak,
    PresentationContextElement,
    PresentationResult,
)

EPMAPPER = SyntaxId(uuid.UUID("e1af8308-5d1f-11c9-91a4-08002b14a0fa"), 3, 0)
NDR20_HEX = "045d888aeb1cc9119fe808002b10486002000000"
EPMAPPER_HEX = "0883afe11f5dc91191a408002b14a0fa03000000"


def test_golden_bytes() -> None:
    contexts = (PresentationContextElement(0, EPMAPPER, (NDR20,)),)
    body = "d016d016000000000100000000000100" + EPMAPPER_HEX + NDR20_HEX
    for kind, ptype in ((Bind, "0b"), (AlterContext, "0e")):
        raw = bytes.fromhex(f"0500{ptype}03100000004800000001000000" + body)
        assert kind(call_id=1, contexts=contexts).pack() == raw
        assert decode_pdu(raw) == kind(call_id=1, contexts=contexts)


def test_the_results_are_aligned_behind_the_secondary_address() -> None:
    result = PresentationResult(0, 0, NDR20)
    for address, pad in ((b"135\0", 2), (b"49152\0", 0), (b"", 2)):
        raw = BindAck(call_id=1, results=(result,), secondary_address=address).pack()
        assert len(raw) == 16 + 8 + 2 + len(address) + pad + 4 + 24
        decoded = decode_pdu(raw)
        assert isinstance(decoded, BindAck)
        assert (decoded.results, decoded.secondary_address) == ((result,), address)


def test_versions_of_a_bind_nak() -> None:
    """[MS-RPCE] 2.2.2.9: one version, and padding to 4."""
    raw = bytes.fromhex("05000d031000000018000000010000000400010500000000")
    assert decode_pdu(raw) == BindNak(call_id=1, reason=4, versions=((5, 0),), rest=bytes(3))


@pytest.mark.parametrize(
    "body",
    [
        "d016d01600000000ff000000",  # 255 contexts
        "d016d01600000000010000000000ff00" + EPMAPPER_HEX + NDR20_HEX,  # 255 transfer syntaxes
        "d016d016",
    ],
)
def test_counts_must_be_justified(body: str) -> None:
    raw = bytes.fromhex(body)
    with pytest.raises(DecodeError):
        decode_pdu(bytes.fromhex("05000b0310000000") + (16 + len(raw)).to_bytes(2, "little") + bytes(6) + raw)


def test_auth3_ignores_its_body() -> None:
    assert decode_pdu(bytes.fromhex("0500100310000000140000000100000020202020")) == Auth3(call_id=1, padding=b"    ")

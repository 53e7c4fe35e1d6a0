"""PDUs: recorded ones of real clients and servers pack to the same bytes; garbage is refused."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.auth_trailer import SecTrailer
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.ndr import NDR20, SyntaxId
from openchange_py.wire.pdu import (
    AlterContext,
    Bind,
    BindAck,
    BindNak,
    BindNakReason,
    CoCancel,
    Fault,
    Orphaned,
    PduType,
    Pfc,
    PresentationContextElement,
    Request,
    Response,
    Shutdown,
    UnsupportedRepresentation,
    UnsupportedVersion,
    decode_pdu,
)

WIRE = Path(__file__).resolve().parents[2].parent / "shared" / "wire"
EMSMDB = SyntaxId(uuid.UUID("a4f1db00-ca47-1067-b31f-00dd010662da"), 0, 81)


@pytest.mark.parametrize("client", ["libmapi", "impacket"])
def test_recorded_pdus_pack_to_the_same_bytes(client: str) -> None:
    path = WIRE / f"binds-{client}.jsonl"
    if not path.exists():
        pytest.skip(f"recordings are not here: {path}")
    seen = set()
    for number, line in enumerate(path.read_text().splitlines(), 1):
        record = json.loads(line)
        raw = bytes.fromhex(record["pdu_hex"])
        pdu = decode_pdu(raw)
        assert pdu.ptype.name.lower() == record["pdu"], f"line {number}"
        assert pdu.pack().hex() == raw.hex(), f"line {number}: {pdu}"
        seen.add(record["pdu"])
    assert {"bind", "bind_ack", "auth3"} <= seen


def test_fields_of_a_recorded_bind() -> None:
    # binds-libmapi.jsonl: libmapi binds to EMSMDB and offers bind-time features.
    pdu = decode_pdu(
        bytes.fromhex(
            "05000b03100000007400000001000000d016d01600000000020000000000010000dbf1a447ca6710b31f00dd010662da"
            "00005100045d888aeb1cc9119fe808002b104860020000000100010000dbf1a447ca6710b31f00dd010662da00005100"
            "2c1cb76c12984045030000000000000001000000"
        )
    )
    features = SyntaxId(uuid.UUID("6cb71c2c-9812-4540-0300-000000000000"), 1, 0)
    assert pdu == Bind(
        call_id=1,
        max_xmit_frag=5840,
        max_recv_frag=5840,
        contexts=(
            PresentationContextElement(0, EMSMDB, (NDR20,)),
            PresentationContextElement(1, EMSMDB, (features,)),
        ),
    )


GOLDEN = [
    # C706 12.6.4: layouts written out by hand.
    (
        Request(call_id=7, context_id=1, opnum=11, stub=b"abcd", alloc_hint=4),
        "05000003100000001c00000007000000" "0400000001000b00" "61626364",
    ),
    (
        Request(
            call_id=7,
            flags=Pfc.WHOLE | Pfc.OBJECT_UUID,
            context_id=1,
            opnum=11,
            stub=b"",
            object_uuid=uuid.UUID("00112233-4455-6677-8899-aabbccddeeff"),
        ),
        "05000083100000002800000007000000" "0000000001000b00" "33221100554477668899aabbccddeeff",
    ),
    (
        Response(call_id=7, context_id=1, stub=b"ab" * 8, alloc_hint=16, auth=SecTrailer(10, 5, 9, b"s" * 16)),
        "05000203100000004000100007000000" "1000000001000000" + "6162" * 8 + "0a050000" "09000000" + "73" * 16,
    ),
    (
        Fault(call_id=2, flags=Pfc.WHOLE | Pfc.DID_NOT_EXECUTE, context_id=0, status=0x1C010003),
        "05000323100000002000000002000000" "2000000000000000" "0300011c" "00000000",
    ),
    (
        BindNak(call_id=1, reason=BindNakReason.PROTOCOL_VERSION_NOT_SUPPORTED),
        "05000d03100000001500000001000000" "0400010500",
    ),
    (CoCancel(call_id=3), "05001203100000001000000003000000"),
    (Orphaned(call_id=3), "05001303100000001000000003000000"),
    (Shutdown(call_id=0), "05001103100000001000000000000000"),
]  # fmt: skip


@pytest.mark.parametrize(("pdu", "golden"), GOLDEN, ids=[type(pdu).__name__ for pdu, _ in GOLDEN])
def test_golden_bytes(pdu: Request, golden: str) -> None:
    assert pdu.pack().hex() == golden
    assert decode_pdu(bytes.fromhex(golden)) == pdu


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(list(PduType)), st.integers(0, 255), st.integers(0, 80), st.binary(max_size=200))
def test_any_body_gives_a_pdu_that_packs_again_or_an_error(kind: int, flags: int, auth: int, body: bytes) -> None:
    head = bytes([5, 0, kind, flags]) + b"\x10\0\0\0" + (16 + len(body)).to_bytes(2, "little")
    raw = head + auth.to_bytes(2, "little") + b"\1\0\0\0" + body
    try:
        pdu = decode_pdu(raw)
    except DecodeError:
        return
    assert decode_pdu(pdu.pack()) == pdu


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_garbage_is_a_pdu_or_an_error(raw: bytes) -> None:
    try:
        decode_pdu(raw)
    except DecodeError:
        return
    assert raw[0] == 5


@pytest.mark.parametrize("record", ["Bind", "BindAck"])
def test_truncated_pdus_are_refused(record: str) -> None:
    context = PresentationContextElement(0, EMSMDB, (NDR20,))
    whole = (Bind(call_id=1, contexts=(context,)) if record == "Bind" else BindAck(call_id=1, results=())).pack()
    for size in range(len(whole)):
        with pytest.raises(DecodeError):
            decode_pdu(whole[:8] + size.to_bytes(2, "little") + whole[10:size] if size >= 10 else whole[:size])


def test_another_version_and_representation_have_their_own_errors() -> None:
    raw = bytearray(AlterContext(call_id=0x01020304, contexts=()).pack())
    raw[0] = 4
    with pytest.raises(UnsupportedVersion):
        decode_pdu(bytes(raw))
    for representation in ("11000000", "01000000", "10010000"):  # EBCDIC, in either byte order; VAX floats
        with pytest.raises(UnsupportedRepresentation):
            decode_pdu(bytes.fromhex("05001203" + representation + "1000000001020304"))


def test_a_fragment_that_does_not_fit_its_length_field_is_our_mistake() -> None:
    with pytest.raises(EncodeError):
        Request(call_id=1, context_id=0, opnum=0, stub=bytes(70000)).pack()

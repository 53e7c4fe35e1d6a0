"""Everything that was recorded is either decoded and packed again to the same bytes, or named here as without codec.

The ROP buffers inside of the calls are in `rop/test_recorded.py`.
"""

from __future__ import annotations

import collections
import uuid
from collections.abc import Iterator
from typing import Any, Final

import pytest

from openchange_py.wire import epm, mgmt, oxabref, oxcrpc, oxnspi
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import RpcInterface
from openchange_py.wire.pdu import decode_pdu
from openchange_py.wire.rpch import SHAPES, RtsPdu
from tests.conftest import SHARED, json_lines, shared_path

#: Declares the interfaces that recordings name by their UUID.
INTERFACES: Final = (epm.EPMAPPER, mgmt.MGMT, oxabref.RFR, oxcrpc.EMSMDB, oxcrpc.ASYNCEMSMDB, oxnspi.NSPI)

#: What was recorded that is no call or PDU, and why.
WITHOUT_CODEC: Final = {
    "emsmdb over HTTP": "no PDUs: test_oxcmapihttp has the [MS-OXCMAPIHTTP] bodies",
    "nspi over HTTP": "no PDUs: test_oxcmapihttp has the [MS-OXCMAPIHTTP] bodies",
    "autodiscover": "Autodiscover",
    "RPC over HTTP": "HTTP heads of [MS-RPCH] channels, which h11 reads and writes",
}

#: (call, direction, stub): recorded bytes that are not packed to the same ones, and why.
EXCEPTIONS: Final[dict[tuple[str, str, str], str]] = {}

RECORDINGS: Final = sorted(SHARED.glob("wire/*.jsonl*"), key=lambda path: path.name)


def pairs(recorded: dict[str, Any]) -> Iterator[tuple[str, Any, bytes]]:
    """Direction, codec and stub of a recorded RPC call."""
    interface = RpcInterface.known[uuid.UUID(recorded["interface_uuid"])]
    method = interface.methods[recorded["opnum"]]
    for direction, codec in (("request", method.request), ("response", method.response)):
        text = recorded.get(f"{direction}_stub_hex")
        if text and not recorded.get("fault"):
            yield direction, codec, bytes.fromhex(text)


def unseen(recorded: dict[str, Any]) -> str | None:
    """What a record without an RPC call is, of `WITHOUT_CODEC`; None for a PDU."""
    if "pdu_hex" in recorded or "rts_hex" in recorded:
        return None
    path = recorded.get("path", "")
    if "/mapi/" in path:
        return f"{path.strip('/').split('/')[1]} over HTTP"
    return "autodiscover" if "autodiscover" in path else "RPC over HTTP"


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name.partition(".")[0])
def test_a_recording_comes_back(path: Any) -> None:
    seen: collections.Counter[str] = collections.Counter()
    different = []
    for recorded in json_lines(path):
        if "opnum" in recorded:
            for direction, codec, stub in pairs(recorded):
                assert codec is not None, f"{recorded['call']} has no {direction} codec"
                seen[f"{recorded['call']} {direction}"] += 1
                if packed(codec, stub) != stub and (recorded["call"], direction, stub.hex()) not in EXCEPTIONS:
                    different.append(f"{recorded['call']} {direction} {stub.hex()}")
        elif (kind := unseen(recorded)) is not None:
            assert kind in WITHOUT_CODEC
            seen[kind] += 1
        elif "rts_hex" in recorded or recorded["pdu"] == "rts":
            pdu = bytes.fromhex(recorded.get("rts_hex") or recorded["pdu_hex"])
            assert RtsPdu.unpack(pdu).pack() == pdu
            assert RtsPdu.unpack(pdu).name in SHAPES
            seen["rts"] += 1
        else:
            pdu = bytes.fromhex(recorded["pdu_hex"])
            assert decode_pdu(pdu).pack() == pdu
            seen[recorded["pdu"]] += 1
    assert not different, "\n".join(different)
    assert seen, "the recording is empty"


def packed(codec: Any, stub: bytes) -> bytes | None:
    """The stub decoded and packed; None where it does not decode."""
    try:
        result: bytes = codec.unpack(stub).pack()
    except DecodeError:
        return None
    return result


def test_there_are_recordings() -> None:
    shared_path("wire")
    assert len(RECORDINGS) > 30


def test_what_is_named_as_without_codec_still_is() -> None:
    """A name that no recording needs any more goes from the list."""
    shared_path("wire")
    needed = {
        kind
        for path in RECORDINGS
        for recorded in json_lines(path)
        if "opnum" not in recorded and (kind := unseen(recorded)) is not None
    }
    assert needed == set(WITHOUT_CODEC)

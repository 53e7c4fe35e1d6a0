"""Targets of recordings: their files, and what is replaced in a message before it is written down."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from openchange_py.proxy.anonymize import Anonymize, Anonymizer
from openchange_py.proxy.recording import RecordingError, end_line, header_line, left_out_line, read_recording
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.ndr import RpcInterface
from openchange_py.wire.oxcrpc import EMSMDB
from openchange_py.wire.oxnspi import NSPI
from openchange_py.wire.rop.buffer import RopBuffer
from tests.fuzz.fuzz_files import _memory
from tests.fuzz.fuzz_mapi import _recorded, _stub_seeds
from tests.fuzz.target import target

_CALL = (
    '{"session": 3, "seconds": 0.0123, "took": 0.0031, "account": "EXAMPLE\\\\alice", "transport": "ncacn_ip_tcp", '
    f'"interface_uuid": "{NSPI.syntax.uuid}", "opnum": 1, "call_id": 7, "request_stub_hex": "00", '
    '"response_stub_hex": null, "fault": "0x00000005"}'
)


def _recordings() -> list[bytes]:
    whole = [header_line(Anonymize.CONTENT), _CALL, end_line(3), left_out_line(2)]
    return ["\n".join(lines).encode() for lines in (whole, [_CALL], whole[:1])]


@target("recording", _recordings)
def fuzz_recording(data: bytes) -> None:
    """A file that is said to be a recording: what can be written down again, or a refusal."""
    with tempfile.TemporaryDirectory(prefix="ocpy-fuzz-", dir=_memory()) as place:
        path = Path(place) / ("calls.jsonl.gz" if data[:2] == b"\x1f\x8b" else "calls.jsonl")
        path.write_bytes(data)
        with contextlib.suppress(RecordingError):
            for call in read_recording(path).calls:
                assert call.name
                assert call.line()


def _messages() -> list[bytes]:
    rops = _recorded("calls-*.jsonl*", "rop_request_hex", 100)
    return [*(b"\0" + seed for seed in _stub_seeds(NSPI)), *(b"\1" + seed for seed in _stub_seeds(EMSMDB)),
            *(b"\2" + rop for rop in rops)]  # fmt: skip


@target("anonymize", _messages)
def fuzz_anonymize(data: bytes) -> None:
    """Calls (the first byte says of which interface, then opnum and stub) and ROPs: cleaned, they can be packed."""
    if len(data) < 2:
        return
    with contextlib.suppress(DecodeError, EncodeError):
        if data[0] == 2:
            for rop in RopBuffer.unpack_request(data[1:]).rops:
                _clean(rop)
        else:
            _clean(_decoded(EMSMDB if data[0] else NSPI, data[1:]))


def _decoded(interface: RpcInterface, data: bytes) -> object:
    method = interface.methods.get(data[0] & 0x7F)
    kind = None if method is None else method.response if data[0] & 0x80 else method.request
    if kind is None:
        raise DecodeError("no codec", 0)
    return kind.unpack(data[1:])


def _clean(message: object) -> None:
    for what in (Anonymize.CONTENT, Anonymize.NAMES):
        message = Anonymizer(what, key=bytes(32)).message(message)
        message.pack()  # type: ignore[attr-defined]

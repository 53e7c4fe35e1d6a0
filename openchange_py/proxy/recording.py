"""Recordings: a conversation in a file, one JSON object per line; gzip where the name ends in `.gz`.

    {"format": "openchange_py recording", "version": 1, "anonymize": "content", "time": "2026-01-31T12:00:00+00:00"}
    {"session": 3, "seconds": 0.0123, "took": 0.0031, "account": "EXAMPLE\\\\alice", "transport": "ncacn_ip_tcp",
     "interface": "exchange_emsmdb", "interface_uuid": "a4f1db00-ca47-1067-b31f-00dd010662da", "opnum": 11,
     "call": "EcDoRpcExt2", "call_id": 7, "request_stub_hex": "...", "response_stub_hex": "...", "fault": null}
    {"session": 3, "end": true}
    {"left_out": 2}

`session` is the client's association, numbered anew behind each header (a recorder that started again); `seconds`
when its call came, since the recording's begin, and `took` until its answer. `fault` is the status that answered it
in place of a response (`"0x00000005"`). A stub that was left out because it did not decode is `null`, and `reason`
says why. Stubs are NDR 2.0 in little-endian order, without verification trailers.

Files of `calls-*.jsonl` kind, with the same fields but without header and session, are read as one session.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from openchange_py.proxy.anonymize import Anonymize
from openchange_py.rpc.call import Call
from openchange_py.wire.ndr import RpcInterface
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxcrpc import ASYNCEMSMDB, EMSMDB
from openchange_py.wire.oxnspi import NSPI

_FORMAT: Final = "openchange_py recording"
_VERSION: Final = 1
_HEADER: Final = b'{"format"'
#: How what gzip compressed begins.
_MAGIC: Final = b"\x1f\x8b\x08"
#: How often a recorder may have been killed.
_MAXIMUM_TORN: Final = 1000
#: Bytes that are decompressed at a time.
_PIECE: Final = 4096
_INTERFACES: Final = {str(interface.syntax.uuid): interface for interface in (EMSMDB, ASYNCEMSMDB, NSPI, RFR)}
#: What a recording may take in memory: bytes of all stubs, and of one line.
_MAXIMUM: Final = 512 << 20
_MAXIMUM_LINE: Final = 16 << 20


class RecordingError(Exception):
    """A file is no recording; the message names file, line and what is wrong, for a person."""


@dataclasses.dataclass(frozen=True, slots=True)
class RecordedCall:
    """One call and how it was answered: by `reply`, by `fault` (a status), or not at all."""

    session: int
    interface: RpcInterface
    opnum: int
    request: bytes | None
    reply: bytes | None
    fault: int | None
    account: str = ""
    seconds: float = 0.0
    took: float = 0.0
    transport: str = ""
    call_id: int = 0
    #: Why stubs were left out.
    reason: str = ""

    @property
    def name(self) -> str:
        """`EcDoRpcExt2`, or `opnum N`."""
        return self.interface.method_name(self.opnum)

    @classmethod
    def of(cls, call: Call, seconds: float, took: float, fault: int | None) -> RecordedCall:
        """A call that was answered, as it stands, `seconds` after the recording began."""
        reply = None if fault is not None else call.reply_bytes()
        about = (str(call.caller), seconds, took, call.session.transport, call.call_id)
        return cls(call.session.number, call.interface, call.opnum, call.stub, reply, fault, *about)

    def line(self) -> str:
        """As it stands in the file."""
        written: dict[str, Any] = {
            "session": self.session,
            "seconds": round(self.seconds, 6),
            "took": round(self.took, 6),
            "account": self.account,
            "transport": self.transport,
            "interface": self.interface.name,
            "interface_uuid": str(self.interface.syntax.uuid),
            "opnum": self.opnum,
            "call": self.name,
            "call_id": self.call_id,
            "request_stub_hex": None if self.request is None else self.request.hex(),
            "response_stub_hex": None if self.reply is None else self.reply.hex(),
            "fault": None if self.fault is None else f"0x{self.fault:08x}",
        }
        return json.dumps(written | ({"reason": self.reason} if self.reason else {}))


@dataclasses.dataclass
class Recording:
    """A whole recording. `others` counts calls of interfaces that are none of Exchange's."""

    path: Path
    anonymize: Anonymize = Anonymize.NONE
    calls: list[RecordedCall] = dataclasses.field(default_factory=list)
    others: int = 0
    #: Calls that the recorder had to leave out.
    left_out: int = 0
    #: What is added to session numbers since the last header: a recorder that starts again counts from 1.
    base: int = 0


def header_line(anonymize: Anonymize) -> str:
    """The first line of a recording."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return json.dumps({"format": _FORMAT, "version": _VERSION, "anonymize": str(anonymize), "time": now})


def end_line(session: int) -> str:
    """A client's session ended."""
    return json.dumps({"session": session, "end": True})


def left_out_line(count: int) -> str:
    """Calls are not in the file."""
    return json.dumps({"left_out": count})


def read_recording(path: Path) -> Recording:
    """The recording in a file. Of a recorder that was killed all whole lines. Raises `RecordingError`, `OSError`."""
    recording, total, line = Recording(path), 0, b""
    torn: RecordingError | None = None
    for number, line in enumerate(_lines(path), 1):
        if torn is not None and not line.startswith(_HEADER):
            raise torn
        total, torn = total + len(line), None
        if total > _MAXIMUM:
            raise RecordingError(f"{path}, line {number}: more than {_MAXIMUM >> 20} MiB")
        try:
            _add(recording, json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            what = f"{error} is missing" if isinstance(error, KeyError) else error
            wrong = RecordingError(f"{path}, line {number}: no line of a recording: {what}")
            if not isinstance(error, json.JSONDecodeError):
                raise wrong from error
            torn = wrong  # the last one, or another recorder went on behind it
    if torn is not None and line.endswith(b"\n"):
        raise torn
    if not recording.calls:
        raise RecordingError(f"{path}: there is no call in it")
    return recording


def _lines(path: Path) -> Iterator[bytes]:
    if path.suffix != ".gz":
        with open(path, "rb") as file:
            while line := file.readline(_MAXIMUM_LINE):
                yield line
        return
    rest = b""
    for piece in _decompressed(path):
        *whole, rest = (rest + piece).split(b"\n") if piece is not None else [b""]
        yield from (line + b"\n" for line in whole)
        if len(rest) > _MAXIMUM_LINE:
            raise RecordingError(f"{path}: a line of more than {_MAXIMUM_LINE >> 20} MiB")


def _decompressed(path: Path) -> Iterator[bytes | None]:
    """The content piece by piece; None where a recorder was killed, and another one went on behind that."""
    data = path.read_bytes()
    if not data.startswith(_MAGIC):
        raise RecordingError(f"{path}: not compressed by gzip")
    start, torn = 0, 0
    while start >= 0:
        inflating, place = zlib.decompressobj(31), start
        try:
            while place < len(data) and not inflating.eof:
                before = inflating.copy()
                yield inflating.decompress(data[place : place + _PIECE])
                place += _PIECE
            # What is behind a whole one is the next one.
            end = min(place, len(data)) - len(inflating.unused_data)
            start = data.find(_MAGIC, end) if inflating.eof else -1
        except zlib.error as error:
            torn += 1
            if torn > _MAXIMUM_TORN:
                raise RecordingError(f"{path}: {error}") from error
            yield from _until_it_breaks(before, data[place : place + _PIECE])
            yield None
            start = data.find(_MAGIC, max(place, start + 1))


def _until_it_breaks(inflating: Any, data: bytes) -> Iterator[bytes]:
    with contextlib.suppress(zlib.error):
        for place in range(len(data)):
            yield inflating.decompress(data[place : place + 1])


def _add(recording: Recording, line: dict[str, Any]) -> None:
    if "format" in line:
        if (line["format"], line["version"]) != (_FORMAT, _VERSION):
            raise ValueError(f"{line['format']!r} version {line['version']!r} is not known here")
        recording.base = max((recorded.session for recorded in recording.calls), default=0)
        recording.anonymize = max(recording.anonymize, Anonymize(line["anonymize"]), key=list(Anonymize).index)
    elif "left_out" in line:
        recording.left_out += int(line["left_out"])
    elif not line.get("end"):
        interface = _INTERFACES.get(line["interface_uuid"])
        if interface is None:
            recording.others += 1
        else:
            recording.calls.append(_call(interface, line, recording.base))


def _call(interface: RpcInterface, line: dict[str, Any], base: int) -> RecordedCall:
    fault = line["fault"]
    return RecordedCall(
        base + int(line.get("session", 0)),
        interface,
        int(line["opnum"]),
        _stub(line["request_stub_hex"]),
        None if line.get("no_response") or fault is not None else _stub(line["response_stub_hex"]),
        None if fault is None else int(fault, 16),
        str(line.get("account", "")),
        float(line.get("seconds", 0)),
        float(line.get("took", 0)),
        str(line.get("transport", "")),
        int(line.get("call_id", 0)),
        str(line.get("reason", "")),
    )


def _stub(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)

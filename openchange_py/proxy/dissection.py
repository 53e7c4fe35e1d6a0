"""Calls made readable: one record for each request, response and fault, as plain values, and as text made from them.

    {"time": "2026-01-31T12:00:00.123456+00:00", "session": 3, "transport": "ncacn_ip_tcp", "peer": "192.0.2.7:50123",
     "account": "EXAMPLE\\\\alice", "interface": "exchange_emsmdb", "call": "EcDoRpcExt2", "call_id": 7,
     "direction": "request", "bytes": 132, "parameters": {...}, "buffers": [{"rops": [...], "handles": [...]}]}

A response has `seconds` as well, where it is known when its request came; a fault has `status` and `reason`.
What values look like tells `wire.rop.dissect`. Where something doesn't decode, `error` says why, and what was decoded
before is there: nothing of this is needed to answer the call.
"""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
from collections.abc import Callable, Container, Iterable
from typing import Any, Final

from openchange_py.proxy.rop_carrier import carrier_of, forget_rop_states, rop_states
from openchange_py.rpc.call import Call, RpcFault
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.oxcrpc import EcDoDisconnectRequest
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.dissect import (
    SHORT,
    Lengths,
    Plain,
    Word,
    as_text,
    buffer_lines,
    dissect_buffer,
    dissect_field,
    rop_name,
)

#: Fields that hold what is dissected by itself.
_DISSECTED: Final = frozenset({"rgb", "rgb_in", "rgb_out"})

_NO_CODEC: Final = "no codec"
#: ROPs of a call that are shown, and handles of a buffer: more than clients send, and made readable in a moment. A few
#: hundred bytes, which compress well, ask for 80,000.
_MOST_ROPS: Final = 1000
_MOST_HANDLES: Final = 256
#: ROPs that are worked on in less time than it takes to hand them to a thread.
_FEW_ROPS: Final = 200

Record = dict[str, Plain]


class RopReader:
    """Decodes the ROPs of calls on their way, and remembers per session what later ones need.

    The requests are kept for their responses, since modules inside may make other requests of them.
    """

    async def requests(self, call: Call) -> list[RopBuffer]:
        """The ROP input buffers; none where the call carries none. Raises `DecodeError`."""
        carrier = carrier_of(call)
        if carrier is None:
            return []
        states = rop_states(call, carrier.cxh, self)
        payloads = await carrier.requests()
        found = call.notes[self] = [RopBuffer.unpack_request(payload, states) for payload in payloads]
        return found

    def responses(self, call: Call) -> list[RopBuffer]:
        """The ROP output buffers, and what they teach. Raises `DecodeError`."""
        if isinstance(call.request, EcDoDisconnectRequest):
            forget_rop_states(call, call.request.cxh, self)
        carrier, requests = carrier_of(call), call.notes.get(self)
        if carrier is None or not requests:
            return []
        states = rop_states(call, carrier.cxh, self)
        found = []
        for index, payload in enumerate(carrier.responses()):
            chained = index >= len(requests)
            request = requests[-1 if chained else index]
            found.append(RopBuffer.unpack_response(payload, request, states, chained=chained))
        return found


async def off_the_loop(buffers: Iterable[RopBuffer], work: Callable[[], None]) -> None:
    """Have all of a call's ROPs worked on: in a thread where there are many, so that everybody's calls go on."""
    if sum(len(buffer.rops) for buffer in buffers) > _FEW_ROPS:
        await asyncio.to_thread(work)
    else:
        work()


class Dissector:
    """Makes records. With `rops`, names in lower case such as `openfolder`, only those are shown of the ROPs."""

    def __init__(self, lengths: Lengths = SHORT, rops: Container[str] | None = None) -> None:
        self._lengths = lengths
        self._rops = rops
        self._reader = RopReader()

    async def request(self, call: Call) -> Record:
        """The request, as the stub is now."""
        record = self._record(call, "request", len(call.stub))
        self._parameters(record, call, "request")
        if "error" not in record:
            try:
                self._buffers(record, await self._reader.requests(call))
            except DecodeError as error:
                record["error"] = str(error)
        return record

    def response(self, call: Call, seconds: float | None = None) -> Record:
        """The response, as the reply is now; `seconds` after the request."""
        record = self._record(call, "response", len(call.reply_bytes()), seconds)
        self._parameters(record, call, "response")
        if "error" not in record:
            try:
                self._buffers(record, self._reader.responses(call))
            except (DecodeError, RpcFault) as error:
                record["error"] = str(error)
        return record

    def fault(self, call: Call, fault: RpcFault, seconds: float | None = None) -> Record:
        """The fault that answers the call."""
        record = self._record(call, "fault", 0, seconds)
        return record | {"status": f"0x{fault.status:08x}", "reason": str(fault)}

    def _record(self, call: Call, direction: str, size: int, seconds: float | None = None) -> Record:
        record: Record = {
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds"),
            **call.session.log_fields(),
            "account": str(call.caller),
            "interface": call.interface.name,
            "call": call.name,
            "call_id": call.call_id,
            "direction": direction,
            "bytes": size,
        }
        if seconds is not None:
            record["seconds"] = round(seconds, 6)
        return record

    def _parameters(self, record: Record, call: Call, side: str) -> None:
        """The call's parameters, those that are dissected by themselves by their size alone."""
        if not call.has_request_codec:
            record["error"] = _NO_CODEC
            return
        try:
            message: Any = call.request if side == "request" else call.response
        except (DecodeError, RpcFault) as error:
            record["error"] = str(error)
            return
        if dataclasses.is_dataclass(message):
            record["parameters"] = {
                field.name: self._parameter(field.name, getattr(message, field.name))
                for field in dataclasses.fields(message)
            }

    def _parameter(self, name: str, value: Any) -> Plain:
        if name in _DISSECTED and isinstance(value, bytes):
            return Word(f"{len(value)} bytes")
        return dissect_field(name, value, self._lengths)

    def _buffers(self, record: Record, buffers: list[RopBuffer]) -> None:
        left, shown = _MOST_ROPS, []
        for buffer in map(self._chosen, buffers):
            rops = buffer.rops[:left]
            dissected = dissect_buffer(RopBuffer(rops, buffer.handles[:_MOST_HANDLES], buffer.tail), self._lengths)
            if len(rops) < len(buffer.rops):
                dissected["left_out"] = len(buffer.rops) - len(rops)
            left -= len(rops)
            shown.append(dissected)
        if shown:
            record["buffers"] = shown

    def _chosen(self, buffer: RopBuffer) -> RopBuffer:
        if self._rops is None:
            return buffer
        rops = [rop for rop in buffer.rops if rop_name(rop.rop_id).casefold() in self._rops]
        return RopBuffer(rops, buffer.handles, buffer.tail)


def record_text(record: Record) -> str:
    """A record for people: a line about the call, and indented ones for its parameters and ROPs."""
    session = f"session {record['session']} ({record['transport']} {record['peer']})"
    arrow = ">" if record["direction"] == "request" else "<"
    summary = record["reason"] if record["direction"] == "fault" else f"{record['bytes']} bytes"
    if "seconds" in record:
        summary += f", {1000 * record['seconds']:.1f} ms"
    lines = [f"{session} {record['account']} {arrow} {record['interface']} {record['call']}: {summary}"]
    lines += [f"{name}: {as_text(value)}" for name, value in record.get("parameters", {}).items()]
    for buffer in record.get("buffers", ()):
        lines += buffer_lines(buffer)
    if "error" in record:
        lines.append("(no codec)" if record["error"] == _NO_CODEC else f"(not decoded: {record['error']})")
    return "\n    ".join(lines)

"""The `print` flag of a binding: every call dissected to the log, ROP by ROP.

What is logged shows what is in mailboxes and address book: who may read the log decides who may read that.
Nothing of it is ever needed to answer a call, so bytes that don't decode are shown as such and change nothing.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from typing import Any, Final

from openchange_py.proxy.rop_carrier import RopCarrier, carrier_of
from openchange_py.rpc.call import Call, RpcFault
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import ContextHandle
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcrpc import EcDoDisconnectRequest
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import HandleStates
from openchange_py.wire.rop.dissect import describe_buffer

logger = logging.getLogger(__name__)

#: Of long values only so much is shown: bytes, characters, elements of a list.
_SHOWN: Final = 64
#: Fields that hold what is dissected by itself.
_DISSECTED: Final = frozenset({"rgb", "rgb_in", "rgb_out"})

_ERRORS: Final = {int(member): member.name for member in ErrorCode}

_States = dict[ContextHandle, HandleStates]


class Printer:
    """Logs calls at info level, one log record for each request and each response."""

    def print_request(self, call: Call) -> None:
        """The request as it goes to local server or relay."""
        lines = self._message_lines(call, "request")
        if call.has_request_codec:
            lines += self._guarded(self._request_rops(call))
        self._log(call, ">", f"{len(call.stub)} bytes", lines)

    def print_response(self, call: Call) -> None:
        """The response as local server or relay gave it."""
        lines = self._message_lines(call, "response")
        lines += self._guarded(self._response_rops(call))
        self._log(call, "<", f"{len(call.reply_bytes())} bytes", lines)

    def print_fault(self, call: Call, fault: RpcFault) -> None:
        """The fault that answers the call."""
        self._log(call, "<", str(fault), [])

    def _log(self, call: Call, direction: str, summary: str, lines: list[str]) -> None:
        head = f"{call.session} {call.caller} {direction} {call.interface.name} {call.name}: {summary}"
        logger.info("%s", "\n    ".join([head, *lines]))

    def _message_lines(self, call: Call, side: str) -> list[str]:
        """The parameters, one line each."""
        if not call.has_request_codec:
            return ["(no codec)"]
        return self._guarded(_fields(call, side))

    def _guarded(self, lines: Iterator[str]) -> list[str]:
        """The lines up to the first thing that doesn't decode, and what that was."""
        shown: list[str] = []
        try:
            shown.extend(lines)
        except (DecodeError, RpcFault) as error:
            shown.append(f"(not decoded: {error})")
        return shown

    def _request_rops(self, call: Call) -> Iterator[str]:
        carrier = carrier_of(call)
        if carrier is not None:
            for buffer in self._read_requests(call, carrier):
                yield from describe_buffer(buffer)

    def _response_rops(self, call: Call) -> Iterator[str]:
        if isinstance(call.request, EcDoDisconnectRequest):
            self._states(call).pop(call.request.cxh, None)
        carrier = carrier_of(call)
        payloads = [] if carrier is None else carrier.responses()
        if carrier is None or not payloads:
            return
        states = self._states(call).setdefault(carrier.cxh, HandleStates())
        requests = self._read_requests(call, carrier)
        for index, payload in enumerate(payloads):
            chained = index >= len(requests)
            answered = requests[-1 if chained else index]
            yield from describe_buffer(RopBuffer.unpack_response(payload, answered, states, chained=chained))

    def _read_requests(self, call: Call, carrier: RopCarrier) -> list[RopBuffer]:
        states = self._states(call).get(carrier.cxh) or HandleStates()
        return [RopBuffer.unpack_request(payload, states) for payload in carrier.read_requests()]

    def _states(self, call: Call) -> _States:
        """What the session's ROPs taught so far, by its EMSMDB handles."""
        states: _States = call.session.state.setdefault(self, {})
        return states


def _fields(call: Call, side: str) -> Iterator[str]:
    message: Any = call.request if side == "request" else call.response
    if not dataclasses.is_dataclass(message):
        return
    for field in dataclasses.fields(message):
        value = getattr(message, field.name)
        if field.name in _DISSECTED:
            yield f"{field.name}: {len(value)} bytes"
        elif field.name == "return_value":
            yield f"{field.name}: {_ERRORS.get(value, f'0x{value:08X}')}"
        else:
            yield f"{field.name}: {_shown(value)}"


def _shown(value: Any) -> str:
    """A value, shortened where it is long."""
    if isinstance(value, ContextHandle):
        return "null" if value.is_null else str(value.uuid)
    if isinstance(value, bytes) and len(value) > _SHOWN:
        return f"{value[:_SHOWN]!r}... ({len(value)} bytes)"
    if isinstance(value, list) and len(value) > _SHOWN:
        return f"[{', '.join(map(_shown, value[:_SHOWN]))}, ... ({len(value)})]"
    text = repr(value)
    return text if len(text) <= 16 * _SHOWN else f"{text[: 16 * _SHOWN]}..."

"""Recorded calls sent to a server, and its answers compared with the recorded ones: what `ocpy replay` does.

Context handles and server object handles are the server's: each recorded one is replaced by the one that this server
gave at the same place. So are ids of folders and messages, and the distinguished name and account of whom the
recording was made of, by those of whoever logs on. Compared are fault statuses, the ReturnValues of calls, and ROP by
ROP which were answered and with what ReturnValue: contents may differ, outcomes may not.

Not done yet: `exchange_async_emsmdb`, whose calls wait for events, is left out.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any, Final

from openchange_py.client.connection import Channel, Connector
from openchange_py.proxy.dissection import RopReader
from openchange_py.proxy.leaves import Leaf, leaves, replace_leaves
from openchange_py.proxy.recording import RecordedCall, Recording
from openchange_py.proxy.rop_carrier import carrier_of
from openchange_py.rpc.call import FAULT_NAMES, Call, RpcFault, Session
from openchange_py.transports.tcp_client import ConnectionLost
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.ndr import ContextHandle
from openchange_py.wire.oxcdata.properties import PropertyType
from openchange_py.wire.oxcrpc import ASYNCEMSMDB, EMSMDB, EcDoConnectRequest
from openchange_py.wire.rop.base import RopResponse
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import NO_HANDLE
from openchange_py.wire.rop.dissect import ID_FIELDS, error_name, rop_name

#: EcDoConnect, EcDoConnectEx.
_CONNECTING: Final = frozenset({0, 10})
_ID_TAGS: Final = frozenset({"PidTagFolderId", "PidTagMid", "PidTagParentFolderId", "PidTagInstID"})


@dataclasses.dataclass(frozen=True, slots=True)
class Replayed:
    """One recorded call, and what came of it: `differences` in words, or why it was `left_out`."""

    number: int
    session: int
    call: str
    differences: tuple[str, ...] = ()
    left_out: str = ""

    @property
    def agrees(self) -> bool:
        """It was sent, and answered as recorded."""
        return not self.differences and not self.left_out


class Replayer:
    """Replays a recording as one account, whose distinguished name is `user_dn`."""

    def __init__(self, connector: Connector, user_dn: str, recording: Recording) -> None:
        self._connector, self._recording = connector, recording
        account = connector.account.name if connector.account is not None else ""
        self._texts = _recorded_user(recording.calls, user_dn, account)
        self._sessions: dict[int, _ReplayedSession] = {}

    async def run(self) -> list[Replayed]:
        """Every call, in the recorded order. Raises what connecting raises."""
        done: list[Replayed] = []
        try:
            for number, recorded in enumerate(self._recording.calls, 1):
                session = self._sessions.get(recorded.session)
                if session is None:
                    session = self._sessions[recorded.session] = _ReplayedSession(self._connector, self._texts)
                differences, left_out = await session.replay(recorded)
                done.append(Replayed(number, recorded.session, recorded.name, tuple(differences), left_out))
        finally:
            for session in self._sessions.values():
                await session.close()
        return done


def _recorded_user(calls: Iterable[RecordedCall], user_dn: str, account: str) -> dict[str, str]:
    """The texts that stand for whom the recording was made of, folded, and what stands in their place."""
    texts: dict[str, str] = {}
    for recorded in calls:
        if recorded.account:
            texts.setdefault(recorded.account.rpartition("\\")[2].casefold(), account)
        if recorded.interface is EMSMDB and recorded.opnum in _CONNECTING and recorded.request is not None:
            with contextlib.suppress(DecodeError):
                request = Call(EMSMDB, recorded.opnum, recorded.request, Session("recording", "")).request
                if isinstance(request, EcDoConnectRequest) and recorded.fault is None:
                    texts.setdefault(request.user_dn.decode("latin-1").casefold(), user_dn)
    return texts


class _ReplayedSession:
    """One recorded session: a connection per interface, and what the server has in place of what was recorded."""

    def __init__(self, connector: Connector, texts: dict[str, str]) -> None:
        self._connector, self._texts = connector, texts
        self._channels: dict[str, Channel] = {}
        self._recorded, self._real = Session("recording", ""), Session("replay", "")
        self._recorded_reader, self._real_reader = RopReader(), RopReader()
        self._contexts: dict[ContextHandle, ContextHandle] = {}
        self._objects: dict[tuple[ContextHandle, int], int] = {}
        self._ids: dict[int, int] = {}

    async def close(self) -> None:
        for channel in self._channels.values():
            await channel.close()

    async def replay(self, recorded: RecordedCall) -> tuple[list[str], str]:
        """What differs, or why the call was left out."""
        if recorded.interface is ASYNCEMSMDB:
            return [], "waits for events"
        if recorded.request is None:
            return [], recorded.reason or "not recorded"
        if recorded.reply is None and recorded.fault is None:
            return [], "its answer is not recorded"
        then = Call(recorded.interface, recorded.opnum, recorded.request, self._recorded)
        try:
            now = await self._made(then)
        except (DecodeError, EncodeError, RpcFault) as error:
            return [], f"not understood: {error}"
        fault = await self._send(now)
        if fault != recorded.fault:
            return [f"expected {_fault(recorded.fault)}, got {_fault(fault)}"], ""
        if fault is not None or recorded.reply is None:
            return [], ""
        then.answer(recorded.reply)
        return self._compare(then, now), ""

    async def _send(self, call: Call) -> int | None:
        """The answer is in the call; else the status of the fault that it is answered with."""
        name = call.interface.name
        if name not in self._channels:
            self._channels[name] = await self._connector.connect(call.interface)
        try:
            call.answer(await self._channels[name].exchange(call.opnum, call.stub))
        except RpcFault as fault:
            return fault.status
        except ConnectionLost:
            await self._channels.pop(name).close()
            raise
        return None

    async def _made(self, then: Call) -> Call:
        """The recorded call, as it is for this server."""
        buffers = await self._recorded_reader.requests(then)
        cxh = then.request.cxh if buffers else None  # type: ignore[attr-defined]  # calls with ROPs have one
        now = Call(then.interface, then.opnum, then.stub, self._real)
        if (carrier := carrier_of(now)) is not None and cxh is not None:
            made = [RopBuffer.unpack_request(payload) for payload in await carrier.requests()]
            for buffer in made:
                buffer.rops = [replace_leaves(rop, self._replaced) for rop in buffer.rops]
                buffer.handles = [self._objects.get((cxh, handle), handle) for handle in buffer.handles]
            carrier.set_requests([buffer.pack() for buffer in made])
        replace_leaves(now.request, self._replaced)
        now.edited_request()
        await self._real_reader.requests(now)
        return now

    def _replaced(self, leaf: Leaf) -> Any:
        value = leaf.value
        if isinstance(value, ContextHandle):
            return self._contexts.get(value, value)
        if isinstance(value, str):
            return self._texts.get(value.casefold(), value)
        if isinstance(value, bytes):
            zeros = len(value) - len(value.rstrip(b"\0"))
            text = self._texts.get(value.rstrip(b"\0").decode("latin-1").casefold())
            return value if text is None else text.encode("latin-1", "replace") + bytes(zeros)
        return self._ids.get(value, value) if _is_id(leaf) else value

    def _compare(self, then: Call, now: Call) -> list[str]:
        """In what the answers differ; what stands for what is learned from them."""
        try:
            expected, got = self._recorded_reader.responses(then), self._real_reader.responses(now)
            before, after = then.response, now.response
        except (DecodeError, RpcFault) as error:
            return [f"an answer does not decode: {error}"]
        differences = list(_return_values(then.name, before, after))
        self._learn(leaves(before), leaves(after))
        for buffer, other in zip(expected, got, strict=False):
            differences += self._compare_rops(buffer, other)
            cxh = then.request.cxh  # type: ignore[attr-defined]
            for old, new in zip(buffer.handles, other.handles, strict=False):
                if NO_HANDLE not in (old, new):
                    self._objects[cxh, old] = new
        return differences

    def _compare_rops(self, expected: RopBuffer, got: RopBuffer) -> list[str]:
        outcomes = [
            [_outcome(rop) for rop in buffer.rops if isinstance(rop, RopResponse)] for buffer in (expected, got)
        ]
        for old, new in zip(expected.rops, got.rops, strict=False):
            if type(old) is type(new):
                self._learn(leaves(old), leaves(new))
        if len(outcomes[0]) != len(outcomes[1]):
            return [f"expected the ROPs {', '.join(outcomes[0]) or '-'}, got {', '.join(outcomes[1]) or '-'}"]
        return [f"expected {old}, got {new}" for old, new in zip(*outcomes, strict=True) if old != new]

    def _learn(self, old: Iterator[Leaf], new: Iterator[Leaf]) -> None:
        pairs = list(old), list(new)
        if len(pairs[0]) != len(pairs[1]):
            return  # tables of other lengths: what stands for what is not to be told
        for one, other in zip(*pairs, strict=True):
            if isinstance(one.value, ContextHandle) and isinstance(other.value, ContextHandle):
                self._contexts[one.value] = other.value
            elif _is_id(one) and _is_id(other):
                self._ids[one.value] = other.value


def _is_id(leaf: Leaf) -> bool:
    if not isinstance(leaf.value, int) or isinstance(leaf.value, bool) or not leaf.value:
        return False
    if leaf.tag is not None:
        return leaf.tag.type == PropertyType.Integer64 and leaf.tag.name in _ID_TAGS
    return leaf.name in ID_FIELDS


def _return_values(name: str, expected: Any, got: Any) -> Iterator[str]:
    old, new = getattr(expected, "return_value", None), getattr(got, "return_value", None)
    if old != new:
        yield f"expected {name} {_shown(old)}, got {_shown(new)}"


def _outcome(rop: RopResponse) -> str:
    return f"Rop{rop_name(rop.rop_id)} {error_name(rop.return_value)}"


def _shown(code: int | None) -> str:
    return "no ReturnValue" if code is None else error_name(code)


def _fault(status: int | None) -> str:
    if status is None:
        return "an answer"
    name = FAULT_NAMES.get(status)
    return f"fault 0x{status:08x}" + (f" ({name})" if name else "")

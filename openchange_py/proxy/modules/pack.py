"""Requests of some ROPs as one, from hop to hop: byte-compatible with MAPIProxy's module of that name.

The ROPs named by `mpm_pack:opnums` are taken out of a request and stand together in a ROP 0xA5 behind those that were
left, each with its index (one byte) in front, so that a hop in between can treat them as one. The last hop puts each
back in its place. Responses are those of the original request, and stay as they are.
"""

from __future__ import annotations

from typing import Final

from openchange_py.config.options import Option, boolean, names
from openchange_py.config.settings import Settings
from openchange_py.proxy.hooks import Module
from openchange_py.proxy.rop_carrier import carrier_of, rop_states
from openchange_py.rpc.call import Call, FaultStatus, RpcFault
from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.oxcrpc import EMSMDB
from openchange_py.wire.rop.base import REQUESTS, Rop, RopRequest
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.container import MAXIMUM_INDEX, Container, ContainerId, pack_indexed, unpack_indexed
from openchange_py.wire.rop.context import HandleStates

_PACKED: Final = bytes([ContainerId.Packed])


def rop_ids(value: str) -> tuple[str, ...]:
    """RopIds as hexadecimal numbers (`0x2, 0x15`), each once."""
    found: list[str] = []
    for word in names(value):
        try:
            number = int(word, 16)
        except ValueError:
            raise ValueError(f"{word!r} is no hexadecimal number") from None
        if number not in REQUESTS:
            raise ValueError(f"{word} is the RopId of no request")
        if (name := f"0x{number:02X}") in found:
            raise ValueError(f"{word} is there twice")
        found.append(name)
    return tuple(found)


_NONE: tuple[str, ...] = ()
OPNUMS = Option("mpm_pack:opnums", rop_ids, _NONE, "the RopIds of the requests to pack; none: nothing is packed here")
LASTHOP = Option("mpm_pack:lasthop", boolean, True, "unpack what comes packed: nothing behind this hop could")


class PackModule(Module):
    """A request that came packed is unpacked, where this is the last hop; one that did not is packed."""

    name = "pack"
    description = "packs requests of some ROPs into one, and unpacks them at the last hop"
    endpoint = EMSMDB.name
    options = (OPNUMS, LASTHOP)

    def init(self, settings: Settings) -> None:
        """Read the options."""
        self._opnums = frozenset(int(name, 16) for name in settings[OPNUMS])
        self._lasthop = settings[LASTHOP]
        self._wanted = bytes(self._opnums) + _PACKED

    async def dispatch(self, call: Call) -> None:
        """Pack or unpack; last before the request goes inwards, as what is packed can't be checked by ROP any more."""
        carrier = carrier_of(call)
        try:
            if carrier is None or not carrier.may_contain(self._wanted):
                return
            payloads = await carrier.requests()
            states = rop_states(call, carrier.cxh, self)
            buffers = [RopBuffer.unpack_request(payload, states) for payload in payloads]
        except DecodeError:
            return  # the server's to refuse
        packed = [Container.unpack(ContainerId.Packed, buffer.tail) for buffer in buffers]
        if any(packed):
            if self._lasthop:
                carrier.set_requests([_unpacked(buffer, states) for buffer in buffers])
        elif any(rop.rop_id in self._opnums for buffer in buffers for rop in buffer.rops) and await self.check(call):
            carrier.set_requests([self._packed(buffer) for buffer in buffers])
            call.vouch()

    def _packed(self, buffer: RopBuffer) -> bytes:
        taken: list[tuple[int, RopRequest]] = []
        left: list[Rop] = []
        for index, rop in enumerate(buffer.rops):
            if rop.rop_id in self._opnums and index <= MAXIMUM_INDEX and isinstance(rop, RopRequest):
                taken.append((index, rop))
            else:
                left.append(rop)
        tail = Container(ContainerId.Packed, pack_indexed(taken)).pack() if taken else b""
        return RopBuffer(left, buffer.handles, tail + buffer.tail).pack()


def _unpacked(buffer: RopBuffer, states: HandleStates) -> bytes:
    """The ROPs in their places. `RpcFault` for a container that they can't have come from."""
    try:
        container = Container.unpack(ContainerId.Packed, buffer.tail)
        if container is None:
            return buffer.pack()
        rops = list(buffer.rops)
        for index, rop in unpack_indexed(container.blob, buffer.handles, states):
            if index > len(rops):
                raise DecodeError(f"index {index} of a packed ROP, with {len(rops)} ROPs before it", 0)
            rops.insert(index, rop)
        # What stands behind the container was not packed; the buffer is read on there.
        return RopBuffer(rops, buffer.handles, container.rest).pack()
    except (DecodeError, EncodeError) as error:
        raise RpcFault(FaultStatus.BAD_STUB_DATA, f"a packed request: {error}") from error

"""Whether a call is the same as a recorded one, though handles, times and, where names were replaced, texts differ.

likeness = Likeness(recording.anonymize)
key = await likeness.key(call)          # equal for calls that ask for the same
call.answer(...)
likeness.learn(call)                    # so that the session's next ROPs can be read
"""

from __future__ import annotations

import copy
import hashlib
from typing import Any, Final

from openchange_py.proxy.anonymize import Anonymize
from openchange_py.proxy.dissection import RopReader
from openchange_py.proxy.leaves import Leaf, replace_leaves
from openchange_py.rpc.call import Call, RpcFault
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import ContextHandle
from openchange_py.wire.oxcdata.properties import PropertyType
from openchange_py.wire.rop.buffer import RopBuffer

#: Fields of calls that tell nothing of what is asked for: buffers dissected by themselves, room, the client's machine.
_IGNORED: Final = frozenset(
    {"rgb", "rgb_in", "out_size", "maximum", "size", "aux_in", "aux_out_size", "time_stamp", "icxr_link", "con_mod"}
)


class Likeness:
    """Makes keys. Of recordings in which texts were replaced, texts and bytes count by their lengths alone."""

    def __init__(self, anonymized: Anonymize) -> None:
        self._by_length = anonymized is not Anonymize.NONE
        self._reader = RopReader()

    async def key(self, call: Call) -> bytes:
        """What the call asks for, whoever asks and whatever his handles are."""
        parts: list[Any] = [call.interface.name, call.opnum]
        try:
            buffers = copy.deepcopy(await self._reader.requests(call))
            method = call.interface.methods.get(call.opnum)
            if method is None or method.request is None:
                raise RpcFault(0, "no codec")
            parts.append(self._told(method.request.unpack(call.stub)))
            parts += map(self._buffer, buffers)
        except (DecodeError, RpcFault):
            parts.append(call.stub)
        return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).digest()

    def learn(self, call: Call) -> None:
        """An answer, of which the key was asked for before."""
        try:
            self._reader.responses(call)
        except (DecodeError, RpcFault):
            return

    def _told(self, message: Any) -> Any:
        return replace_leaves(message, self._leaf)

    def _buffer(self, buffer: RopBuffer) -> tuple[Any, ...]:
        return [self._told(rop) for rop in buffer.rops], len(buffer.handles), self._text(buffer.tail)

    def _leaf(self, leaf: Leaf) -> Any:
        value = leaf.value
        if isinstance(value, ContextHandle) or leaf.name in _IGNORED:
            return None
        if leaf.tag is not None and leaf.tag.type & 0x0FFF == PropertyType.Time:
            return "time"  # clients write what the clock says
        return self._text(value) if isinstance(value, str | bytes) else value

    def _text(self, value: str | bytes) -> Any:
        return len(value) if self._by_length else value

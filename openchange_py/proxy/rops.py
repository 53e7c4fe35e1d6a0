"""Single ROPs for modules: `@on_rop`.

    class Quota(Module):
        @on_rop(RopWriteStreamRequest)
        def write(self, rop: PassingRop) -> None:
            if too_much(rop.request):
                rop.answer(RopFailure(rop.request.input_handle_index, ErrorCode.QuotaExceeded, RopId.WriteStream))

        @on_rop(RopReadStreamResponse)
        async def read(self, rop: PassingRop) -> None:
            await self.count(len(rop.response.data))

A hook for a request class sees that ROP before it goes inwards, one for a response class the answers to it on their way
back, failures too (`rop.succeeded`). Base classes name many: `@on_rop(RopRequest)` every request,
`@on_rop(RopResponse)` every response, `@on_rop(RopUnsolicited)` what answers none. A buffer without a hooked ROP is not
decoded, and one that nobody edits travels as it came. Sizes, handle tables and the order of responses are the stack's
business.

Buffers that don't decode pass without their hooks, which is logged: the server will refuse them. A module that must see
everything refuses them itself, in `ndr_pull`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from openchange_py.proxy.rop_carrier import RopCarrier, carrier_of, rop_states
from openchange_py.proxy.server_objects import ServerObject, ServerObjects
from openchange_py.rpc.call import Call, FaultStatus, RpcFault
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import ContextHandle
from openchange_py.wire.rop.base import (
    REQUESTS,
    RESPONSES,
    Rop,
    RopBufferTooSmallResponse,
    RopReleaseRequest,
    RopRequest,
    RopResponse,
    RopUnsolicited,
)
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import NO_HANDLE
from openchange_py.wire.rop.ids import RopId

if TYPE_CHECKING:
    from openchange_py.proxy.hooks import Module

logger = logging.getLogger(__name__)

RopHook = Callable[["PassingRop"], Awaitable[None] | None]
F = TypeVar("F", bound=Callable[..., Awaitable[None] | None])

_MARK: Final = "openchange_py_on_rop"
#: ROPs without which later responses can't be decoded: those with a `RopResponse.learn`.
_TEACHING: Final = frozenset(
    {RopId.SetColumns, RopId.OpenMessage, RopId.OpenEmbeddedMessage, RopId.ReloadCachedInformation, RopId.Logon}
)
_OPENING: Final = frozenset(int(i) for i, cls in REQUESTS.items() if hasattr(cls, "output_handle_index"))
#: RopSize, and what a handle takes.
_FRAME, _HANDLE = 2, 4
#: Further responses come with as many handles as `FURTHER_OVERHEAD` has room for.
_FEW_HANDLES: Final = 4
#: What a response in a buffer of its own takes besides itself, a handle table of four included.
FURTHER_OVERHEAD: Final = 32
#: Session contexts of one client session whose objects are known at a time; in others none is.
_MAXIMUM_CONTEXTS: Final = 64
#: ROPs after which everybody else's calls have their turn: a few hundred bytes may ask for 80,000.
_TURN: Final = 256
#: What is left for the responses of other ROPs in a buffer in which a module answers one.
_RESERVE: Final = 0x1000


def on_rop(*kinds: type[Rop]) -> Callable[[F], F]:
    """Make a module's method a hook for these ROPs: request or response classes, or their bases."""
    if not kinds:
        raise TypeError("@on_rop needs the class of a ROP, or several")

    def mark(function: F) -> F:
        setattr(function, _MARK, (*getattr(function, _MARK, ()), *kinds))
        return function

    return mark


@dataclasses.dataclass(eq=False)
class PassingRop:
    """One ROP on its way through a module.

    `object` is the server object that it acts on, `opened` the one that it makes and `objects` all of its session, for
    modules with `tracks_objects`; `object` is None where its opening was not seen.
    """

    call: Call
    request: Any
    handle: int
    _passage: RopPassage
    response: Any = None
    object: ServerObject | None = None
    opened: ServerObject | None = None
    objects: ServerObjects = dataclasses.field(default_factory=ServerObjects)
    #: The handle table that the client sent, and what its buffer opened before this ROP.
    handles: Sequence[int] = ()
    _opened: dict[int, ServerObject] = dataclasses.field(default_factory=dict)
    _answered: bool = False
    _further: Sequence[RopResponse] = ()
    _undo: Callable[[], None] | None = None

    @property
    def succeeded(self) -> bool:
        """There is a response, and its ReturnValue is 0."""
        return isinstance(self.response, RopResponse) and self.response.return_value == 0

    @property
    def space(self) -> int:
        """How many bytes a response may have with which a module answers; it shrinks with each."""
        return self._passage.space

    @property
    def further_space(self) -> int:
        """How many bytes `further` responses may have together, each counted with `FURTHER_OVERHEAD`.

        0 where the client did not ask for such, or the ROP is not the last one ([MS-OXCRPC] 3.1.4.2.1.2).
        """
        return self._passage.further_space(self)

    def object_at(self, index: int) -> ServerObject | None:
        """The object at another place of the handle table, on the way in; None where its opening was not seen."""
        return self._opened.get(index) or (
            self.objects.find(self.handles[index]) if index < len(self.handles) else None
        )

    def edited(self) -> None:
        """`request`, or on the way back `response`, was changed in place or replaced."""
        self._passage.edited = True

    def answer(
        self,
        response: RopResponse,
        *,
        further: Sequence[RopResponse] = (),
        undo: Callable[[], None] | None = None,
    ) -> None:
        """Answer it here: it does not go inwards, and the client gets this response in its place.

        `further` responses to it go into buffers of their own behind the first one. `undo` is called where the client
        does not get the answer after all, and may ask again: the call failed, or the server had no room for what stood
        before it. Not for ROPs that make an object: only a server can give it a handle. Raises `ValueError` for such a
        one, and where the responses take more than `space` and `further_space`.
        """
        size = len(response.pack())
        if self.opened is not None or hasattr(self.request, "output_handle_index"):
            raise ValueError(f"{type(self.request).__name__} makes an object, which a module can't")
        if size > self.space:
            raise ValueError(f"a response of {size} bytes, of {self.space} that there is room for")
        if further and sum(len(each.pack()) + FURTHER_OVERHEAD for each in further) > self.further_space:
            raise ValueError(f"{len(further)} further responses, of {self.further_space} bytes that there is room for")
        self.response, self._answered = response, True
        self._further, self._undo = further, undo
        self._passage.space -= size

    async def send(self, requests: Sequence[RopRequest], handles: Sequence[int], *, chain: bool = False) -> RopBuffer:
        """Have ROPs of the module's own answered from inside of it, in the same session context.

        `handles` is their handle table. With `chain` the server may give further responses to the last of them, where
        the client's kind of call allows that. Raises `RpcFault`, also where the answer can't be read.
        """
        return await self._passage.send(requests, handles, chain)

    def take_back(self) -> None:
        """The client doesn't get the answer."""
        undo, self._undo = self._undo, None
        if undo is not None:
            undo()


class RopHooks:
    """What one module hooks."""

    def __init__(self, module: Module, hooks: Iterable[tuple[type[Rop], RopHook]]) -> None:
        self._module = module
        self._requests = [(kind, hook) for kind, hook in hooks if _is_request(kind)]
        self._responses = [(kind, hook) for kind, hook in hooks if not _is_request(kind)]
        self._found: dict[type[Rop] | int, list[RopHook]] = {}
        self.tracks = module.tracks_objects
        answered = {i for i, cls in REQUESTS.items() if any(_covers(k, cls.response_id) for k, _ in self._responses)}
        #: Requests whose responses are looked at.
        self.answered = answered | _TEACHING | (_OPENING if self.tracks else set())
        wanted = {i for i, cls in REQUESTS.items() if any(issubclass(cls, kind) for kind, _ in self._requests)}
        self.unsolicited = any(issubclass(k, RopUnsolicited) or k is Rop for k, _ in self._responses)
        wanted |= self.answered | ({RopId.Release} if self.tracks else set())
        #: The RopIds that make a buffer worth decoding; None where all are.
        self.ids = None if self.unsolicited or len(wanted) >= len(REQUESTS) else bytes(sorted(wanted))

    @classmethod
    def of(cls, module: Module) -> RopHooks | None:
        """The hooks of a module's class; None where it has none."""
        names = [n for n in dir(type(module)) if hasattr(getattr(type(module), n, None), _MARK)]
        hooks = [(kind, getattr(module, n)) for n in names for kind in getattr(getattr(type(module), n), _MARK)]
        return cls(module, hooks) if hooks else None

    def passage(self, call: Call) -> RopPassage | None:
        """A call's way through the hooks; None where none of them is concerned."""
        carrier = carrier_of(call)
        if carrier is None:
            return None
        try:
            if self.ids is not None and not carrier.may_contain(self.ids):
                return None
        except DecodeError:
            return None  # the server's to refuse
        return RopPassage(self, self._module, call, carrier)

    def for_request(self, rop: Rop) -> list[RopHook]:
        """The hooks of a request."""
        return self._matching(type(rop), self._requests, lambda kind: isinstance(rop, kind))

    def for_response(self, rop: Rop) -> list[RopHook]:
        """The hooks of a response, those of a failure being those of its RopId."""
        key = rop.rop_id if isinstance(rop, RopResponse) else type(rop)
        return self._matching(key, self._responses, lambda kind: isinstance(rop, kind) or _covers(kind, rop.rop_id))

    def _matching(
        self, key: type[Rop] | int, hooks: list[tuple[type[Rop], RopHook]], fits: Callable[[type[Rop]], bool]
    ) -> list[RopHook]:
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = list(dict.fromkeys(hook for kind, hook in hooks if fits(kind)))
        return found


def _is_request(kind: type[Rop]) -> bool:
    return issubclass(kind, RopRequest)


def _covers(kind: type[Rop], response_id: int) -> bool:
    """Whether a hooked class is that of a RopId's responses, or a base of it."""
    known = RESPONSES.get(response_id)
    return known is not None and (issubclass(known, kind) or (kind.__dict__.get("rop_id") == response_id))


class RopPassage:
    """One call's ROPs on their way through one module."""

    def __init__(self, hooks: RopHooks, module: Module, call: Call, carrier: RopCarrier) -> None:
        self._hooks, self._module, self._call, self._carrier = hooks, module, call, carrier
        self._states = rop_states(call, carrier.cxh, module)
        self._objects = _objects_of(module, call, carrier.cxh) if hooks.tracks else None
        #: The requests as they came, and what became of each.
        self._came: list[RopBuffer] = []
        self._passing: list[list[PassingRop]] = []
        #: What went inwards.
        self._inwards: list[RopBuffer] = []
        self._remade = False
        self.edited = False
        self.space = 0
        #: Every ROP was answered here.
        self.answered = False

    # The way in

    async def request_side(self) -> None:
        """Run the hooks of the requests."""
        try:
            payloads = await self._carrier.requests()
            self._came = [RopBuffer.unpack_request(payload, self._states) for payload in payloads]
        except DecodeError as error:
            logger.info("%s: ROPs pass module %s undecoded: %s", self._call.session, self._module.name, error)
            self._came = []
            self._missed_something()
            return
        if any(buffer.tail for buffer in self._came):
            self._missed_something()
        self._inwards = self._came
        self.space = self._space()
        for buffer in self._came:
            await self._pass_requests(buffer)
        local = [rop for rops in self._passing for rop in rops if rop._answered]
        if local or self.edited:
            self._remake(payloads, local)

    def _missed_something(self) -> None:
        if self._objects is not None and self._objects.is_complete:
            self._objects.is_complete = False
            name = self._module.name
            logger.info(
                "%s: ROPs that module %s does not understand may change what it knows", self._call.session, name
            )

    def take_back(self) -> None:
        """The client gets none of the module's answers."""
        for rop in (rop for passing in self._passing for rop in reversed(passing)):
            rop.take_back()

    async def _pass_requests(self, buffer: RopBuffer) -> None:
        opened: dict[int, ServerObject] = {}
        passing: list[PassingRop] = []
        for number, request in enumerate(buffer.rops, 1):
            if number % _TURN == 0:
                await asyncio.sleep(0)
            assert isinstance(request, RopRequest)
            rop = self._passing_rop(request, buffer, opened)
            passing.append(rop)
            for hook in self._hooks.for_request(request):
                await _run(hook, rop)
                if rop._answered:
                    break
        self._passing.append(passing)

    def _passing_rop(self, request: RopRequest, buffer: RopBuffer, opened: dict[int, ServerObject]) -> PassingRop:
        index = request.input_handle_index
        handle = buffer.handles[index] if index < len(buffer.handles) else NO_HANDLE
        rop = PassingRop(self._call, request, handle, self)
        if self._objects is not None:
            rop.objects, rop.handles, rop._opened = self._objects, buffer.handles, opened
            if request.rop_id != RopId.Logon:
                rop.object = opened.get(index) or self._objects.find(handle)
            output = getattr(request, "output_handle_index", None)
            if output is not None:
                rop.opened = opened[output] = ServerObject(request, rop.object)
        return rop

    def _space(self) -> int:
        """Room for answers: all of it where there is one ROP alone, else what the others can do without."""
        if len(self._came) != 1 or self._came[0].tail:
            return 0  # where an answer would belong could not be told
        buffer = self._came[0]
        others = sum(not isinstance(rop, RopReleaseRequest) for rop in buffer.rops) - 1
        return self._carrier.room - _FRAME - _HANDLE * len(buffer.handles) - (_RESERVE if others > 0 else 0)

    def further_space(self, rop: PassingRop) -> int:
        """See `PassingRop.further_space`."""
        if len(self._came) != 1 or self._came[0].tail or self._came[0].rops[-1] is not rop.request:
            return 0
        return self._carrier.further_room if len(self._came[0].handles) <= _FEW_HANDLES else 0

    def _remake(self, payloads: list[bytes], local: list[PassingRop]) -> None:
        self._remade = True
        self._inwards = [
            RopBuffer([rop.request for rop in passing if not rop._answered], came.handles, came.tail)
            for passing, came in zip(self._passing, self._came, strict=True)
        ]
        if local and not any(buffer.rops for buffer in self._inwards):
            self.answered = True
            answers = RopBuffer([rop.response for rop in self._passing[0]], self._came[0].handles)
            self._carrier.set_responses([answers.pack(), *self._further()])
            return
        taken = sum(len(rop.response.pack()) for rop in local)
        # Further responses from inside would be to another ROP than the client's last one, where that is answered here.
        chain = not any(passing and passing[-1]._answered for passing in self._passing)
        inwards = [buffer.pack() for buffer in self._inwards]
        self._carrier.set_requests(inwards, self._carrier.room - taken, chain=chain)
        # What RopBufferTooSmall gives back to the client are its own requests.
        self._came = [RopBuffer.unpack_request(payload, self._states) for payload in payloads]

    def _further(self) -> list[bytes]:
        """The buffers behind the first one."""
        last, handles = self._passing[0][-1], self._came[0].handles
        return [RopBuffer([response], handles).pack() for response in last._further] if last._answered else []

    # The way back

    async def response_side(self) -> None:
        """Run the hooks of the responses, and put the answers of this module among the others."""
        self._keep_objects()
        if self.answered or not self._passing:
            return
        requests = [rop.request.rop_id for passing in self._passing for rop in passing]
        if self._remade or self._hooks.unsolicited or not self._hooks.answered.isdisjoint(requests):
            try:
                buffers = self._decode()
            except DecodeError as error:
                if any(rop._answered for rop in self._passing[0]):
                    raise RpcFault(FaultStatus.CALL_FAILED, "a module's answers have no place among these") from error
                logger.warning("%s: ROPs pass module %s undecoded: %s", self._call.session, self._module.name, error)
                self._missed_something()
                return
            await self._pass_buffers(buffers)
        self._pass_releases()

    def _keep_objects(self) -> None:
        """The session context is one: the call was answered. Of handles that clients make up nothing is kept."""
        if self._objects is not None:
            known = _known_objects(self._module, self._call)
            if len(known) < _MAXIMUM_CONTEXTS:
                known.setdefault(self._carrier.cxh, self._objects)

    async def _pass_buffers(self, buffers: list[RopBuffer]) -> None:
        self.edited = False
        for buffer in buffers:
            await self._pass_responses(buffer)
        if any(buffer.tail for buffer in buffers):
            rops = [rop for passing in self._passing for rop in passing]
            if any(rop.opened is not None and rop.response is None for rop in rops):
                self._missed_something()  # an object may have got the handle of one that is gone
        if self._remade and len(self._came) == 1 and buffers:
            merged = self._merged(buffers[0])
            self.edited = self.edited or merged.rops != buffers[0].rops
            buffers[0] = merged
        if not buffers:
            self.take_back()
        elif self.edited:
            self._carrier.set_responses([*(buffer.pack() for buffer in buffers), *self._further()])

    def _pass_releases(self) -> None:
        for passing in self._passing:
            for rop in passing:
                if rop.request.rop_id != RopId.Release:
                    continue
                handle = rop.handle if rop.object is None else rop.object.handle
                if handle is not None:
                    self._states.forget(handle)
                    if self._objects is not None:
                        self._objects.forget(handle)

    def _decode(self) -> list[RopBuffer]:
        buffers = []
        for index, payload in enumerate(self._carrier.responses() if self._inwards else ()):
            chained = index >= len(self._inwards)
            request = self._inwards[-1 if chained else index]
            buffers.append(RopBuffer.unpack_response(payload, request, self._states, chained=chained))
        return buffers

    async def _pass_responses(self, buffer: RopBuffer) -> None:
        by_request = {id(rop.request): rop for passing in self._passing for rop in passing}
        for position, (response, request) in enumerate(zip(list(buffer.rops), list(buffer.answers), strict=True)):
            rop = by_request.get(id(request)) or PassingRop(self._call, request, NO_HANDLE, self)
            rop.response = response
            self._track_opened(rop, buffer)
            for hook in self._hooks.for_response(response):
                await _run(hook, rop)
            buffer.rops[position] = rop.response

    def _track_opened(self, rop: PassingRop, buffer: RopBuffer) -> None:
        if self._objects is None or rop.opened is None or not rop.succeeded or rop.opened.handle is not None:
            return
        index = rop.request.output_handle_index
        # Where a later ROP of the buffer had the same place, its handle stands there.
        if index < len(buffer.handles) and rop._opened.get(index) is rop.opened:
            rop.opened.handle, rop.opened.opening = buffer.handles[index], rop.response
            self._objects.add(rop.opened)

    def _merged(self, buffer: RopBuffer) -> RopBuffer:
        """The responses from inside and the module's own, in the order of the requests."""
        merged = RopBuffer([], buffer.handles, buffer.tail)
        answers = list(zip(buffer.rops, buffer.answers, strict=True))
        for position, rop in enumerate(self._passing[0]):
            if rop._answered:
                merged.rops.append(rop.response)
                continue
            while answers and answers[0][1] is rop.request:
                merged.rops.append(answers.pop(0)[0])
            if answers and isinstance(answers[0][0], RopBufferTooSmallResponse) and _is_unanswered(rop, buffer):
                rest = RopBuffer(self._came[0].rops[position:], [])
                for behind in reversed(self._passing[0][position:]):
                    behind.take_back()
                    behind._further = ()
                merged.rops.append(dataclasses.replace(answers[0][0], request_buffers=rest.pack()[_FRAME:]))
                return merged
        if buffer.tail and any(rop._answered for rop in self._passing[0]):
            raise RpcFault(FaultStatus.CALL_FAILED, "a module's answer has no place behind what does not decode")
        merged.rops += [response for response, _ in answers]
        return merged

    async def send(self, requests: Sequence[RopRequest], handles: Sequence[int], chain: bool) -> RopBuffer:
        """See `PassingRop.send`."""
        request = RopBuffer(list(requests), list(handles))
        call = self._carrier.another(request.pack(), chain=chain)
        await self._module.forward(call)
        carrier = carrier_of(call)
        assert carrier is not None
        try:
            payloads = carrier.responses()
            if not payloads:
                raise RpcFault(FaultStatus.CALL_FAILED, "ROPs of a module failed as a whole")
            answer = RopBuffer.unpack_response(payloads[0], request, self._states)
            for payload in payloads[1:]:
                answer.rops += RopBuffer.unpack_response(payload, request, self._states, chained=True).rops
            return answer
        except DecodeError as error:
            raise RpcFault(FaultStatus.CALL_FAILED, f"the answer to ROPs of a module: {error}") from error


def _is_unanswered(rop: PassingRop, buffer: RopBuffer) -> bool:
    return rop.request.rop_id != RopId.Release and not any(request is rop.request for request in buffer.answers)


def _known_objects(module: Module, call: Call) -> dict[ContextHandle, ServerObjects]:
    known: dict[ContextHandle, ServerObjects] = call.session.state.setdefault((module, ServerObjects), {})
    return known


def _objects_of(module: Module, call: Call, cxh: ContextHandle) -> ServerObjects:
    """Those of a session context; of one that is not known none yet, and where too many are, never all."""
    known = _known_objects(module, call)
    found = known.get(cxh)
    if found is None:
        found = ServerObjects()
        found.is_complete = len(known) < _MAXIMUM_CONTEXTS
    return found


def forget_objects(module: Module, call: Call, cxh: ContextHandle) -> ServerObjects:
    """The session context has ended, and its objects with it: those that the module saw."""
    return _known_objects(module, call).pop(cxh, ServerObjects())


def objects_of(module: Module, call: Call) -> Iterator[ServerObjects]:
    """The objects that a module with `tracks_objects` saw in a session, per session context."""
    yield from _known_objects(module, call).values()


async def _run(hook: RopHook, rop: PassingRop) -> None:
    result = hook(rop)
    if result is not None:
        await result

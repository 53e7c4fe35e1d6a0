"""The module stack: an onion around local servers and relay.

Each module is a layer with everything behind it inside. A request passes a layer's hooks from coarse to fine (bytes,
decoded call, single ROPs) before the next layer sees it, and the response those of the innermost layer first: what
packs last unpacks first, and a module that answers hides the call from all layers behind it.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from openchange_py.config.settings import Settings
from openchange_py.proxy.hooks import ANY, Module, Result
from openchange_py.proxy.rops import RopHooks, RopPassage
from openchange_py.proxy.session import release_sessions
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import RpcMessage

logger = logging.getLogger(__name__)

#: How often one call may be dispatched with `ahead` before its module is taken to be stuck.
MAXIMUM_AHEAD: Final = 1000

#: What has a call answered: a layer and all inside of it, or what is inside of all layers.
Answer = Callable[[Call], Awaitable[None]]
#: The response that refuses a call; None where it may be made.
Check = Callable[[Call], Awaitable[RpcMessage | None]]


class ModuleError(Exception):
    """A module can't be loaded or initialized; the message names it, for a person."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Hook:
    """One module's override of one hook."""

    module: Module
    name: str
    function: Callable[..., Any]

    async def run(self, call: Call) -> None:
        """Run it; what goes wrong answers this call alone."""
        await self.guarded(call, self.function)

    async def guarded(self, call: Call, function: Callable[[Call], Result]) -> None:
        """Run a function in the hook's name."""
        try:
            result = function(call)
            if result is not None:
                await result
        except RpcFault as fault:
            logger.info("%s: module %s answers %s with %s", call.session, self.module.name, call.name, fault)
            raise
        except DecodeError as error:
            logger.warning("%s: module %s: %s of %s: %s", call.session, self.module.name, self.name, call.name, error)
            raise RpcFault(FaultStatus.BAD_STUB_DATA, f"module {self.module.name}") from error
        except Exception as error:
            logger.exception("%s: module %s failed in %s of %s", call.session, self.module.name, self.name, call.name)
            raise RpcFault(FaultStatus.UNSPECIFIED, f"module {self.module.name} failed") from error


class _Layer:
    """One module, and what it has calls answered by."""

    def __init__(self, module: Module, inner: Answer) -> None:
        self._module = module
        self._inner = inner
        self._ndr_pull = _overridden(module, "ndr_pull")
        self._pull = _overridden(module, "pull")
        self._dispatch = _overridden(module, "dispatch")
        self._ndr_push = _overridden(module, "ndr_push")
        self._push = _overridden(module, "push")
        self._fault = _overridden(module, "fault")
        hooks = RopHooks.of(module)
        self._rops = _Hook(module, "on_rop", hooks.passage) if hooks else None
        self._rop_hooks = hooks

    @property
    def is_empty(self) -> bool:
        """The module wants nothing of this interface's calls."""
        hooks = (self._ndr_pull, self._pull, self._dispatch, self._ndr_push, self._push, self._fault, self._rops)
        return not any(hooks)

    async def answer(self, call: Call) -> None:
        """The call's way through this layer and back. Raises `RpcFault`, `DecodeError` for a bad stub."""
        try:
            await self._request_side(call)
            passage = self._rop_hooks.passage(call) if self._rop_hooks is not None else None
            try:
                await self._through(call, passage)
            except BaseException:
                if passage is not None:
                    passage.take_back()
                raise
        except (RpcFault, DecodeError) as error:
            if self._fault is not None:
                fault = error if isinstance(error, RpcFault) else RpcFault(FaultStatus.BAD_STUB_DATA, str(error))
                await self._fault.guarded(call, lambda call: self._module.fault(call, fault))
            raise

    async def _through(self, call: Call, passage: RopPassage | None) -> None:
        if passage is not None and self._rops is not None:
            await self._rops.guarded(call, lambda _: passage.request_side())
        await self._answer_inside(call, passage)
        await self._response_side(call, passage)

    async def _request_side(self, call: Call) -> None:
        if self._ndr_pull is not None:
            await self._ndr_pull.run(call)
        if self._pull is not None and call.has_request_codec:
            _ = call.request  # decode before it: a bad stub is the client's mistake, not the module's
            await self._pull.run(call)

    async def _answer_inside(self, call: Call, passage: RopPassage | None) -> None:
        for _ in range(MAXIMUM_AHEAD):
            call.norelay = call.ahead = False
            if self._dispatch is not None:
                await self._dispatch.run(call)
            ahead = call.ahead
            if passage is not None and passage.answered:
                call.norelay = True
            if not call.norelay:
                await self._inner(call)
            if not ahead:
                return
        raise RpcFault(FaultStatus.UNSPECIFIED, f"module {self._module.name} dispatched ahead {MAXIMUM_AHEAD} times")

    async def _response_side(self, call: Call, passage: RopPassage | None) -> None:
        if self._ndr_push is not None:
            call.reply_bytes()
            await self._ndr_push.run(call)
        if self._push is not None and _response_decodes(call):
            await self._push.run(call)
        if passage is not None and self._rops is not None:
            await self._rops.guarded(call, lambda _: passage.response_side())


def _response_decodes(call: Call) -> bool:
    try:
        return call.response is not None
    except DecodeError as error:
        # The client may well understand what we don't: it gets the response as it came.
        logger.warning("%s: response to %s passes the modules undecoded: %s", call.session, call.name, error)
        return False


class ModuleStack:
    """The configured modules, outermost first."""

    def __init__(self, modules: Sequence[Module] = ()) -> None:
        self.modules = tuple(modules)
        self._unbind = tuple(hook for module in modules if (hook := _overridden(module, "unbind")) is not None)

    async def init(self, settings: Settings) -> None:
        """Run the `init` hooks; `ModuleError` names the module that doesn't want to start."""
        for module in self.modules:
            try:
                result = module.init(settings)
                if result is not None:
                    await result
            except Exception as error:
                raise ModuleError(f"module {module.name}: {error}") from error

    async def close(self) -> None:
        """Run the `close` hooks, whatever the others make of theirs."""
        for module in self.modules:
            try:
                result = module.close()
                if result is not None:
                    await result
            except Exception:
                logger.exception("module %s failed in close", module.name)

    def around(self, interface: str, answer: Answer, check: Check | None = None) -> Answer:
        """What has the calls of one interface answered: the modules that want them, around `answer`.

        `check` is what `answer` would refuse a call with; modules that hide calls from it ask before they do.
        """
        for module in reversed(self.modules):
            if module.endpoint not in (ANY, interface):
                continue
            module.inner[interface] = answer
            if check is not None:
                module.checks[interface] = check
            layer = _Layer(module, answer)
            if not layer.is_empty:
                answer = layer.answer
        return answer

    async def unbind(self, session: Session) -> None:
        """Tell every module that the session ended, whatever the others make of it."""
        for hook in self._unbind:
            try:
                result = hook.function(session)
                if result is not None:
                    await result
            except Exception:
                logger.exception("%s: module %s failed in unbind", session, hook.module.name)
        release_sessions(session)


def _overridden(module: Module, name: str) -> _Hook | None:
    if getattr(type(module), name) is getattr(Module, name):
        return None
    return _Hook(module, name, getattr(module, name))

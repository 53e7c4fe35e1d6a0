"""The module stack: an onion around local servers and relay.

Requests pass the modules in the configured order, responses in reverse: what packs last unpacks first.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from openchange_py.config.settings import Settings
from openchange_py.proxy.hooks import ANY, Module, Result
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.wire.buffer import DecodeError

logger = logging.getLogger(__name__)

#: How often one call may be dispatched with `ahead` before its module is taken to be stuck.
MAXIMUM_AHEAD: Final = 1000

CallHook = Callable[[Call], Result]


class ModuleError(Exception):
    """A module can't be loaded or initialized; the message names it, for a person."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Hook:
    """One module's override of one hook."""

    module: Module
    name: str
    function: CallHook

    async def run(self, call: Call) -> None:
        """Run it; what goes wrong answers this call alone."""
        try:
            result = self.function(call)
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


@dataclasses.dataclass(frozen=True, slots=True)
class InterfaceHooks:
    """The hooks that the calls of one interface pass, each tuple in the order in which it is run."""

    ndr_pull: tuple[_Hook, ...]
    pull: tuple[_Hook, ...]
    dispatch: tuple[_Hook, ...]
    ndr_push: tuple[_Hook, ...]
    push: tuple[_Hook, ...]

    async def request_side(self, call: Call) -> None:
        """`ndr_pull` of all modules, then `pull` of all. Raises `RpcFault`, `DecodeError` for a bad stub."""
        for hook in self.ndr_pull:
            await hook.run(call)
        if self.pull and call.has_request_codec:
            _ = call.request  # decode before the first of them: a bad stub is the client's mistake, not the module's
            for hook in self.pull:
                await hook.run(call)

    async def dispatch_side(self, call: Call) -> None:
        """`dispatch` of the modules, up to the one that answers."""
        for hook in self.dispatch:
            await hook.run(call)
            if call.norelay:
                return

    async def response_side(self, call: Call) -> None:
        """`ndr_push` of all modules, then `push` of all, both in reverse order."""
        if self.ndr_push:
            call.reply_bytes()
            for hook in self.ndr_push:
                await hook.run(call)
        if self.push and _response_decodes(call):
            for hook in self.push:
                await hook.run(call)


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
        self._hooks: dict[str, InterfaceHooks] = {}
        self._unbind = tuple(module for module in self.modules if _overrides(module, "unbind"))

    async def init(self, settings: Settings) -> None:
        """Run the `init` hooks; `ModuleError` names the module that doesn't want to start."""
        for module in self.modules:
            try:
                result = module.init(settings)
                if result is not None:
                    await result
            except Exception as error:
                raise ModuleError(f"module {module.name}: {error}") from error

    def hooks(self, interface: str) -> InterfaceHooks:
        """The hooks for one interface; found once, then kept."""
        hooks = self._hooks.get(interface)
        if hooks is None:
            hooks = self._hooks[interface] = self._find_hooks(interface)
        return hooks

    async def unbind(self, session: Session) -> None:
        """Tell every module that the session ended, whatever the others make of it."""
        for module in self._unbind:
            try:
                result = module.unbind(session)
                if result is not None:
                    await result
            except Exception:
                logger.exception("%s: module %s failed in unbind", session, module.name)

    def _find_hooks(self, interface: str) -> InterfaceHooks:
        modules = [module for module in self.modules if module.endpoint in (ANY, interface)]
        return InterfaceHooks(
            _overridden(modules, "ndr_pull"),
            _overridden(modules, "pull"),
            _overridden(modules, "dispatch"),
            _overridden(reversed(modules), "ndr_push"),
            _overridden(reversed(modules), "push"),
        )


def _overridden(modules: Iterable[Module], name: str) -> tuple[_Hook, ...]:
    return tuple(_Hook(module, name, getattr(module, name)) for module in modules if _overrides(module, name))


def _overrides(module: Module, name: str) -> bool:
    return getattr(type(module), name) is not getattr(Module, name)

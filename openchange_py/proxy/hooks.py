"""What a module is: one class, in one file, with methods named after the hooks it wants.

A hook that a module does not override costs nothing: the stack never calls it, and decodes nothing for it.
Every hook may be a plain function or a coroutine function; a plain one runs on the event loop and must be
quick. `openchange_py/proxy/modules/dummy.py` is the module to copy.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Self

from openchange_py.config.options import Option
from openchange_py.config.settings import Settings
from openchange_py.proxy.session import ModuleSession
from openchange_py.rpc.call import Call, RpcFault, Session
from openchange_py.rpc.metrics import Metrics
from openchange_py.wire.ndr import RpcMessage

#: `Module.endpoint` of a module that wants the calls of every interface.
ANY = "any"

Result = Awaitable[None] | None


class Module:
    """One module. The stack makes one object of it, which sees the calls of all clients.

    Besides the hooks below it may have any number of methods for single ROPs, `@on_rop(...)`: see `proxy.rops`.
    What a module keeps per client is in `self.session(call)`.

    A hook that raises `RpcFault` answers the call with that fault; any other exception is logged with the
    module's name, and the call, that call alone, is answered with a fault.
    """

    #: The name in `dcerpc_mapiproxy:modules`, and in front of its options: `mpm_NAME:option`.
    name: ClassVar[str] = ""
    #: One line for the log at start.
    description: ClassVar[str] = ""
    #: The interface whose calls it wants (`exchange_emsmdb`), or `ANY`.
    endpoint: ClassVar[str] = ANY
    #: Its options, each declared once; their names begin with `mpm_NAME:`.
    options: ClassVar[Sequence[Option[Any]]] = ()

    #: Whether `PassingRop.object` is known; all ROPs that open or release something are decoded for it.
    tracks_objects: ClassVar[bool] = False
    #: What has calls answered inside of this module, by interface; the stack sets it.
    inner: dict[str, Callable[[Call], Awaitable[None]]]
    #: The server's counters, to which a module may add its own; they are there when `init` is called.
    metrics: Metrics

    #: What refuses calls that a relay may not make for their caller, by interface; the stack sets it.
    checks: dict[str, Callable[[Call], Awaitable[RpcMessage | None]]]

    def __new__(cls, *_arguments: Any, **_named: Any) -> Self:
        module = super().__new__(cls)
        module.inner = {}
        module.checks = {}
        module.metrics = Metrics()
        return module

    async def forward(self, call: Call) -> None:
        """Have a call of the module's own answered by what is inside of it: other modules, then local server or relay.

        Only from within a hook, for the session of the hook's call: a session's calls are made one at a time.
        Raises `RpcFault`.
        """
        await self.inner[call.interface.name](call)

    async def check(self, call: Call) -> bool:
        """Whether the caller may have this call made; for a module that is about to make the call unreadable.

        A relay with one account for all reads each call to check it, after the modules. A module that hides what is
        in it has it checked before, changes it, and then says `call.vouch()`. Where this is false, the refusal is the
        call's response, and `norelay` is set. Raises `RpcFault`, `DecodeError`.
        """
        check = self.checks.get(call.interface.name)
        if check is None or call.is_vouched:
            return True
        refusal = await check(call)
        if refusal is not None:
            call.response, call.norelay = refusal, True
        return refusal is None

    def session(self, call: Call) -> ModuleSession:
        """What this module keeps for the call's session and interface."""
        return ModuleSession.of(call, self)

    @classmethod
    def check_options(cls, settings: Settings) -> None:
        """Raise `ConfigError` (`settings.error(OPTION, reason)`) where options contradict each other.

        Called for modules that are configured to be loaded, by `ocpy testparm` too.
        """

    def init(self, settings: Settings) -> Result:
        """Once, before the first call. Raise to keep the server from starting with a half-working module."""
        return None

    def close(self) -> Result:
        """Once, when the server ends and no call is on its way any more."""
        return None

    def ndr_pull(self, call: Call) -> Result:
        """The request came in and nobody decoded it yet: `call.stub`. Replace it with `call.replace_stub(...)`."""
        return None

    def pull(self, call: Call) -> Result:
        """The request, decoded: `call.request`. After editing it in place call `call.edited_request()`.

        Not called for a call that the project has no codec for. A stub that doesn't decode is answered with
        a fault before this hook, so that nothing gets past a module that checks requests.
        """
        return None

    def dispatch(self, call: Call) -> Result:
        """In front of local server and relay.

        With `call.norelay = True` and `call.response` filled in, the module answers itself. With
        `call.ahead = True` the call is dispatched, its response goes to nobody, and this hook is called again
        with that response in `call.response`; the request may be another one by then.

        On the way back `call.norelay` tells whether a module answered.
        """
        return None

    def ndr_push(self, call: Call) -> Result:
        """The response, still bytes: `call.reply`. Replace it with `call.answer(...)`. Not called for faults."""
        return None

    def push(self, call: Call) -> Result:
        """The response, decoded: `call.response`. After editing it in place call `call.edited_response()`.

        Not called where there is no codec, or where the response doesn't decode (which is logged).
        """
        return None

    def fault(self, call: Call, fault: RpcFault) -> Result:
        """The call ends with a fault, which came from inside of this module or from itself."""
        return None

    def unbind(self, session: Session) -> Result:
        """The client's session ended, however it ended. Called for every session, of whatever interface."""
        return None

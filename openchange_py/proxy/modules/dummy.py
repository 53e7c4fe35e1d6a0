"""The module to copy: every hook, each with what it may do. It changes nothing, and logs what passes.

To make your own: copy this file, rename the class and `name`, drop the hooks that you don't need (an unused
one costs nothing), and name the class in an entry point of the group `openchange_py.modules`. Then
`dcerpc_mapiproxy:modules = yourname` loads it.
"""

from __future__ import annotations

import logging

from openchange_py.config.options import Option, text
from openchange_py.config.settings import Settings
from openchange_py.proxy.hooks import ANY, Module
from openchange_py.rpc.call import Call, Session

logger = logging.getLogger(__name__)

#: An option of this module. Its name begins with `mpm_` and the module's name.
LABEL = Option("mpm_dummy:label", text, "dummy", "what the module's log lines begin with")


class DummyModule(Module):
    """Logs every call at debug level, in each of its hooks."""

    name = "dummy"
    description = "changes nothing, and logs at debug level what passes"
    #: Or one interface: `exchange_emsmdb`, `exchange_nsp`, `exchange_ds_rfr`, `exchange_async_emsmdb`.
    endpoint = ANY
    options = (LABEL,)

    def __init__(self) -> None:
        self._label = ""

    def init(self, settings: Settings) -> None:
        """Once, before the first call: read the options. May be `async def`, as all of these may."""
        self._label = settings[LABEL]

    def ndr_pull(self, call: Call) -> None:
        """The request as it came: bytes. `call.replace_stub(...)` would send others on."""
        logger.debug("%s: ndr_pull %s: %d bytes", self._label, call.name, len(call.stub))

    def pull(self, call: Call) -> None:
        """The request, decoded. After changing a field, `call.edited_request()` makes the bytes anew."""
        logger.debug("%s: pull %s", self._label, type(call.request).__name__)

    def dispatch(self, call: Call) -> None:
        """Before the call goes to local server or relay.

        To answer here: `call.response = ...` and `call.norelay = True`. To run the call and see its response
        without giving it to the client: `call.ahead = True`; this hook is then called again.
        """
        # What a module keeps per client is in the session's state, under the module itself.
        count = call.session.state[self] = call.session.state.get(self, 0) + 1
        logger.debug("%s: dispatch %s, call %d of %s", self._label, call.name, count, call.session)

    def ndr_push(self, call: Call) -> None:
        """The response as it came: bytes. `call.answer(...)` would return others."""
        logger.debug("%s: ndr_push %s: %d bytes", self._label, call.name, len(call.reply_bytes()))

    def push(self, call: Call) -> None:
        """The response, decoded. After changing a field, `call.edited_response()` makes the bytes anew."""
        logger.debug("%s: push %s", self._label, type(call.response).__name__)

    def unbind(self, session: Session) -> None:
        """The client's session ended: let go of what was kept for it."""
        count = session.state.pop(self, 0)
        logger.debug("%s: unbind %s after %d calls", self._label, session, count)

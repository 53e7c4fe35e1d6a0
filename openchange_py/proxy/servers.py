"""What a local server of one's own is made from: a class found by name or by path, as modules are.

class MyRfrServer(CustomServer):
    name = "myrfr"
    interface = RFR

    def call(self, call: Call) -> None:
        call.response = RfrGetNewDSAResponse(...)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from openchange_py.addressbook.base import Directory
from openchange_py.config.options import Option
from openchange_py.config.settings import Settings
from openchange_py.rpc.call import Call, Session
from openchange_py.wire.ndr import RpcInterface


class CustomServer:
    """A local server for one interface: plain synchronous code, called in worker threads."""

    #: What the configuration calls it: `dcerpc_mapiproxy:rfr_server = NAME`.
    name: ClassVar[str] = ""
    #: The interface that it answers.
    interface: ClassVar[RpcInterface]
    #: Its options, each declared once; their names begin with `ocpy_NAME:`.
    options: ClassVar[Sequence[Option[Any]]] = ()

    def __init__(self, settings: Settings, directory: Directory) -> None:
        self.settings, self.directory = settings, directory

    def call(self, call: Call) -> None:
        """Set `call.response` or `call.reply`, or raise `RpcFault`. One call at a time per session."""
        raise NotImplementedError(f"server {self.name} answers nothing")

    def end_session(self, session: Session) -> None:
        """The session ended; its handles are still there."""

    def close(self) -> None:
        """Once, when the program ends and no call is on its way any more."""

"""The `print` flag of a binding: every call dissected to the log, ROP by ROP, as it passes to local server or relay.

The module `print` shows the same of what passes its place in the stack, and to a file if need be. What is logged shows
what is in mailboxes and address book: who may read the log decides who may read that.
"""

from __future__ import annotations

import logging

from openchange_py.proxy.dissection import Dissector, Record, record_text
from openchange_py.rpc.call import Call, RpcFault

logger = logging.getLogger(__name__)


class Printer:
    """Logs calls at info level, one log record for each request and each response."""

    def __init__(self) -> None:
        self._dissector = Dissector()

    async def print_request(self, call: Call) -> None:
        """The request as it goes to local server or relay."""
        self._log(await self._dissector.request(call))

    def print_response(self, call: Call) -> None:
        """The response as local server or relay gave it."""
        self._log(self._dissector.response(call))

    def print_fault(self, call: Call, fault: RpcFault) -> None:
        """The fault that answers the call."""
        self._log(self._dissector.fault(call, fault))

    def _log(self, record: Record) -> None:
        logger.info("%s", record_text(record))

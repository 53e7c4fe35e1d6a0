"""One step of an authentication, of either side, without holding up the event loop."""

from __future__ import annotations

import asyncio

from openchange_py.rpc.log_context import in_this_context
from openchange_py.rpc.security import SecurityContext, StepsItself


async def stepped(context: SecurityContext, token: bytes) -> bytes:
    """What `context` answers to the peer's token: in a worker thread, unless it waits by itself. `SecurityError`."""
    if isinstance(context, StepsItself):
        return await context.exchange(token)
    return await asyncio.get_running_loop().run_in_executor(None, in_this_context(context.step), token)

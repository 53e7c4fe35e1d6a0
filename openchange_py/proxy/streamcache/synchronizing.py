"""Between two proxies in a row: the one at the clients has a program fetch files from the cache of the one at the
server.

Both know a stream by the same name. What the first does not know is the stream's hash, and whether the second has it
whole: it asks with RopQueryNamedProperties of the property set `QUESTION` on the stream, in the client's own
session. The answer is one property name: `sha256:` and the hash, or `filled:` and the bytes that there are so far. A
server without this module has an error for it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from typing import Final

from openchange_py.config.settings import Settings
from openchange_py.proxy.rops import PassingRop
from openchange_py.proxy.streamcache import program
from openchange_py.proxy.streamcache.cache import StreamCache
from openchange_py.proxy.streamcache.index import CacheError
from openchange_py.proxy.streamcache.options import SYNC_CMD, SYNC_TIMEOUT
from openchange_py.proxy.streamcache.shared import SharedStream, SharedStreams
from openchange_py.transports.tasks import spawn
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.named import PropertyName
from openchange_py.wire.rop.oxcprpt import RopQueryNamedPropertiesRequest, RopQueryNamedPropertiesResponse

logger = logging.getLogger(__name__)

#: The property set of the question for a stream's hash: this project's own, in which no server has a property.
QUESTION: Final = uuid.UUID("5b0f4c1e-6d0b-4f57-9a3c-0c1f6a2d7e44")
_HASH: Final = re.compile(r"sha256:([0-9a-f]{64})")
_FILLED: Final = re.compile(r"filled:([0-9]{1,12})")
#: Any id: it names nothing.
_QUESTION_ID: Final = 0x8000


def said_of(shared: SharedStream, handle_index: int) -> RopQueryNamedPropertiesResponse:
    """The answer to the question."""
    said = f"sha256:{shared.entry.hash}" if shared.whole else f"filled:{shared.filled}"
    names = [PropertyName.of_name(QUESTION, said)]
    return RopQueryNamedPropertiesResponse(handle_index, ErrorCode.Success, [_QUESTION_ID], names)


class Synchronizer:
    """Has the program run, once per stream."""

    def __init__(self, cache: StreamCache, streams: SharedStreams, settings: Settings) -> None:
        self._cache = cache
        self._streams = streams
        self._settings = settings

    async def synchronize(self, rop: PassingRop, shared: SharedStream) -> None:
        """Have the program fetch the stream, once for all who have it open; then it is whole, or never will be so."""
        if shared.synchronizing is None and not shared.asked:
            async with shared.turn() as ours:
                if ours and not shared.asked and not shared.filled and not shared.failed:
                    digest = await self._ask(rop)
                    shared.asked = True
                    if digest is not None:
                        shared.users += 1
                        running = self._run_program(shared, digest, rop.call.caller.account)
                        shared.synchronizing = spawn(running, f"synchronizing {shared.entry.name}")
        if shared.synchronizing is not None:
            await asyncio.wait([shared.synchronizing])

    async def _ask(self, rop: PassingRop) -> str | None:
        """The stream's hash, once the next proxy has it whole; None where it does not have it, or is no such proxy."""
        assert rop.object is not None
        assert rop.object.handle is not None
        request = RopQueryNamedPropertiesRequest(rop.request.logon_id, 0, 0, 1, QUESTION)
        now, filled = asyncio.get_running_loop().time, -1
        deadline = now() + self._settings[SYNC_TIMEOUT]
        while now() < deadline:
            answer = await rop.send([request], [rop.object.handle])
            response = answer.rops[0] if answer.rops else None
            names = response.property_names if isinstance(response, RopQueryNamedPropertiesResponse) else []
            said = names[0].name or "" if len(names) == 1 and names[0].guid == QUESTION else ""
            if (found := _HASH.fullmatch(said)) is not None:
                return found[1]
            more = _FILLED.fullmatch(said)
            if more is None or int(more[1]) <= filled:
                return None
            filled = int(more[1])
        return None

    async def _run_program(self, shared: SharedStream, digest: str, account: str) -> None:
        name, files = shared.entry.name, self._cache.files
        target, values = files.final(name), {"__NAME__": files.relative(name), "__USER__": account}
        values |= {"__FILE__": str(target), "__SIZE__": str(shared.size), "__HASH__": digest}
        words = program.filled_in(program.command_words(self._settings[SYNC_CMD]), values)
        try:
            if words is None:
                logger.warning("mpm_cache:sync_cmd: %r can't stand in a command", account)
            elif await program.run(words, target, self._settings[SYNC_TIMEOUT]):
                if await shared.adopt(target, digest):
                    self._cache.count("synchronized")
                else:
                    logger.warning("mpm_cache:sync_cmd: what %s fetched is not the stream", words[0])
            if not shared.whole:
                await asyncio.to_thread(target.unlink, missing_ok=True)
        except (OSError, CacheError) as error:
            self._cache.trouble(error)
        finally:
            await self._streams.release(shared)

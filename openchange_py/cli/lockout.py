"""Failed logons count in all workers, wherever they happen: who guesses does not get the tries of each worker.

A worker that begins, or begins anew, is told by another one what that remembers.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from typing import Final

from openchange_py.auth.failures import FailureTracker, Heard
from openchange_py.transports.colleagues import Colleagues
from openchange_py.transports.post import Message

_HEARD: Final = "logon heard"
_WANTED: Final = "logons wanted"
_REMEMBERED: Final = "logons remembered"
#: Entries of one message.
_PIECE: Final = 500


def share_failures(failures: FailureTracker, colleagues: Colleagues) -> None:
    """Tell the others what happens here, hear of them, and ask one of them for what was before."""
    loop = asyncio.get_running_loop()
    number = colleagues.share.number

    def told(what: Heard) -> None:
        about = {"for": _HEARD, "pair": what.pair.hex(), "network": what.network, "failed": what.failed}
        with contextlib.suppress(RuntimeError):  # the loop ended meanwhile, and the worker with it
            loop.call_soon_threadsafe(colleagues.tell, "all", about)

    def heard(message: Message) -> None:
        about = message.about
        failures.hear(Heard(bytes.fromhex(about["pair"]), about["network"], about["failed"]))

    def wanted(message: Message) -> None:
        remembered = iter(list(failures.export()))
        while piece := list(itertools.islice(remembered, _PIECE)):
            colleagues.give(message.about["from"], _REMEMBERED, {}, json.dumps(piece).encode())

    def remembered(message: Message) -> None:
        failures.take((kind, key, count, last) for kind, key, count, last in json.loads(message.data))

    colleagues.take(_HEARD, heard)
    colleagues.take(_WANTED, wanted)
    colleagues.take(_REMEMBERED, remembered)
    failures.told = told
    colleagues.tell("any", {"for": _WANTED, "from": number})

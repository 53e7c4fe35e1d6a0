"""What one worker of several knows of the others: `ocpy serve --workers N`, as a worker sees it.

The supervisor (`cli/supervisor.py`) holds the listening sockets, accepts, and deals connections out to the workers.
What a client opens in one worker stays there: ids and cookies tell which one it is (`rpc.share`), and what belongs to
another worker is given to that one as an open file, with what was read of it already, by way of the supervisor.

    name, host, port = await colleagues.listen("ocpy:rpc port", "127.0.0.1", 0, taker)
    colleagues.give(2, name, {"peer": "..."}, data, file)
"""

from __future__ import annotations

import asyncio
import collections
import itertools
import logging
import socket
from collections.abc import Callable
from typing import Any, Final

from openchange_py.rpc.metrics import CallStatistics, Family
from openchange_py.rpc.share import Share
from openchange_py.transports.post import Message, Post

_log: Final = logging.getLogger(__name__)

#: Gets what is given to it; the files are its own.
Taker = Callable[[Message], None]


class Colleagues:
    """A worker's way to its supervisor, and by it to the other workers. Made on the running event loop.

    `lost` is called where the supervisor is gone.
    """

    def __init__(self, end: socket.socket, share: Share, lost: Callable[[], None]) -> None:
        self.share = share
        #: What the supervisor may want, by the message's kind.
        self.asked: dict[str, Taker] = {}
        #: What was given to other workers, by what it was: connections, channels and requests.
        self.given: collections.Counter[str] = collections.Counter()
        self._takers: dict[str, Taker] = {}
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._numbers = itertools.count(1)
        self._on_lost = lost
        self._loop = asyncio.get_running_loop()
        self._post = Post(end, self._received, self._lost)

    async def listen(self, purpose: str, host: str, port: int, taker: Taker) -> tuple[str, str, int]:
        """Have the supervisor listen, once for all workers, and deal connections out to `taker`.

        The name that connections are given under, and the bound address. Raises `OSError`.
        """
        answer = await self._ask("listen", {"purpose": purpose, "host": host, "port": port})
        if "errno" in answer.about:
            raise OSError(answer.about["errno"], answer.about["strerror"])
        name = str(answer.about["for"])
        self.take(name, taker)
        return name, str(answer.about["host"]), int(answer.about["port"])

    def take(self, name: str, taker: Taker) -> None:
        """From now on have what is given under that name."""
        self._takers[name] = taker

    def give(self, worker: int, name: str, about: dict[str, Any], data: bytes = b"", file: int | None = None) -> bool:
        """Give another worker something, and the file with it, which is closed here then. False where it can't be."""
        self.given[name.partition(" ")[0]] += 1
        files = () if file is None else (file,)
        return self._post.send(Message("give", {**about, "to": worker, "for": name}, data, files))

    def tell(self, kind: str, about: dict[str, Any] | None = None, data: bytes = b"", file: int | None = None) -> bool:
        """Tell the supervisor something. Of `all` it tells each other worker, as something given under `for`."""
        return self._post.send(Message(kind, about or {}, data, () if file is None else (file,)))

    def family(self) -> Family:
        """What was given away, for metrics."""
        values: dict[tuple[str, ...], float | CallStatistics] = {(key,): n for key, n in list(self.given.items())}
        return Family(
            "given", "Connections, channels and streams of requests given to other workers.", ("what",), values
        )

    def close(self) -> None:
        """The worker ends."""
        self._post.close()

    async def _ask(self, kind: str, about: dict[str, Any]) -> Message:
        number = next(self._numbers)
        answer: asyncio.Future[Message] = self._loop.create_future()
        self._answers[number] = answer
        if not self._post.send(Message(kind, {**about, "number": number})):
            raise ConnectionError("the supervisor is gone")
        return await answer

    def _received(self, message: Message) -> None:
        if message.kind == "answer":
            answer = self._answers.pop(message.about["number"], None)
            if answer is not None and not answer.done():
                answer.set_result(message)
        elif message.kind == "give":
            taker = self._takers.get(message.about["for"])
            if taker is None:
                _log.debug("nobody here takes %s", message.about["for"])
                message.close()
            else:
                taker(message)
        elif message.kind in self.asked:
            self.asked[message.kind](message)
        else:
            message.close()

    def _lost(self) -> None:
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ConnectionError("the supervisor is gone"))
        self._answers.clear()
        self._on_lost()

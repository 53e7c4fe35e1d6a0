"""Several workers in one process, with a supervisor between them that only carries and deals out, for tests."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from openchange_py.rpc.share import Share
from openchange_py.transports.colleagues import Colleagues
from openchange_py.transports.post import Message, Post, pair
from openchange_py.transports.tasks import spawn


def rest_of(file: int) -> bytes:
    """What is in a pipe until nobody has its other end any more; closes it."""
    with open(file, "rb") as pipe:
        return pipe.read()


class Office:
    """Deals connections out in the workers' order, beginning with the first."""

    def __init__(self, count: int) -> None:
        self.posts: list[Post] = []
        self.workers: list[Colleagues] = []
        self.lost: list[int] = []
        self._listeners: dict[str, socket.socket] = {}
        self._tasks: list[asyncio.Task[None]] = []
        for number in range(count):
            ours, theirs = pair()
            self.posts.append(Post(ours, functools.partial(self._received, number), lambda: None))
            self.workers.append(Colleagues(theirs, Share(number, count), functools.partial(self.lost.append, number)))

    def _received(self, number: int, message: Message) -> None:
        about = message.about
        if message.kind == "give":
            self.posts[about.pop("to")].send(message)
        elif message.kind == "all":
            for other, post in enumerate(self.posts):
                if other != number:
                    post.send(Message("give", about))
        elif message.kind == "any":
            self.posts[(number + 1) % len(self.posts)].send(Message("give", about))
        elif message.kind == "listen":
            self.posts[number].send(Message("answer", {**self._listen(about), "number": about["number"]}))

    def _listen(self, about: dict[str, object]) -> dict[str, object]:
        name = f"connection {about['purpose']}"
        if about["purpose"] == "taken":
            return {"errno": 98, "strerror": "in use"}
        if name not in self._listeners:
            listener = self._listeners[name] = socket.create_server((str(about["host"]), 0))
            listener.setblocking(False)
            self._tasks.append(spawn(self._deal(name, listener), name))
        host, port = self._listeners[name].getsockname()
        return {"for": name, "host": host, "port": port}

    async def _deal(self, name: str, listener: socket.socket) -> None:
        while True:
            for post in self.posts:
                accepted, _ = await asyncio.get_running_loop().sock_accept(listener)
                post.send(Message("give", {"for": name}, files=(accepted.detach(),)))

    async def close(self) -> None:
        """Everything ends."""
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        for listener in self._listeners.values():
            listener.close()
        for end in (*self.workers, *self.posts):
            end.close()


@asynccontextmanager
async def office(count: int = 2) -> AsyncIterator[Office]:
    """So many workers."""
    made = Office(count)
    try:
        yield made
    finally:
        await made.close()

"""`ocpy serve --workers N`: several processes behind the same listening sockets. This one holds and watches them.

It listens, accepts, and deals each connection out to a worker as an open file (`transports/post.py`); it carries what
workers have for each other, starts one again that ended, and passes on what it is told by signals. It serves nothing
itself, and reads nothing that clients send. Connections are dealt like cards, each worker's turn once in a round, in a
new order every time: clients that always open two connections would else have all their first ones in one worker.

A worker that begins anew gets the configuration that the others have, whatever stands in the file by now.
Linux alone: SOCK_SEQPACKET, files of memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import json
import logging
import os
import random
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any, Final

import click

from openchange_py.cli.listening import cannot_listen
from openchange_py.cli.logs import finish_log, start_log
from openchange_py.cli.reload import RELOADED
from openchange_py.cli.serve import remove_ready_file, write_ready_file
from openchange_py.cli.settings import load_settings
from openchange_py.cli.systemd import notify
from openchange_py.cli.worker_metrics import METRICS, combined, read_metrics
from openchange_py.config import ConfigError, Settings, declared
from openchange_py.transports.post import Message, Post, pair
from openchange_py.transports.tasks import spawn

logger = logging.getLogger(__name__)

#: Seconds before a worker that ended is started again: doubled while it does not live long.
_SHORTEST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
_LONG_LIFE: Final = 60.0
#: Seconds before the next try where a connection could not be accepted.
_ACCEPT_PAUSE: Final = 0.2
#: Seconds that all workers have to finish their calls in: more than each of them takes for it.
_STOP_SECONDS: Final = 25.0
#: Seconds that a worker has to answer a question in.
_ANSWER_SECONDS: Final = 5.0


@dataclasses.dataclass(eq=False, slots=True)
class Worker:
    """One process that serves."""

    number: int
    process: asyncio.subprocess.Process
    post: Post | None = None
    ready: bool = False


@dataclasses.dataclass(eq=False, slots=True)
class Listener:
    """A socket that all workers have connections of, under the same name."""

    name: str
    socket: socket.socket
    #: Whose turn it still is in this round.
    deck: list[int] = dataclasses.field(default_factory=list)


class Supervisor:
    """The workers of one configuration: `await supervisor.serve()` until it is told to stop."""

    def __init__(self, settings: Settings, count: int, ready_file: Path | None = None) -> None:
        self._settings = settings
        #: With what was taken of the configuration since.
        self._in_force = settings
        self._count = count
        self._ready_file = ready_file
        self._workers: dict[int, Worker] = {}
        self._listeners: dict[str, Listener | OSError] = {}
        self._accepting: list[asyncio.Task[None]] = []
        self._questions: dict[int, asyncio.Future[Message]] = {}
        self._numbers = itertools.count(1)
        self._described: dict[str, Any] = {}
        self._metrics: tuple[str, int] | None = None
        self._resources = contextlib.ExitStack()
        self._stopping = asyncio.Event()
        #: The first worker serves, or all is to end: the others begin.
        self._first = asyncio.Event()
        self._changed = asyncio.Event()
        self._failed = False
        self._serving = False

    async def serve(self) -> None:
        """Start the workers, and watch. They load at the same time, but the first one begins alone: what is wrong with
        the configuration is told once.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopping.set)
        stopped = spawn(self._stopping.wait(), "the supervisor's end")
        keepers: list[asyncio.Task[None]] = []
        try:
            keepers += [spawn(self._keep(number), f"worker {number}") for number in range(self._count)]
            await self._all_ready(1)
            self._first.set()
            await self._all_ready(self._count)
            if self._failed:
                raise click.exceptions.Exit(1)
            if not self._stopping.is_set():
                self._begin_serving()
                loop.add_signal_handler(signal.SIGHUP, lambda: spawn(self._reload(), "reload"))
            await stopped
            logger.info("stopping")
        finally:
            self._stopping.set()
            await self._stop(keepers)

    # Workers

    async def _keep(self, number: int) -> None:
        """Start a worker, and start it again where it ends."""
        pause, loop = _SHORTEST_PAUSE, asyncio.get_running_loop()
        while not self._stopping.is_set():
            began = loop.time()
            worker = await self._begin(number)
            if number:
                await self._first.wait()
            self._welcome(worker)
            code = await worker.process.wait()
            self._gone(worker)
            if self._stopping.is_set():
                return
            if not self._serving:
                self._failed = True
                self._changed.set()
                return
            pause = _SHORTEST_PAUSE if loop.time() - began > _LONG_LIFE else min(pause * 2, _LONGEST_PAUSE)
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            logger.error("worker %d ended (%s), and is started again in %.0f s", number, how, pause)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)

    async def _begin(self, number: int) -> Worker:
        ours, theirs = pair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "openchange_py.cli.worker",
                str(theirs.fileno()),
                f"worker {number} of {self._settings.path}",
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env={name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"},
            )
        worker = self._workers[number] = Worker(number, process)
        worker.post = Post(ours, lambda message: self._received(worker, message), lambda: None)
        return worker

    def _welcome(self, worker: Worker) -> None:
        """Have it begin."""
        assert worker.post is not None
        about = {"number": worker.number, "count": self._count, "path": str(self._settings.path)}
        worker.post.send(Message("welcome", about, json.dumps(self._parameters()).encode()))

    def _parameters(self) -> list[list[Any]]:
        """The configuration as the workers have it: what is taken while they run, and the rest as they began."""
        taken = {option.key for option in RELOADED}
        sets = ((self._settings, False), (self._in_force, True))
        return [
            [parameter.name, parameter.value, str(parameter.place.file), parameter.place.line]
            for settings, reloaded in sets
            for key, parameter in settings.parameters().items()
            if (key in taken) is reloaded
        ]

    def _gone(self, worker: Worker) -> None:
        if worker.post is not None:
            worker.post.close()
        if self._workers.get(worker.number) is worker:
            del self._workers[worker.number]

    async def _all_ready(self, count: int) -> None:
        """Until so many are, or one failed, or all is to end."""
        stopped = spawn(self._stopping.wait(), "an early end")
        while len(self._ready()) < count and not self._failed and not self._stopping.is_set():
            self._changed.clear()
            changed = spawn(self._changed.wait(), "a worker's start")
            await asyncio.wait((changed, stopped), return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
        stopped.cancel()

    def _ready(self) -> list[Worker]:
        return [worker for worker in self._workers.values() if worker.ready]

    def _begin_serving(self) -> None:
        self._serving = True
        self._start_metrics()
        for listener in self._listeners.values():
            if isinstance(listener, Listener):
                self._accepting.append(spawn(self._accept(listener), f"listener {listener.name}"))
        self._write_ready_file()
        notify("READY=1")

    def _write_ready_file(self) -> None:
        if self._ready_file is not None:
            workers = [{"number": worker.number, "pid": worker.process.pid} for worker in self._ready()]
            where = self._metrics and {"host": self._metrics[0], "port": self._metrics[1]}
            content = {"pid": os.getpid(), **self._described, "metrics": where}
            content["workers"] = sorted(workers, key=lambda worker: int(worker["number"]))
            write_ready_file(self._ready_file, content)

    async def _stop(self, keepers: list[asyncio.Task[None]]) -> None:
        """Listen no more, and let all workers finish their calls at the same time."""
        notify("STOPPING=1")
        remove_ready_file(self._ready_file)
        for task in self._accepting:
            task.cancel()
        if self._accepting:
            await asyncio.wait(self._accepting)
        for listener in self._listeners.values():
            if isinstance(listener, Listener):
                listener.socket.close()
        self._resources.close()
        for worker in self._workers.values():
            if worker.post is not None:
                worker.post.send(Message("stop"))
        self._first.set()
        if keepers:
            await asyncio.wait(keepers, timeout=_STOP_SECONDS)
        for worker in list(self._workers.values()):
            logger.error("worker %d did not end in time", worker.number)
            with contextlib.suppress(ProcessLookupError):
                worker.process.kill()
        if keepers:
            await asyncio.wait(keepers, timeout=_ANSWER_SECONDS)
        finish_log()

    # Connections

    async def _accept(self, listener: Listener) -> None:
        loop = asyncio.get_running_loop()
        while True:
            while not self._ready():
                self._changed.clear()
                await self._changed.wait()
            try:
                accepted, _ = await loop.sock_accept(listener.socket)
            except OSError as error:
                logger.warning("a connection was not accepted: %s", error)
                await asyncio.sleep(_ACCEPT_PAUSE)
                continue
            self._deal(listener, accepted)

    def _deal(self, listener: Listener, accepted: socket.socket) -> None:
        """The next one's turn; who does not take what waits for it already is passed over, where another one does."""
        ready = {worker.number: worker for worker in self._ready()}
        listener.deck = [number for number in listener.deck if number in ready]
        if not listener.deck:
            listener.deck = random.sample(list(ready), len(ready))  # no secret: an order
        idle = [number for number in (*listener.deck, *ready) if (post := ready[number].post) and not post.waits]
        number = next(iter(idle or listener.deck), None)
        if number is None:
            accepted.close()
            return
        if number in listener.deck:
            listener.deck.remove(number)
        self._send(number, Message("give", {"for": listener.name}, files=(accepted.detach(),)))

    def _listen(self, about: dict[str, Any]) -> dict[str, Any]:
        """Listen where a worker wants to, the first time; what came of it is told the others, too."""
        purpose, host, port = about["purpose"], about["host"], about["port"]
        key = f"{purpose} {host} {port}"
        if key not in self._listeners:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            try:
                bound = socket.create_server((host, port), family=family, backlog=512)
            except OSError as error:
                self._listeners[key] = error
            else:
                bound.setblocking(False)
                name = f"connection {purpose} {host} {bound.getsockname()[1]}"
                self._listeners[key] = Listener(name, bound)
        found = self._listeners[key]
        if isinstance(found, OSError):
            return {"errno": found.errno, "strerror": found.strerror}
        address = found.socket.getsockname()
        return {"for": found.name, "host": address[0], "port": address[1]}

    # Messages

    def _received(self, worker: Worker, message: Message) -> None:
        about = message.about
        if message.kind == "give":
            self._send(about.pop("to"), message)
        elif message.kind == "all":
            for number in self._workers.keys() - {worker.number}:
                self._send(number, Message("give", about))
        elif message.kind == "any":
            other = next((other for other in self._ready() if other is not worker), None)
            if other is not None:
                self._send(other.number, Message("give", about))
        elif message.kind == "listen":
            self._send(worker.number, Message("answer", {**self._listen(about), "number": about["number"]}))
        elif message.kind == "ready":
            self._is_ready(worker, about)
        elif message.kind == "leaves":
            worker.ready = False
            logger.info("worker %d ends", worker.number)
        elif (question := self._questions.pop(about.get("question", 0), None)) and not question.done():
            question.set_result(message)
        else:
            message.close()

    def _send(self, number: int, message: Message) -> None:
        worker = self._workers.get(number)
        if worker is None or worker.post is None:
            message.close()  # its client is told by the end of the connection
        else:
            worker.post.send(message)

    def _is_ready(self, worker: Worker, described: dict[str, Any]) -> None:
        worker.ready = True
        if not self._described or worker.number == 0:
            self._described = described
        self._changed.set()
        if self._serving:
            self._write_ready_file()
        logger.info("worker %d serves, process %d", worker.number, worker.process.pid)

    async def _ask_all(self, kind: str) -> dict[int, Message]:
        """What the workers answer that do so in time, by their numbers."""
        asked: dict[int, asyncio.Future[Message]] = {}
        for worker in self._ready():
            question = next(self._numbers)
            answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
            asked[worker.number] = self._questions[question] = answer
            self._send(worker.number, Message(kind, {"question": question}))
        if asked:
            await asyncio.wait(asked.values(), timeout=_ANSWER_SECONDS)
        for question in [question for question, answer in self._questions.items() if answer in asked.values()]:
            del self._questions[question]  # what comes late is closed
        return {number: answer.result() for number, answer in asked.items() if answer.done()}

    # Signals and metrics

    async def _reload(self) -> None:
        """SIGHUP: all workers read the configuration again, where it is in order."""
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            settings = load_settings(self._settings.path)
            start_log(settings)
        except (ConfigError, OSError) as error:
            start_log(self._in_force)
            logger.error("%s is not taken, the configuration before stays in force: %s", self._settings.path, error)
        else:
            answers = await self._ask_all("reload")
            if all(answer.about["taken"] for answer in answers.values()):
                self._in_force = settings
        notify("READY=1")

    def _start_metrics(self) -> None:
        port = self._settings[declared.METRICS_PORT]
        if port is None:
            return
        from openchange_py.transports.metrics import MetricsServer

        loop, address = asyncio.get_running_loop(), self._settings[declared.METRICS_ADDRESS]

        async def gathered() -> dict[int, str]:
            answers = await self._ask_all(METRICS)
            return {number: read_metrics(answer.files[0]) for number, answer in answers.items()}

        def texts() -> dict[int, str]:
            return asyncio.run_coroutine_threadsafe(gathered(), loop).result(_ANSWER_SECONDS * 2)

        server = MetricsServer(combined(texts))
        try:
            self._metrics = server.start(address, port)
        except OSError as error:
            raise cannot_listen(self._settings, declared.METRICS_PORT, address, port, error) from error
        self._resources.callback(server.stop)

"""What the supervisor tells where it can't start; tests/interop/test_workers.py has workers that serve."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import socket
from pathlib import Path
from typing import Any

import pytest

from openchange_py.cli.settings import load_settings
from openchange_py.cli.supervisor import Listener, Supervisor, Worker
from openchange_py.transports.post import Message, Post, pair, receive
from tests.cli.commands import Installation
from tests.interop.nodes import ocpy
from tests.transports.serving import run


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation.make(tmp_path, "    ocpy:workers = 2\n").provisioned()


def refused(installation: Installation, *options: str) -> list[str]:
    """Exit code 1, and what it said besides the log."""
    done = ocpy("serve", "-c", installation.conf, *options, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    return [line for line in done.stderr.splitlines() if not line.startswith("2")]


def test_what_keeps_it_from_starting_is_told_once(installation: Installation) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with installation.conf.open("a") as conf:
            conf.write(f"    ocpy:rpc port = {other.getsockname()[1]}\n")
        (said,) = refused(installation)
    assert "another program (Samba's endpoint mapper, perhaps) has it" in said


def test_a_metrics_port_in_use(installation: Installation) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with installation.conf.open("a") as conf:
            conf.write(f"    ocpy:metrics port = {other.getsockname()[1]}\n")
        (said,) = refused(installation)
    assert "ocpy:metrics port: can't listen on 127.0.0.1" in said


def test_so_many_workers_there_are_not(installation: Installation) -> None:
    done = ocpy("serve", "-c", installation.conf, "--workers", "65", check=False)
    assert done.returncode == 2
    assert "1<=x<=64" in done.stderr


class Desk:
    """A supervisor whose workers are only sockets."""

    def __init__(self, conf: Path, count: int) -> None:
        self.supervisor = Supervisor(load_settings(conf), count)
        self.ends: list[socket.socket] = []
        for number in range(count):
            ours, theirs = pair()
            worker = Worker(number, None, ready=True)  # type: ignore[arg-type]
            worker.post = Post(ours, lambda message, worker=worker: None, lambda: None)  # type: ignore[misc]
            self.supervisor._workers[number] = worker
            self.ends.append(theirs)

    def deal(self, listener: Listener) -> None:
        ours, theirs = socket.socketpair()
        ours.close()
        self.supervisor._deal(listener, theirs)

    def got(self, number: int) -> list[Message]:
        """What a worker got."""
        found = []
        self.ends[number].setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while (message := receive(self.ends[number])) is not None:
                message.close()
                found.append(message)
        return found


def test_each_round_has_every_worker_once_in_an_order_of_its_own(installation: Installation) -> None:
    async def main() -> None:
        desk = Desk(installation.conf, 3)
        listener = Listener("connection x", socket.socket())
        orders = set()
        for _ in range(60):
            order = []
            for _ in range(3):
                desk.deal(listener)
                order += [number for number in range(3) if desk.got(number)]
            assert sorted(order) == [0, 1, 2]
            orders.add(tuple(order))
        assert len(orders) > 1
        listener.socket.close()

    run(main)


def test_who_does_not_take_his_share_is_passed_over_and_who_is_gone_too(installation: Installation) -> None:
    async def main() -> None:
        desk = Desk(installation.conf, 3)
        listener = Listener("connection x", socket.socket())
        busy = desk.supervisor._workers[1].post
        assert busy is not None
        while not busy.waits:
            busy.send(Message("full", {}, bytes(100_000)))
        del desk.supervisor._workers[2]
        for _ in range(7):
            desk.deal(listener)
        assert len(desk.got(0)) == 7
        assert desk.got(2) == []
        listener.socket.close()

    run(main)


def test_messages_of_workers_reach_whom_they_are_for(installation: Installation) -> None:
    async def main() -> None:
        desk = Desk(installation.conf, 3)
        sender = desk.supervisor._workers[0]
        ours, theirs = socket.socketpair()
        desk.supervisor._received(sender, Message("give", {"to": 2, "for": "x"}, b"data", (theirs.detach(),)))
        (message,) = desk.got(2)
        assert (message.kind, message.about, message.data) == ("give", {"for": "x"}, b"data")
        desk.supervisor._received(sender, Message("all", {"for": "y"}))
        assert collections.Counter(len(desk.got(number)) for number in range(3)) == {0: 1, 1: 2}
        desk.supervisor._received(sender, Message("any", {"for": "z"}))
        assert sum(len(desk.got(number)) for number in (1, 2)) == 1
        # To one that is gone: its file is closed, which tells the client.
        desk.supervisor._received(sender, Message("give", {"to": 9, "for": "x"}, b"", (ours.detach(),)))

    run(main)


def test_a_listener_is_there_once_and_so_is_what_went_wrong(installation: Installation) -> None:
    async def main() -> None:
        desk = Desk(installation.conf, 2)

        def listen(number: int, about: dict[str, Any]) -> dict[str, Any]:
            worker = desk.supervisor._workers[number]
            desk.supervisor._received(worker, Message("listen", {**about, "number": 1}))
            (answer,) = desk.got(number)
            return answer.about

        about = {"purpose": "ocpy:rpc port", "host": "127.0.0.1", "port": 0}
        first = listen(0, about)
        assert listen(1, about) == first
        assert listen(1, {**about, "purpose": "ocpy:endpoint mapper port"})["port"] != first["port"]
        taken = {**about, "port": first["port"]}
        assert listen(0, taken) == listen(1, taken)
        assert listen(0, taken)["errno"] == 98
        for listener in desk.supervisor._listeners.values():
            if isinstance(listener, Listener):
                listener.socket.close()
        await asyncio.sleep(0)

    run(main)

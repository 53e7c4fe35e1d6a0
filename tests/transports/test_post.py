"""Messages and open files between two processes; here both ends are in one."""

from __future__ import annotations

import asyncio
import os

import pytest

from openchange_py.transports.post import LARGEST, Message, Post, pair, receive
from tests.transports.office import rest_of
from tests.transports.serving import LOOPS, run


class Box:
    """What came."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        self.lost = asyncio.Event()

    def post(self, end: object) -> Post:
        return Post(end, self.messages.put_nowait, self.lost.set)  # type: ignore[arg-type]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_message_with_a_file(loop: str) -> None:
    async def main() -> None:
        ours, theirs = pair()
        box, other = Box(), Box()
        here, there = box.post(ours), other.post(theirs)
        reading, writing = os.pipe()
        data = bytes(range(256)) + b"\n{}"
        assert here.send(Message("greeting", {"to": 1, "text": "grüß\n"}, data, (writing,)))
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(writing)
        got = await other.messages.get()
        assert (got.kind, got.about, got.data) == ("greeting", {"to": 1, "text": "grüß\n"}, data)
        (file,) = got.files
        assert not os.get_inheritable(file)
        os.write(file, b"through it")
        got.close()
        assert rest_of(reading) == b"through it", "all other ends are closed"
        here.close()
        await other.lost.wait()
        assert there.closed
        assert not there.send(Message("too late"))

    run(main, loop)


@pytest.mark.parametrize("loop", LOOPS)
def test_what_the_other_side_does_not_read_yet_waits_in_order(loop: str) -> None:
    async def main() -> None:
        ours, theirs = pair()
        here = Box().post(ours)
        sent = 0
        while not here.waits:
            assert here.send(Message("m", {"n": sent}, bytes(50_000)))
            sent += 1
        reading, writing = os.pipe()
        assert here.send(Message("m", {"n": sent}, files=(writing,)))
        other = Box()
        there = other.post(theirs)
        for number in range(sent + 1):
            message = await other.messages.get()
            assert message.about == {"n": number}
        assert len(message.files) == 1
        message.close()
        assert not here.waits
        assert rest_of(reading) == b""
        here.close()
        there.close()

    run(main, loop)


def test_a_message_that_is_too_large_is_not_sent_and_its_file_closed() -> None:
    async def main() -> None:
        ours, theirs = pair()
        here = Box().post(ours)
        reading, writing = os.pipe()
        assert not here.send(Message("m", {}, bytes(LARGEST), (writing,)))
        assert rest_of(reading) == b""
        assert here.send(Message("m", {}, bytes(LARGEST - 100)))
        got = receive(theirs)
        assert got is not None
        assert len(got.data) == LARGEST - 100
        here.close()
        assert receive(theirs) is None
        theirs.close()

    run(main)


def test_a_message_whose_taker_fails_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        ours, theirs = pair()
        got = asyncio.Event()

        def fail(message: Message) -> None:
            if message.kind == "bad":
                raise ZeroDivisionError
            got.set()

        there = Post(theirs, fail, lambda: None)
        here = Box().post(ours)
        here.send(Message("bad"))
        here.send(Message("good"))
        await got.wait()
        here.close()
        there.close()

    run(main)
    assert "message bad failed" in caplog.text

"""The module stack: order, laziness, and modules that fail."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any, cast

import pytest

from openchange_py.config.declared import OPTIONS
from openchange_py.config.settings import Settings, read
from openchange_py.proxy.hooks import Module
from openchange_py.proxy.stack import Answer, ModuleError, ModuleStack
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.wire.buffer import DecodeError
from tests.proxy.parties import NUMBERS, Number, number_call, status_of


class Recorder(Module):
    """Writes down in which order its hooks ran."""

    name = "recorder"

    def __init__(self, label: str, log: list[str]) -> None:
        self._label, self._log = label, log

    def ndr_pull(self, call: Call) -> None:
        self._log.append(f"{self._label} ndr_pull")

    async def pull(self, call: Call) -> None:
        await asyncio.sleep(0)
        self._log.append(f"{self._label} pull {cast('Number', call.request).value}")

    def dispatch(self, call: Call) -> None:
        self._log.append(f"{self._label} dispatch")

    async def ndr_push(self, call: Call) -> None:
        self._log.append(f"{self._label} ndr_push")

    def push(self, call: Call) -> None:
        self._log.append(f"{self._label} push {cast('Number', call.response).value}")

    def unbind(self, session: Session) -> None:
        self._log.append(f"{self._label} unbind")


def run(stack: ModuleStack, call: Call, answer: int = 42) -> None:
    async def inside(call: Call) -> None:
        call.answer(Number(answer).pack())

    asyncio.run(travel(stack, call, inside))


async def travel(stack: ModuleStack, call: Call, inside: Answer) -> None:
    await stack.around(call.interface.name, inside)(call)


def settings_of(tmp_path: Path) -> Settings:
    (tmp_path / "smb.conf").write_text("")
    return read(tmp_path / "smb.conf", OPTIONS)


def test_a_request_passes_layer_by_layer_and_the_response_back_in_reverse() -> None:
    log: list[str] = []
    run(ModuleStack([Recorder("a", log), Recorder("b", log)]), number_call(21))
    assert log == [
        *("a ndr_pull", "a pull 21", "a dispatch", "b ndr_pull", "b pull 21", "b dispatch"),
        *("b ndr_push", "b push 42", "a ndr_push", "a push 42"),
    ]


def test_what_packs_last_unpacks_first() -> None:
    """Two hops with the same layers the other way round: what leaves the first comes out of the second as it was."""

    class Wrapping(Module):
        def __init__(self, mark: bytes) -> None:
            self._mark = mark

        def ndr_pull(self, call: Call) -> None:
            call.replace_stub(self._mark + call.stub)

        def ndr_push(self, call: Call) -> None:
            call.answer(call.reply_bytes().removeprefix(self._mark))

    class Unwrapping(Wrapping):
        def ndr_pull(self, call: Call) -> None:
            assert call.stub.startswith(self._mark)
            call.replace_stub(call.stub.removeprefix(self._mark))

        def ndr_push(self, call: Call) -> None:
            call.answer(self._mark + call.reply_bytes())

    seen: list[bytes] = []

    async def server(call: Call) -> None:
        seen.append(call.stub)
        call.answer(b"answer")

    near = ModuleStack([Wrapping(b"pack:"), Wrapping(b"seal:")])
    far = ModuleStack([Unwrapping(b"seal:"), Unwrapping(b"pack:")])
    call = number_call(1)
    stub = call.stub
    asyncio.run(travel(near, call, far.around(NUMBERS.name, server)))
    assert (seen, call.reply_bytes()) == ([stub], b"answer")


def test_a_module_sees_only_its_interface() -> None:
    log: list[str] = []

    class Elsewhere(Recorder):
        endpoint = "exchange_nsp"

    class Here(Recorder):
        endpoint = NUMBERS.name

    run(ModuleStack([Elsewhere("elsewhere", log), Here("here", log)]), number_call())
    assert {line.split()[0] for line in log} == {"here"}


def test_nothing_is_decoded_for_modules_that_look_at_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bytes(Module):
        def ndr_pull(self, call: Call) -> None:
            call.replace_stub(call.stub[::-1])

        def ndr_push(self, call: Call) -> None:
            call.answer(call.reply_bytes() * 2)

    def decoded(stub: bytes) -> Number:
        raise AssertionError("decoded in vain")

    monkeypatch.setattr(Number, "unpack", decoded)
    call = number_call(1)
    run(ModuleStack([Bytes(), Module()]), call, 2)
    assert (call.stub.hex(), call.reply_bytes().hex()) == ("00000001", "0200000002000000")


def test_edited_messages_become_bytes() -> None:
    class Editor(Module):
        def pull(self, call: Call) -> None:
            cast("Number", call.request).value += 1
            call.edited_request()

        def push(self, call: Call) -> None:
            cast("Number", call.response).value += 1
            call.edited_response()

    call = number_call(1)
    run(ModuleStack([Editor(), Editor()]), call, 10)
    assert (Number.unpack(call.stub).value, Number.unpack(call.reply_bytes()).value) == (3, 12)


def test_calls_without_codec_skip_the_decoded_hooks() -> None:
    log: list[str] = []
    run(ModuleStack([Recorder("a", log)]), number_call(opnum=1))
    assert log == ["a ndr_pull", "a dispatch", "a ndr_push"]


def test_a_bad_stub_never_gets_past_a_module_that_checks_requests() -> None:
    call = number_call()
    call.replace_stub(b"\x01")
    with pytest.raises(DecodeError):
        run(ModuleStack([Recorder("a", [])]), call)


def test_a_response_that_does_not_decode_travels_as_it_came(caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []

    class Short(Module):
        def ndr_push(self, call: Call) -> None:
            call.answer(b"\x01")

    call = number_call()
    run(ModuleStack([Recorder("a", log), Short()]), call)
    assert call.reply_bytes() == b"\x01"
    assert log[-1] == "a ndr_push"
    assert "response to Double passes the modules undecoded" in caplog.text


def test_a_module_that_answers_hides_the_call_from_those_inside() -> None:
    log: list[str] = []

    class Answering(Module):
        def dispatch(self, call: Call) -> None:
            call.norelay = True
            call.response = Number(7)

    call = number_call(21)
    run(ModuleStack([Recorder("a", log), Answering(), Recorder("b", log)]), call)
    assert log == ["a ndr_pull", "a pull 21", "a dispatch", "a ndr_push", "a push 7"]
    assert call.norelay, "who is outside can tell that nobody was asked"


def test_ahead_answers_again_from_inside_of_the_module() -> None:
    log: list[str] = []
    seen: list[int] = []

    class Ahead(Module):
        def dispatch(self, call: Call) -> None:
            seen.append(0 if call.response is None else cast("Number", call.response).value)
            call.ahead = len(seen) < 3

    run(ModuleStack([Recorder("a", log), Ahead(), Recorder("b", log)]), number_call(21))
    assert seen == [0, 42, 42]
    assert [line for line in log if line.startswith("a")] == [
        "a ndr_pull",
        "a pull 21",
        "a dispatch",
        "a ndr_push",
        "a push 42",
    ]
    assert log.count("b push 42") == 3


def test_a_module_that_is_never_done_is_stopped() -> None:
    class Stuck(Module):
        name = "stuck"

        def dispatch(self, call: Call) -> None:
            call.ahead = True

    with pytest.raises(RpcFault, match="module stuck dispatched ahead 1000 times"):
        run(ModuleStack([Stuck()]), number_call())


def test_a_module_may_ask_those_inside_itself() -> None:
    log: list[str] = []
    answers: list[int] = []

    class Asking(Module):
        async def dispatch(self, call: Call) -> None:
            other = number_call(5, session=call.session)
            await self.forward(other)
            answers.append(Number.unpack(other.reply_bytes()).value)

    run(ModuleStack([Recorder("a", log), Asking(), Recorder("b", log)]), number_call(21))
    assert answers == [42]
    assert [line for line in log if line.endswith(("pull 5", "pull 21"))] == ["a pull 21", "b pull 5", "b pull 21"]


def test_faults_reach_the_modules_outside_of_them() -> None:
    log: list[str] = []

    class Watching(Module):
        def __init__(self, label: str) -> None:
            self._label = label

        async def fault(self, call: Call, fault: RpcFault) -> None:
            log.append(f"{self._label} {fault.status:#x}")

    class Failing(Module):
        def dispatch(self, call: Call) -> None:
            raise RpcFault(0x1234)

    with pytest.raises(RpcFault):
        run(ModuleStack([Watching("a"), Failing(), Watching("b")]), number_call())
    assert log == ["a 0x1234"]


def test_close_reaches_every_module(caplog: pytest.LogCaptureFixture) -> None:
    closed: list[str] = []

    class Closing(Module):
        name = "closing"

        def close(self) -> None:
            closed.append(self.name)
            raise ZeroDivisionError("a bug")

    asyncio.run(ModuleStack([Closing(), Closing()]).close())
    assert closed == ["closing", "closing"]
    assert "module closing failed in close" in caplog.text


@pytest.mark.parametrize("hook", ["ndr_pull", "pull", "dispatch", "ndr_push", "push"])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ZeroDivisionError("a bug"), FaultStatus.UNSPECIFIED),
        (DecodeError("odd bytes"), FaultStatus.BAD_STUB_DATA),
        (RpcFault(0x1234), 0x1234),
    ],
)
def test_a_module_that_raises_answers_that_call(
    hook: str, error: Exception, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: Module, call: Call) -> None:
        raise error

    broken: Any = type("Broken", (Module,), {"name": "broken", hook: fail})
    caplog.set_level(logging.INFO)
    with pytest.raises(RpcFault) as caught:
        run(ModuleStack([broken()]), number_call())
    assert status_of(caught) == status
    assert "module broken" in caplog.text


def test_unbind_reaches_every_module(caplog: pytest.LogCaptureFixture) -> None:
    log: list[str] = []

    class Broken(Module):
        name = "broken"

        async def unbind(self, session: Session) -> None:
            raise ZeroDivisionError("a bug")

    asyncio.run(ModuleStack([Broken(), Recorder("b", log)]).unbind(Session("test", "client")))
    assert log == ["b unbind"]
    assert "module broken failed in unbind" in caplog.text


def test_init_may_refuse_to_start(tmp_path: Path) -> None:
    class Picky(Module):
        name = "picky"

        async def init(self, settings: Settings) -> None:
            raise ValueError("no cache directory")

    with pytest.raises(ModuleError, match="module picky: no cache directory"):
        asyncio.run(ModuleStack([Module(), Picky()]).init(settings_of(tmp_path)))

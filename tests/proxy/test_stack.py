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
from openchange_py.proxy.stack import ModuleError, ModuleStack
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
    async def travel() -> None:
        hooks = stack.hooks(call.interface.name)
        await hooks.request_side(call)
        await hooks.dispatch_side(call)
        call.answer(Number(answer).pack())
        await hooks.response_side(call)

    asyncio.run(travel())


def settings_of(tmp_path: Path) -> Settings:
    (tmp_path / "smb.conf").write_text("")
    return read(tmp_path / "smb.conf", OPTIONS)


def test_requests_pass_in_order_and_responses_in_reverse() -> None:
    log: list[str] = []
    run(ModuleStack([Recorder("a", log), Recorder("b", log)]), number_call(21))
    assert log == [
        *("a ndr_pull", "b ndr_pull", "a pull 21", "b pull 21", "a dispatch", "b dispatch"),
        *("b ndr_push", "a ndr_push", "b push 42", "a push 42"),
    ]


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


def test_the_first_module_that_answers_ends_dispatch() -> None:
    log: list[str] = []

    class Answering(Module):
        def dispatch(self, call: Call) -> None:
            call.norelay = True

    run(ModuleStack([Answering(), Recorder("b", log)]), number_call())
    assert "b dispatch" not in log
    assert "b push 42" in log


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

"""The module to copy."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from openchange_py.config import OPTIONS
from openchange_py.config.settings import read
from openchange_py.proxy.dispatcher import Dispatcher
from openchange_py.proxy.hooks import Module
from openchange_py.proxy.modules.dummy import LABEL, DummyModule
from openchange_py.proxy.stack import ModuleStack
from openchange_py.rpc.call import Session
from tests.proxy.parties import NUMBERS, Doubler, Number, number_call

HOOKS = ["init", "ndr_pull", "pull", "dispatch", "ndr_push", "push", "unbind"]


def test_it_shows_every_hook() -> None:
    for hook in HOOKS:
        assert hook in DummyModule.__dict__
        assert DummyModule.__dict__[hook].__doc__
    assert [name for name in vars(Module) if name in HOOKS] == HOOKS


def test_it_changes_nothing_and_logs_what_passes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "openchange_py.proxy.modules.dummy")
    (tmp_path / "smb.conf").write_text("mpm_dummy:label = watched")
    settings = read(tmp_path / "smb.conf", (*OPTIONS, LABEL))
    module, session = DummyModule(), Session("test", "client")
    dispatcher = Dispatcher({NUMBERS.name: Doubler()}, ModuleStack([module]))

    async def two_calls() -> list[int]:
        await dispatcher.stack.init(settings)
        replies = [await dispatcher.handle(number_call(n, session=session)) for n in (1, 2)]
        await dispatcher.unbind(session)
        return [Number.unpack(reply).value for reply in replies]

    assert asyncio.run(two_calls()) == [2, 4]
    dispatcher.close()
    lines = [record.getMessage() for record in caplog.records]
    assert lines[:5] == [
        "watched: ndr_pull Double: 4 bytes",
        "watched: pull Number",
        f"watched: dispatch Double, call 1 of {session}",
        "watched: ndr_push Double: 4 bytes",
        "watched: push Number",
    ]
    assert lines[-1] == f"watched: unbind {session} after 2 calls"
    assert module not in session.state

"""The session API of modules."""

from __future__ import annotations

import asyncio

import pytest

from openchange_py.proxy.hooks import Module
from openchange_py.proxy.session import ModuleSession
from openchange_py.proxy.stack import ModuleStack
from openchange_py.rpc.call import Call, Session
from openchange_py.wire.oxnspi import NSPI
from tests.proxy.parties import number_call


def test_each_module_has_its_own_per_client_session_and_interface() -> None:
    one, other = Module(), Module()
    session = Session("test", "client")
    call, again = number_call(session=session), number_call(session=session)
    kept = one.session(call)
    kept.data = "mine"
    assert one.session(again) is kept
    assert other.session(call).data is None
    assert one.session(number_call()).data is None
    assert one.session(Call(NSPI, 0, b"", session)).data is None


def test_matches_compares_session_and_interface() -> None:
    session = Session("test", "client")
    kept = ModuleSession.of(number_call(session=session), "owner")
    assert kept.matches(number_call(session=session))
    assert not kept.matches(number_call())
    assert not kept.matches(Call(NSPI, 0, b"", session))


def test_the_destructor_runs_once_however_the_session_ends() -> None:
    ended: list[str] = []
    module, session = Module(), Session("test", "client")
    call = number_call(session=session)
    early, late = module.session(call), ModuleSession.of(call, "another owner")
    early.data, early.destructor = "early", ended.append
    late.data, late.destructor = "late", ended.append
    early.release()
    early.release()
    assert ended == ["early"]
    assert module.session(call) is not early, "a later call begins anew"
    asyncio.run(ModuleStack([module]).unbind(session))
    assert ended == ["early", "late"]
    asyncio.run(ModuleStack([module]).unbind(session))
    assert ended == ["early", "late"]


def test_a_destructor_that_fails_keeps_none_from_theirs(caplog: pytest.LogCaptureFixture) -> None:
    ended: list[str] = []
    session = Session("test", "client")
    call = number_call(session=session)
    broken, fine = ModuleSession.of(call, "broken"), ModuleSession.of(call, "fine")
    broken.destructor = lambda _: ended.append(1 / 0)  # type: ignore[arg-type]
    fine.destructor = lambda _: ended.append("fine")
    asyncio.run(ModuleStack().unbind(session))
    assert ended == ["fine"]
    assert "a destructor of str failed" in caplog.text

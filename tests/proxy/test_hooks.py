"""The module base class: every hook documented, none of them in the way."""

from __future__ import annotations

import pytest

from openchange_py.proxy.hooks import ANY, Module
from tests.proxy.parties import number_call

CALL_HOOKS = ["ndr_pull", "pull", "dispatch", "ndr_push", "push"]


@pytest.mark.parametrize("name", ["init", *CALL_HOOKS, "unbind"])
def test_every_hook_documents_itself(name: str) -> None:
    documentation = getattr(Module, name).__doc__
    assert documentation
    assert len(documentation) > 40


@pytest.mark.parametrize("name", CALL_HOOKS)
def test_a_module_without_hooks_changes_nothing(name: str) -> None:
    call = number_call()
    before = call.stub, call.reply, call.norelay, call.ahead
    assert getattr(Module(), name)(call) is None
    assert (call.stub, call.reply, call.norelay, call.ahead) == before
    assert Module.endpoint == ANY

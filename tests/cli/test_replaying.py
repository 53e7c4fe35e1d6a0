"""Captures of a real client and another server, sent to this one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from openchange_py.cli.replaying import Replayed, Replayer
from openchange_py.proxy.recording import read_recording
from tests.conftest import shared_path
from tests.node import running_node


def replayed(name: str, place: Path) -> list[Replayed]:
    async def scenario() -> list[Replayed]:
        async with running_node(place) as node:
            recording = read_recording(shared_path(f"wire/{name}"))
            return await Replayer(node.connector(), node.entry("alice").legacy_exchange_dn, recording).run()

    return asyncio.run(scenario())


def test_a_capture_of_libmapi_against_gromox(tmp_path: Path) -> None:
    """It lists folders. The names of its user are replaced, and so are the handles and folder ids of its server."""
    done = replayed("calls-folders-tcp-connect-2010.jsonl", tmp_path)
    by_call: dict[str, list[Replayed]] = {}
    for one in done:
        by_call.setdefault(one.call, []).append(one)
    assert all(one.agrees for name in ("NspiBind", "NspiUnbind", "EcDoConnectEx") for one in by_call[name])
    assert not any(one.left_out for one in done)
    rops = by_call["EcDoRpcExt2"]
    agreeing = sum(one.agrees for one in rops)
    assert agreeing > len(rops) // 2, [one for one in rops if not one.agrees][:5]


def test_what_is_not_answered_as_it_was_is_told_by_rop(tmp_path: Path) -> None:
    """gromox' mailbox has mail, alice's has none."""
    done = replayed("calls-fetchmail-tcp-connect-2003.jsonl", tmp_path)
    differences = [text for one in done for text in one.differences]
    assert all(text.startswith("expected ") for text in differences)
    assert any("Rop" in text for text in differences)

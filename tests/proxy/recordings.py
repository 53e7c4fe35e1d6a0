"""Recorded calls of real clients, as calls of this project."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from openchange_py.wire.ndr import RpcInterface
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxcrpc import ASYNCEMSMDB, EMSMDB
from openchange_py.wire.oxnspi import NSPI
from tests.conftest import json_lines, shared_path

_INTERFACES = {str(interface.syntax.uuid): interface for interface in (EMSMDB, ASYNCEMSMDB, NSPI, RFR)}


@dataclasses.dataclass(frozen=True)
class Recorded:
    """One call and its answer; `reply` is None where there was none, or a fault."""

    interface: RpcInterface
    opnum: int
    stub: bytes
    reply: bytes | None


def recorded_calls(name: str) -> Iterator[Recorded]:
    """The calls of the Exchange interfaces in one recording, in order."""
    for record in json_lines(shared_path(f"wire/{name}")):
        interface = _INTERFACES.get(record["interface_uuid"])
        if interface is not None:
            answered = not record.get("no_response") and not record["fault"]
            reply = bytes.fromhex(record["response_stub_hex"]) if answered else None
            yield Recorded(interface, record["opnum"], bytes.fromhex(record["request_stub_hex"]), reply)

"""Big-endian stubs become little-endian ones."""

from __future__ import annotations

import struct
import uuid
from typing import Any

import pytest

from openchange_py.rpc.call import FaultStatus, RpcFault
from openchange_py.rpc.representation import little_endian
from openchange_py.wire import oxnspi_types
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.epm import EPMAPPER, EPT_INSERT
from openchange_py.wire.mgmt import MGMT, InqPrincNameRequest
from openchange_py.wire.ndr import NdrWriter, RpcInterface
from openchange_py.wire.oxabref import RFR
from openchange_py.wire.oxcrpc import EMSMDB
from openchange_py.wire.oxnspi import NSPI
from tests.conftest import json_lines, shared_path


def test_a_stub_is_made_anew() -> None:
    assert little_endian(MGMT, 4, struct.pack(">II", 10, 300)) == InqPrincNameRequest(10, 300).pack()
    assert (
        little_endian(MGMT, 4, struct.pack(">II", 10, 300) + b"tail") == InqPrincNameRequest(10, 300).pack() + b"tail"
    )


def test_strings_and_numbers_of_a_real_call() -> None:
    """RfrGetNewDSA ([MS-OXABREF] 3.1.4.1): flags, a DN, and two null pointers."""
    dn = b"/o=x/cn=alice\0"
    padding = bytes(-len(dn) % 4)
    stubs = [
        struct.pack(order + "I", 7) + struct.pack(order + "III", len(dn), 0, len(dn)) + dn + padding + bytes(8)
        for order in "><"
    ]
    assert stubs[0] != stubs[1]
    assert little_endian(RFR, 0, stubs[0]) == stubs[1]


def test_what_can_not_be_read_is_refused() -> None:
    with pytest.raises(DecodeError):
        little_endian(MGMT, 4, b"\0\0")
    with pytest.raises(RpcFault) as caught:
        little_endian(EPMAPPER, EPT_INSERT, b"\0\0\0\1")
    assert caught.value.status == FaultStatus.CANNOT_SUPPORT


def test_an_operation_that_is_not_there_is_somebody_else_s_answer() -> None:
    assert little_endian(MGMT, 99, b"\0\1") == b"\0\1"
    assert little_endian(EPMAPPER, EPT_INSERT, b"") == b""


class BigEndianWriter(NdrWriter):
    """Writes what a big-endian client sends."""

    def fixed(self, layout: struct.Struct, *values: int) -> None:
        super().fixed(struct.Struct(">" + layout.format.lstrip("<")), *values)

    def guid(self, value: uuid.UUID) -> None:
        self.align(4)
        self += value.bytes

    def wchar_string(self, value: str) -> None:
        raw = value.encode("utf-16-be", "surrogatepass") + b"\0\0"
        self.fixed_counts(len(raw) // 2)
        self += raw


@pytest.mark.parametrize("interface", [NSPI, EMSMDB, RFR, EPMAPPER], ids=lambda interface: interface.name)
def test_recorded_requests_as_a_big_endian_client_would_send_them(
    interface: RpcInterface, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_deferred = oxnspi_types._write_deferred  # has a short cut for strings, of our own byte order

    def write(writer: NdrWriter, deferred: list[tuple[int, Any]]) -> None:
        for kind, value in deferred:
            writer.wchar_string(value) if kind == 0x1F else write_deferred(writer, [(kind, value)])

    monkeypatch.setattr(oxnspi_types, "_write_deferred", write)
    count = 0
    for path in sorted(shared_path("wire").glob("calls-*.jsonl*")):
        for call in json_lines(path):
            method = interface.methods.get(call["opnum"])
            stub = bytes.fromhex(call["request_stub_hex"] or "")
            if call["interface_uuid"] != str(interface.syntax.uuid) or method is None or method.request is None:
                continue
            request = method.request.unpack(stub)
            if request.pack() != stub:
                continue
            writer = BigEndianWriter(request.referents)
            request.write(writer)
            writer += getattr(request, "padding", b"") + getattr(request, "tail", b"")
            assert bytes(writer) != stub
            assert little_endian(interface, call["opnum"], bytes(writer)) == stub, method.name
            count += 1
    assert count > 10

"""What every document's ROPs are tested for."""

from __future__ import annotations

from openchange_py.wire.buffer import DecodeError, Reader
from openchange_py.wire.rop.base import FAILURES, REQUESTS, RESPONSES, Rop
from openchange_py.wire.rop.context import HandleStates, RopContext

Example = tuple[str, Rop]


def check_example(text: str, rop: Rop) -> None:
    """The bytes are read as the ROP, and the ROP is written as the bytes."""
    data = bytes.fromhex(text)
    assert type(rop).unpack(data) == rop
    assert rop.pack().hex() == data.hex()


def check_truncations(text: str, rop: Rop) -> None:
    """Cut off anywhere, it is an error, or a shorter ROP whose bytes are exactly these."""
    data = bytes.fromhex(text)
    for end in range(len(data)):
        try:
            value = type(rop).unpack(data[:end])
        except DecodeError:
            continue
        assert value.pack() == data[:end]


def check_garbage(module: str, data: bytes) -> None:
    """Whatever stands behind a RopId, it is an error, or a ROP that is written as the very bytes it was read from."""
    for kind in (*REQUESTS.values(), *RESPONSES.values(), *FAILURES.values()):
        if kind.__module__ != f"openchange_py.wire.rop.{module}":
            continue
        reader = Reader(data)
        try:
            rop = kind.read_in(reader, RopContext(HandleStates()))
        except DecodeError:
            continue
        assert rop.pack()[1:] == data[: reader.pos], kind.__name__

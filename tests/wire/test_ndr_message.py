import uuid
from typing import Annotated

import pytest

from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import ContextHandle, RpcMessage
from openchange_py.wire.ndr_message import CharString, Dword, Handle, Long, TailedMessage, Unique, long, ndr_message


@ndr_message
class Sample(RpcMessage):
    h_rpc: Handle
    name: CharString
    flags: Dword
    delta: Annotated[int | None, Unique(long)] = None


@ndr_message
class Tailed(TailedMessage):
    number: Long


HANDLE = ContextHandle(1, uuid.UUID("9c6490e5-f001-4c47-ba18-010000009af2"))


def test_parameters_stand_in_declared_order_each_at_its_alignment() -> None:
    assert Sample(HANDLE, b"ab", 7, -2).pack().hex() == (
        "01000000" + "e590649c01f0474cba18010000009af2"
        "03000000" + "00000000" + "03000000" + "616200" + "00"
        "07000000" + "00000200" + "feffffff"
    )


def test_a_null_pointer_is_none() -> None:
    assert Sample.unpack(Sample(HANDLE, b"", 0).pack()) == Sample(HANDLE, b"", 0, None)


def test_an_error_names_the_parameter() -> None:
    with pytest.raises(DecodeError, match="name"):
        Sample.unpack(Sample(HANDLE, b"ab", 7).pack()[:26])


def test_the_referents_of_a_decoded_stub_are_kept() -> None:
    stub = Sample(HANDLE, b"ab", 7, -2).pack().replace(bytes.fromhex("00000200"), bytes.fromhex("efbeadde"))
    assert Sample.unpack(stub).pack() == stub


def test_bytes_behind_the_parameters_are_an_error() -> None:
    with pytest.raises(DecodeError, match="4 bytes left over"):
        Sample.unpack(Sample(HANDLE, b"ab", 7, 1).pack() + bytes(4))


def test_a_tailed_request_keeps_the_bytes_behind_its_parameters() -> None:
    message = Tailed.unpack(bytes.fromhex("01000000" + "cafe"))
    assert message.number == 1
    assert message.pack() == bytes.fromhex("01000000" + "cafe")


def test_a_message_made_here_has_no_tail() -> None:
    assert Tailed(-1).pack() == b"\xff\xff\xff\xff"


def test_a_parameter_without_layout_is_refused() -> None:
    with pytest.raises(TypeError, match="has no layout"):

        @ndr_message
        class Wrong(RpcMessage):
            number: int

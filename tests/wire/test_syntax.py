"""Syntax identifiers and the features that hide in one."""

from __future__ import annotations

import uuid

import pytest

from openchange_py.wire.buffer import EncodeError
from openchange_py.wire.ndr import NDR20, SyntaxId
from openchange_py.wire.syntax import NDR64, bind_time_features, read_syntax_id, write_syntax_id


def test_ndr20_as_it_stands_in_every_bind() -> None:
    golden = bytes.fromhex("045d888aeb1cc9119fe808002b10486002000000")
    assert write_syntax_id(NDR20) == golden
    assert read_syntax_id(b"xx" + golden, 2) == NDR20


def test_a_version_beyond_16_bits_is_our_mistake() -> None:
    with pytest.raises(EncodeError):
        write_syntax_id(SyntaxId(NDR20.uuid, 70000, 0))


def test_bind_time_features_of_libmapi() -> None:
    # binds-libmapi.jsonl: 2c1cb76c12984045 0300000000000000, version 1.0
    offered = read_syntax_id(bytes.fromhex("2c1cb76c12984045030000000000000001000000"), 0)
    assert bind_time_features(offered) == 3
    assert bind_time_features(NDR64) is None
    assert bind_time_features(SyntaxId(offered.uuid, 2, 0)) is None
    assert bind_time_features(SyntaxId(uuid.UUID(int=0), 1, 0)) is None

"""MAPI over HTTP's bodies: recorded requests and responses byte for byte, and the meta-tags around them."""

from __future__ import annotations

import collections
import contextlib
from typing import Any

import pytest

from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.codecs import Structure
from openchange_py.wire.oxcmapihttp import (
    MAILBOX_TYPES,
    ConnectRequest,
    ConnectResponse,
    ExecuteRequest,
    FailureResponse,
    NotificationWaitResponse,
    pack_answer,
    split_answer,
)
from openchange_py.wire.oxcmapihttp_nspi import ADDRESS_BOOK_TYPES, SPELLINGS
from tests.conftest import json_lines, shared_path

FILES = ("mapihttp-nspi.jsonl", "mapihttp-probe.jsonl.gz", "mapihttp-probe-compressed.jsonl.gz", "mapihttp-ruler.jsonl")


def bodies() -> list[tuple[str, str, type[Structure], bytes, bool]]:
    """Request type, direction, codec, bytes, and whether the server took the request."""
    found = []
    for name in FILES:
        for recorded in json_lines(shared_path(f"wire/{name}")):
            kind = recorded.get("request_type") or ""
            types = MAILBOX_TYPES if "/emsmdb" in recorded["path"] else ADDRESS_BOOK_TYPES
            codecs = types.get(SPELLINGS.get(kind.lower(), kind))
            if recorded["transport"] != "mapihttp" or codecs is None:
                continue
            headers = {name.lower(): value for name, value in recorded["response_headers"]}
            taken = recorded["status_line"].split()[1] == "200" and headers.get("x-responsecode") == "0"
            found.append((kind, "request", codecs[0], bytes.fromhex(recorded["request_body_hex"]), taken))
            if taken:
                body = split_answer(bytes.fromhex(recorded["response_body_hex"]))[1]
                found.append((kind, "response", codecs[1], body, True))
    return found


def test_every_recorded_body_is_packed_to_the_same_bytes() -> None:
    seen: collections.Counter[tuple[str, str]] = collections.Counter()
    differing = []
    for kind, direction, codec, data, taken in bodies():
        try:
            same = codec.unpack(data).pack() == data
        except DecodeError:
            assert not taken, (kind, direction, data.hex())
            continue
        if same:
            seen[kind, direction] += 1
        elif taken:
            differing.append((kind, direction, data[-14:].hex()))
    # gromox says of a row without columns that there are errors among its values.
    assert differing == [
        ("QueryRows", "response", "0000000002000000010100000000"),
        ("ResolveNames", "response", "ff00000000010000000100000000"),
    ]
    assert seen["Execute", "request"] == 307
    assert seen["Execute", "response"] == 305
    missing = {*MAILBOX_TYPES, *ADDRESS_BOOK_TYPES} - {SPELLINGS.get(kind.lower(), kind) for kind, _ in seen}
    assert not missing


def test_fields_of_a_recorded_connect() -> None:
    (request, response, *_) = [
        codec.unpack(data) for kind, _, codec, data, taken in bodies() if kind == "Connect" and taken
    ]
    assert isinstance(request, ConnectRequest)
    assert request.user_dn.startswith(b"/o=Gromox default/ou=Exchange Administrative Group")
    assert (request.default_code_page, request.lcid_sort, request.lcid_string) == (1252, 1033, 1033)
    assert isinstance(response, ConnectResponse)
    assert (response.polls_max, response.retry_count, response.retry_delay) == (60_000, 6, 10_000)
    assert (response.error_code, response.display_name) == (0, "User One")


def test_field_order_of_the_small_ones() -> None:
    """[MS-OXCMAPIHTTP] 2.2.4.2.1, 2.2.4.4.2, 2.2.4.1.3."""
    assert ExecuteRequest(3, b"rop", 7, b"ax").pack() == bytes.fromhex("0300000003000000726f700700000002000000") + b"ax"
    assert NotificationWaitResponse(0, 5, 1).pack() == bytes.fromhex("00000000050000000100000000000000")
    assert FailureResponse(9).pack() == bytes.fromhex("0900000000000000")


def test_what_ends_a_response() -> None:
    answer = pack_answer(b"\0body\r\n\r\n", [("X-ElapsedTime", "5"), ("X-ResponseCode", "10")])
    assert answer == b"DONE\r\nX-ElapsedTime: 5\r\nX-ResponseCode: 10\r\n\r\n\0body\r\n\r\n"
    for before in (b"", b"PROCESSING\r\n", b"PROCESSING\r\nPENDING\r\nPENDING\r\n"):
        fields, body = split_answer(before + answer)
        assert fields == {"x-elapsedtime": "5", "x-responsecode": "10"}
        assert body == b"\0body\r\n\r\n"


@pytest.mark.parametrize(
    "data", [b"", b"PROCESSING\r\n", b"DONE\r\n", b"DONE\r\nX: 1\r\n", b"PENDING\r\nPROCESSING\r\n"]
)
def test_what_is_no_response(data: bytes) -> None:
    with pytest.raises(DecodeError):
        split_answer(data)


def test_garbage() -> None:
    kinds: list[Any] = [codec for pair in (*MAILBOX_TYPES.values(), *ADDRESS_BOOK_TYPES.values()) for codec in pair]
    for codec in kinds:
        for data in (b"", b"\xff" * 40, b"\0" * 7, b"\1" * 100):
            with contextlib.suppress(DecodeError):
                codec.unpack(data)

"""MAPI over HTTP: what stands in heads, and which response code tells what is wrong there."""

from __future__ import annotations

import pytest

from openchange_py.wire.oxcmapihttp import (
    ConnectRequest,
    ExecuteRequest,
    ResponseCode,
)
from tests.transports.mapi_parties import MapiClient, mapi_serving
from tests.transports.serving import run


def execute(data: bytes) -> ExecuteRequest:
    return ExecuteRequest(3, data, 0x8000, b"")


def test_cookies_of_every_answer_have_a_new_sequence() -> None:
    async def main() -> None:
        async with mapi_serving() as serving, serving.client() as client:
            outlook, seen = MapiClient(), set()
            await outlook.connect(client)
            for _ in range(3):
                answer = await outlook.ask(client, "Execute", execute(b"x"))
                seen.add(outlook.cookies["MapiSequence"])
            assert len(seen) == 3
            assert answer.fields["set-cookie"].endswith("; Path=/mapi/emsmdb; HttpOnly; Secure")

    run(main)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"X_RequestType": None}, ResponseCode.MissingHeader),
        ({"X_RequestId": None}, ResponseCode.MissingHeader),
        ({"Content_Type": None}, ResponseCode.MissingHeader),
        ({"X_ClientApplication": None}, ResponseCode.MissingHeader),
        ({"Content_Type": "text/plain"}, ResponseCode.InvalidHeader),
        ({"X_RequestId": "7"}, ResponseCode.InvalidHeader),
        ({"X_ClientApplication": "Outlook"}, ResponseCode.InvalidHeader),
        ({"X_ClientApplication": "Outlook/1.2.99999.1"}, ResponseCode.InvalidHeader),
        ({"X_ClientInfo": "a" * 2000}, ResponseCode.InvalidHeader),
        ({"X_RequestType": "Bogus"}, ResponseCode.InvalidRequestType),
        ({"X_RequestType": "GetProps"}, ResponseCode.InvalidRequestType),
        ({"X_RequestType": "Execute"}, ResponseCode.MissingCookie),
        ({"X_RequestType": "Execute", "Cookie": "MapiContext=abc"}, ResponseCode.ContextNotFound),
        ({"X_RequestType": "Execute", "Cookie": "MapiContext=a b"}, ResponseCode.InvalidContextCookie),
        ({"X_RequestType": "Execute", "Cookie": "MapiContext=" + "a" * 500}, ResponseCode.InvalidContextCookie),
        ({"Content_Length": "8388608", "Expect": "100-continue"}, ResponseCode.TooLarge),
        ({"X_ClientInfo": None}, ResponseCode.Success),
        ({"X_RequestType": "cOnNeCt"}, ResponseCode.Success),
        ({"Content_Type": "Application/MAPI-HTTP; charset=x"}, ResponseCode.Success),
    ],
    ids=lambda value: str(value)[:60],
)
def test_heads_and_their_response_codes(changed: dict[str, str | None], code: ResponseCode) -> None:
    async def main() -> None:
        async with mapi_serving() as serving, serving.client() as client:
            body = ConnectRequest(b"/o=alice", 0, 1252, 1033, 1033)
            answer = await MapiClient().ask(client, "Connect", body, **changed)
            assert (answer.status, answer.code) == (200, code), answer.raw
            if code:
                assert answer.fields["content-type"].startswith("text/html")
                assert code.name.encode() in answer.raw
            if changed.get("X_RequestType"):
                assert answer.fields["x-requesttype"] == changed["X_RequestType"]

    run(main)


def test_methods_and_paths() -> None:
    async def main() -> None:
        async with mapi_serving() as serving, serving.client() as client:
            outlook = MapiClient()
            for method, path, code in (("GET", "", 2), ("PUT", "", 2), ("POST", "/below", 3)):
                text = outlook.message("PING").decode().replace("POST /mapi/emsmdb/?", f"{method} /mapi/emsmdb{path}?")
                client.send(text)
                assert (await outlook.answer(client)).code == code
            text = outlook.message("PING").decode().replace("POST", "OPTIONS")
            status, fields, _ = await client.answer(text)
            assert (status, fields["allow"]) == (200, "POST, OPTIONS")
            text = outlook.message("PING").decode().replace("POST ", "POST http://mail.example.test")
            client.send(text)
            assert (await outlook.answer(client)).code == 0

    run(main)


def test_what_a_client_says_of_itself_comes_back_and_nothing_else() -> None:
    """h11 takes no line end in a field; quotes and markup in it must be no markup in the page either."""

    async def main() -> None:
        async with mapi_serving() as serving, serving.client() as client:
            answer = await MapiClient().ask(client, "<script>", X_ClientInfo="\"'<b>")
            assert answer.code == ResponseCode.InvalidRequestType
            assert answer.fields["x-clientinfo"] == "\"'<b>"
            assert b"<script>" not in answer.raw

    run(main)


def test_the_examples_of_the_document() -> None:
    """[MS-OXCMAPIHTTP] 4.1 and 4.2, which are templates: these fields, the meta-tags, and what stands behind DONE."""

    async def main() -> None:
        async with mapi_serving() as serving, serving.client() as client:
            outlook = MapiClient()
            connect = await outlook.ask(client, "Connect", ConnectRequest(b"/o=alice", 0, 1252, 1033, 1033))
            answers = connect, await outlook.ask(client, "Execute", ExecuteRequest(3, b"rops", 0x8000, b""))
            assert set(outlook.cookies) == {"MapiContext", "MapiSequence"}
            for kind, answer in zip(("Connect", "Execute"), answers, strict=True):
                assert answer.fields["content-type"] == "application/mapi-http"
                assert answer.fields["x-requesttype"] == kind
                assert answer.fields["x-responsecode"] == "0"
                told = {"set-cookie", "x-pendingperiod", "x-requestid", "x-clientinfo", "x-expirationinfo"}
                assert told | {"x-serverapplication"} <= set(answer.fields)
                assert answer.raw.startswith(b"PROCESSING\r\nDONE\r\nX-ResponseCode: 0\r\nX-ElapsedTime: ")
                assert list(answer.late) == ["x-responsecode", "x-elapsedtime", "x-starttime"]

    run(main)

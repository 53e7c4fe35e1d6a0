"""Autodiscover's second version."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from openchange_py.servers.autodiscover.json_v2 import answer
from openchange_py.servers.autodiscover.settings import Offer
from tests.servers.autodiscover.conftest import OFFER

XML = "https://mail.example.test/autodiscover/autodiscover.xml"


def ask(path: str, query: str, offer: Offer = OFFER) -> tuple[int, Any]:
    status, body = answer(offer, path, query)
    return status, json.loads(body)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("", "Email=alice%40example.test&Protocol=AutodiscoverV1&RedirectCount=1"),
        ("", "protocol=autodiscoverv1&email=alice@example.test"),
        ("/v1.0/alice@example.test", "Protocol=AutodiscoverV1"),
        ("/V1.0/alice@example.test/", "Protocol=AutodiscoverV1"),
    ],
)
def test_where_the_xml_is(path: str, query: str) -> None:
    assert ask(path, query) == (200, {"Protocol": "AutodiscoverV1", "Url": XML})


def test_the_answer_does_not_tell_who_exists() -> None:
    """Nobody is authenticated."""
    assert ask("", "Email=nobody@else.test&Protocol=AutodiscoverV1") == (
        200,
        {"Protocol": "AutodiscoverV1", "Url": XML},
    )


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        ("", "", 400, "MandatoryParameterMissing"),
        ("", "Email=alice&Protocol=AutodiscoverV1", 400, "MandatoryParameterMissing"),
        ("", "Email=alice@example.test", 400, "MandatoryParameterMissing"),
        ("", "Email=alice@example.test&Protocol=EWS", 400, "InvalidProtocol"),
        ("", "Email=alice@example.test&Protocol=ActiveSync", 400, "InvalidProtocol"),
        ("/v2.0/alice@example.test", "Protocol=AutodiscoverV1", 404, "InvalidRequest"),
        ("", "Email=alice@example.test&Protocol=AutodiscoverV1" + "&x=y" * 100_000, 400, "MandatoryParameterMissing"),
        ("", "Email=%FF%00@x&Protocol=<script>", 400, "MandatoryParameterMissing"),
    ],
    ids=range(8),
)
def test_errors(path: str, query: str, status: int, code: str) -> None:
    answered = ask(path, query)
    assert (answered[0], answered[1]["ErrorCode"]) == (status, code)
    assert answered[1]["ErrorMessage"]


def test_an_active_sync_server_is_told_where_one_is_configured() -> None:
    offer = dataclasses.replace(OFFER, activesync_url="https://eas.example.test/x")
    told = ask("", "Email=alice@example.test&Protocol=ActiveSync", offer)
    assert told == (200, {"Protocol": "ActiveSync", "Url": "https://eas.example.test/x"})
    message = ask("", "Email=alice@example.test&Protocol=Rest", offer)[1]["ErrorMessage"]
    assert "AutodiscoverV1,ActiveSync" in message

"""`%` substitutions."""

from __future__ import annotations

import os
import socket

import pytest

from openchange_py import __version__
from openchange_py.config.substitution import substitute

NAMES = {"L": "NODE", "D": "EXAMPLE"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("%L.%D", "NODE.EXAMPLE"),
        ("%h", socket.gethostname()),
        ("%v", __version__),
        ("100%%", "100%"),
        ("%%L", "%L"),
        ("%u %m %I %", "%u %m %I %"),
        ("/srv/%$(OCPY_TEST_NAME)/%L", "/srv/a value/NODE"),
    ],
)
def test_substitutions(monkeypatch: pytest.MonkeyPatch, text: str, result: str) -> None:
    monkeypatch.setenv("OCPY_TEST_NAME", "a value")
    assert substitute(text, NAMES.__getitem__) == result


def test_the_process_id() -> None:
    assert substitute("log.%d", NAMES.__getitem__) == f"log.{os.getpid()}"


def test_what_is_filled_in_is_not_substituted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCPY_TEST_NAME", "%L")
    assert substitute("%$(OCPY_TEST_NAME)", NAMES.__getitem__) == "%L"


def test_missing_environment_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OCPY_TEST_NAME", raising=False)
    with pytest.raises(LookupError, match="OCPY_TEST_NAME is not set"):
        substitute("%$(OCPY_TEST_NAME)", NAMES.__getitem__)

"""`ocpy testparm`, and the samples of the README."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from openchange_py.resources import setup_path
from tests.cli.commands import Installation


def test_it_shows_what_is_set_and_who_answers_each_interface(tmp_path: Path) -> None:
    text = Installation.make(tmp_path).ok("testparm")
    assert "netbios name = EXCH1" in text
    assert "exchange_nsp: local server nspi" in text
    assert "idle timeout" not in text


def test_all_options_with_help_and_secrets_hidden(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path, "    dcerpc_mapiproxy:password = hunter2\n")
    text = installation.ok("testparm", "--all")
    assert "idle timeout" in text
    assert "hunter2" not in text
    assert "hunter2" not in installation.ok("testparm", "--json")


def test_a_misspelt_option_is_an_error_with_the_right_name_and_the_line(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path, "    dcerpc_mapiproxy:nspi_sever = nspi\n")
    error = installation.fails("testparm")
    assert "nspi_server" in error
    assert f"{installation.conf}:" in error


@pytest.mark.parametrize("sample", ["standalone", "proxy", "hybrid"])
def test_the_samples_are_right(tmp_path: Path, sample: str) -> None:
    password = tmp_path / "relay.password"
    password.write_text("secret\n")
    password.chmod(0o600)
    text = (setup_path() / f"smb.conf.{sample}").read_text("utf-8")
    installation = Installation(tmp_path)
    installation.conf.write_text(text.replace("/etc/openchange-py/relay.password", str(password)), "utf-8")
    interfaces = {
        shown["interface"]: shown["server"] or "relay"
        for shown in json.loads(installation.ok("testparm", "--json"))["interfaces"]
    }
    expected = {
        "standalone": {"exchange_nsp": "nspi", "exchange_ds_rfr": "rfr", "exchange_emsmdb": "emsmdb"},
        "proxy": {"exchange_nsp": "relay", "exchange_ds_rfr": "relay", "exchange_emsmdb": "relay"},
        "hybrid": {"exchange_nsp": "nspi", "exchange_ds_rfr": "rfr", "exchange_emsmdb": "relay"},
    }
    assert expected[sample].items() <= interfaces.items()


def test_every_sample_is_named_in_the_readme() -> None:
    readme = setup_path().parent / "README.md"
    if not readme.exists():
        pytest.skip("an installed package has no README")
    for sample in setup_path().glob("smb.conf.*"):
        assert f"setup/{sample.name}" in readme.read_text("utf-8")


def test_it_shows_who_relayed_calls_come_from(tmp_path: Path) -> None:
    relaying = "    dcerpc_mapiproxy:server = no\n    dcerpc_mapiproxy:binding = ncacn_ip_tcp:exchange\n"
    installation = Installation.make(tmp_path, relaying + "    dcerpc_mapiproxy:delegated_auth = yes\n")
    assert "relayed as the caller himself" in installation.ok("testparm")
    assert json.loads(installation.ok("testparm", "--json"))["relayed_as"] == "caller"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("    dcerpc_mapiproxy:modules = cash\n", "no module 'cash' is installed; did you mean cache?"),
        (
            "    dcerpc_mapiproxy:modules = cache\n    mpm_cache:ahead = yes\n    mpm_cache:sync = yes\n",
            "mpm_cache:sync: and mpm_cache:ahead are for two different proxies",
        ),
    ],
)
def test_modules_that_would_not_start(tmp_path: Path, options: str, reason: str) -> None:
    assert reason in Installation.make(tmp_path, options).fails("testparm")

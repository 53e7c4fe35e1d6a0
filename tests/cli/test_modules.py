"""`ocpy modules`."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from openchange_py.cli.main import ocpy
from openchange_py.cli.modules import show
from tests.cli.commands import Installation

PLUGIN = """
from openchange_py.config.options import Option, boolean
from openchange_py.proxy.hooks import Module

class Mine(Module):
    name = "mine"
    description = "does as I like"
    endpoint = "exchange_nsp"
    options = (Option("mpm_mine:loud", boolean, False, "say more"),)
"""


def configured(tmp_path: Path) -> str:
    conf = Installation.make(tmp_path).conf
    (conf.parent / "mine.py").write_text(PLUGIN)
    conf.write_text(conf.read_text() + "\n[global]\ndcerpc_mapiproxy:modules = ./mine.py\nmpm_mine:loud = yes\n")
    return str(conf)


def test_loaded_modules_come_first_with_their_options_in_force(tmp_path: Path) -> None:
    lines = CliRunner().invoke(ocpy, ["-c", configured(tmp_path), "modules"]).stdout.splitlines()
    assert lines[:3] == [
        "mine (loaded, for exchange_nsp): does as I like",
        "    mpm_mine:loud = yes",
        "        say more (yes/no, true/false, on/off, 1/0)",
    ]
    assert "dummy (not loaded, for any): changes nothing, and logs at debug level what passes" in lines


def test_as_json(tmp_path: Path) -> None:
    result = CliRunner().invoke(ocpy, ["modules", "--json", "mine", "-c", configured(tmp_path)])
    [module] = json.loads(result.stdout)
    assert (module["name"], module["loaded"], module["endpoint"]) == ("mine", True, "exchange_nsp")
    assert module["options"] == [
        {"name": "mpm_mine:loud", "type": "yes/no, true/false, on/off, 1/0", "help": "say more", "value": "yes"}
    ]


def test_without_a_configuration_what_is_installed(tmp_path: Path) -> None:
    result = CliRunner().invoke(ocpy, ["modules", "dummy"], env={"OCPY_CONFIG": str(tmp_path / "absent")})
    assert result.stdout.splitlines()[:2] == [
        "dummy (not loaded, for any): changes nothing, and logs at debug level what passes",
        "    mpm_dummy:label = dummy",
    ]


def test_a_name_that_is_none(tmp_path: Path) -> None:
    result = CliRunner().invoke(ocpy, ["modules", "dumy"], env={"OCPY_CONFIG": str(tmp_path / "absent")})
    assert result.exit_code == 2
    assert "no module dumy" in result.output


def test_defaults_are_shown_as_they_are_written() -> None:
    assert [show(value) for value in (True, False, None, ("a", "b"), 7)] == ["yes", "no", "", "a, b", "7"]

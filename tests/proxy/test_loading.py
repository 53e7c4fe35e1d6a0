"""Modules by name."""

from __future__ import annotations

import logging
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from openchange_py.config import OPTIONS, ConfigError, Option, Settings, load
from openchange_py.config.options import text
from openchange_py.config.settings import read
from openchange_py.proxy import loading
from openchange_py.proxy.hooks import Module
from openchange_py.proxy.loading import check_modules, find_server, installed_modules, load_modules, plugin_options
from openchange_py.proxy.modules.dummy import LABEL, DummyModule
from openchange_py.proxy.stack import ModuleError

NO_MODULE = "not a module"


class Misnamed(Module):
    name = "other"


class Greedy(Module):
    name = "greedy"
    options = (Option("ocpy:fqdn", text, "", "not its own"),)


def settings_of(tmp_path: Path, modules: str) -> Settings:
    (tmp_path / "smb.conf").write_text(f"dcerpc_mapiproxy:modules = {modules}")
    return read(tmp_path / "smb.conf", (*OPTIONS, LABEL))


def install(monkeypatch: pytest.MonkeyPatch, **modules: str) -> None:
    """Make these the installed entry points."""
    entries = [EntryPoint(name, value, loading.GROUP) for name, value in modules.items()]
    monkeypatch.setattr(loading, "entry_points", lambda group: entries)


def test_the_dummy_is_installed_and_loaded_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    [module] = load_modules(settings_of(tmp_path, "dummy"))
    assert isinstance(module, DummyModule)
    assert "module dummy registered" in caplog.text
    assert "module dummy loaded for any: changes nothing" in caplog.text
    assert LABEL in plugin_options(tmp_path / "smb.conf")
    assert DummyModule in installed_modules()


PLUGIN = """
from openchange_py.config.options import Option, integer
from openchange_py.proxy.hooks import Module
from openchange_py.proxy.servers import CustomServer
from openchange_py.wire.oxabref import RFR

class Mine(Module):
    name = "mine"
    options = (Option("mpm_mine:count", integer(1, 9), 3, "how many"),)

class Server(CustomServer):
    name = "myrfr"
    interface = RFR
    options = (Option("ocpy_myrfr:name", str, "", "what to answer"),)
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "plugin.py"
    path.write_text(PLUGIN)
    return path


def test_a_module_by_path_starts_at_the_configuration_and_brings_its_options(tmp_path: Path, plugin: Path) -> None:
    conf = tmp_path / "smb.conf"
    conf.write_text(
        "dcerpc_mapiproxy:modules = dummy, ./plugin.py\ndcerpc_mapiproxy:rfr_server = ./plugin.py\n"
        "mpm_mine:count = 7\nocpy_myrfr:name = x\n"
    )
    settings = read(conf, (*OPTIONS, *plugin_options(conf)))
    dummy, mine = load_modules(settings)
    assert (dummy.name, mine.name) == ("dummy", "mine")
    assert settings[mine.options[0]] == 7
    assert mine.options[0].kind == "A number from 1 to 9"
    server = find_server(settings, "./plugin.py")
    assert server.name == "myrfr"
    assert [type(module) for module in load_modules(settings)] == [type(dummy), type(mine)], "run once per process"


def test_a_class_of_several(tmp_path: Path, plugin: Path) -> None:
    plugin.write_text(PLUGIN + "class Other(Mine):\n    name = 'other'\n    options = ()\n")
    with pytest.raises(ModuleError, match=r"2 classes made from Module; name one as \./plugin.py:CLASS"):
        load_modules(settings_of(tmp_path, "./plugin.py"))
    assert load_modules(settings_of(tmp_path, "./plugin.py:Other"))[0].name == "other"
    with pytest.raises(ModuleError, match="0 classes made from Module; those that there are: Mine, Other"):
        load_modules(settings_of(tmp_path, "./plugin.py:Absent"))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("x = 1", "0 classes made from Module; those that there are: none"),
        ("1 / 0", "can't be run: ZeroDivisionError"),
        ("def (", "can't be run: SyntaxError"),
        (PLUGIN.replace('"mine"', '""'), "Mine has no name"),
        (PLUGIN.replace("mpm_mine:", "ocpy:"), "option ocpy:count does not begin with mpm_mine:"),
    ],
)
def test_a_file_that_is_no_module(tmp_path: Path, plugin: Path, code: str, reason: str) -> None:
    plugin.write_text(code)
    with pytest.raises(ModuleError, match=reason):
        load_modules(settings_of(tmp_path, "./plugin.py"))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dcerpc_mapiproxy:modules: .*/absent.py can't be read: No such file"):
        load_modules(settings_of(tmp_path, "./absent.py"))


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_may_write_to_is_not_run(tmp_path: Path, plugin: Path, mode: int) -> None:
    plugin.chmod(mode)
    with pytest.raises(ModuleError, match="others than this program's user may write to it"):
        load_modules(settings_of(tmp_path, "./plugin.py"))


def test_no_modules(tmp_path: Path) -> None:
    assert load_modules(settings_of(tmp_path, "")) == []


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ("dumy", "dcerpc_mapiproxy:modules: no module 'dumy' is installed; did you mean dummy?"),
        ("dummy dummy", "dcerpc_mapiproxy:modules: dummy is there twice"),
    ],
)
def test_bad_names_are_configuration_errors(tmp_path: Path, names: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_modules(settings_of(tmp_path, names))
    assert str(caught.value) == f"{tmp_path}/smb.conf:1: {reason}"


@pytest.mark.parametrize(
    ("name", "target", "reason"),
    [
        ("broken", "no_such_package:Module", "module broken .* can't be imported: ModuleNotFoundError"),
        ("nothing", f"{__name__}:NO_MODULE", "is no class made from Module"),
        ("misnamed", f"{__name__}:Misnamed", "calls itself 'other'"),
        ("greedy", f"{__name__}:Greedy", "option ocpy:fqdn does not begin with mpm_greedy:"),
    ],
)
def test_a_module_that_cannot_work(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    target: str,
    reason: str,
) -> None:
    install(monkeypatch, **{name: target, "dummy": "openchange_py.proxy.modules.dummy:DummyModule"})
    with pytest.raises(ModuleError, match=reason):
        load_modules(settings_of(tmp_path, name))
    # Installed but not configured, it must not keep others from working.
    assert plugin_options(tmp_path / "smb.conf") == [LABEL]
    assert f"module {name}" in caplog.text


def test_options_that_contradict_each_other_are_told_before_the_server_starts(tmp_path: Path) -> None:
    path = tmp_path / "smb.conf"
    lines = ["dcerpc_mapiproxy:server = yes", "dcerpc_mapiproxy:modules = cache", "mpm_cache:sync = yes"]
    path.write_text("[global]\n" + "\n".join(lines) + "\nmpm_cache:ahead = yes\n")
    settings = load(path, plugin_options(path))
    for check in (check_modules, load_modules):
        with pytest.raises(ConfigError, match=f"{path}:4: mpm_cache:sync: and mpm_cache:ahead"):
            check(settings)

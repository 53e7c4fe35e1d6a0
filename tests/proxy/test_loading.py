"""Modules by name."""

from __future__ import annotations

import logging
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from openchange_py.config import OPTIONS, ConfigError, Option, Settings
from openchange_py.config.options import text
from openchange_py.config.settings import read
from openchange_py.proxy import loading
from openchange_py.proxy.hooks import Module
from openchange_py.proxy.loading import installed_options, load_modules
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
    assert LABEL in installed_options()


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
    assert installed_options() == [LABEL]
    assert f"module {name}" in caplog.text

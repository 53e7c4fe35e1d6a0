"""The options of module cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from openchange_py.config.parser import ConfigError
from openchange_py.proxy.modules.cache import CacheModule
from openchange_py.proxy.streamcache.options import MAX_AGE, MAX_SIZE, MODE, PATH, SYNC_CMD, URL, cache_of, folder_mode
from openchange_py.proxy.testing import settings_of


def test_defaults() -> None:
    settings = settings_of(CacheModule)
    assert settings[PATH] == Path("/var/lib/openchange-py/cache")
    assert settings[URL] == "sqlite:////var/lib/openchange-py/cache/index.db"
    assert settings[MODE] == 0o700
    assert settings[SYNC_CMD] == ""


def test_the_cache_that_they_describe(tmp_path: Path) -> None:
    options = {"mpm_cache:path": str(tmp_path), "mpm_cache:max_size": "2 GiB", "mpm_cache:max_age": "7 d"}
    settings = settings_of(CacheModule, options)
    assert (settings[MAX_SIZE], settings[MAX_AGE]) == (2 << 30, 7 * 86400)
    cache = cache_of(settings)
    assert (cache.files.path, cache.limits.max_size) == (tmp_path, 2 << 30)
    assert settings[URL] == f"sqlite:///{tmp_path}/index.db"


@pytest.mark.parametrize(("text", "mode"), [("0700", 0o700), ("750", 0o750), ("0711", 0o711)])
def test_modes(text: str, mode: int) -> None:
    assert folder_mode(text) == mode
    assert str(folder_mode(text)) == f"{mode:04o}"


@pytest.mark.parametrize("text", ["0600", "rwx", "17777", "0o700", ""])
def test_modes_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError):
        settings_of(CacheModule, {"mpm_cache:mode": text})

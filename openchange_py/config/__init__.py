"""The configuration: an smb.conf, read into typed settings.

settings = load(path, module_options)
settings[declared.FQDN]
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from openchange_py.config.declared import OPTIONS
from openchange_py.config.options import Option
from openchange_py.config.parser import ConfigError
from openchange_py.config.routes import check_routes
from openchange_py.config.settings import DEFAULT_PATH, Settings, read

__all__ = ["DEFAULT_PATH", "OPTIONS", "ConfigError", "Option", "Settings", "load"]


def load(path: Path = DEFAULT_PATH, module_options: Iterable[Option[Any]] = ()) -> Settings:
    """Read and check a configuration; `ConfigError` tells everything that is wrong with it.

    `module_options` are those of the installed modules: `openchange_py.proxy.loading.plugin_options(path)`.
    """
    settings = read(path, (*OPTIONS, *module_options))
    settings.check()
    check_routes(settings)
    return settings

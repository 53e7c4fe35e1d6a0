"""The options of module `cache`, for it and for `ocpy cache`."""

from __future__ import annotations

import re

from openchange_py.config.declared import DATA_DIRECTORY
from openchange_py.config.options import Option, boolean, path, seconds, size, text
from openchange_py.config.settings import Settings
from openchange_py.proxy.streamcache import program
from openchange_py.proxy.streamcache.cache import CacheLimits, StreamCache, default_url


class FolderMode(int):
    """Permissions of a folder, shown in octal digits."""

    def __str__(self) -> str:
        return f"{int(self):04o}"


def folder_mode(value: str) -> FolderMode:
    """Permissions of a folder, in octal digits; its owner must have all."""
    if not re.fullmatch(r"0?[0-7]{3}", value) or int(value, 8) & 0o700 != 0o700:
        raise ValueError(f"{value!r} are no permissions of a folder such as 0700")
    return FolderMode(value, 8)


PATH = Option(
    "mpm_cache:path", path, lambda settings: settings[DATA_DIRECTORY] / "cache", "the folder of the cached streams"
)
URL = Option(
    "mpm_cache:url", text, lambda settings: default_url(settings[PATH]), "SQLAlchemy URL of the index of the cache"
)
MODE = Option(
    "mpm_cache:mode", folder_mode, FolderMode(0o700), "permissions of the cache's folders; files get the same without x"
)
AHEAD = Option("mpm_cache:ahead", boolean, False, "fetch all of a stream at its first read")
SYNC = Option("mpm_cache:sync", boolean, False, "have a program fetch streams from the next proxy's cache")
SYNC_MIN = Option("mpm_cache:sync_min", size, 1 << 20, "bytes that a stream has at least for that program to be run")
SYNC_CMD = Option(
    "mpm_cache:sync_cmd",
    program.command,
    "",
    "that program, which writes __FILE__; __NAME__, __USER__, __SIZE__ and __HASH__ may be in its arguments too",
)
SYNC_TIMEOUT = Option("mpm_cache:sync_timeout", seconds, 300.0, "how long that program may run")
MIN_SIZE = Option("mpm_cache:min_size", size, 4096, "bytes that a stream has at least to be cached")
MAX_SIZE = Option("mpm_cache:max_size", size, 1 << 30, "bytes that all cached streams may have together")
MAX_AGE = Option("mpm_cache:max_age", seconds, 30 * 86400.0, "how long a stream is kept")

#: All of them.
OPTIONS = (PATH, URL, MODE, AHEAD, SYNC, SYNC_MIN, SYNC_CMD, SYNC_TIMEOUT, MIN_SIZE, MAX_SIZE, MAX_AGE)


def check_options(settings: Settings) -> None:
    """`ahead` is for the proxy at the server, `sync` for the one at the clients; `ConfigError`."""
    if settings[AHEAD] and settings[SYNC]:
        raise settings.error(SYNC, "and mpm_cache:ahead are for two different proxies: only one can be yes")
    if settings[SYNC] and not settings[SYNC_CMD]:
        raise settings.error(SYNC, "mpm_cache:sync_cmd does not say what to run")


def cache_of(settings: Settings) -> StreamCache:
    """The cache that the configuration describes; not opened. Raises `CacheError` for a URL that is none."""
    limits = CacheLimits(settings[MAX_SIZE], settings[MAX_AGE])
    return StreamCache(settings[PATH], settings[URL], limits, settings[MODE])

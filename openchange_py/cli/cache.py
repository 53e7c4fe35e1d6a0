"""`ocpy cache`: what module cache keeps."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click

from openchange_py.cli.settings import with_settings
from openchange_py.config import Settings
from openchange_py.proxy.streamcache.cache import COUNTERS, Progress, StreamCache
from openchange_py.proxy.streamcache.index import CacheError
from openchange_py.proxy.streamcache.options import PATH, cache_of

#: Seconds behind which a command that still runs shows how far it is.
_PATIENCE: Final = 2.0


@click.group("cache")
def command() -> None:
    """Show, prune or clear what the module `cache` keeps.

    That is below mpm_cache:path. All of it is safe while servers run with the same cache: what they serve or store
    stays right, and clients that read a stream which is removed go on reading it.

    \b
      ocpy cache stats             what is there, and what it saved
      ocpy cache prune             remove what is too old or too much, and what a crash left
      ocpy cache clear --yes       remove everything
    """


@command.command("stats")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@with_settings
def stats(settings: Settings, as_json: bool) -> None:
    """Show how many streams there are, and what was counted since the cache was made or cleared.

    `hits` and `misses` are streams that clients opened; `joined` those that another client was just fetching. `reads`
    and `bytes_served` are what was answered from files, `upstream_reads` and `upstream_bytes` what was fetched for it.
    Servers write down what they count when a client closes a stream, and once a minute.
    """
    with _opened(settings) as cache:
        streams, size = cache.index.total()
        counted = cache.index.counters()
    counts = {name: counted.get(name, 0) for name in COUNTERS}
    opened = counts["hits"] + counts["misses"] + counts["joined"]
    if as_json:
        told = {"path": str(settings[PATH]), "streams": streams, "bytes": size, "max_bytes": cache.limits.max_size}
        click.echo(json.dumps({**told, **counts}))
        return
    click.echo(f"{settings[PATH]}: {streams} streams, {_size(size)} of {_size(cache.limits.max_size)}")
    if opened:
        share = 100 * counts["hits"] / opened
        click.echo(f"{counts['hits']} of {opened} streams that clients opened were there ({share:.0f} %)")
    click.echo(f"{_size(counts['bytes_served'])} served from files, {_size(counts['upstream_bytes'])} fetched")
    for name in COUNTERS:
        click.echo(f"  {name:16} {counts[name]}")


@command.command("prune")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@with_settings
def prune(settings: Settings, as_json: bool) -> None:
    """Remove streams older than mpm_cache:max_age, and the least used while all together exceed mpm_cache:max_size.

    Servers do this themselves once a minute. What a process that was killed left behind goes as well.
    """
    with _opened(settings) as cache:
        cleaned = _with_progress("Cleaning", cache.clean)
        pruned = _with_progress("Pruning", cache.prune)
        left = cache.index.total()
    if as_json:
        click.echo(json.dumps({"removed": pruned, "cleaned": cleaned, "streams": left[0], "bytes": left[1]}))
    else:
        remains = f", {cleaned} remains of crashes" if cleaned else ""
        click.echo(f"{pruned} streams removed{remains}; {left[0]} are left, {_size(left[1])}")


@command.command("clear")
@click.option("--yes", is_flag=True, help="Do it without asking.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@with_settings
def clear(settings: Settings, yes: bool, as_json: bool) -> None:
    """Remove all streams, and begin to count anew."""
    with _opened(settings) as cache:
        streams, size = cache.index.total()
        if not yes and streams:
            click.confirm(f"Remove {streams} streams, {_size(size)}, from {settings[PATH]}?", abort=True, err=True)
        removed = _with_progress("Clearing", cache.clear)
    click.echo(json.dumps({"removed": removed}) if as_json else f"{removed} streams removed")


@contextmanager
def _opened(settings: Settings) -> Iterator[StreamCache]:
    """The cache; where there is none yet, none is made."""
    path = settings[PATH]
    if not path.is_dir():
        raise CacheError(f"{path}: there is no cache yet; a server with `dcerpc_mapiproxy:modules = cache` makes it")
    cache = cache_of(settings)
    cache.open()
    try:
        yield cache
    finally:
        cache.close()


def _with_progress(what: str, work: Callable[[Progress], int]) -> int:
    """Do it; on a terminal a bar shows how far it is, where it takes longer."""
    began, shown = time.monotonic(), False

    def progress(done: int, total: int) -> None:
        nonlocal shown
        if sys.stderr.isatty() and total > 0 and (shown or time.monotonic() - began > _PATIENCE):
            shown = True
            filled = round(30 * min(done, total) / total)
            click.echo(f"\r{what} [{'#' * filled}{'-' * (30 - filled)}] {done}/{total}", err=True, nl=False)

    try:
        return work(progress)
    finally:
        if shown:
            click.echo("\r\033[K", err=True, nl=False)


def _size(count: int) -> str:
    """Bytes for people."""
    amount = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"

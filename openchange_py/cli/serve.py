"""`ocpy serve`: the server, in the foreground."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import resource
import signal
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from openchange_py.cli.logs import finish_log, start_log
from openchange_py.cli.settings import with_settings
from openchange_py.cli.systemd import notify
from openchange_py.config import Settings, declared

if TYPE_CHECKING:
    from openchange_py.cli.reload import Reloader

logger = logging.getLogger(__name__)

#: Open files besides connections: databases, log, libraries.
_OTHER_FILES: Final = 256


@click.command("serve")
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Written as JSON once everything listens: addresses, ports, and who answers each interface.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=None,
    help="Processes that serve together, one for each processor; default: as the configuration has it (1).",
)
@with_settings
def command(settings: Settings, ready_file: Path | None, workers: int | None) -> None:
    """Serve the configured interfaces until SIGTERM, SIGINT or Ctrl-C.

    Calls in flight are finished then. The log goes to standard error, or to `log file`. SIGHUP opens the log file
    again, and reads the configuration again: log, limits, minimum auth level and the relay's account are taken from
    it, and the log names what needs a restart.
    """
    start_log(settings)
    workers = workers or settings[declared.WORKERS]
    run(_serve(settings, ready_file) if workers == 1 else _supervise(settings, workers, ready_file))


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop where that is installed."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


async def _serve(settings: Settings, ready_file: Path | None) -> None:
    # Imported when it is run, not when the shell completes its options.
    from openchange_py.cli.node import Node
    from openchange_py.cli.reload import Reloader

    allow_open_files(settings[declared.MAX_CONNECTIONS])
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    node = Node(settings)
    await node.start()
    settle_memory()
    try:
        loop.add_signal_handler(signal.SIGHUP, _reload, Reloader(node))
        if ready_file is not None:
            write_ready_file(ready_file, {"pid": os.getpid(), **node.describe()})
        notify("READY=1")
        await stopping.wait()
        logger.info("stopping")
    finally:
        notify("STOPPING=1")
        remove_ready_file(ready_file)
        await node.stop()
        finish_log()


async def _supervise(settings: Settings, workers: int, ready_file: Path | None) -> None:
    # Imported when it is run: who has one process needs none of it.
    from openchange_py.cli.supervisor import Supervisor

    allow_open_files(settings[declared.MAX_CONNECTIONS])
    await Supervisor(settings, workers, ready_file).serve()


def _reload(reloader: Reloader) -> None:
    """What SIGHUP does. A few milliseconds in which no call is answered: rare, and simpler than anything else."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
    reloader.reload()
    allow_open_files(reloader.in_force[declared.MAX_CONNECTIONS])
    notify("READY=1")


def allow_open_files(connections: int) -> None:
    """Every connection is an open file, here and upstream, on the endpoint mapper too. Without this, clients that
    merely hold connections would keep databases from being opened long before `connections` are there.
    """
    wanted = 4 * connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    granted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (granted, hard))
    if granted < wanted:
        logger.warning("%d open files are allowed, for %d connections %d are needed", granted, connections, wanted)


def settle_memory() -> None:
    """What is there by now stays. Without this the garbage collector looks through all of it for every few pages of
    a table, whose rows come and go by the hundred.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def write_ready_file(path: Path, content: dict[str, Any]) -> None:
    """All of it or nothing: who waits for the file must never read half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    # In a folder that others may write to, a link may wait where the file is made.
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=2) + "\n")
    temporary.replace(path)


def remove_ready_file(path: Path | None) -> None:
    """It says that this server listens: not any more. Another server's, which replaced it, stays."""
    if path is not None and ready_process(path) == os.getpid():
        path.unlink(missing_ok=True)


def ready_process(path: Path) -> int | None:
    """The process that a ready file is about; None where there is no such file, or it is none."""
    try:
        return int(json.loads(path.read_text("utf-8"))["pid"])
    except (OSError, ValueError, LookupError, TypeError):
        return None

"""`ocpy serve`: the server, in the foreground."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from openchange_py.cli.logs import start_log
from openchange_py.cli.node import Node
from openchange_py.cli.reload import Reloader
from openchange_py.cli.settings import with_settings
from openchange_py.cli.systemd import notify
from openchange_py.config import Settings

logger = logging.getLogger(__name__)


@click.command("serve")
@click.option(
    "--ready-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Written as JSON once everything listens: addresses, ports, and who answers each interface.",
)
@with_settings
def command(settings: Settings, ready_file: Path | None) -> None:
    """Serve the configured interfaces until SIGTERM, SIGINT or Ctrl-C.

    Calls in flight are finished then. The log goes to standard error, or to `log file`. SIGHUP opens the log file
    again, and reads the configuration again: log, limits, minimum auth level and the relay's account are taken from
    it, and the log names what needs a restart.
    """
    start_log(settings)
    run(_serve(settings, ready_file))


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop where that is installed."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


async def _serve(settings: Settings, ready_file: Path | None) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    node = Node(settings)
    await node.start()
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


def _reload(reloader: Reloader) -> None:
    """What SIGHUP does. A few milliseconds in which no call is answered: rare, and simpler than anything else."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
    reloader.reload()
    notify("READY=1")


def write_ready_file(path: Path, content: dict[str, Any]) -> None:
    """All of it or nothing: who waits for the file must never read half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    temporary.replace(path)


def remove_ready_file(path: Path | None) -> None:
    """It says that a server listens: not any more."""
    if path is not None:
        path.unlink(missing_ok=True)

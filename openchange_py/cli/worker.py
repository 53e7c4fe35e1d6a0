"""One worker of several: `python -m openchange_py.cli.worker FILE`, an end of the socket pair with its supervisor.

It gets its configuration and its number from there, and ends where the supervisor is gone.
"""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from openchange_py.cli.logs import finish_log, start_log
from openchange_py.cli.main import describe, expected_errors
from openchange_py.cli.node import Node
from openchange_py.cli.reload import Reloader
from openchange_py.cli.serve import allow_open_files, run, settle_memory
from openchange_py.config import Settings, declared
from openchange_py.config.declared import OPTIONS
from openchange_py.config.parser import Parameter, Place
from openchange_py.config.routes import RelayAs, relay_as
from openchange_py.proxy.loading import plugin_options
from openchange_py.rpc.call import SESSION_NUMBERS
from openchange_py.rpc.share import Share
from openchange_py.transports.colleagues import Colleagues
from openchange_py.transports.post import Message, receive

logger = logging.getLogger(__name__)


def main() -> None:
    """The process. What is wrong is told as by `ocpy serve` itself."""
    end = socket.socket(fileno=int(sys.argv[1]))
    welcome = receive(end)
    if welcome is None or welcome.kind != "welcome":
        sys.exit(0)  # all is to end, before it began
    share = Share(welcome.about["number"], welcome.about["count"])
    try:
        settings = settings_of(Path(welcome.about["path"]), json.loads(welcome.data))
        multiprocessing.current_process().name = f"worker {share.number}"  # as the log has it
        SESSION_NUMBERS.begin(share)
        start_log(settings)
        if relay_as(settings) is RelayAs.CALLER:
            logger.warning(
                "tickets that clients delegate do not go from worker to worker: docs/operation.md says for whom"
            )
        run(_work(settings, end, share))
    except expected_errors() as error:
        print(f"ocpy: error: {describe(error)}", file=sys.stderr)
        sys.exit(1)


def settings_of(path: Path, parameters: list[list[Any]]) -> Settings:
    """The configuration as the supervisor has it, which may be another one than the file's by now."""
    found = [Parameter("global", name, value, Place(Path(file), line)) for name, value, file, line in parameters]
    settings = Settings(path, found, (*OPTIONS, *plugin_options(path)))
    settings.check()
    return settings


async def _work(settings: Settings, end: socket.socket, share: Share) -> None:
    allow_open_files(settings[declared.MAX_CONNECTIONS])
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    # A terminal sends these to all of its processes: the supervisor says what is to be done.
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    colleagues = Colleagues(end, share, stopping.set)
    colleagues.asked["stop"] = lambda _: stopping.set()
    node = Node(settings, colleagues)
    await node.start()
    settle_memory()
    try:
        colleagues.asked["reload"] = _reloading(Reloader(node), colleagues)
        colleagues.tell("ready", node.describe())
        await stopping.wait()
    finally:
        colleagues.tell("leaves")
        await node.stop()
        finish_log()
        colleagues.close()


def _reloading(reloader: Reloader, colleagues: Colleagues) -> Any:
    def reload(message: Message) -> None:
        taken = reloader.reload()
        allow_open_files(reloader.in_force[declared.MAX_CONNECTIONS])
        colleagues.tell("answer", {**message.about, "taken": taken})

    return reload


if __name__ == "__main__":
    main()

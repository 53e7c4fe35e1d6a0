"""The other processes of a benchmark: started, asked for their CPU time, ended."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
_START_SECONDS = 30.0


def cpu_seconds(pid: int) -> float:
    """CPU time of a process's threads so far. In nanoseconds where the kernel counts them, else in its ticks."""
    total = 0
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return float("nan")
    return total / 1e9


def resident_kib(pid: int) -> int:
    """What a process has in memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


@contextlib.contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    """A process as long as the context lasts; it has to end when it is asked to."""
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def python(module: str, *arguments: str) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    """A module of these benchmarks as a process."""
    return running(sys.executable, "-m", f"tests.bench.parts.{module}", *arguments)


def said_port(process: subprocess.Popen[str]) -> int:
    """The port that a process says on its first line."""
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.strip().isdigit():
        raise RuntimeError(f"{process.args!r} did not start")
    return int(line)


@contextlib.contextmanager
def socat(upstream: int) -> Iterator[tuple[int, int] | None]:
    """socat in front of the port: its own port and process id; None where it isn't installed.

    It forks a process per connection, whose CPU time is not in its own.
    """
    if shutil.which("socat") is None:
        yield None
        return
    port = _free_port()
    listen = f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork,nodelay"
    with running("socat", listen, f"TCP:127.0.0.1:{upstream},nodelay") as process:
        _wait_for(port)
        yield port, process.pid


@contextlib.contextmanager
def haproxy(upstream: int, place: Path) -> Iterator[tuple[int, int] | None]:
    """haproxy in TCP mode in front of the port; None where it isn't installed."""
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if program is None:
        yield None
        return
    port = _free_port()
    configuration = place / "haproxy.cfg"
    configuration.write_text(
        "global\n    nbthread 1\n"
        "defaults\n    mode tcp\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n"
        f"frontend front\n    bind 127.0.0.1:{port}\n    default_backend back\n"
        f"backend back\n    server upstream 127.0.0.1:{upstream}\n"
    )
    with running(program, "-q", "-db", "-f", str(configuration)) as process:
        _wait_for(port)
        yield port, process.pid


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port}")

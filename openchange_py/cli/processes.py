"""An `ocpy serve` as a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import click

from openchange_py.cli.serve import ready_process

_START_SECONDS: Final = 30.0
_STOP_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.02


class ServeProcess:
    """A node whose smb.conf is in `folder`, serving as long as the context lasts. `ready` is its ready file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ready_file = folder / "endpoints.json"
        self.ready: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._stop_forgotten()
        arguments = ["serve", "-c", str(self.folder / "smb.conf"), "--ready-file", str(self.ready_file)]
        self._process = subprocess.Popen(  # noqa: S603  our own program
            [sys.executable, "-m", "openchange_py", *arguments],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self.ready = self._wait_until_ready(self._process)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Let it finish its calls; kill it where it does not."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.ready_file.unlink(missing_ok=True)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> dict[str, Any]:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise click.ClickException(
                    f"{self.folder.name} did not start (exit code {process.returncode}): see above, and its log"
                )
            if ready_process(self.ready_file) == process.pid:
                ready: dict[str, Any] = json.loads(self.ready_file.read_text("utf-8"))
                return ready
            time.sleep(_POLL_SECONDS)
        raise click.ClickException(f"{self.folder.name} was not ready after {_START_SECONDS:.0f} s: see its log")

    def _stop_forgotten(self) -> None:
        """A node whose starter was killed may still run: its ready file tells its process. Waits until it is gone."""
        pid = ready_process(self.ready_file)
        if pid is not None and self._serves(pid):
            deadline = time.monotonic() + _STOP_SECONDS
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
                while self._serves(pid):
                    if time.monotonic() > deadline:
                        os.kill(pid, signal.SIGKILL)
                    time.sleep(_POLL_SECONDS)
        self.ready_file.unlink(missing_ok=True)

    def _serves(self, pid: int) -> bool:
        """Whether this process is a node of this folder. One that ended and was not waited for has no arguments."""
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return str(self.folder / "smb.conf").encode() in arguments and b"serve" in arguments

"""What goes over the loopback interface, captured by dumpcap and read by tshark."""

from __future__ import annotations

import contextlib
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.interop.nodes import PATIENCE


def tool(name: str) -> str:
    """Its path; skips the test, loudly, where it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (Debian: tshark)")
    return path


class Capture:
    """A capture that is known to run: marks that were sent before and behind the traffic came out of it."""

    def __init__(self, ports: Iterable[int], path: Path) -> None:
        self._path = path
        self._marks = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._marks.bind(("127.0.0.1", 0))
        tcp = " or ".join(f"tcp port {port}" for port in ports)
        filters = f"{tcp} or udp port {self._marks.getsockname()[1]}"
        command = [tool("dumpcap"), "-q", "-i", "lo", "-B", "16", "-f", filters, "-P", "-w", "-"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        self._data = bytearray()

    def mark(self, text: bytes) -> None:
        """Send a datagram until the capture has it, and with it all that was sent before."""
        deadline = time.monotonic() + PATIENCE
        while text not in self._data:
            self._marks.sendto(text, self._marks.getsockname())
            self._read(0.2)
            if self._process.poll() is not None:
                reason = self._stderr()
                if "permission" in reason.lower():
                    pytest.skip(f"dumpcap may not capture here: {reason}")
                raise AssertionError(f"dumpcap ended: {reason}")
            assert time.monotonic() < deadline, f"dumpcap captured nothing of {len(self._data)} bytes"

    def finish(self) -> None:
        """End it; the file is there."""
        self._process.terminate()
        assert self._process.stdout is not None
        self._data += self._process.stdout.read() or b""
        self._stderr()
        self._path.write_bytes(self._data)

    def abandon(self) -> None:
        """Whatever its state is."""
        self._process.kill()
        self._process.communicate(timeout=PATIENCE)
        self._marks.close()

    def _read(self, seconds: float) -> None:
        assert self._process.stdout is not None
        while select.select([self._process.stdout], [], [], seconds)[0]:
            chunk = self._process.stdout.read(1 << 20)
            if not chunk:
                break
            self._data += chunk

    def _stderr(self) -> str:
        return self._process.communicate(timeout=PATIENCE)[1].decode("utf-8", "replace").strip()


@contextlib.contextmanager
def capturing(ports: Iterable[int], path: Path) -> Iterator[None]:
    """All TCP of these ports on loopback goes into a pcap file. Skips where that is not allowed."""
    capture = Capture(ports, path)
    try:
        capture.mark(b"openchange_py capture begins")
        yield
        capture.mark(b"openchange_py capture ends")
        capture.finish()
    finally:
        capture.abandon()


class Dissection:
    """tshark over a capture, with the ports that are DCE/RPC, and passwords that decrypt."""

    def __init__(self, path: Path, ports: Sequence[int]) -> None:
        self._path = path
        self._ports = ports

    def fields(self, display_filter: str, *names: str, password: str = "") -> list[tuple[str, ...]]:
        """The fields of every packet that the display filter passes."""
        command: list[Any] = [tool("tshark"), "-n", "-2", "-r", self._path, "-Y", display_filter, "-T", "fields"]
        for port in self._ports:
            command += ["-d", f"tcp.port=={port},dcerpc"]
        for name in names:
            command += ["-e", name]
        if password:
            command += ["-o", f"ntlmssp.nt_password:{password}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return [tuple(line.split("\t")) for line in done.stdout.splitlines()]

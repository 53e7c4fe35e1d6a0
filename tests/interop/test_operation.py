"""`ocpy serve` as an administrator runs it: signals, logs, metrics and systemd, each with a real process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from openchange_py.auth.ntlm import NtlmCredential, NtlmInitiator
from openchange_py.rpc.call import RpcFault
from openchange_py.rpc.security import AuthLevel
from openchange_py.transports.tcp_client import ConnectionLost, RpcClient
from openchange_py.wire.oxnspi import NSPI, NspiBindRequest, NspiBindResponse
from openchange_py.wire.oxnspi_types import STAT
from tests.conftest import ROOT
from tests.interop.nodes import PATIENCE, Node
from tests.node import DOMAIN, password_of, provision

_CONF: Final = """\
[global]
    netbios name = EXCH1
    workgroup = EXAMPLE
    interfaces = 127.0.0.1
    bind interfaces only = yes
    dcerpc_mapiproxy:server = true
    dcerpc_mapiproxy:modules = slow
    mpm_slow:gate = {place}/gate
    ocpy:data directory = {place}
    ocpy:mail domain = example.test
    ocpy:fqdn = exch1.example.test
    ocpy:endpoint mapper port = 0
"""

#: A module of another package than ours, which holds up every call until a file is there.
_MODULE: Final = '''
    """Holds calls up."""

    import asyncio
    import logging

    from openchange_py.config.options import Option, path
    from openchange_py.proxy.hooks import Module

    GATE = Option("mpm_slow:gate", path, None, "calls wait for this file")


    class SlowModule(Module):
        """Waits."""

        name = "slow"
        description = "holds calls up"
        options = (GATE,)

        def init(self, settings):
            self._gate = settings[GATE]

        async def dispatch(self, call):
            logging.getLogger("openchange_py.slow").info("%s: held up", call.session)
            while not self._gate.exists():
                await asyncio.sleep(0.01)
'''


class Served:
    """A provisioned node with the slow module; `gate` lets calls through."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.gate = place / "gate"
        self.config = place / "smb.conf"
        directory, store = provision(place, {})
        store.close()
        directory.close()
        (place / "slow_module.py").write_text(textwrap.dedent(_MODULE), "utf-8")
        metadata = place / "slow-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: slow\nVersion: 1.0\n", "utf-8")
        (metadata / "entry_points.txt").write_text("[openchange_py.modules]\nslow = slow_module:SlowModule\n", "utf-8")
        self.node = Node("served", self.config, {"PYTHONPATH": f"{ROOT}:{place}"})

    def configure(self, *lines: str) -> None:
        """Write the configuration with these further lines."""
        text = _CONF.format(place=self.place) + "".join(f"    {line}\n" for line in lines)
        self.config.write_text(text, "utf-8")

    def start(self, *lines: str, open_gate: bool = True) -> Node:
        """Start it, and wait until it is ready."""
        if open_gate:
            self.gate.touch()
        self.configure(*lines)
        self.node.start()
        self.node.wait_until_ready()
        return self.node

    async def bind(self, level: AuthLevel = AuthLevel.PRIVACY, user: str = "alice") -> int:
        """NspiBind as a user; its return value. `RpcFault`, `ConnectionLost`."""
        context = NtlmInitiator(NtlmCredential.from_password(user, DOMAIN, password_of(user)), level=level)
        host, port = self.node.host, self.node.rpc_port
        client = await RpcClient.connect(host, port, NSPI, context=context, level=level, call_timeout=PATIENCE)
        try:
            answer = NspiBindResponse.unpack(await client.call(0, NspiBindRequest(0, STAT()).pack()))
        finally:
            await client.close()
        return int(answer.return_value)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.node.abandon()


def wait_until_refused(host: str, port: int) -> None:
    """Until nobody listens there any more."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, port), PATIENCE).close()
        except ConnectionRefusedError:
            return
        except ConnectionResetError:
            continue  # it was in the listener's queue as that closed
    raise AssertionError(f"{host} port {port} still listens")


def test_sigterm_during_a_slow_call_lets_it_finish(served: Served) -> None:
    node = served.start(open_gate=False)

    async def main() -> int:
        call = asyncio.ensure_future(served.bind())
        await asyncio.to_thread(node.log.wait_for, "held up")
        node.signal(signal.SIGTERM)
        await asyncio.to_thread(node.log.wait_for, "stopping")
        await asyncio.to_thread(wait_until_refused, node.host, node.rpc_port)
        with pytest.raises(ConnectionLost):
            await served.bind(user="bob")
        assert not call.done()
        assert node.alive
        served.gate.touch()
        return await call

    assert asyncio.run(main()) == 0
    assert node.wait() == 0
    assert not node.ready_file.exists()


def test_sighup_takes_what_can_be_taken(served: Served) -> None:
    node = served.start()
    with pytest.raises(RpcFault, match="0x00000005"):
        asyncio.run(served.bind(AuthLevel.CONNECT))
    served.configure("ocpy:minimum auth level = connect", "ocpy:rpc port = 1", "log level = 2")
    with node.log.expect("ocpy:minimum auth level: .*in force", "ocpy:rpc port: .*needs a restart"):
        node.signal(signal.SIGHUP)
    with node.log.expect(" DEBUG "):
        assert asyncio.run(served.bind(AuthLevel.CONNECT)) == 0
    served.configure("ocpy:minimum auth level = none")
    with node.log.expect("stays in force: .*smb.conf:.*minimum auth level.*'none' is none of"):
        node.signal(signal.SIGHUP)
    assert asyncio.run(served.bind(AuthLevel.CONNECT)) == 0
    assert node.stop() == 0


def test_logrotate_moves_the_log_away_and_sends_sighup(served: Served) -> None:
    path, old = served.place / "ocpy.log", served.place / "ocpy.log.1"
    node = served.start(f"log file = {path}", "ocpy:log format = json")
    path.rename(old)
    node.signal(signal.SIGHUP)
    deadline = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < deadline, "no new log file"
    assert asyncio.run(served.bind()) == 0
    assert node.stop() == 0
    before, after = ([json.loads(line) for line in part.read_text("utf-8").splitlines()] for part in (old, path))
    assert any(entry["message"].startswith("listening on") for entry in before)
    assert "was read again" in after[0]["message"]
    assert after[-1]["message"] == "stopping"


def test_json_entries_name_connection_session_account_and_call(served: Served) -> None:
    path = served.place / "ocpy.log"
    node = served.start(f"log file = {path}", "ocpy:log format = json", "log level = 2")
    assert asyncio.run(served.bind()) == 0
    with contextlib.suppress(RpcFault, ConnectionLost):
        asyncio.run(served.bind(user='eve\n{"level": "info"}'))
    assert node.stop() == 0
    entries = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    (held,) = [entry for entry in entries if entry["message"].endswith("held up")]
    assert held["part"] == "slow"
    assert (held["interface"], held["call"], held["account"]) == ("exchange_nsp", "NspiBind", "EXAMPLE\\alice")
    assert {"connection", "session", "peer", "call_id", "transport"} <= held.keys()
    opened = next(e for e in entries if " opened" in e["message"] and e["connection"] == held["connection"])
    assert opened["peer"] == held["peer"]
    (refused,) = [entry for entry in entries if "no such account" in entry["message"]]
    assert refused["part"].startswith("auth"), "written in a worker thread"
    assert {"connection", "peer"} <= refused.keys()
    text = path.read_text("utf-8")
    assert password_of("alice") not in text


def test_metrics_of_a_running_server(served: Served) -> None:
    node = served.start("ocpy:metrics port = 0")
    assert asyncio.run(served.bind()) == 0
    with pytest.raises(RpcFault):
        asyncio.run(served.bind(AuthLevel.CONNECT))
    where = node.ready["metrics"]
    assert where["host"] == "127.0.0.1"
    with urllib.request.urlopen(f"http://127.0.0.1:{where['port']}/metrics", timeout=PATIENCE) as response:
        families = {family.name: family for family in text_string_to_metric_families(response.read().decode())}
    (count,) = [s for s in families["ocpy_call_seconds"].samples if s.name.endswith("_count")]
    assert count.labels == {"interface": "exchange_nsp", "method": "NspiBind"}
    assert _value(families, "ocpy_faults", status="0x00000005") == 1
    assert _value(families, "ocpy_authentications", mechanism="ntlmssp", outcome="success") == 2
    assert _value(families, "ocpy_connections", transport="ncacn_ip_tcp") == 2
    assert families["ocpy_sessions"].samples[0].value >= 0
    assert node.stop() == 0


def _value(families: dict[str, Any], name: str, **labels: str) -> float:
    (sample,) = [s for s in families[name].samples if s.labels == labels and not s.name.endswith("_created")]
    return float(sample.value)


def test_metrics_are_off_unless_asked_for(served: Served) -> None:
    assert served.start().ready["metrics"] is None


def test_systemd_is_told(served: Served, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(PATIENCE)
        served.node = Node(
            "served", served.config, {"PYTHONPATH": f"{ROOT}:{served.place}", "NOTIFY_SOCKET": str(tmp_path / "notify")}
        )
        node = served.start()
        assert systemd.recv(200) == b"READY=1"
        node.signal(signal.SIGHUP)
        assert systemd.recv(200).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert systemd.recv(200) == b"READY=1"
        assert node.stop() == 0
        assert systemd.recv(200) == b"STOPPING=1"


def test_a_client_that_floods_the_log_is_cut_short_and_others_are_not(served: Served) -> None:
    path = served.place / "ocpy.log"
    node = served.start(f"log file = {path}", "ocpy:log lines per client = 20")
    before = len(path.read_text("utf-8").splitlines())
    for _ in range(100):
        with socket.create_connection((node.host, node.rpc_port), PATIENCE) as flood:
            flood.sendall(b"GET / HTTP/1.1\r\n\r\n")
            while flood.recv(4096):
                pass
    assert asyncio.run(served.bind()) == 0
    assert node.stop() == 0
    lines = path.read_text("utf-8").splitlines()[before:]
    assert sum("no PDU" in line or "ended:" in line for line in lines) <= 20
    assert sum("are left out" in line for line in lines) == 1
    (told,) = [line for line in lines if "were left out" in line]
    assert "lines about 127.0.0.1 (anonymous) were left out" in told
    assert any("slow" in line and "held up" in line for line in lines), "alice's call is there"

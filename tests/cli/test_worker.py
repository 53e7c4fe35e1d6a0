"""One worker's process: its configuration, and how it tells what is wrong. More is in tests/interop/test_workers.py."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from openchange_py.cli.settings import load_settings
from openchange_py.cli.worker import settings_of
from openchange_py.config import declared
from openchange_py.transports.post import Message, pair
from tests.cli.commands import Installation
from tests.interop.nodes import environment


def parameters(conf: Path) -> list[list[Any]]:
    return [[p.name, p.value, str(p.place.file), p.place.line] for p in load_settings(conf).parameters().values()]


def test_the_configuration_is_the_supervisors_whatever_the_file_says_by_now(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path, "    ocpy:max connections = 17\n")
    told = json.loads(json.dumps(parameters(installation.conf)))
    Installation.make(tmp_path, "    ocpy:max connections = 18\n")
    settings = settings_of(installation.conf, told)
    assert settings[declared.MAX_CONNECTIONS] == 17
    assert settings[declared.NETBIOS_NAME] == "EXCH1"
    assert str(settings.place(declared.MAX_CONNECTIONS)).endswith("smb.conf:11")


def start(end: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "openchange_py.cli.worker", str(end.fileno()), "worker"],
        pass_fds=(end.fileno(),),
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )


def test_what_is_wrong_is_told_as_by_serve_itself(tmp_path: Path) -> None:
    installation = Installation.make(tmp_path)  # and not provisioned
    ours, theirs = pair()
    with ours, start(theirs) as process:
        theirs.close()
        about = {"number": 1, "count": 2, "path": str(installation.conf)}
        ours.send(Message("welcome", about, json.dumps(parameters(installation.conf)).encode()).pack())
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.splitlines()[-1].startswith("ocpy: error: ")
    assert "run `ocpy provision`" in said


def test_without_a_supervisor_it_ends_at_once() -> None:
    ours, theirs = pair()
    with start(theirs) as process:
        theirs.close()
        ours.close()
        assert process.wait(60) == 0

"""The examples in docs/ do what the text beside them says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT
from tests.interop.nodes import environment


def code_blocks(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / name).read_text("utf-8"), re.DOTALL)


def test_the_module_of_write_a_module_passes_its_test_and_is_found_by_path(tmp_path: Path) -> None:
    module, test = code_blocks("write-a-module.md")
    assert len(module.splitlines()) <= 36, "the text promises a short one"
    (tmp_path / "bigmail.py").write_text(module)
    (tmp_path / "test_bigmail.py").write_text(test)
    conf = tmp_path / "smb.conf"
    conf.write_text(
        "[global]\ndcerpc_mapiproxy:server = true\ndcerpc_mapiproxy:modules = ./bigmail.py\nmpm_bigmail:limit = 1 MiB\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_bigmail.py"]
    tested = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, env=environment())
    assert tested.returncode == 0, tested.stdout + tested.stderr
    listed = subprocess.run(
        [sys.executable, "-m", "openchange_py", "modules", "-c", str(conf), "bigmail"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        check=True,
    )
    assert listed.stdout.splitlines() == [
        "bigmail (loaded, for exchange_emsmdb): limits what a session writes to streams",
        "    mpm_bigmail:limit = 1048576",
        "        bytes that a session may write to streams (a size in bytes, or with a unit (`4 MiB`))",
    ]

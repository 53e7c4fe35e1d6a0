"""docs/compliance.md tells what the code does."""

from __future__ import annotations

import subprocess
import sys

from openchange_py.servers.emsmdb import server as _server  # noqa: F401  # registers the handlers
from openchange_py.servers.emsmdb.registry import HANDLERS
from openchange_py.wire.rop.ids import RopId
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "compliance.md"


def rows() -> dict[str, list[str]]:
    """The tables' lines, by the name of the ROP or call."""
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.read_text().splitlines()
        if line[:1] == "|"
    ]
    return {cells[1]: cells for cells in lines}


def test_the_page_is_what_the_code_says() -> None:
    done = subprocess.run([sys.executable, ROOT / "setup" / "generate_compliance", "--check"], capture_output=True)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def test_every_rop_stands_in_it_with_what_becomes_of_it() -> None:
    page = rows()
    for rop_id in RopId:
        cells = page[f"Rop{rop_id.name}"]
        assert int(cells[0], 16) == rop_id
        assert (cells[4] == "yes") == (rop_id in HANDLERS or rop_id == RopId.Release)


def test_what_only_refuses_is_not_called_answered() -> None:
    page = rows()
    assert page["EcDoRpcExt2"][2:] == ["yes", "yes", "yes"]
    assert page["EcRRegisterPushNotification"][4] == "refused"
    assert page["EcDoAsyncWaitEx"][2:] == ["yes", "yes", "yes"]
    assert page["NspiDeleteEntries"][2:] == ["", "", ""]


def test_a_page_that_is_not_up_to_date_is_found(tmp_path: object) -> None:
    script = (ROOT / "setup" / "generate_compliance").read_text().replace('"compliance.md"', '"architecture.md"')
    script = script.replace("Path(__file__).resolve().parents[1]", f"Path({str(ROOT)!r})")
    done = subprocess.run([sys.executable, "-", "--check"], input=script.encode(), capture_output=True)
    assert done.returncode == 1
    assert b"run setup/generate_compliance" in done.stdout

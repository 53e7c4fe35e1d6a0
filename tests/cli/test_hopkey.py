"""`ocpy hopkey`."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from openchange_py.cli.main import ocpy
from openchange_py.proxy.hop_keys import read_keys


def hopkey(*arguments: str) -> Result:
    return CliRunner().invoke(ocpy, ["hopkey", *arguments])


def test_a_key_s_life(tmp_path: Path) -> None:
    file = tmp_path / "hop.key"
    assert hopkey("create", str(file)).exit_code == 0
    [(old, secret)] = read_keys(file).items()
    added = hopkey("add", str(file))
    new = list(read_keys(file))[1]
    assert added.stdout.splitlines() == [f"{old.hex()}  for what is sent", f"{new.hex()}  opens what comes"]
    assert hopkey("promote", str(file), new.hex().upper()).exit_code == 0
    assert list(read_keys(file)) == [new, old]
    assert read_keys(file)[old] == secret
    dropped = hopkey("drop", str(file), old.hex())
    assert dropped.stdout.splitlines() == [f"{new.hex()}  for what is sent"]
    assert secret.hex() not in added.output
    assert hopkey("list", str(file)).stdout == dropped.stdout


def test_what_would_lose_keys_is_not_done(tmp_path: Path) -> None:
    file = tmp_path / "hop.key"
    hopkey("create", str(file))
    before = file.read_text()
    key_id = next(iter(read_keys(file))).hex()
    for arguments, reason in (
        (["create", str(file)], "exists"),
        (["drop", str(file), key_id], "is the only key"),
        (["drop", str(file), "00"], "has no key 00"),
        (["promote", str(file), "00"], f"its keys: {key_id}"),
        (["add", str(tmp_path / "absent")], "can't be read"),
    ):
        result = hopkey(*arguments)
        assert result.exit_code == 1
        assert reason in result.output
    assert file.read_text() == before

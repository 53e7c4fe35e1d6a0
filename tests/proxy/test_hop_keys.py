"""The key file that two hops share."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from openchange_py.proxy.hop_keys import KeyFile, KeyFileError, new_key, read_keys, write_keys

FIRST, SECOND = (b"\0\0\0\1", bytes(31) + b"\1"), (b"\0\0\0\2", bytes(31) + b"\2")


def test_what_is_written_is_read_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    write_keys(path, dict([SECOND, FIRST]))
    assert list(read_keys(path).items()) == [SECOND, FIRST]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["keys"]


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    write_keys(path, dict([FIRST]))
    path.chmod(0o640)
    with pytest.raises(KeyFileError, match="others than its owner may use it"):
        read_keys(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds no key"),
        ("# nothing\n\n", "holds no key"),
        ("00000001 abc", ":1: no ID and KEY"),
        (f"00000001 {'0' * 64}\n00000001 {'1' * 64}", ":2: no ID and KEY"),
        ("k\u00e4se", "it is no text"),
    ],
)
def test_what_is_no_key_file(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "keys"
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match=reason) as caught:
        read_keys(path)
    assert "abc" not in str(caught.value), "never what is in it"


def test_new_keys_differ() -> None:
    one = dict([new_key({})])
    other = new_key(one)
    assert other[0] not in one
    assert len(other[1]) == 32
    assert other[1] not in one.values()


def test_a_changed_file_is_read_again_and_a_broken_one_is_not_taken(tmp_path: Path) -> None:
    path, news, now = tmp_path / "keys", list[str](), [100.0]
    write_keys(path, dict([FIRST]))
    file = KeyFile(path, news.append, lambda: now[0])
    write_keys(path, dict([SECOND, FIRST]))
    assert list(file.keys) == [FIRST[0]], "it is looked at once a second"
    now[0] += 1
    assert list(file.keys) == [SECOND[0], FIRST[0]]
    path.write_text("broken")
    now[0] += 1
    assert list(file.keys) == [SECOND[0], FIRST[0]]
    path.unlink()
    now[0] += 1
    assert list(file.keys) == [SECOND[0], FIRST[0]]
    assert ["read again: 2 keys" in news[0], "stay in force" in news[1], "stay in force" in news[2]] == [True] * 3

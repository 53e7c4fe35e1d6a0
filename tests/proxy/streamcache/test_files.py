"""Files of the cache: whole or not there, whoever dies."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from openchange_py.proxy.streamcache.files import StreamFiles, WouldBlock
from tests.conftest import ROOT

NAME = "3f" + "0" * 62

_WRITER = """
import os, sys
from pathlib import Path
from openchange_py.proxy.streamcache.files import StreamFiles
part = StreamFiles(Path(sys.argv[1])).claim(sys.argv[2])
part.write(0, b"half")
print("written", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def files(tmp_path: Path) -> StreamFiles:
    made = StreamFiles(tmp_path / "cache", 0o750)
    made.prepare()
    return made


def test_a_file_is_there_when_it_is_whole(files: StreamFiles) -> None:
    part = files.claim(NAME)
    assert part is not None
    part.write(0, b"abc")
    part.write(3, b"def")
    assert part.file.read(1, 4) == b"bcde"
    assert list(files.names()) == []
    part.publish()
    part.close()
    assert files.final(NAME) == files.path / "3f" / NAME
    assert files.final(NAME).read_bytes() == b"abcdef"
    assert [oct(path.stat().st_mode & 0o777) for path in (files.path, files.final(NAME))] == ["0o750", "0o640"]
    found = files.open(NAME)
    assert found.identity == part.file.identity
    assert found.digest() == hashlib.sha256(b"abcdef").hexdigest()
    assert list(files.names()) == [NAME]
    files.remove(NAME)
    assert found.read(0, 6) == b"abcdef", "who has it open goes on reading"
    found.close()
    part.file.close()


def test_what_is_not_published_is_gone(files: StreamFiles) -> None:
    with files.claim(NAME) or pytest.fail("taken") as part:
        part.write(0, b"abc")
    part.close()
    assert list((files.path / "3f").iterdir()) == []
    with pytest.raises(OSError, match="closed"):
        part.write(0, b"x")


def test_one_writer_at_a_time(files: StreamFiles) -> None:
    first = files.claim(NAME)
    assert first is not None
    assert files.claim(NAME) is None
    assert not files.remove(NAME)
    assert files.remove_dead_parts() == 0
    first.close()
    second = files.claim(NAME)
    assert second is not None
    second.close()


def test_what_a_killed_writer_left_is_taken_over(files: StreamFiles) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", _WRITER, str(files.path), NAME]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"written\n"
        assert files.claim(NAME) is None
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        assert files.remove_dead_parts() == 1
        part = files.claim(NAME)
        assert part is not None
        assert part.file.size == 0, "from the beginning"
        part.close()


def test_a_file_that_is_shorter_is_an_error(files: StreamFiles) -> None:
    with files.claim(NAME) or pytest.fail("taken") as part:
        part.write(0, b"abc")
        with pytest.raises(OSError, match="too early"):
            part.file.read(1, 3)
        with pytest.raises(WouldBlock):
            part.file.read_now(1, 3)


def test_files_that_are_just_getting_their_row(files: StreamFiles) -> None:
    part = files.claim(NAME)
    assert part is not None
    part.publish()
    assert files.is_being_made(NAME)
    part.close()
    assert not files.is_being_made(NAME)
    assert not files.is_being_made("00" * 32)
    part.file.close()


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "3F" + "0" * 62, "3f" + "0" * 61, NAME + "\n"])
def test_nothing_else_is_a_name(files: StreamFiles, name: str) -> None:
    with pytest.raises(ValueError, match="no name of a stream"):
        files.claim(name)


def test_links_are_not_followed(files: StreamFiles, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("secret")
    (files.path / "3f").mkdir()
    for link in (files.final(NAME), files.final(NAME).with_name(NAME + ".part")):
        link.symlink_to(tmp_path / "victim")
    with pytest.raises(OSError):
        files.open(NAME)
    with pytest.raises(OSError):
        files.claim(NAME)
    assert (tmp_path / "victim").read_text() == "secret"

"""Lines written beside the calls: whole, in order, its owner's alone, and never in the way."""

from __future__ import annotations

import gzip
import os
import stat
import threading
from pathlib import Path

import pytest

from openchange_py.proxy.line_file import LineFile


def lines(path: Path) -> list[str]:
    data = gzip.decompress(path.read_bytes()) if ".gz" in path.suffixes else path.read_bytes()
    return data.decode().splitlines()


@pytest.mark.parametrize("name", ["out", "out.gz"])
def test_lines_of_several_threads_are_whole_and_in_order(tmp_path: Path, name: str) -> None:
    file = LineFile(tmp_path / name)
    writers = [threading.Thread(target=lambda n=n: [file.write(f"{n} {i}") for i in range(500)]) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    file.close()
    file.close()
    found = lines(tmp_path / name)
    for n in range(4):
        assert [line for line in found if line.startswith(f"{n} ")] == [f"{n} {i}" for i in range(500)]
    assert file.dropped == 0


@pytest.mark.parametrize("name", ["out", "out.gz"])
def test_it_is_its_owner_s_and_goes_on_where_it_ended(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for number in range(2):
        file = LineFile(path, header=lambda: "header")
        file.write(f"line {number}")
        file.close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.chmod(0o644)
    assert lines(path) == ["header", "line 0", "line 1"]


def test_moved_away_it_is_opened_anew(tmp_path: Path) -> None:
    path, moved = tmp_path / "out", tmp_path / "out.old"
    file = LineFile(path)
    file.write("one")
    path_has(path, "one")
    path.rename(moved)
    file.write("two")
    file.close()
    assert (lines(moved), lines(path)) == (["one"], ["two"])


def path_has(path: Path, text: str) -> None:
    """Wait for the writing thread: what it waits for is not time but that."""
    while text not in path.read_text():
        os.sched_yield()


def test_a_full_file_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = LineFile(tmp_path / "out", limit=1000)
    for _ in range(50):
        file.write("x" * 99)
    file.close()
    found = lines(tmp_path / "out")
    assert len(found) <= 10
    assert file.dropped == 50 - len(found)
    assert file.full
    assert "nothing more is written" in caplog.text


def test_or_is_rotated_with_its_header(tmp_path: Path) -> None:
    path = tmp_path / "out"
    file = LineFile(path, limit=200_000, rotate=True, header=lambda: "header")
    for number in range(4000):
        file.write(f"{number:099}")
    file.close()
    old, new = lines(path.with_name("out.1")), lines(path)
    assert old[0] == new[0] == "header"
    assert int(new[-1]) == 3999
    assert int(new[1]) == int(old[-1]) + 1
    assert path.stat().st_size <= 200_000
    assert not file.full
    assert file.dropped == 0


def test_what_waits_is_bounded_and_what_was_left_out_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The disk hangs: a named pipe whose reader sleeps."""
    os.mkfifo(tmp_path / "out")
    reader = os.open(tmp_path / "out", os.O_RDONLY | os.O_NONBLOCK)
    file = LineFile(tmp_path / "out", pending=1 << 20, lost=lambda count: f"lost {count}")
    for _ in range(3000):
        file.write("y" * 999)
    assert file.dropped > 500
    assert "lines are left out" in caplog.text
    os.set_blocking(reader, True)
    closing = threading.Thread(target=file.close)
    closing.start()
    with open(reader, "rb") as pipe:
        found = pipe.read().decode().splitlines()
    closing.join()
    told = sum(int(line.split()[1]) for line in found if line.startswith("lost"))
    assert told == file.dropped
    assert len(found) == 3000 - told + sum(line.startswith("lost") for line in found)


def test_a_disk_that_refuses_fails_nobody(caplog: pytest.LogCaptureFixture) -> None:
    file = LineFile(Path("/dev/full"))
    file.write("one")
    file.write("two")
    file.close()
    assert file.dropped == 2
    assert caplog.text.count("No space left on device") == 1


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (victim := tmp_path / "victim").write_text("precious\n")
    victim.chmod(0o644)
    (path := tmp_path / "log").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic link"):
        LineFile(path)
    assert (victim.read_text(), victim.stat().st_mode & 0o777) == ("precious\n", 0o644)


def test_a_compressed_file_is_one_process_own(tmp_path: Path) -> None:
    """And another one's once that is done with it; lines of plain files may be of several."""
    first = LineFile(tmp_path / "out.gz")
    with pytest.raises(OSError, match="another process writes to it"):
        LineFile(tmp_path / "out.gz")
    first.close()
    LineFile(tmp_path / "out.gz").close()
    both = [LineFile(tmp_path / "out") for _ in range(2)]
    for number, file in enumerate(both):
        file.write(f"line of {number}")
        file.close()
    assert (tmp_path / "out").read_text() == "line of 0\nline of 1\n"


def test_a_folder_that_is_not_there_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LineFile(tmp_path / "nowhere" / "out")


@pytest.mark.parametrize("rotate", [False, True])
def test_lines_larger_than_the_limit_are_left_out(tmp_path: Path, rotate: bool) -> None:
    file = LineFile(tmp_path / "out", limit=100, rotate=rotate)
    for line in ("z" * 200, "first", "z" * 200):
        file.write(line)
    file.close()
    assert lines(tmp_path / ("out.1" if rotate else "out")) == ["first"]
    assert file.dropped == 2


def test_a_line_may_be_longer_than_what_is_written_at_a_time(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "out", limit=1 << 20)
    for letter in "abc":
        file.write(letter * 200_000)
    file.close()
    assert [line[0] for line in lines(tmp_path / "out")] == ["a", "b", "c"]
    assert file.dropped == 0

"""The format of recordings."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

import pytest

from openchange_py.proxy.anonymize import Anonymize
from openchange_py.proxy.line_file import LineFile
from openchange_py.proxy.recording import (
    RecordedCall,
    RecordingError,
    end_line,
    header_line,
    left_out_line,
    read_recording,
)
from openchange_py.wire.oxnspi import NSPI
from tests.conftest import shared_path

CALL = RecordedCall(3, NSPI, 0, b"\x01\x02", b"\x03", None, "EXAMPLE\\alice", 0.5, 0.25, "ncacn_ip_tcp", 7)
FAULT = RecordedCall(4, NSPI, 1, b"\x01", None, 5)
LEFT_OUT = RecordedCall(4, NSPI, 1, None, None, None, reason="not decoded")


@pytest.mark.parametrize("name", ["r.jsonl", "r.jsonl.gz"])
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    lines = [header_line(Anonymize.NAMES), CALL.line(), FAULT.line(), end_line(3), LEFT_OUT.line(), left_out_line(2)]
    text = "\n".join(lines) + "\n"
    opener = gzip.open if name.endswith(".gz") else open
    with opener(tmp_path / name, "wt") as file:
        file.write(text)
    recording = read_recording(tmp_path / name)
    assert recording.calls == [CALL, FAULT, LEFT_OUT]
    assert (recording.anonymize, recording.left_out) == (Anonymize.NAMES, 2)


SYNCED = zlib.Z_SYNC_FLUSH


def killed(*lines: str) -> bytes:
    """What a recorder wrote before it was killed: compressed and readable, but not ended."""
    deflating = zlib.compressobj(wbits=31)
    return b"".join(deflating.compress(f"{line}\n".encode()) + deflating.flush(SYNCED) for line in lines)


@pytest.mark.parametrize("cut", [0, 25])
def test_a_recording_that_was_cut_off_has_its_whole_lines(tmp_path: Path, cut: int) -> None:
    data = killed(header_line(Anonymize.NONE), CALL.line(), FAULT.line())
    path = tmp_path / "r.jsonl.gz"
    path.write_bytes(data[: len(data) - cut])
    assert read_recording(path).calls == ([CALL] if cut else [CALL, FAULT])
    plain = tmp_path / "r.jsonl"
    plain.write_text(f"{CALL.line()}\n{FAULT.line()}\n"[: -cut - 1])
    assert read_recording(plain).calls == ([CALL] if cut else [CALL, FAULT])


def test_many_recorders_one_behind_the_other(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl.gz"
    whole = gzip.compress((CALL.line() + "\n").encode())
    path.write_bytes(b"".join((killed(FAULT.line()), whole, whole)) * 40)
    assert read_recording(path).calls == [FAULT, CALL, CALL] * 40
    path.write_bytes(killed(FAULT.line()) * 2000)
    with pytest.raises(RecordingError, match="invalid"):
        read_recording(path)


@pytest.mark.parametrize("cut", [0, 25])
def test_another_recorder_goes_on_behind_one_that_was_killed(tmp_path: Path, cut: int) -> None:
    first = killed(header_line(Anonymize.NONE), *[CALL.line()] * 30, FAULT.line())
    path = tmp_path / "r.jsonl.gz"
    path.write_bytes(first[: len(first) - cut])
    for name in (path, tmp_path / "r.jsonl"):
        if name is not path:
            name.write_text(f"{CALL.line()}\n{FAULT.line()}"[: -cut or None])
        file = LineFile(name)
        file.write(header_line(Anonymize.CONTENT))
        file.write(CALL.line())
        file.close()
        recording = read_recording(name)
        assert recording.anonymize is Anonymize.CONTENT
        assert recording.calls[0] == CALL
        assert recording.calls[-1].session > CALL.session
        assert recording.calls[-1].request == CALL.request
        assert (FAULT in recording.calls) == (not cut)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 2: no line of a recording"),
        ("[]", "line 2"),
        ('{"format": "openchange_py recording", "version": 9, "anonymize": "none"}', "version 9 is not known"),
        ('{"session": 1}', "'interface_uuid' is missing"),
        (CALL.line().replace('"0102"', '"01020"'), "line 2"),
        (FAULT.line().replace('"0x00000005"', "{}"), "line 2"),
        (CALL.line().replace('"opnum": 0', '"opnum": null'), "line 2"),
        ("[" * 100_000, "line 2"),
    ],
)
def test_what_is_no_recording_is_told(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(f"{CALL.line()}\n{line}\n")
    with pytest.raises(RecordingError, match=reason):
        read_recording(path)


def test_nothing_in_it_is_none(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text(header_line(Anonymize.CONTENT))
    with pytest.raises(RecordingError, match="no call"):
        read_recording(tmp_path / "r.jsonl")
    (tmp_path / "r.jsonl.gz").write_text("this is not compressed")
    with pytest.raises(RecordingError, match="not compressed by gzip"):
        read_recording(tmp_path / "r.jsonl.gz")


def test_captures_of_other_programs_are_read(tmp_path: Path) -> None:
    path = shared_path("wire/calls-profile-tcp-badname.jsonl")
    recording = read_recording(path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(recording.calls) + recording.others == len(lines)
    assert recording.others > 0, "the endpoint mapper's"
    assert any(recorded.fault == 5 for recorded in recording.calls)

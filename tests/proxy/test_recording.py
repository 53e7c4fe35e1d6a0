"""The format of recordings."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from openchange_py.proxy.anonymize import Anonymize
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


def test_a_recording_that_was_cut_off_has_its_whole_lines(tmp_path: Path) -> None:
    """Of a recorder that was killed. What is compressed is readable as far as it was written."""
    whole = gzip.compress((CALL.line() + "\n").encode())
    (tmp_path / "r.jsonl.gz").write_bytes(whole + gzip.compress(FAULT.line().encode())[:15])
    assert read_recording(tmp_path / "r.jsonl.gz").calls == [CALL]


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
    with pytest.raises(RecordingError, match="Not a gzipped file"):
        read_recording(tmp_path / "r.jsonl.gz")


def test_captures_of_other_programs_are_read(tmp_path: Path) -> None:
    path = shared_path("wire/calls-profile-tcp-badname.jsonl")
    recording = read_recording(path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(recording.calls) + recording.others == len(lines)
    assert recording.others > 0, "the endpoint mapper's"
    assert any(recorded.fault == 5 for recorded in recording.calls)

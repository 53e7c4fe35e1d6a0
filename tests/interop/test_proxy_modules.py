"""The modules that watch, in processes: what was done is printed, counted and recorded, and the recording played back.

A proxy relays everything to node `exchange`, with the modules print, stats and record; its recording then answers the
same client in a proxy whose server does not exist, and is sent to node `exchange` in place of the client.
"""

from __future__ import annotations

import collections
import dataclasses
import gzip
import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.interop.nodes import Node, Site, ocpy, reserved_port

pytestmark = pytest.mark.xdist_group("site")

#: What the client does.
COMMANDS = (("folders",), ("messages",), ("read", "--number", "1"), ("read", "--number", "2"), ("list",))


@dataclasses.dataclass
class Watched:
    """What the client got, and what was seen of it."""

    answers: list[Any]
    metrics: dict[str, dict[tuple[str, ...], float]]
    stats: dict[str, Any]
    printed: list[dict[str, Any]]
    recording: Path
    log: list[str]


def proxy(site: Site, name: str, port: int, *options: str) -> Node:
    """A node that relays everything to a port, with further options."""
    config = site.hybrid.config.read_text("utf-8")
    upstream = re.search(r"127\.0\.0\.1\[(\d+),seal\]", config)
    assert upstream is not None
    left_out = ("nspi_server", "rfr_server", "modules")
    lines = [line for line in config.splitlines() if not any(f"dcerpc_mapiproxy:{word}" in line for word in left_out)]
    text = "\n".join([*lines, *(f"    {option}" for option in options)]) + "\n"
    (site.place / name).mkdir()
    path = site.place / f"{name}.conf"
    path.write_text(text.replace("hybrid", name).replace(upstream[0], f"127.0.0.1[{port},seal]"), "utf-8")
    return Node(name, path)


def asked(site: Site, node: Node) -> list[Any]:
    return [site.client(node, "alice", *command, "--json") for command in COMMANDS]


@pytest.fixture(scope="module", params=["none", "content"])
def watched(site: Site, request: pytest.FixtureRequest) -> Watched:
    """A proxy with all of them, from its start to its end, and what alice did meanwhile."""
    name = f"watching-{request.param}"
    calls, recording = site.place / f"{name}.calls", site.place / f"{name}.recording.jsonl.gz"
    node = proxy(
        site,
        name,
        site.exchange.rpc_port,
        "dcerpc_mapiproxy:modules = print, stats, record",
        f"mpm_print:file = {calls}",
        "mpm_print:format = json",
        f"mpm_record:file = {recording}",
        f"mpm_record:anonymize = {request.param}",
        "ocpy:metrics port = 0",
    )
    try:
        node.start()
        node.wait_until_ready()
        answers = asked(site, node)
        stats = json.loads(ocpy("stats", "--endpoints", node.ready_file, "--json").stdout)
        metrics = scraped(node)
        assert node.stop() == 0
    finally:
        node.abandon()
    printed = [json.loads(line) for line in calls.read_text("utf-8").splitlines()]
    return Watched(answers, metrics, stats, printed, recording, node.log.lines)


def scraped(node: Node) -> dict[str, dict[tuple[str, ...], float]]:
    """Samples by name and labels, `le` aside, as Prometheus' own parser reads them."""
    place = node.ready["metrics"]
    with urllib.request.urlopen(f"http://{place['host']}:{place['port']}/metrics", timeout=30) as response:
        families = text_string_to_metric_families(response.read().decode())
    found: dict[str, dict[tuple[str, ...], float]] = collections.defaultdict(dict)
    for sample in (sample for family in families for sample in family.samples if "le" not in sample.labels):
        found[sample.name][tuple(value for _, value in sorted(sample.labels.items()))] = sample.value
    return found


@pytest.fixture
def direct(site: Site) -> list[Any]:
    """What the server itself answers now; a test below makes somebody more to list."""
    return asked(site, site.exchange)


def test_the_client_notices_nothing(direct: list[Any], watched: Watched) -> None:
    assert watched.answers == direct


def test_what_was_counted_is_what_was_printed(watched: Watched) -> None:
    """Calls, ROPs by their ReturnValue, bytes: two modules, each with its own way to find out."""
    answers = [record for record in watched.printed if record["direction"] == "response"]
    assert not [record for record in watched.printed if "error" in record or record["direction"] == "fault"]
    calls = collections.Counter((record["call"], record["interface"], "server") for record in answers)
    assert watched.metrics["ocpy_stats_call_seconds_count"] == calls
    assert {call for call, _, _ in calls} >= {
        "NspiBind",
        "NspiQueryRows",
        "EcDoConnectEx",
        "EcDoRpcExt2",
        "EcDoDisconnect",
    }
    sizes: collections.Counter[tuple[str, ...]] = collections.Counter()
    for record in watched.printed:
        way = "in" if record["direction"] == "request" else "out"
        sizes[record["call"], way, record["interface"]] += record["bytes"]
    assert watched.metrics["ocpy_stats_call_bytes_total"] == sizes
    rops = [rop for record in answers for buffer in record.get("buffers", ()) for rop in buffer["rops"]]
    answered = sum(
        count for (outcome, rop), count in watched.metrics["ocpy_stats_rops_total"].items() if outcome != "-"
    )
    assert answered == len(rops) > 30
    assert watched.metrics["ocpy_stats_rops_total"]["Success", "QueryRows"] == sum(
        rop["rop"] == "RopQueryRowsResponse" for rop in rops
    )
    assert watched.metrics["ocpy_stats_user_calls_total"] == {("server", "alice"): len(answers)}
    assert watched.metrics["ocpy_stats_undecoded_total"] == {(): 0}


def test_the_command_says_the_same(watched: Watched) -> None:
    counts = {(line["call"], line["interface"], line["outcome"]): line["count"] for line in watched.stats["calls"]}
    assert counts == watched.metrics["ocpy_stats_call_seconds_count"]
    assert watched.stats["users"][0]["user"] == "alice"
    assert any("calls in" in line and "answered by servers" in line for line in watched.log), "the summary at the end"


def test_printed_are_names_and_contents(watched: Watched) -> None:
    rops = [rop for record in watched.printed for buffer in record.get("buffers", ()) for rop in buffer["rops"]]
    rows = [row for rop in rops if rop["rop"] == "RopQueryRowsResponse" for row in rop["rows"]]
    assert any(row.get("PidTagDisplayName") == "Inbox" for row in rows)
    subjects = {message["subject"] for message in watched.answers[1]["messages"]}
    assert subjects <= {row.get("PidTagSubject") for row in rows}


def test_the_same_client_gets_the_same_without_the_server(site: Site, watched: Watched) -> None:
    nowhere = reserved_port()  # nothing ever listens there
    name = f"replaying-{watched.recording.name.split('.')[0]}"
    node = proxy(
        site,
        name,
        nowhere.getsockname()[1],
        "dcerpc_mapiproxy:modules = stats, replay",
        f"mpm_replay:file = {watched.recording}",
        "ocpy:metrics port = 0",
    )
    try:
        node.start()
        node.wait_until_ready()
        answers = asked(site, node)
        metrics = scraped(node)
        refused = site.client(node, "bob", "messages", check=False)
        assert node.stop() == 0
    finally:
        node.abandon()
        nowhere.close()
    assert {outcome for _, _, outcome in metrics["ocpy_stats_call_seconds_count"]} == {"module"}
    assert refused.returncode == 1, "bob was not recorded"
    if "content" in name:
        assert_filler(answers, watched.answers)
    else:
        assert answers == watched.answers


def assert_filler(answers: list[Any], originals: list[Any]) -> None:
    """Ids, sizes, times and flags are the recorded ones; subjects, senders and bodies are not."""
    folders, original = answers[0], originals[0]
    assert [(f["id"], f["name"], f["count"]) for f in folders] == [(f["id"], f["name"], f["count"]) for f in original]
    kept = ("id", "number", "time", "size", "is_read", "has_attachments")
    for message, known in zip(answers[1]["messages"], originals[1]["messages"], strict=True):
        assert {key: message[key] for key in kept} == {key: known[key] for key in kept}
        assert len(message["subject"]) == len(known["subject"])
        assert set(message["subject"]) <= set("x")
    text = json.dumps(answers)
    for known in originals[1]["messages"]:
        assert known["subject"] not in text
    assert "alice" not in text.casefold()


def test_the_server_answers_the_same_without_the_client(site: Site, watched: Watched, tmp_path: Path) -> None:
    """From the recording, sent to the server itself as alice, and as somebody who has no mail."""
    place = ["--endpoints", site.exchange.ready_file, "--json"]
    done = ocpy(
        *("replay", watched.recording, *place), "--user", "alice", "--password-file", site.password_file("alice")
    )
    report = json.loads(done.stdout)
    assert report["calls"] == report["agree"] == len(watched.printed) // 2
    assert report["agree"] > 30
    nobody = f"nobody-{watched.recording.name.partition('.')[0]}"
    password = tmp_path / "password"
    password.write_text("Secret-nobody-1\n")
    account = ("--create", nobody, "--mail", f"{nobody}@example.test", "--mailbox", "--password-file", password)
    ocpy("newuser", "-c", site.exchange.config, *account)
    other = ocpy(
        *("replay", watched.recording, *place, "--user", nobody, "--password-file", password),
        check=False,
    )
    assert other.returncode == 1
    assert json.loads(other.stdout)["differ"] > 0


def test_a_recording_without_secrets_has_none(site: Site, watched: Watched) -> None:
    """What the client saw of people and mail is nowhere in it; with `none` it is."""
    lines = [json.loads(line) for line in gzip.decompress(watched.recording.read_bytes()).splitlines()]
    stubs = b"".join(
        bytes.fromhex(line[key]) for line in lines for key in ("request_stub_hex", "response_stub_hex") if line.get(key)
    )
    plain = stubs + bytes(byte ^ 0xA5 for byte in stubs)
    words = {"alice", *(message["subject"] for message in watched.answers[1]["messages"])}
    found = {word for word in words if word.encode() in plain or word.encode("utf-16-le") in plain}
    assert bool(found) == (lines[0]["anonymize"] == "none")
    assert lines[0]["anonymize"] == "none" or "alice" not in json.dumps(lines)
    assert watched.recording.stat().st_mode & 0o777 == 0o600

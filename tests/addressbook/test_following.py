import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from openchange_py.addressbook import following
from openchange_py.addressbook.base import GLOBAL_ADDRESS_LIST, DirectoryError, Record
from openchange_py.addressbook.followed import Changes
from openchange_py.addressbook.following import Follower
from openchange_py.addressbook.indexed import IndexedDirectory
from openchange_py.addressbook.indexing import IndexWriter
from tests.addressbook.conftest import identity, person, put
from tests.addressbook.scripted_source import ScriptedServer
from tests.conftest import ROOT

URL = "ldaps://dc.example.test"


def shown_person(name: str) -> Record:
    return person(name, show=["cn=GAL"])


@pytest.fixture
def server() -> ScriptedServer:
    server = ScriptedServer()
    server.put(*(shown_person(name) for name in ("alice", "bob", "carl")))
    return server


@pytest.fixture
def follower(index: IndexedDirectory, server: ScriptedServer) -> Iterator[Follower]:
    follower = Follower(index, URL, server.connect)
    yield follower
    follower.stop()


def gal(index: IndexedDirectory) -> list[str]:
    return [str(entry.account) for entry in index.lists(None).page(GLOBAL_ADDRESS_LIST, 0, 99)]


def until(condition: Callable[[], object]) -> None:
    """A thread does it soon."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)


def test_all_is_read_once_and_then_what_changed(
    index: IndexedDirectory, server: ScriptedServer, follower: Follower
) -> None:
    follower.catch_up()
    assert gal(index) == ["alice", "bob", "carl"]
    mids = {entry.account: entry.mid for entry in index.entries()}
    server.put(shown_person("dora"), person("bob", displayName=["Aaron"], show=["cn=GAL"]))
    server.delete("carl")
    follower.catch_up()
    assert gal(index) == ["bob", "alice", "dora"]
    server.put(shown_person("carl"))
    follower.catch_up()
    assert {entry.account: entry.mid for entry in index.entries()} == mids | {"dora": mids["carl"] + 1}
    assert server.reads == ["everything", "changes", "changes"]


def test_a_restart_goes_on_where_it_was(index: IndexedDirectory, server: ScriptedServer, follower: Follower) -> None:
    follower.catch_up()
    follower.stop()
    server.put(shown_person("dora"))
    again = Follower(IndexedDirectory(index.database.url.render_as_string()), URL, server.connect)
    again.catch_up()
    again.stop()
    assert server.reads == ["everything", "changes"]
    assert "dora" in gal(index)


def test_where_the_server_cannot_tell_all_is_compared(
    index: IndexedDirectory, server: ScriptedServer, follower: Follower
) -> None:
    follower.catch_up()
    server.delete("alice")
    server.put(shown_person("dora"))
    server.forgotten = len(server.log)
    follower.catch_up()
    assert gal(index) == ["bob", "carl", "dora"]
    assert server.reads == ["everything", "changes", "everything"]


def test_another_server_s_cookie_says_nothing(
    index: IndexedDirectory, server: ScriptedServer, follower: Follower
) -> None:
    follower.catch_up()
    other = Follower(index, "ldaps://other.example.test", server.connect)
    other.catch_up()
    assert server.reads == ["everything", "everything"]


def test_once_a_day_all_is_compared(
    index: IndexedDirectory, server: ScriptedServer, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower.catch_up()
    IndexWriter(index.database).remove([identity("alice")])  # however that came
    monkeypatch.setattr(following, "COMPARE_SECONDS", -1.0)
    follower.catch_up()
    assert gal(index) == ["alice", "bob", "carl"]


def test_a_server_that_does_not_tell_deletions_is_asked_who_is_there(
    index: IndexedDirectory, server: ScriptedServer, follower: Follower
) -> None:
    server.tells_deletions = False
    follower.catch_up()
    server.delete("bob")
    follower.catch_up()
    assert gal(index) == ["alice", "carl"]


def test_who_came_while_all_was_read_is_not_removed(index: IndexedDirectory, server: ScriptedServer) -> None:
    """As a command that creates somebody, and puts him into the index at once."""
    source = server.connect()
    read = source.everything

    def everything() -> Iterator[Changes]:
        for part in read():
            put(index, shown_person("dora"))
            yield part

    source.everything = everything  # type: ignore[method-assign]
    Follower(index, URL, lambda: source).catch_up()
    assert gal(index) == ["alice", "bob", "carl", "dora"]


def test_a_server_that_shows_hardly_anything_is_not_believed(
    index: IndexedDirectory, server: ScriptedServer, follower: Follower
) -> None:
    server.put(*(shown_person(f"user{number}") for number in range(40)))
    follower.catch_up()
    everybody = dict(server.entries)
    server.entries = {identity("alice"): server.entries[identity("alice")]}
    server.forgotten = len(server.log) + 1
    with pytest.raises(DirectoryError, match="shows 1 of the 43 entries"):
        follower.catch_up()
    assert index.count() == 43
    assert "shows 1 of the 43" in str(follower.status().error)
    server.entries = everybody
    follower.catch_up()
    assert follower.status().error is None
    server.entries = {identity("alice"): everybody[identity("alice")]}
    server.forgotten = len(server.log) + 1
    follower.catch_up(accept_loss=True)
    assert index.count() == 1
    assert follower.status().error is None


def test_a_server_that_is_away_leaves_the_index_and_is_tried_again(
    index: IndexedDirectory, server: ScriptedServer, follower: Follower, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(following, "LONGEST_BACK_OFF", 0.01)
    follower.start()
    before = follower.status()
    assert (before.entries, before.error) == (3, None)
    assert before.last_contact
    with caplog.at_level(logging.INFO):
        server.away = True
        server.put(shown_person("dora"))
        until(lambda: follower.status().error)
        tries = server.connections
        assert "does not answer" in str(follower.status().error)
        assert gal(index) == ["alice", "bob", "carl"]
        assert follower.status().last_contact == before.last_contact or follower.status().last_contact
        server.away = False
        until(lambda: "dora" in gal(index))
        until(lambda: follower.status().error is None)
    assert server.connections > tries
    assert caplog.text.count("can't be followed") == 1
    assert caplog.text.count("is followed again") == 1


def test_the_first_index_needs_the_server(index: IndexedDirectory, server: ScriptedServer, follower: Follower) -> None:
    server.away = True
    assert follower.status().error == "the index was never completed"
    with pytest.raises(DirectoryError, match="does not answer"):
        follower.start()
    status = follower.status()
    assert (status.lag, status.last_contact) == (None, None)


def test_a_failure_that_nobody_expected_is_logged_and_tried_again(
    index: IndexedDirectory, server: ScriptedServer, follower: Follower, caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(following, "LONGEST_BACK_OFF", 0.01)
    follower.start()
    good = server.books
    server.books = [None]  # type: ignore[list-item]
    server.put(shown_person("dora"))
    until(lambda: "following the directory failed" in caplog.text)
    server.books = good
    until(lambda: "dora" in gal(index))


def test_one_process_follows_and_another_goes_on_when_it_stops(
    index: IndexedDirectory, server: ScriptedServer, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_LOOK_SECONDS", 0.01)
    second = Follower(index, URL, server.connect)
    follower.start()
    second.start()
    server.put(shown_person("dora"))
    until(lambda: "dora" in gal(index))
    assert second._source is None
    follower.stop()
    server.put(shown_person("emil"))
    until(lambda: "emil" in gal(index))
    assert second._source is not None
    second.stop()


def test_a_command_catches_up_while_another_process_follows(
    index: IndexedDirectory, server: ScriptedServer, follower: Follower
) -> None:
    follower.start()
    command = Follower(IndexedDirectory(index.database.url.render_as_string()), URL, server.connect)
    server.entries[identity("dora")] = shown_person("dora")
    server.log.append(identity("dora"))  # and no notice of it
    command.catch_up()
    assert "dora" in gal(index)
    server.put(shown_person("emil"))
    until(lambda: "emil" in gal(index))


KILLED = """
    import sys
    from openchange_py.addressbook.following import Follower
    from openchange_py.addressbook.indexed import IndexedDirectory
    from tests.addressbook.scripted_source import ScriptedServer
    from tests.addressbook.test_following import shown_person

    server = ScriptedServer()
    server.put(*(shown_person(f"user{number}") for number in range(40)))
    source = server.connect()
    read = source.everything
    def everything():
        for number, part in enumerate(read()):
            if number == 25:
                print("half", flush=True)
                sys.stdin.read()
            yield part
    source.everything = everything
    server.connect = lambda: source
    Follower(IndexedDirectory(sys.argv[1]), "ldaps://dc.example.test", server.connect).catch_up()
"""


def test_a_kill_in_the_midst_of_the_first_index_loses_no_id_and_is_gone_on_with(
    index: IndexedDirectory, url: str, server: ScriptedServer, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout
    assert process.stdout.readline() == b"half\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    mids = {entry.account: entry.mid for entry in index.entries()}
    assert len(mids) == 25
    # The dead one's lease has to run out.
    clock = time.time
    monkeypatch.setattr("openchange_py.addressbook.follower_state.time.time", lambda: clock() + 3600)
    server.entries.clear()
    server.put(*(shown_person(f"user{number}") for number in range(40)))
    follower.catch_up()
    after = {entry.account: entry.mid for entry in index.entries()}
    assert len(after) == 40
    assert {name: after[name] for name in mids} == mids
    assert len(set(after.values())) == 40

"""Module cache in front of a mailbox server: which reads reach the server, and that every byte is right."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from pathlib import Path

import pytest

from openchange_py.config.parser import ConfigError
from openchange_py.proxy.modules.cache import CacheModule
from openchange_py.proxy.streamcache.names import VERSION_TAGS
from openchange_py.proxy.testing import settings_of
from openchange_py.rpc.call import Call, RpcFault
from openchange_py.rpc.security import AuthLevel, Identity
from openchange_py.store.base import AttachmentDraft, MessageDraft, SpecialFolder
from openchange_py.wire import proptags as p
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.ids import FolderId
from openchange_py.wire.oxcdata.properties import PropertyType
from openchange_py.wire.oxcrpc import EMSMDB, EcDoRpcExt2Request
from openchange_py.wire.rop.base import RopReleaseRequest, RopRequest
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.oxcfold import RopDeleteMessagesRequest
from openchange_py.wire.rop.oxcmsg import (
    RopOpenAttachmentRequest,
    RopOpenEmbeddedMessageRequest,
    RopOpenMessageRequest,
    RopSaveChangesAttachmentRequest,
)
from openchange_py.wire.rop.oxcprpt_streams import (
    BYTE_COUNT_IN_MAXIMUM,
    Origin,
    RopCloneStreamRequest,
    RopGetStreamSizeRequest,
    RopOpenStreamRequest,
    RopReadStreamRequest,
    RopSeekStreamRequest,
    RopSetStreamSizeRequest,
    RopWriteStreamRequest,
)
from openchange_py.wire.rpcheaderext import pack_payload
from tests.proxy.streamcache.parties import CachingProxy, ProxyClient, caching_proxy
from tests.servers.emsmdb.parties import DATA, LONG_BODY, NONE, Client, World, letter

BODY8 = p.PidTagBody.with_type(PropertyType.String8)
_INBOX, _SENT = SpecialFolder.INBOX, SpecialFolder.SENT_ITEMS


def _embedding(inner: MessageDraft) -> AttachmentDraft:
    return AttachmentDraft({p.PidTagDisplayName: "a message"}, embedded=inner)


def test_the_second_read_is_answered_here(proxy: CachingProxy) -> None:
    alice = proxy.client()
    assert alice.read_all(alice.data_stream()) == DATA
    asked = proxy.upstream_reads
    assert 0 < asked < len(DATA) // 0x3000
    assert proxy.counts["upstream_bytes"] == len(DATA)
    stream = alice.data_stream()
    assert alice.read_all(stream) == DATA
    assert proxy.upstream_reads == asked, "nothing was read upstream"
    assert (proxy.counts["misses"], proxy.counts["hits"], proxy.counts["stored"]) == (1, 1, 1)
    assert proxy.counts["bytes_served"] == 2 * len(DATA)


def test_another_client_that_may_read_it_is_served_too(proxy: CachingProxy) -> None:
    alice, relay = proxy.client(), proxy.client("relay")
    alice.read_all(alice.data_stream())
    asked = proxy.upstream_reads
    assert relay.read_all(relay.data_stream()) == DATA
    assert proxy.upstream_reads == asked


def test_one_that_may_not_is_refused_by_the_server(proxy: CachingProxy) -> None:
    alice, bob = proxy.client(), proxy.client("bob")
    alice.read_all(alice.data_stream())
    assert bob.log_on("alice").return_value != 0
    request = RopOpenMessageRequest(0, 0, 1, 0x0FFF, FolderId(0), 0, proxy.world.rich)
    assert bob.execute(request, handles=[bob.logon, NONE]).rops[0].return_value == ErrorCode.NotFound  # type: ignore[attr-defined]
    assert proxy.counts["hits"] == 0


def test_it_outlives_the_proxy(world: World, tmp_path: Path) -> None:
    for reads in (2, 0):
        with caching_proxy(world, tmp_path / "cache") as proxy:
            alice = proxy.client()
            assert alice.read_all(alice.data_stream()) == DATA
            assert (proxy.upstream_reads > 0) == (reads > 0)


def test_bodies_and_attachments_have_an_entry_per_property(proxy: CachingProxy) -> None:
    alice = proxy.client()
    for _ in range(2):
        message = alice.message(proxy.world.rich)
        assert alice.read_all(alice.stream(message, p.PidTagBody)).decode("utf-16-le") == LONG_BODY
        assert alice.read_all(alice.stream(alice.attachment(0, message))) == DATA
    assert proxy.counts["stored"] == proxy.counts["hits"] == 2


@pytest.mark.parametrize(
    "options", [{"mpm_cache:min_size": "60000"}, {"mpm_cache:max_size": "50000"}], ids=["too small", "too large"]
)
def test_streams_of_the_wrong_size_pass(world: World, tmp_path: Path, options: dict[str, str]) -> None:
    with caching_proxy(world, tmp_path / "cache", options) as proxy:
        alice = proxy.client()
        assert alice.read_all(alice.data_stream()) == DATA
        assert proxy.upstream_reads > 4
        assert proxy.counts["stored"] == 0


def test_text_in_a_client_s_code_page_passes(proxy: CachingProxy) -> None:
    alice = proxy.client()
    for _ in range(2):
        assert alice.read_all(alice.stream(alice.message(proxy.world.rich), BODY8)).decode("cp1252") == LONG_BODY
    assert proxy.counts["misses"] == 0


def test_reads_in_the_buffer_that_opens_the_stream_are_stored_on_their_way_back(proxy: CachingProxy) -> None:
    alice = proxy.client()
    for turn in range(2):
        rops: list[RopRequest] = [
            RopOpenMessageRequest(0, 0, 1, 0x0FFF, FolderId(0), 0, proxy.world.rich),
            RopOpenAttachmentRequest(0, 1, 2, 0, 0),
            RopOpenStreamRequest(0, 2, 3, p.PidTagAttachDataBinary, 0),
            RopReadStreamRequest(0, 3, 1000),
            RopSeekStreamRequest(0, 3, Origin.Current, -100),
            RopReadStreamRequest(0, 3, 500),
        ]
        answer = alice.execute(*rops, handles=[alice.logon, NONE, NONE, NONE])
        first, _, second = answer.rops[-3:]
        assert first.data == DATA[:1000]  # type: ignore[attr-defined]
        assert second.data == DATA[900:1400]  # type: ignore[attr-defined]
        asked = proxy.upstream_reads
        assert alice.read_all(answer.handles[3]) == DATA[1400:]
        assert (proxy.upstream_reads == asked) == (turn == 1)
    assert proxy.counts["upstream_bytes"] == len(DATA) + 100 + 1500


def test_several_reads_in_one_buffer(proxy: CachingProxy) -> None:
    alice = proxy.client()
    for _ in range(2):
        stream = alice.data_stream()
        reads = [RopReadStreamRequest(0, 0, 5000), RopReadStreamRequest(0, 0, 7000), RopReadStreamRequest(0, 0, 3)]
        answers = alice.execute(*reads, handles=[stream]).rops
        assert [rop.data for rop in answers] == [DATA[:5000], DATA[5000:12000], DATA[12000:12003]]  # type: ignore[attr-defined]
        assert alice.read(stream, 10) == DATA[12003:12013]


def test_what_there_is_no_room_for_is_the_server_s_to_answer(proxy: CachingProxy) -> None:
    """A piece that is shorter than was asked for would look like the end of the stream."""
    alice = proxy.client()
    alice.read_all(alice.data_stream())
    asked = proxy.upstream_reads
    stream = alice.data_stream()
    reads = [RopReadStreamRequest(0, 0, 0x3000) for _ in range(4)]
    got = [getattr(rop, "data", b"") for rop in alice.execute(*reads, handles=[stream]).rops]
    assert [len(piece) for piece in got[:2]] == [0x3000, 0x3000]
    assert proxy.upstream_reads > asked, "those that did not fit"
    assert b"".join(got) + alice.read_all(stream) == DATA


def test_further_responses_for_who_asks_for_them(proxy: CachingProxy) -> None:
    alice = proxy.client()
    alice.read_all(alice.data_stream())
    pieces = alice.read_chained(alice.data_stream(), len(DATA) + 100)
    assert len(pieces) == 2
    assert b"".join(pieces) == DATA
    stream = alice.data_stream()
    assert b"".join(alice.read_chained(stream, 40_000)) == DATA[:40_000]
    assert alice.read(stream) == DATA[40_000:]


def test_seeking_and_sizes_are_answered_here(proxy: CachingProxy) -> None:
    alice = proxy.client()
    alice.read_all(alice.data_stream())
    stream = alice.data_stream()
    assert alice.ask(RopGetStreamSizeRequest(0, 0), stream).stream_size == len(DATA)
    for origin, offset, position in ((Origin.End, -10, len(DATA) - 10), (0, 5, 5), (Origin.Current, 95, 100)):
        assert alice.ask(RopSeekStreamRequest(0, 0, origin, offset), stream).new_position == position
        assert alice.read(stream, 10) == DATA[position : position + 10]
        alice.ask(RopSeekStreamRequest(0, 0, Origin.Current, -10), stream)
    assert proxy.asked_for(RopGetStreamSizeRequest) == 0
    assert alice.read(alice.data_stream(), 0) == b""


@pytest.mark.parametrize(("origin", "offset"), [(Origin.Beginning, -1), (7, 0), (Origin.End, 5)])
def test_seeks_out_of_the_stream_are_the_server_s_to_judge(proxy: CachingProxy, origin: int, offset: int) -> None:
    alice = proxy.client()
    alice.read_all(alice.data_stream())
    stream = alice.data_stream()
    alice.read(stream, 777)
    answered = alice.ask(RopSeekStreamRequest(0, 0, origin, offset), stream)
    if answered.return_value:
        assert alice.read(stream, 10) == DATA[777:787], "the server's stream is where the client is"
    else:
        assert answered.new_position == len(DATA) + 5
        assert alice.read(stream) == b""


def test_a_jump_passes(world: World, tmp_path: Path) -> None:
    content = os.urandom(300_000)
    draft = letter(1)
    draft.properties[p.PidTagHtml] = content
    message_id = world.mailbox.save_message(world.folder(_INBOX), draft)
    with caching_proxy(world, tmp_path / "cache") as proxy:
        alice = proxy.client()
        stream = alice.stream(alice.message(message_id), p.PidTagHtml)
        assert alice.read(stream, 1000) == content[:1000]
        alice.ask(RopSeekStreamRequest(0, 0, 0, 200_000), stream)
        assert alice.read(stream, 1000) == content[200_000:201_000]
        alice.ask(RopSeekStreamRequest(0, 0, 0, 0), stream)
        assert alice.read_all(stream, 0x7000) == content
        assert proxy.counts["stored"] == 0


def test_a_clone_begins_where_the_stream_is(proxy: CachingProxy) -> None:
    alice = proxy.client()
    alice.read_all(alice.data_stream())
    stream = alice.data_stream()
    alice.read(stream, 500)
    alice.execute(RopCloneStreamRequest(0, 0, 1), handles=[stream, NONE])
    [seek] = [rop for rop in proxy.asked if isinstance(rop, RopSeekStreamRequest) and rop.offset == 500]
    assert proxy.asked.index(seek) == len(proxy.asked) - 2, "the server's stream is there before it is cloned"
    asked = proxy.upstream_reads
    assert alice.read(stream, 10) == DATA[500:510]
    assert proxy.upstream_reads == asked + 1


def _write(alice: ProxyClient, message: int, content: bytes) -> int:
    attachment = alice.open(RopOpenAttachmentRequest(0, 0, 1, 1, 0), message)
    stream = alice.stream(attachment, mode=1)
    for start in range(0, len(content), 0x7000):
        piece = content[start : start + 0x7000]
        assert alice.ask(RopWriteStreamRequest(0, 0, piece), stream).written_size == len(piece)
    assert alice.ask(RopSetStreamSizeRequest(0, 0, len(content)), stream).return_value == 0
    return attachment


def test_a_saved_change_is_read_by_everybody(proxy: CachingProxy) -> None:
    """The same size, and other bytes: alone the message's version tells them apart."""
    alice, relay = proxy.client(), proxy.client("relay")
    alice.read_all(alice.data_stream())
    before = relay.data_stream()
    assert relay.read(before, 100) == DATA[:100]
    changed = bytes(reversed(DATA))
    message = alice.message(proxy.world.rich, mode=1)
    attachment = _write(alice, message, changed)
    assert alice.execute(RopSaveChangesAttachmentRequest(0, 1, 0, 0), handles=[attachment, message]).rops
    assert alice.save(message).return_value == 0
    assert relay.read_all(before) == DATA[100:], "who opened it before goes on reading what he opened"
    assert relay.read_all(relay.data_stream()) == changed
    assert alice.read_all(alice.data_stream()) == changed
    assert proxy.counts["invalidated"] == 1
    assert proxy.cache.index.total()[0] == 1


def test_what_is_not_saved_is_never_cached(proxy: CachingProxy) -> None:
    alice, relay = proxy.client(), proxy.client("relay")
    changed = os.urandom(len(DATA))
    message = alice.message(proxy.world.rich, mode=1)
    attachment = _write(alice, message, changed)
    assert alice.read_all(alice.stream(attachment)) == changed
    assert relay.read_all(relay.data_stream()) == DATA
    assert alice.read_all(alice.stream(attachment)) == changed
    body = alice.stream(message, p.PidTagBody)
    assert alice.read_all(body).decode("utf-16-le") == LONG_BODY
    assert proxy.counts["stored"] == 1, "bob's alone"


def test_a_stream_that_is_written_meanwhile_is_the_server_s(proxy: CachingProxy) -> None:
    alice = proxy.client()
    alice.read_all(alice.data_stream())
    message = alice.message(proxy.world.rich, mode=1)
    attachment = alice.open(RopOpenAttachmentRequest(0, 0, 1, 1, 0), message)
    stream = alice.stream(attachment, mode=3)
    assert alice.read(stream, 100) == DATA[:100]
    assert alice.ask(RopWriteStreamRequest(0, 0, b"written"), stream).written_size == 7
    alice.ask(RopSeekStreamRequest(0, 0, 0, 90), stream)
    assert alice.read(stream, 30) == DATA[90:100] + b"written" + DATA[107:120]


def test_in_a_session_with_rops_that_are_not_understood_nothing_is_cached(proxy: CachingProxy) -> None:
    """They may have changed a message, as far as this proxy knows: others must not get that."""
    alice = proxy.client()
    stream = alice.data_stream()
    assert alice.read(stream, 100) == DATA[:100]
    payload = RopBuffer([RopReadStreamRequest(0, 0, 10)], [stream], b"\xa5\0\0").pack()
    stub = EcDoRpcExt2Request(alice.cxh, 0, pack_payload(payload), 0x8008).pack()
    proxy.run(proxy.handle(Call(EMSMDB, 11, stub, alice.session, alice.identity)))
    assert alice.read_all(stream) == DATA[100:]
    assert alice.read_all(alice.data_stream()) == DATA
    assert proxy.counts["stored"] == 0


def test_deleting_a_message_removes_its_streams(proxy: CachingProxy) -> None:
    alice = proxy.client()
    alice.read_all(alice.data_stream())
    folder = alice.folder(_SENT)
    assert alice.ask(RopDeleteMessagesRequest(0, 0, 0, 0, [proxy.world.rich]), folder).return_value == 0
    assert proxy.cache.index.total() == (0, 0)
    assert list(proxy.cache.files.names()) == []


def test_streams_of_messages_in_attachments(world: World, tmp_path: Path) -> None:
    inner = letter(1)
    inner.properties[p.PidTagHtml] = b"<p>" * 9000
    draft = letter(2)
    draft.attachments.append(_embedding(inner))
    message_id = world.mailbox.save_message(world.folder(_INBOX), draft)
    with caching_proxy(world, tmp_path / "cache") as proxy:
        alice = proxy.client()
        for _ in range(2):
            attachment = alice.attachment(0, alice.message(message_id))
            embedded = alice.open(RopOpenEmbeddedMessageRequest(0, 0, 1, 0x0FFF, 0), attachment)
            assert alice.read_all(alice.stream(embedded, p.PidTagHtml)) == b"<p>" * 9000
        assert proxy.counts["hits"] == proxy.counts["stored"] == 1


def test_a_client_that_leaves_midway_leaves_nothing(proxy: CachingProxy) -> None:
    alice = proxy.client()
    alice.read(alice.data_stream(), 100)
    assert len(list(proxy.folder.glob("??/*.part"))) == 1
    alice.leave()
    assert list(proxy.folder.glob("??/*")) == []
    assert len(proxy.module._streams) == 0


def test_released_streams_are_let_go(proxy: CachingProxy) -> None:
    alice = proxy.client()
    stream = alice.data_stream()
    alice.read_all(stream)
    answer = alice.execute(RopReleaseRequest(0, 0), RopReadStreamRequest(0, 0, 10), handles=[stream])
    assert answer.rops[0].return_value == ErrorCode.NullObject  # type: ignore[attr-defined]
    assert len(proxy.module._streams) == 0


def test_objects_end_with_their_session_context(proxy: CachingProxy) -> None:
    alice = proxy.client()
    alice.read_all(alice.data_stream())
    stream = alice.data_stream()
    alice.read(stream, 10)
    assert alice.disconnect().return_value == 0
    assert len(proxy.module._streams) == 0
    with pytest.raises(RpcFault):
        alice.read(stream, 10)


def test_another_account_s_stream_is_not_answered_here(proxy: CachingProxy) -> None:
    alice = proxy.client()
    alice.read_all(alice.data_stream())
    stream, reads = alice.data_stream(), proxy.counts["reads"]
    alice.identity = Identity("bob", "", AuthLevel.PRIVACY)
    with contextlib.suppress(RpcFault, AssertionError):
        alice.read(stream, 10)
    assert proxy.counts["reads"] == reads, "the server is to judge"
    assert proxy.upstream_reads > 0


def test_old_clients_are_served_too(proxy: CachingProxy) -> None:
    from tests.servers.emsmdb.parties import OldClient

    class Old(ProxyClient, OldClient):
        pass

    old = Old(proxy, "alice")
    for _ in range(2):
        assert old.read_all(old.data_stream()) == DATA
    assert proxy.counts["hits"] == 1


@pytest.mark.parametrize("damage", ["truncated", "changed", "gone"])
def test_a_damaged_file_is_fetched_again(world: World, tmp_path: Path, damage: str) -> None:
    with caching_proxy(world, tmp_path / "cache") as proxy:
        alice = proxy.client()
        alice.read_all(alice.data_stream())
    [path] = (tmp_path / "cache").glob("??/*")
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content if damage == "changed" else content[:-1])
    with caching_proxy(world, tmp_path / "cache") as proxy:
        alice = proxy.client()
        assert alice.read_all(alice.data_stream()) == DATA
        assert proxy.upstream_reads > 0
        asked = proxy.upstream_reads
        assert alice.read_all(alice.data_stream()) == DATA
        assert proxy.upstream_reads == asked


def test_where_nothing_can_be_written_everything_passes(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("in the way")
    with caching_proxy(world, tmp_path / "cache") as proxy:
        alice = proxy.client()
        assert alice.read_all(alice.data_stream()) == DATA
        assert proxy.module.cache is None
    assert "nothing is cached" in caplog.text


def test_a_disk_that_is_full_disturbs_nobody(
    proxy: CachingProxy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    written: list[int] = []
    real = os.pwrite

    def full(fd: int, data: bytes, offset: int) -> int:
        if sum(written) + len(data) > 20_000:
            raise OSError(28, "No space left on device")
        written.append(len(data))
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", full)
    alice = proxy.client()
    for _ in range(3):
        assert alice.read_all(alice.data_stream()) == DATA
    assert caplog.text.count("No space left") == 1
    assert proxy.counts["stored"] == 0


def test_ahead_fetches_all_at_the_first_read(world: World, tmp_path: Path) -> None:
    with caching_proxy(world, tmp_path / "cache", {"mpm_cache:ahead": "yes"}) as proxy:
        alice = proxy.client()
        stream = alice.data_stream()
        alice.ask(RopSeekStreamRequest(0, 0, Origin.End, -10), stream)
        assert alice.read(stream) == DATA[-10:]
        alice.ask(RopSeekStreamRequest(0, 0, Origin.Beginning, 10), stream)
        assert proxy.counts["stored"] == 1
        asked = proxy.upstream_reads
        assert alice.read_all(stream) == DATA[10:]
        assert proxy.upstream_reads == asked


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"mpm_cache:ahead": "yes", "mpm_cache:sync": "yes", "mpm_cache:sync_cmd": "cp x __FILE__"}, "only one can"),
        ({"mpm_cache:sync": "yes"}, "what to run"),
        ({"mpm_cache:sync_cmd": "rsync a b"}, "__FILE__"),
        ({"mpm_cache:mode": "0077"}, "permissions"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, str], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        CacheModule.check_options(settings_of(CacheModule, options))


def test_its_counters_are_among_the_metrics(proxy: CachingProxy) -> None:
    alice = proxy.client()
    alice.read_all(alice.data_stream())
    [families] = proxy.module.metrics.families
    [family] = families()
    assert family.values["misses",] == 1
    assert family.values["upstream_bytes",] == len(DATA)


def test_folders_are_for_their_owner_alone(proxy: CachingProxy) -> None:
    alice = proxy.client()
    alice.read_all(alice.data_stream())
    [path] = proxy.folder.glob("??/*")
    assert [oct(part.stat().st_mode & 0o777) for part in (proxy.folder, path.parent, path)] == [
        "0o700",
        "0o700",
        "0o600",
    ]
    assert (proxy.folder / "index.db").stat().st_mode & 0o777 == 0o600


def _operation(chance: random.Random) -> RopRequest:
    """What a client may do with a stream, sensible or not."""
    match chance.randrange(5):
        case 0:
            offset = chance.choice((0, 1, -1, 77, 5000, -5000, len(DATA), len(DATA) + 9, -len(DATA), 1 << 31))
            return RopSeekStreamRequest(0, 0, chance.choice((0, 1, 2, 3)), offset)
        case 1:
            return RopGetStreamSizeRequest(0, 0)
        case 2:
            return RopReadStreamRequest(0, 0, BYTE_COUNT_IN_MAXIMUM, chance.choice((0, 10, 40_000, 1 << 20)))
        case _:
            return RopReadStreamRequest(0, 0, chance.choice((0, 1, 100, 3000, 0x7000, 0x7F00, 0xFFFF)))


def test_whatever_a_client_does_with_a_stream_it_gets_what_the_server_gives(proxy: CachingProxy) -> None:
    """Response for response, as a client without the proxy: while the stream is fetched, and when it is there."""
    chance = random.Random(20)
    directly, alice = Client(proxy.world), proxy.client()
    for number in range(40):
        attachment = directly.open(RopOpenAttachmentRequest(0, 0, 1, 0, 0), directly.message(proxy.world.rich))
        reference = directly.open(RopOpenStreamRequest(0, 0, 1, p.PidTagAttachDataBinary, 0), attachment)
        stream = alice.data_stream()
        for _ in range(chance.randrange(25)):
            request = _operation(chance)
            assert alice.ask(request, stream) == directly.ask(request, reference), f"stream {number}: {request}"
        alice.release(stream)
        if chance.random() < 0.2:
            proxy.cache.clear()
    assert proxy.counts["hits"] > 5
    assert proxy.counts["misses"] > 5


def test_readers_and_a_writer_at_once(proxy: CachingProxy) -> None:
    """Every version has other bytes and the same size. Nobody reads a mixture, or what was old when he opened it."""
    versions = [DATA, *(random.Random(number).randbytes(len(DATA)) for number in range(8))]
    current, errors = 0, list[int]()

    async def read(account: str, seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(12):
            client = clients[account]
            newest = current
            answer = await client.beside(
                [
                    RopOpenMessageRequest(0, 0, 1, 0x0FFF, FolderId(0), 0, proxy.world.rich),
                    RopOpenAttachmentRequest(0, 1, 2, 0, 0),
                    RopOpenStreamRequest(0, 2, 3, p.PidTagAttachDataBinary, 0),
                ],
                [client.logon, NONE, NONE, NONE],
            )
            try:
                data = await client.read_beside(answer.handles[3], chance.choice((2000, 0x3000, 0x7000)))
            except MapiError as error:
                # The server keeps no bytes of a value that was replaced, even if somebody has it open.
                errors.append(error.code)
            else:
                assert data in versions[newest:], "mixed, or out of date"
            await client.beside([RopReleaseRequest(0, index) for index in range(3)], answer.handles[1:])

    async def write() -> None:
        nonlocal current
        writer = clients["writer"]
        for content in versions[1:]:
            await asyncio.to_thread(_save_directly, directly, proxy.world, content)
            current += 1
            await writer.beside([RopGetStreamSizeRequest(0, 0)], [writer.logon])

    directly = Client(proxy.world)
    clients = {name: proxy.client("relay" if name == "b" else "alice") for name in ("a", "b", "c", "writer")}
    for client in clients.values():
        _ = client.logon

    async def everybody() -> None:
        await asyncio.gather(write(), *(read(account, seed) for seed, account in enumerate("abc")))

    proxy.run(everybody())
    assert proxy.counts["misses"] + proxy.counts["hits"] + proxy.counts["joined"] == 36
    assert set(errors) <= {ErrorCode.NotFound}
    assert clients["a"].read_all(clients["a"].data_stream()) == versions[-1]


def test_an_open_message_keeps_its_version_when_somebody_saves_another(proxy: CachingProxy) -> None:
    """What the cache relies on, and asks for again at the end of every stream that it stores."""
    directly, alice = Client(proxy.world), proxy.client()
    message = alice.message(proxy.world.rich)
    before = alice.get(message, *VERSION_TAGS)
    _save_directly(directly, proxy.world, bytes(reversed(DATA)))
    assert alice.get(message, *VERSION_TAGS) == before
    assert alice.get(alice.message(proxy.world.rich), *VERSION_TAGS) != before


def _save_directly(client: Client, world: World, content: bytes) -> None:
    """Another value of the attachment, saved beside the proxy."""
    message = client.message(world.rich, mode=1)
    attachment = client.open(RopOpenAttachmentRequest(0, 0, 1, 1, 0), message)
    stream = client.open(RopOpenStreamRequest(0, 0, 1, p.PidTagAttachDataBinary, 1), attachment)
    for start in range(0, len(content), 0x7000):
        assert client.ask(RopWriteStreamRequest(0, 0, content[start : start + 0x7000]), stream).return_value == 0
    client.execute(RopSaveChangesAttachmentRequest(0, 1, 0, 0), handles=[attachment, message])
    assert client.save(message).return_value == 0

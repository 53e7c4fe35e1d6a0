"""What a whole buffer of ROPs gets: [MS-OXCROPS] 3.2.5."""

from __future__ import annotations

import logging
from typing import NoReturn

import pytest

from openchange_py.servers.emsmdb import processor
from openchange_py.servers.emsmdb.objects.base import ServerObject
from openchange_py.servers.emsmdb.registry import HANDLERS, RopCall
from openchange_py.store.base import NoSuchObject, SpecialFolder, StoreError
from openchange_py.wire import proptags as p
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError
from openchange_py.wire.oxcdata.ids import FolderId
from openchange_py.wire.rop import oxcmsg
from openchange_py.wire.rop.base import (
    REQUESTS,
    RESPONSES,
    RopBufferTooSmallResponse,
    RopFailure,
    RopReleaseRequest,
    RopRequest,
    RopResponse,
)
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.ids import RopId
from openchange_py.wire.rop.oxcfold import RopGetContentsTableRequest, RopOpenFolderRequest
from openchange_py.wire.rop.oxcmsg import RopOpenMessageRequest
from openchange_py.wire.rop.oxcprpt import RopGetPropertiesListRequest
from openchange_py.wire.rop.oxcprpt_streams import RopOpenStreamRequest, RopReadStreamRequest
from openchange_py.wire.rop.oxctabl import RopQueryPositionRequest, RopQueryRowsRequest, RopSetColumnsRequest
from openchange_py.wire.rpcheaderext import pack_payload, unpack_payloads
from tests.servers.emsmdb.parties import NONE, Client, World

RPC_HEADER = 8

#: The ROPs that are answered: everything else is NotImplemented, and listed in docs/compliance.md.
ANSWERED = {
    *(RopId.Logon, RopId.Release, RopId.OpenFolder, RopId.GetHierarchyTable, RopId.GetContentsTable),
    *(RopId.SetColumns, RopId.SortTable, RopId.QueryRows, RopId.QueryPosition, RopId.SeekRow),
    *(RopId.OpenMessage, RopId.ReadRecipients, RopId.ReloadCachedInformation),
    *(RopId.GetPropertiesSpecific, RopId.GetPropertiesAll, RopId.GetPropertiesList),
    *(RopId.OpenStream, RopId.ReadStream, RopId.SeekStream, RopId.GetStreamSize),
    *(RopId.GetAttachmentTable, RopId.OpenAttachment, RopId.OpenEmbeddedMessage),
    *(RopId.CreateMessage, RopId.SaveChangesMessage, RopId.ModifyRecipients, RopId.RemoveAllRecipients),
    *(RopId.CreateAttachment, RopId.DeleteAttachment, RopId.SaveChangesAttachment),
    *(RopId.SetReadFlags, RopId.SetMessageReadFlag, RopId.DeleteMessages, RopId.HardDeleteMessages),
    *(RopId.SetProperties, RopId.SetPropertiesNoReplicate),
    *(RopId.DeleteProperties, RopId.DeletePropertiesNoReplicate),
    *(RopId.GetPropertyIdsFromNames, RopId.GetNamesFromPropertyIds),
    *(RopId.WriteStream, RopId.WriteStreamExtended, RopId.WriteAndCommitStream),
    *(RopId.CommitStream, RopId.SetStreamSize),
    *(RopId.LongTermIdFromId, RopId.IdFromLongTermId, RopId.GetReceiveFolder),
    RopId.RegisterNotification,
}


#: Requests with a size in them that zeros do not have.
SIZED = {
    RopId.SetLocalReplicaMidsetDeleted: "93 00 00 0400 00000000",
}


def empty_request(rop_id: int) -> RopRequest:
    """The shortest request of zeros: no names, no ids, handle index 0."""
    if rop_id in SIZED:
        return REQUESTS[rop_id].unpack(bytes.fromhex(SIZED[RopId(rop_id)]))
    for size in range(64):
        try:
            return REQUESTS[rop_id].unpack(bytes((rop_id,)) + bytes(size))
        except DecodeError:
            continue
    raise AssertionError(f"no request of zeros of RopId 0x{rop_id:02X}")


def payload_return_value(client: Client, payload: bytes, **options: int) -> int:
    return client.send(pack_payload(payload), **options).return_value


def test_what_is_answered() -> None:
    assert set(HANDLERS) | {RopId.Release} == ANSWERED


@pytest.mark.parametrize("rop_id", sorted(set(REQUESTS) - ANSWERED), ids=lambda rop_id: RopId(rop_id).name)
def test_every_other_rop_gets_a_well_formed_error(client: Client, rop_id: int) -> None:
    request = empty_request(rop_id)
    for name in ("response_handle_index", "output_handle_index"):
        if hasattr(request, name):
            setattr(request, name, 1)
    answer = client.execute(request, RopQueryPositionRequest(0, 0), handles=[client.logon, NONE])
    response, after = answer.rops
    assert isinstance(response, RopResponse)
    assert response.return_value == ErrorCode.NotImplemented
    made = hasattr(request, "output_handle_index") or hasattr(request, "response_handle_index")
    assert (response.rop_id, response.handle_index) == (request.response_id, int(made))
    kind = RESPONSES[request.response_id]
    assert issubclass(kind, RopResponse)
    assert isinstance(response, RopFailure if kind.success_only else kind)
    assert after == RopFailure(0, ErrorCode.NotSupported, RopId.QueryPosition)


def test_the_status_of_a_message_is_answered_under_the_rop_id_of_setting_it(client: Client) -> None:
    response = client.ask(oxcmsg.RopGetMessageStatusRequest(0, 0, oxcmsg.MessageId(0)), client.logon)
    assert response == RopFailure(0, ErrorCode.NotImplemented, RopId.SetMessageStatus)


@pytest.mark.parametrize("rop_id", sorted(set(range(256)) - set(REQUESTS)), ids=hex)
def test_a_reserved_rop_id_is_a_format_error_and_nothing_is_done(client: Client, world: World, rop_id: int) -> None:
    logon, before = client.logon, client.open_objects()
    opening = RopBuffer([RopOpenFolderRequest(0, 0, 1, world.folder(SpecialFolder.INBOX), 0)], [logon, NONE])
    opening.tail = bytes((rop_id, 0, 0))
    assert payload_return_value(client, opening.pack()) == ErrorCode.RpcFormat
    assert client.open_objects() == before


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x02",
        b"\x01\0",
        b"\x04\0",
        b"\x02\0\0",
        b"\x02\0\0\0\0",
        b"\x05\0\x02\0\0",
        b"\x03\0\xfe\xff\xff\xff\xff",
        # RopReadStream with a MaximumByteCount above 0x80000000: [MS-OXCROPS] 2.2.9.2.1.
        b"\x0b\0\x2c\0\0\xbe\xba\x01\0\0\x80\xff\xff\xff\xff",
    ],
)
def test_what_is_no_buffer_is_a_format_error(client: Client, payload: bytes) -> None:
    assert payload_return_value(client, payload) == ErrorCode.RpcFormat


def test_an_empty_buffer_gets_an_empty_buffer(client: Client) -> None:
    answer = client.send(pack_payload(b"\2\0"))
    assert unpack_payloads(answer.rgb_out) == [b"\2\0"]


def test_rops_use_what_those_before_them_opened(client: Client, world: World) -> None:
    answer = client.execute(
        RopOpenFolderRequest(0, 0, 1, world.folder(SpecialFolder.INBOX), 0),
        RopGetContentsTableRequest(0, 1, 2, 0),
        RopSetColumnsRequest(0, 2, 0, [p.PidTagSubject]),
        RopReleaseRequest(0, 1),
        RopQueryRowsRequest(0, 2, 0, 1, 50),
        handles=[client.logon, NONE, NONE],
    )
    assert [rop.rop_id for rop in answer.rops] == [0x02, 0x05, 0x12, 0x15]
    assert len(answer.rops[-1].rows) == 3  # type: ignore[attr-defined]
    assert answer.handles[1] == NONE
    assert answer.handles[2] not in (NONE, client.logon)


def test_a_rop_that_fails_does_not_stop_the_others(client: Client, world: World) -> None:
    answer = client.execute(
        RopOpenFolderRequest(0, 0, 1, FolderId(0), 0),
        RopGetContentsTableRequest(0, 1, 2, 0),
        RopOpenFolderRequest(0, 0, 1, world.folder(SpecialFolder.INBOX), 0),
        handles=[client.logon, NONE, NONE],
    )
    codes = [rop.return_value for rop in answer.rops]  # type: ignore[attr-defined]
    assert codes == [ErrorCode.NotFound, ErrorCode.NullObject, 0]


@pytest.mark.parametrize(
    ("index", "handles"), [(0, [NONE]), (0, [0]), (0, [0xFFFFFFFE]), (0, []), (1, [NONE]), (255, [])]
)
def test_an_index_or_handle_of_no_object(client: Client, index: int, handles: list[int]) -> None:
    answer = client.execute(RopQueryPositionRequest(0, index), handles=handles)
    assert answer.rops == [RopFailure(index, ErrorCode.NullObject, RopId.QueryPosition)]
    assert answer.handles == handles


def test_a_new_object_needs_a_place_in_the_handle_table(client: Client, world: World) -> None:
    logon, before = client.logon, client.open_objects()
    answer = client.execute(RopOpenFolderRequest(0, 0, 1, world.folder(SpecialFolder.INBOX), 0), handles=[logon])
    assert answer.rops == [RopFailure(1, ErrorCode.NullObject, RopId.OpenFolder)]
    assert client.open_objects() == before


def test_handles_of_one_session_mean_nothing_in_another(client: Client, world: World) -> None:
    folder = client.folder()
    assert Client(world, "bob").ask(RopQueryPositionRequest(0, 0), folder).return_value == ErrorCode.NullObject


def test_release_has_no_answer_and_is_harmless(client: Client) -> None:
    folder = client.folder()
    client.release(folder)
    for handle in (folder, NONE, 12345):
        answer = client.execute(RopReleaseRequest(0, 0), handles=[handle])
        assert (answer.rops, answer.handles) == ([], [NONE])
    assert client.execute(RopReleaseRequest(0, 7), handles=[client.logon]).handles == [client.logon]
    assert client.ask(RopQueryPositionRequest(0, 0), folder).return_value == ErrorCode.NullObject


def test_releasing_a_logon_closes_what_was_opened_under_it(client: Client, world: World) -> None:
    table = client.contents(p.PidTagSubject)
    message = client.message(world.rich)
    client.log_on(logon_id=1)
    other = client.last_handle
    client.release(client.logon)
    assert client.open_objects() == 1
    for handle in (table, message):
        assert client.ask(RopQueryPositionRequest(0, 0), handle).return_value == ErrorCode.NullObject
    assert client.ask(RopQueryPositionRequest(0, 0), other).return_value == ErrorCode.NotSupported


def test_a_session_can_hold_so_many_objects(client: Client, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    logon = client.logon
    monkeypatch.setattr(client.session.handles[client.cxh].objects, "_maximum", 3)
    request = RopOpenFolderRequest(0, 0, 1, world.folder(SpecialFolder.INBOX), 0)
    handles = [client.open(request, logon) for _ in range(2)]
    assert client.execute(request, handles=[logon, NONE]).rops == [
        RopFailure(1, ErrorCode.OutOfResources, RopId.OpenFolder)
    ]
    client.release(handles[0])
    assert client.open(request, logon) not in handles


def test_what_does_not_fit_is_given_back(client: Client, world: World) -> None:
    message = client.message(world.rich)
    requests: list[RopRequest] = [
        RopGetPropertiesListRequest(0, 0),
        RopOpenStreamRequest(0, 0, 1, p.PidTagBody, 0),
        RopGetPropertiesListRequest(0, 0),
    ]
    packed = [rop.pack() for rop in requests]
    payload = pack_payload(RopBuffer(list(requests), [message, NONE]).pack())
    answered = set()
    for size in range(0, 500, 3):
        before = client.open_objects()
        answer = client.send(payload, out_size=RPC_HEADER + size)
        if answer.return_value:
            assert answer.return_value == ErrorCode.BufferTooSmall
            assert answered == set()
            continue
        (response,) = unpack_payloads(answer.rgb_out)
        assert len(response) <= size
        out = RopBuffer.unpack_response(response, RopBuffer(list(requests), [message, NONE]), client.states)
        count = len(out.rops)
        if isinstance(out.rops[-1], RopBufferTooSmallResponse):
            count -= 1
            assert out.rops[-1].request_buffers == b"".join(packed[count:])
            assert out.rops[-1].size_needed > size
        answered.add(count)
        assert client.open_objects() - before == (count >= 2)
        assert (out.handles[1] != NONE) == (count >= 2)
    assert answered == {0, 1, 2, 3}


def test_an_object_that_the_client_does_not_hear_of_is_released(client: Client, world: World) -> None:
    logon, before = client.logon, client.open_objects()
    request = RopOpenMessageRequest(0, 0, 1, 0x0FFF, FolderId(0), 0, world.letters[0])
    small = 2 + 8 + 3 + len(request.pack())
    answer = client.execute(request, handles=[logon, NONE], out_size=RPC_HEADER + small)
    (response,) = answer.rops
    assert isinstance(response, RopBufferTooSmallResponse)
    assert response.request_buffers == request.pack()
    assert answer.handles == [logon, NONE]
    assert client.open_objects() == before
    again = client.execute(request, handles=[logon, NONE], out_size=RPC_HEADER + response.size_needed)
    assert again.rops[0].return_value == 0  # type: ignore[attr-defined]


def test_a_rop_that_fails_for_want_of_room_releases_nothing_of_the_client_s(client: Client) -> None:
    """The client's handle table may have another object's handle where the new one would have stood."""
    logon, folder = client.logon, client.folder()
    request = RopOpenFolderRequest(0, 0, 1, FolderId(0), 0)
    requests = [request] * 3
    for size in range(2 + 8 + 3 + 3 * len(request.pack()), 2 + 8 + 3 * 6 + 40):
        client.execute(*requests, handles=[logon, folder], out_size=RPC_HEADER + size)
    assert client.ask(RopGetContentsTableRequest(0, 0, 0, 0), folder).return_value == 0


@pytest.mark.parametrize("out_size", [0, 7, 8, 13])
def test_where_not_even_that_fits(client: Client, out_size: int) -> None:
    payload = RopBuffer([RopQueryPositionRequest(0, 0)], [client.logon]).pack()
    assert payload_return_value(client, payload, out_size=out_size) == ErrorCode.BufferTooSmall


def _raise(error: Exception) -> NoReturn:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "level"),
    [
        (MapiError(ErrorCode.TooComplex, "so"), ErrorCode.TooComplex, logging.DEBUG),
        (MapiError(0x12345678), 0x12345678, logging.DEBUG),
        (NoSuchObject("gone"), ErrorCode.NotFound, logging.DEBUG),
        (StoreError("damaged"), ErrorCode.GeneralFailure, logging.ERROR),
        (RuntimeError("a bug"), ErrorCode.GeneralFailure, logging.ERROR),
    ],
)
def test_what_a_handler_raises(
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    code: int,
    level: int,
) -> None:
    logon = client.logon
    caplog.set_level(logging.DEBUG, "openchange_py.servers.emsmdb")
    monkeypatch.setitem(HANDLERS, RopId.QueryPosition, lambda call, request: _raise(error))
    answer = client.execute(RopQueryPositionRequest(0, 0), RopReleaseRequest(0, 0), handles=[logon])
    assert answer.rops == [RopFailure(0, code, RopId.QueryPosition)]
    logged = [record for record in caplog.records if record.name == "openchange_py.servers.emsmdb.processor"]
    assert max(record.levelno for record in logged) == level
    assert any(record.exc_info for record in logged) == isinstance(error, RuntimeError)


def test_what_a_failed_rop_opened_is_closed(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def opens_and_fails(call: RopCall, request: RopOpenFolderRequest) -> NoReturn:
        call.open(request.output_handle_index, ServerObject())
        raise StoreError("too late")

    logon, before = client.logon, client.open_objects()
    monkeypatch.setitem(HANDLERS, RopId.OpenFolder, opens_and_fails)
    answer = client.execute(RopOpenFolderRequest(0, 0, 1, FolderId(0), 0), handles=[logon, NONE])
    assert answer.rops == [RopFailure(1, ErrorCode.GeneralFailure, RopId.OpenFolder)]
    assert client.open_objects() == before


def test_responses_never_exceed_what_one_payload_may_hold(client: Client, world: World) -> None:
    attachment = client.open(oxcmsg.RopOpenAttachmentRequest(0, 0, 1, 0, 0), client.message(world.rich))
    stream = client.open(RopOpenStreamRequest(0, 0, 1, p.PidTagAttachDataBinary, 0), attachment)
    payload = RopBuffer([RopReadStreamRequest(0, 0, 0xBABE, 0x80000000)], [stream]).pack()
    answer = client.send(pack_payload(payload), out_size=0x40000)
    (response,) = unpack_payloads(answer.rgb_out)
    assert len(response) == processor.MAXIMUM_OUTPUT

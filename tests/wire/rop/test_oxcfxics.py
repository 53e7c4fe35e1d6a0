"""ROPs of [MS-OXCFXICS]. Recorded bytes are the probe's and gromox 3.10's, the others follow the layouts."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError, EncodeError
from openchange_py.wire.oxcdata.ids import FolderId, LongTermId, MessageId, make_id
from openchange_py.wire.oxcdata.properties import PropertyTag, TaggedPropertyValue
from openchange_py.wire.oxcdata.restrictions import ExistRestriction
from openchange_py.wire.proptags import PidTagChangeKey, PidTagSubject
from openchange_py.wire.rop.buffer import RopBuffer
from openchange_py.wire.rop.context import HandleStates
from openchange_py.wire.rop.oxcfxics import (
    SERVER_BUSY,
    LongTermIdRange,
    MessageReadState,
    RopFastTransferDestinationConfigureRequest,
    RopFastTransferDestinationConfigureResponse,
    RopFastTransferDestinationPutBufferExtendedRequest,
    RopFastTransferDestinationPutBufferExtendedResponse,
    RopFastTransferDestinationPutBufferRequest,
    RopFastTransferDestinationPutBufferResponse,
    RopFastTransferSourceCopyFolderRequest,
    RopFastTransferSourceCopyFolderResponse,
    RopFastTransferSourceCopyMessagesRequest,
    RopFastTransferSourceCopyMessagesResponse,
    RopFastTransferSourceCopyPropertiesRequest,
    RopFastTransferSourceCopyPropertiesResponse,
    RopFastTransferSourceCopyToRequest,
    RopFastTransferSourceCopyToResponse,
    RopFastTransferSourceGetBufferBusyResponse,
    RopFastTransferSourceGetBufferRequest,
    RopFastTransferSourceGetBufferResponse,
    RopGetLocalReplicaIdsRequest,
    RopGetLocalReplicaIdsResponse,
    RopSetLocalReplicaMidsetDeletedRequest,
    RopSetLocalReplicaMidsetDeletedResponse,
    RopSynchronizationConfigureRequest,
    RopSynchronizationConfigureResponse,
    RopSynchronizationGetTransferStateRequest,
    RopSynchronizationGetTransferStateResponse,
    RopSynchronizationImportDeletesRequest,
    RopSynchronizationImportDeletesResponse,
    RopSynchronizationImportHierarchyChangeRequest,
    RopSynchronizationImportHierarchyChangeResponse,
    RopSynchronizationImportMessageChangeRequest,
    RopSynchronizationImportMessageChangeResponse,
    RopSynchronizationImportMessageMoveRequest,
    RopSynchronizationImportMessageMoveResponse,
    RopSynchronizationImportReadStateChangesRequest,
    RopSynchronizationImportReadStateChangesResponse,
    RopSynchronizationOpenCollectorRequest,
    RopSynchronizationOpenCollectorResponse,
    RopSynchronizationUploadStateStreamBeginRequest,
    RopSynchronizationUploadStateStreamBeginResponse,
    RopSynchronizationUploadStateStreamContinueRequest,
    RopSynchronizationUploadStateStreamContinueResponse,
    RopSynchronizationUploadStateStreamEndRequest,
    RopSynchronizationUploadStateStreamEndResponse,
    RopTellVersionRequest,
    RopTellVersionResponse,
    SendOptions,
    SourceOperation,
    SynchronizationFlags,
    SynchronizationType,
    TransferStatus,
)
from tests.wire.rop.rop_checks import Example, check_example, check_garbage, check_truncations

MESSAGE, MESSAGE_HEX = MessageId(make_id(1, 0x0E8EF148)), "0100 00000e8ef148"
FOLDER, FOLDER_HEX = FolderId(make_id(1, 0x0C)), "0100 00000000000c"
CHANGE = TaggedPropertyValue(PidTagChangeKey, b"\xaa\xbb")
CHANGE_HEX = "0201e265 0200 aabb"
REPLICA = uuid.UUID("12345678-9abc-def0-1122-334455667788")
REPLICA_HEX = "78563412bc9af0de1122334455667788"
RANGE = LongTermIdRange(LongTermId.of(REPLICA, 1), LongTermId.of(REPLICA, 0x10000))
RANGE_HEX = f"{REPLICA_HEX} 000000000001 0000 {REPLICA_HEX} 000000010000 0000"

FAST_TRANSFER: list[Example] = [
    (
        "53 00 01 02 03 01",
        RopFastTransferDestinationConfigureRequest(0, 1, 2, SourceOperation.CopyMessages, 1),
    ),
    ("53 02 00000000", RopFastTransferDestinationConfigureResponse(2, 0)),
    ("54 00 01 0200 aabb", RopFastTransferDestinationPutBufferRequest(0, 1, b"\xaa\xbb")),
    (
        "54 01 00000000 0300 0100 0200 00 0200",
        RopFastTransferDestinationPutBufferResponse(1, 0, TransferStatus.Done, 1, 2, 0, 2),
    ),
    ("9d 00 01 0200 aabb", RopFastTransferDestinationPutBufferExtendedRequest(0, 1, b"\xaa\xbb")),
    (
        "9d 01 00000000 0100 01000000 02000000 00 0200",
        RopFastTransferDestinationPutBufferExtendedResponse(1, 0, TransferStatus.Partial, 1, 2, 0, 2),
    ),
    ("4e 00 00 beba 3075", RopFastTransferSourceGetBufferRequest(0, 0, 0xBABE, 0x7530)),
    ("4e 00 00 0010", RopFastTransferSourceGetBufferRequest(0, 0, 0x1000)),
    (
        "4e 00 00000000 0300 1800 1800 00 1800 03003a4002019667000000000201da670000000003003b40",
        RopFastTransferSourceGetBufferResponse(
            0, 0, TransferStatus.Done, 24, 24, 0, bytes.fromhex("03003a4002019667000000000201da670000000003003b40")
        ),
    ),
    ("4e 00 80040000 f4010000", RopFastTransferSourceGetBufferBusyResponse(0, SERVER_BUSY, 500)),
    ("4c 00 00 01 10 01", RopFastTransferSourceCopyFolderRequest(0, 0, 1, 0x10, SendOptions.Unicode)),
    ("4c 01 00000000", RopFastTransferSourceCopyFolderResponse(1, 0)),
    (f"4b 00 00 01 0100 {MESSAGE_HEX} 00 09", RopFastTransferSourceCopyMessagesRequest(0, 0, 1, [MESSAGE], 0, 9)),
    ("4b 01 00000000", RopFastTransferSourceCopyMessagesResponse(1, 0)),
    ("4d 00 00 01 00 00000000 03 0000", RopFastTransferSourceCopyToRequest(0, 0, 1, 0, 0, 3, [])),
    ("4d 01 00000000", RopFastTransferSourceCopyToResponse(1, 0)),
    (
        "69 00 00 01 00 01 03 0100 1f003700",
        RopFastTransferSourceCopyPropertiesRequest(0, 0, 1, 0, 1, 3, [PidTagSubject]),
    ),
    ("69 01 00000000", RopFastTransferSourceCopyPropertiesResponse(1, 0)),
    ("86 00 00 000f 4f83 c80f", RopTellVersionRequest(0, 0, 0x0F00, 0x834F, 4040)),
    ("86 00 00000000", RopTellVersionResponse(0, 0)),
]

SYNCHRONIZATION: list[Example] = [
    (
        "70 00 00 01 01 01 2100 0000 05000000 0000",
        RopSynchronizationConfigureRequest(
            0,
            0,
            1,
            SynchronizationType.Contents,
            SendOptions.Unicode,
            SynchronizationFlags.Unicode | SynchronizationFlags.Normal,
            None,
            5,
            [],
        ),
    ),
    (
        "70 00 00 01 01 01 2100 0500 081f003700 05000000 0100 1f003700",
        RopSynchronizationConfigureRequest(0, 0, 1, 1, 1, 0x21, ExistRestriction(PidTagSubject), 5, [PidTagSubject]),
    ),
    ("70 01 00000000", RopSynchronizationConfigureResponse(1, 0)),
    (f"72 00 00 01 10 0100 {CHANGE_HEX}", RopSynchronizationImportMessageChangeRequest(0, 0, 1, 0x10, [CHANGE])),
    (f"72 01 00000000 {MESSAGE_HEX}", RopSynchronizationImportMessageChangeResponse(1, 0, MESSAGE)),
    (
        "80 00 00 0900 0200 aabb 01 0100 cc 00",
        RopSynchronizationImportReadStateChangesRequest(
            0, 0, [MessageReadState(b"\xaa\xbb", 1), MessageReadState(b"\xcc", 0)]
        ),
    ),
    ("80 00 00000000", RopSynchronizationImportReadStateChangesResponse(0, 0)),
    (
        f"73 00 00 0100 {CHANGE_HEX} 0100 {CHANGE_HEX}",
        RopSynchronizationImportHierarchyChangeRequest(0, 0, [CHANGE], [CHANGE]),
    ),
    (f"73 00 00000000 {FOLDER_HEX}", RopSynchronizationImportHierarchyChangeResponse(0, 0, FOLDER)),
    (f"74 00 00 02 0100 {CHANGE_HEX}", RopSynchronizationImportDeletesRequest(0, 0, 2, [CHANGE])),
    ("74 00 00000000", RopSynchronizationImportDeletesResponse(0, 0)),
    (
        "78 00 00 01000000 aa 01000000 bb 00000000 01000000 cc 02000000 ddee",
        RopSynchronizationImportMessageMoveRequest(0, 0, b"\xaa", b"\xbb", b"", b"\xcc", b"\xdd\xee"),
    ),
    (f"78 00 00000000 {MESSAGE_HEX}", RopSynchronizationImportMessageMoveResponse(0, 0, MESSAGE)),
    ("7e 00 01 01 01", RopSynchronizationOpenCollectorRequest(0, 1, 1, 1)),
    ("7e 01 00000000", RopSynchronizationOpenCollectorResponse(1, 0)),
    ("82 00 00 01", RopSynchronizationGetTransferStateRequest(0, 0, 1)),
    ("82 01 00000000", RopSynchronizationGetTransferStateResponse(1, 0)),
    (
        "75 00 00 02011740 00000000",
        RopSynchronizationUploadStateStreamBeginRequest(0, 0, PropertyTag(0x40170102), 0),
    ),
    ("75 00 00000000", RopSynchronizationUploadStateStreamBeginResponse(0, 0)),
    ("76 00 00 02000000 aabb", RopSynchronizationUploadStateStreamContinueRequest(0, 0, b"\xaa\xbb")),
    ("76 00 00000000", RopSynchronizationUploadStateStreamContinueResponse(0, 0)),
    ("77 00 00", RopSynchronizationUploadStateStreamEndRequest(0, 0)),
    ("77 00 00000000", RopSynchronizationUploadStateStreamEndResponse(0, 0)),
    (f"93 00 00 3400 01000000 {RANGE_HEX}", RopSetLocalReplicaMidsetDeletedRequest(0, 0, [RANGE])),
    ("93 00 00000000", RopSetLocalReplicaMidsetDeletedResponse(0, 0)),
    ("7f 00 00 00000100", RopGetLocalReplicaIdsRequest(0, 0, 0x10000)),
    (
        f"7f 00 00000000 {REPLICA_HEX} 000000000100",
        RopGetLocalReplicaIdsResponse(0, 0, REPLICA, bytes.fromhex("000000000100")),
    ),
]


@pytest.mark.parametrize(("text", "rop"), FAST_TRANSFER + SYNCHRONIZATION)
def test_examples(text: str, rop: object) -> None:
    check_example(text, rop)  # type: ignore[arg-type]
    check_truncations(text, rop)  # type: ignore[arg-type]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    check_garbage("oxcfxics", data)


def test_a_busy_server_tells_how_long_to_wait() -> None:
    request = RopBuffer([RopFastTransferSourceGetBufferRequest(0, 0, 0x1000)], [5])
    data = bytes.fromhex("0c00 4e 00 80040000 f4010000 05000000")
    buffer = RopBuffer.unpack_response(data, request, HandleStates())
    assert buffer.rops == [RopFastTransferSourceGetBufferBusyResponse(0, SERVER_BUSY, 500)]
    assert buffer.pack() == data


def test_the_result_of_an_upload_follows_in_failures_too() -> None:
    request = RopBuffer([RopFastTransferDestinationPutBufferRequest(0, 0, b"x")], [5])
    data = bytes.fromhex("1100 54 00 05000780 0000 0000 0000 00 0000 05000000")
    buffer = RopBuffer.unpack_response(data, request, HandleStates())
    assert buffer.rops == [RopFastTransferDestinationPutBufferResponse(0, 0x80070005, 0, 0, 0, 0, 0)]


@pytest.mark.parametrize(("size", "maximum"), [(0xBABE, None), (0x1000, 0x1000)])
def test_a_maximum_goes_with_its_size(size: int, maximum: int | None) -> None:
    with pytest.raises(EncodeError, match="0xBABE"):
        RopFastTransferSourceGetBufferRequest(0, 0, size, maximum).pack()


@pytest.mark.parametrize(
    "text",
    [
        f"93 00 00 3300 01000000 {RANGE_HEX}",
        f"93 00 00 3400 02000000 {RANGE_HEX}",
        "93 00 00 0400 ffffffff",
    ],
)
def test_sizes_and_counts_of_deleted_ranges_must_agree(text: str) -> None:
    with pytest.raises(DecodeError):
        RopSetLocalReplicaMidsetDeletedRequest.unpack(bytes.fromhex(text))


def test_read_states_must_fill_their_size() -> None:
    with pytest.raises(DecodeError):
        RopSynchronizationImportReadStateChangesRequest.unpack(bytes.fromhex("80 00 00 0600 0200 aabb 01 0100 cc 00"))


def test_an_import_acts_on_the_collector_and_makes_a_message() -> None:
    request = RopSynchronizationImportMessageChangeRequest(0, 3, 4, 0, [])
    assert (request.input_handle_index, request.output_handle_index) == (3, 4)

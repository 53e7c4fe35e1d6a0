"""Golden bytes of every NSPI call in both directions, put together by hand from the IDL ([MS-OXNSPI] 6) and C706 14.

One line is one parameter, one group one field; `..` fields are padding. The first calls are those of [MS-OXNSPI] 4,
with the values that the document prints. Pointers count from 0x00020000 in steps of 4, and what a pointer points at
stands behind the parameter that has it, or behind the whole array of structures.
"""

import uuid

import pytest

from openchange_py.wire.ndr import NULL_HANDLE, ContextHandle, RpcMessage
from openchange_py.wire.oxnspi import (
    NSPI,
    NspiBindRequest,
    NspiBindResponse,
    NspiCompareMIdsRequest,
    NspiCompareMIdsResponse,
    NspiDNToMIdRequest,
    NspiDNToMIdResponse,
    NspiGetIDsFromNamesRequest,
    NspiGetIDsFromNamesResponse,
    NspiGetMatchesRequest,
    NspiGetMatchesResponse,
    NspiGetNamesFromIDsRequest,
    NspiGetNamesFromIDsResponse,
    NspiGetPropListRequest,
    NspiGetPropListResponse,
    NspiGetPropsRequest,
    NspiGetPropsResponse,
    NspiGetSpecialTableRequest,
    NspiGetSpecialTableResponse,
    NspiGetTemplateInfoRequest,
    NspiGetTemplateInfoResponse,
    NspiModLinkAttRequest,
    NspiModLinkAttResponse,
    NspiModPropsRequest,
    NspiModPropsResponse,
    NspiQueryColumnsRequest,
    NspiQueryColumnsResponse,
    NspiQueryRowsRequest,
    NspiQueryRowsResponse,
    NspiResolveNamesRequest,
    NspiResolveNamesResponse,
    NspiResolveNamesWRequest,
    NspiResolveNamesWResponse,
    NspiResortRestrictionRequest,
    NspiResortRestrictionResponse,
    NspiSeekEntriesRequest,
    NspiSeekEntriesResponse,
    NspiUnbindRequest,
    NspiUnbindResponse,
    NspiUpdateStatRequest,
    NspiUpdateStatResponse,
)
from openchange_py.wire.oxnspi_restrictions import ContentRestriction_r
from openchange_py.wire.oxnspi_types import STAT, PropertyName_r, PropertyRow_r, PropertyValue_r

#: The server's GUID of [MS-OXNSPI] 4, and a token.
GUID_HEX = "abbc8b867933c448a1ef1b53e63bdc46"
GUID = uuid.UUID(bytes_le=bytes.fromhex(GUID_HEX))
HANDLE_HEX = "01000000 e590649c 01f0 474c ba180100 00009af2"
HANDLE = ContextHandle(1, uuid.UUID("9c6490e5-f001-4c47-ba18-010000009af2"))
#: SortType, ContainerID, CurrentRec, Delta, NumPos, TotalRecs, CodePage, TemplateLocale, SortLocale
STAT_HEX = "00000000 00000000 00000000 00000000 00000000 00000000 e4040000 09040000 09040000"

ENTRY_ID, DISPLAY_NAME, SMTP_ADDRESS, TITLE = 0x0FFF0102, 0x3001001F, 0x39FE001F, 0x3A17001F


def hierarchy_row() -> PropertyRow_r:
    """The six columns of [MS-OXNSPI] 4, step 4; the document leaves their values out."""
    return PropertyRow_r(
        [
            PropertyValue_r(ENTRY_ID, b"id"),
            PropertyValue_r(0x36000003, 9),
            PropertyValue_r(0x30050003, 0),
            PropertyValue_r(0xFFFD0003, 0),
            PropertyValue_r(DISPLAY_NAME, "All"),
            PropertyValue_r(0xFFFB000B, 0),
        ]
    )


HIERARCHY_HEADS = "00000000 06000000 {0}"
HIERARCHY_VALUES = """
    06000000
    0201ff0f 00000000 02010000 02000000 {0}
    03000036 00000000 03000000 09000000
    03000530 00000000 03000000 00000000
    0300fdff 00000000 03000000 00000000
    1f000130 00000000 1f000000 {1}
    0b00fbff 00000000 0b000000 0000
    ....
    02000000 6964
    ....
    04000000 00000000 04000000 4100 6c00 6c00 0000
"""


def pointer(number: int) -> str:
    return (0x20000 + 4 * number).to_bytes(4, "little").hex()


def seven_hierarchy_rows() -> str:
    """Seven rows; a short at the end of a row has no padding of its own, what follows is aligned."""
    heads = " ".join(HIERARCHY_HEADS.format(pointer(1 + row)) for row in range(7))
    values = [HIERARCHY_VALUES.format(pointer(8 + 2 * row), pointer(9 + 2 * row)) for row in range(7)]
    return heads + " ".join(values)


def person(number: int) -> PropertyRow_r:
    """The four columns of [MS-OXNSPI] 4, step 6; the second person has no title."""
    title = PropertyValue_r(TITLE, "Dr") if number == 0 else PropertyValue_r(0x3A17000A, 0x8004010F)
    return PropertyRow_r(
        [
            PropertyValue_r(ENTRY_ID, b"a"),
            PropertyValue_r(DISPLAY_NAME, "Al"),
            PropertyValue_r(SMTP_ADDRESS, "a@b"),
            title,
        ]
    )


MESSAGES: list[tuple[RpcMessage, str]] = [
    # [MS-OXNSPI] 4: NspiBind, NspiGetSpecialTable, NspiQueryRows, NspiUnbind.
    (NspiBindRequest(0, STAT(), GUID), f"00000000 {STAT_HEX} 00000200 {GUID_HEX}"),
    (NspiBindResponse(GUID, HANDLE, 0), f"00000200 {GUID_HEX} {HANDLE_HEX} 00000000"),
    (NspiGetSpecialTableRequest(HANDLE, 4, STAT(), 0), f"{HANDLE_HEX} 04000000 {STAT_HEX} 00000000"),
    (
        NspiGetSpecialTableResponse(3, [hierarchy_row() for _ in range(7)], 0),
        f"03000000 00000200 07000000 07000000 {seven_hierarchy_rows()} 00000000",
    ),
    (
        NspiQueryRowsRequest(
            HANDLE, 0, STAT(total_recs=0xFFFFFFFF), 0, None, 2, [ENTRY_ID, DISPLAY_NAME, SMTP_ADDRESS, TITLE]
        ),
        f"""{HANDLE_HEX} 00000000
        00000000 00000000 00000000 00000000 00000000 ffffffff e4040000 09040000 09040000
        00000000 00000000 02000000
        00000200 05000000 04000000 00000000 04000000 0201ff0f 1f000130 1f00fe39 1f00173a""",
    ),
    (
        NspiQueryRowsResponse(STAT(current_rec=0x1928, num_pos=2, total_recs=0x16), [person(0), person(1)], 0),
        """00000000 00000000 28190000 00000000 02000000 16000000 e4040000 09040000 09040000
        00000200 02000000 02000000
        00000000 04000000 04000200
        00000000 04000000 08000200
        04000000
        0201ff0f 00000000 02010000 01000000 0c000200
        1f000130 00000000 1f000000 10000200
        1f00fe39 00000000 1f000000 14000200
        1f00173a 00000000 1f000000 18000200
        01000000 61 ......
        03000000 00000000 03000000 4100 6c00 0000 ....
        04000000 00000000 04000000 6100 4000 6200 0000
        03000000 00000000 03000000 4400 7200 0000 ....
        04000000
        0201ff0f 00000000 02010000 01000000 1c000200
        1f000130 00000000 1f000000 20000200
        1f00fe39 00000000 1f000000 24000200
        0a00173a 00000000 0a000000 0f010480
        01000000 61 ......
        03000000 00000000 03000000 4100 6c00 0000 ....
        04000000 00000000 04000000 6100 4000 6200 0000
        00000000""",
    ),
    (NspiUnbindRequest(HANDLE, 0), f"{HANDLE_HEX} 00000000"),
    (NspiUnbindResponse(NULL_HANDLE, 1), "00000000 00000000 0000 0000 00000000 00000000 01000000"),
    # The others, in the order of their opnums.
    (
        NspiUpdateStatRequest(HANDLE, 0, STAT(delta=-2), 5),
        f"""{HANDLE_HEX} 00000000
        00000000 00000000 00000000 feffffff 00000000 00000000 e4040000 09040000 09040000
        00000200 05000000""",
    ),
    (NspiUpdateStatResponse(STAT(), -2, 0), f"{STAT_HEX} 00000200 feffffff 00000000"),
    (
        NspiSeekEntriesRequest(HANDLE, 0, STAT(), PropertyValue_r(0x3001001E, b"Al"), [17], [DISPLAY_NAME]),
        f"""{HANDLE_HEX} 00000000 {STAT_HEX}
        1e000130 00000000 1e000000 00000200 03000000 00000000 03000000 416c00 ..
        04000200 02000000 01000000 00000000 01000000 11000000
        08000200 02000000 01000000 00000000 01000000 1f000130""",
    ),
    (NspiSeekEntriesResponse(STAT(), None, 0x8004010F), f"{STAT_HEX} 00000000 0f010480"),
    (
        NspiGetMatchesRequest(
            HANDLE,
            0,
            STAT(),
            None,
            0,
            ContentRestriction_r(0x00010002, DISPLAY_NAME, PropertyValue_r(DISPLAY_NAME, "A")),
            PropertyName_r(GUID, 5),
            50,
            [DISPLAY_NAME],
        ),
        f"""{HANDLE_HEX} 00000000 {STAT_HEX} 00000000 00000000
        00000200 03000000 03000000 02000100 1f000130 04000200
        1f000130 00000000 1f000000 08000200 02000000 00000000 02000000 4100 0000
        0c000200 10000200 00000000 05000000 {GUID_HEX}
        32000000
        14000200 02000000 01000000 00000000 01000000 1f000130""",
    ),
    (
        NspiGetMatchesResponse(STAT(), [17, 18], [], 0),
        f"""{STAT_HEX} 00000200 03000000 02000000 00000000 02000000 11000000 12000000
        04000200 00000000 00000000 00000000""",
    ),
    (
        NspiResortRestrictionRequest(HANDLE, 0, STAT(), [18, 17], None),
        f"""{HANDLE_HEX} 00000000 {STAT_HEX}
        03000000 02000000 00000000 02000000 12000000 11000000 00000000""",
    ),
    (
        NspiResortRestrictionResponse(STAT(), [17], 0),
        f"{STAT_HEX} 00000200 02000000 01000000 00000000 01000000 11000000 00000000",
    ),
    (
        NspiDNToMIdRequest(HANDLE, 0, [b"/o=x", None, b"/"]),
        f"""{HANDLE_HEX} 00000000 03000000 03000000 00000200 00000000 04000200
        05000000 00000000 05000000 2f6f3d7800 ......
        02000000 00000000 02000000 2f00""",
    ),
    (NspiDNToMIdResponse([0], 0), "00000200 02000000 01000000 00000000 01000000 00000000 00000000"),
    (NspiGetPropListRequest(HANDLE, 1, 17, 1252), f"{HANDLE_HEX} 01000000 11000000 e4040000"),
    (NspiGetPropListResponse(None, 0x8004011E), "00000000 1e010480"),
    (
        NspiGetPropsRequest(HANDLE, 2, STAT(), [DISPLAY_NAME]),
        f"{HANDLE_HEX} 02000000 {STAT_HEX} 00000200 02000000 01000000 00000000 01000000 1f000130",
    ),
    (
        NspiGetPropsResponse(
            PropertyRow_r(
                [
                    PropertyValue_r(0x800F101E, [b"a", None]),
                    PropertyValue_r(0x30070040, 0x01D5C0A7B8C9DAEB),
                    PropertyValue_r(0x8CFD1102, [b"ab", b""]),
                    PropertyValue_r(0x3A400002, -2),
                    PropertyValue_r(0x8C6D0048, GUID),
                ]
            ),
            0x00040380,
        ),
        f"""00000200 00000000 05000000 04000200 05000000
        1e100f80 00000000 1e100000 02000000 08000200
        40000730 00000000 40000000 ebdac9b8 a7c0d501
        0211fd8c 00000000 02110000 02000000 0c000200
        0200403a 00000000 02000000 feff ....
        48006d8c 00000000 48000000 10000200
        02000000 14000200 00000000 02000000 00000000 02000000 6100 ....
        02000000 02000000 18000200 00000000 1c000200 02000000 6162 .... 00000000
        {GUID_HEX}
        80030400""",
    ),
    (
        NspiCompareMIdsRequest(HANDLE, 0, STAT(), 17, 18),
        f"{HANDLE_HEX} 00000000 {STAT_HEX} 11000000 12000000",
    ),
    (NspiCompareMIdsResponse(-1, 0), "ffffffff 00000000"),
    (
        NspiModPropsRequest(HANDLE, 0, STAT(), [0x3A701102], PropertyRow_r([PropertyValue_r(0x3A701102, [b"abc"])])),
        f"""{HANDLE_HEX} 00000000 {STAT_HEX} 00000200 02000000 01000000 00000000 01000000 0211703a
        00000000 01000000 04000200 01000000
        0211703a 00000000 02110000 01000000 08000200
        01000000 03000000 0c000200 03000000 616263""",
    ),
    (NspiModPropsResponse(0x80070005), "05000780"),
    (
        NspiGetTemplateInfoRequest(HANDLE, 1, 0, b"/o", 1252, 1033),
        f"{HANDLE_HEX} 01000000 00000000 00000200 03000000 00000000 03000000 2f6f00 .. e4040000 09040000",
    ),
    (
        NspiGetTemplateInfoResponse(PropertyRow_r([PropertyValue_r(0x00010102, b"12345")]), 0),
        """00000200 00000000 01000000 04000200 01000000
        02010100 00000000 02010000 05000000 08000200 05000000 3132333435 ...... 00000000""",
    ),
    (
        NspiModLinkAttRequest(HANDLE, 1, 0x8009000D, 17, [b"abc", None]),
        f"""{HANDLE_HEX} 01000000 0d000980 11000000
        02000000 00000200 02000000 03000000 04000200 00000000 00000000 03000000 616263""",
    ),
    (NspiModLinkAttResponse(0), "00000000"),
    (NspiQueryColumnsRequest(HANDLE, 0, 0x80000000), f"{HANDLE_HEX} 00000000 00000080"),
    (
        NspiQueryColumnsResponse([DISPLAY_NAME], 0),
        "00000200 02000000 01000000 00000000 01000000 1f000130 00000000",
    ),
    (
        NspiGetNamesFromIDsRequest(HANDLE, 0, GUID, [DISPLAY_NAME]),
        f"{HANDLE_HEX} 00000000 00000200 {GUID_HEX} 04000200 02000000 01000000 00000000 01000000 1f000130",
    ),
    (
        NspiGetNamesFromIDsResponse(None, [PropertyName_r(GUID, -1), PropertyName_r(None, 0)], 0),
        f"""00000000 00000200 02000000 02000000
        04000200 00000000 ffffffff 00000000 00000000 00000000 {GUID_HEX} 00000000""",
    ),
    (
        NspiGetIDsFromNamesRequest(HANDLE, 0, 2, 2, [PropertyName_r(GUID, 7), None]),
        f"""{HANDLE_HEX} 00000000 02000000 02000000 02000000 00000200 00000000
        04000200 00000000 07000000 {GUID_HEX}""",
    ),
    (
        NspiGetIDsFromNamesResponse([0x0000000A], 0x00040380),
        "00000200 02000000 01000000 00000000 01000000 0a000000 80030400",
    ),
    (
        NspiResolveNamesRequest(HANDLE, 0, STAT(), None, [b"al"]),
        f"""{HANDLE_HEX} 00000000 {STAT_HEX} 00000000 01000000 01000000 00000200
        03000000 00000000 03000000 616c00""",
    ),
    (
        NspiResolveNamesResponse([1], [], 0),
        """00000200 02000000 01000000 00000000 01000000 01000000
        04000200 00000000 00000000 00000000""",
    ),
    (
        NspiResolveNamesWRequest(HANDLE, 0, STAT(), None, ["ä", None]),
        f"""{HANDLE_HEX} 00000000 {STAT_HEX} 00000000 02000000 02000000 00000200 00000000
        02000000 00000000 02000000 e400 0000""",
    ),
    (NspiResolveNamesWResponse(None, None, 0x80040405), "00000000 00000000 05040480"),
]


def raw(text: str) -> bytes:
    """Padding is zero."""
    return bytes.fromhex("".join(text.split()).replace("..", "00"))


@pytest.mark.parametrize(("message", "expected"), MESSAGES, ids=[type(message).__name__ for message, _ in MESSAGES])
def test_golden_bytes(message: RpcMessage, expected: str) -> None:
    assert message.pack().hex() == raw(expected).hex()
    assert type(message).unpack(raw(expected)) == message


@pytest.mark.parametrize(("message", "expected"), MESSAGES, ids=[type(message).__name__ for message, _ in MESSAGES])
def test_what_stands_in_padding_does_not_matter(message: RpcMessage, expected: str) -> None:
    noise = bytes.fromhex("".join(expected.split()).replace("..", "bf"))
    assert type(message).unpack(noise) == message


def test_every_call_is_here_in_both_directions() -> None:
    kinds = {kind for method in NSPI.methods.values() for kind in (method.request, method.response) if kind}
    assert {type(message) for message, _ in MESSAGES} == kinds
    assert len(kinds) == 40

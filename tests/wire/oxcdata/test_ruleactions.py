"""Rule actions of standard rules."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given, settings

from openchange_py.wire.buffer import DecodeError, EncodeError, Reader
from openchange_py.wire.oxcdata.ids import FolderId, MessageId
from openchange_py.wire.oxcdata.properties import TaggedPropertyValue
from openchange_py.wire.oxcdata.ruleactions import (
    ActionBlock,
    ActionType,
    BounceActionData,
    ForwardActionData,
    MoveCopyActionData,
    RecipientBlockData,
    ReplyActionData,
    RuleAction,
    TagActionData,
)
from openchange_py.wire.proptags import PidTagImportance, PidTagRecipientType
from tests.wire.oxcdata.strategies import bytes_or_decode_error, garbage, rule_actions

# Layouts of [MS-OXORULE] 2.2.5.1, each written out by hand.
GOLDEN = [
    (ActionBlock(ActionType.MarkAsRead), "09 00 0b 00 00 00 00 00 00 00 00"),
    (
        ActionBlock(ActionType.Move, 0, 0, MoveCopyActionData(1, b"s", b"fo")),
        "11 00 01 00 00 00 00 00 00 00 00 01 01 00 73 02 00 66 6f",
    ),
    (
        ActionBlock(ActionType.Reply, 1, 0, ReplyActionData(FolderId(1), MessageId(2), uuid.UUID(int=0))),
        "29 00 03 01 00 00 00 00 00 00 00 01" + " 00" * 7 + " 02" + " 00" * 23,
    ),
    (ActionBlock(ActionType.DeferAction, 0, 0, b"own"), "0c 00 05 00 00 00 00 00 00 00 00 6f 77 6e"),
    (ActionBlock(ActionType.Bounce, 0, 0, BounceActionData(0x26)), "0d 00 06 00 00 00 00 00 00 00 00 26 00 00 00"),
    (
        ActionBlock(
            ActionType.Forward,
            0,
            0,
            ForwardActionData([RecipientBlockData(1, [TaggedPropertyValue(PidTagRecipientType, 1)])]),
        ),
        "16 00 07 00 00 00 00 00 00 00 00 01 00 01 01 00 03 00 15 0c 01 00 00 00",
    ),
    (
        ActionBlock(ActionType.Tag, 0, 0, TagActionData(TaggedPropertyValue(PidTagImportance, 2))),
        "11 00 09 00 00 00 00 00 00 00 00 03 00 17 00 02 00 00 00",
    ),
]


@pytest.mark.parametrize(("block", "raw"), GOLDEN)
def test_wire_form_of_each_action(block: ActionBlock, raw: str) -> None:
    assert block.pack().hex(" ") == raw
    assert ActionBlock.unpack(bytes.fromhex(raw)) == block


@settings(max_examples=200, deadline=None)
@given(rule_actions)
def test_rule_actions_come_back(value: RuleAction) -> None:
    assert RuleAction.unpack(value.pack()) == value


@settings(max_examples=300, deadline=None)
@given(garbage)
def test_garbage_is_a_rule_action_or_a_decode_error(data: bytes) -> None:
    bytes_or_decode_error(data, RuleAction.read)
    bytes_or_decode_error(b"\1\0" + len(data).to_bytes(2, "little") + data, RuleAction.read)


@pytest.mark.parametrize(
    "raw",
    [
        "01 00 0a 00 0b 00 00 00 00 00 00 00 00",  # longer than the buffer
        "01 00 0d 00 06 00 00 00 00 00 00 00 00 26 00 00",
        "01 00 0e 00 06 00 00 00 00 00 00 00 00 26 00 00 00 00",  # longer than its data
        "01 00 04 00 0b 00 00 00 00 00 00 00 00",  # shorter than its header
        "01 00 13 00 09 00 00 00 00 00 00 00 00 fe 00 80 66 00 00 00 00 00 00",  # an action in an action
        "ff ff 09 00",
    ],
)
def test_what_is_no_rule_action_is_refused(raw: str) -> None:
    with pytest.raises(DecodeError):
        RuleAction.read(Reader(bytes.fromhex(raw)))


def test_an_error_tells_which_action() -> None:
    first = ActionBlock(ActionType.Delete).pack()
    with pytest.raises(DecodeError, match=r"^action_blocks\[1\]"):
        RuleAction.read(Reader(b"\2\0" + first + b"\2\0" + bytes(20)))


def test_an_action_that_is_too_large_is_an_encode_error() -> None:
    with pytest.raises(EncodeError, match="bytes"):
        ActionBlock(ActionType.DeferAction, 0, 0, bytes(0x10000)).pack()

"""ROPs of [MS-OXORULE]. Bytes with a section number are that example of the document, the others follow its layouts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.oxcdata.properties import TaggedPropertyValue
from openchange_py.wire.oxcdata.restrictions import ExistRestriction
from openchange_py.wire.proptags import PidTagRuleCondition, PidTagRuleId, PidTagRuleSequence, PidTagSubject
from openchange_py.wire.rop.oxorule import (
    ModifyRulesFlags,
    RopGetRulesTableRequest,
    RopGetRulesTableResponse,
    RopModifyRulesRequest,
    RopModifyRulesResponse,
    RopUpdateDeferredActionMessagesRequest,
    RopUpdateDeferredActionMessagesResponse,
    RuleData,
    RuleDataFlags,
    RulesTableFlags,
)
from tests.wire.rop.rop_checks import Example, check_example, check_garbage, check_truncations

ADDED = RuleData(
    RuleDataFlags.RowAdd,
    [
        TaggedPropertyValue(PidTagRuleSequence, 10),
        TaggedPropertyValue(PidTagRuleCondition, ExistRestriction(PidTagSubject)),
    ],
)
REMOVED = RuleData(RuleDataFlags.RowRemove, [TaggedPropertyValue(PidTagRuleId, 7)])

EXAMPLES: list[Example] = [
    # 4.2.1
    ("3f 00 00 01 40", RopGetRulesTableRequest(0, 0, 1, RulesTableFlags.UnicodeStrings)),
    ("3f 01 00000000", RopGetRulesTableResponse(1, 0)),
    (
        "41 00 01 01 0200 01 0200 03007666 0a000000 fd007966 08 1f003700 04 0100 14007466 0700000000000000",
        RopModifyRulesRequest(0, 1, ModifyRulesFlags.Replace, [ADDED, REMOVED]),
    ),
    ("41 01 00000000", RopModifyRulesResponse(1, 0)),
    ("57 00 01 0100 aa 0200 bbcc", RopUpdateDeferredActionMessagesRequest(0, 1, b"\xaa", b"\xbb\xcc")),
    ("57 01 00000000", RopUpdateDeferredActionMessagesResponse(1, 0)),
]

#: What ruler 2.4.0 sends: a rule that starts a client-side program.
RULER = (
    "410c000001000108001f0082667700690072006500720075006c0065000000030076660a0000000300776601000000fd007966"
    "03010001001f0037001f00370070006f0070000000fe0080660100d00005000000000000000000001400087700690072006500720075"
    "006c0065000100000000000000010000000000000001000000a80000000600ffff00000c004352756c65456c656d656e7490010000"
    "0100000000000000010000000180640000000100000000000000010000000180cd00000001000000000000000370006f0070000180"
    "490100000100000000000000165c005c005c005c0068006f00730074005c005c00730068006100720065005c005c0078002e007400"
    "7800740001804a01000000000000018042010000000000001f008166520075006c0065004f007200670061006e0069007a00650072"
    "00000003008366000000000201846610000000140001000000287dd22714c4e440"
)


@pytest.mark.parametrize(("text", "rop"), EXAMPLES)
def test_examples(text: str, rop: object) -> None:
    check_example(text, rop)  # type: ignore[arg-type]
    check_truncations(text, rop)  # type: ignore[arg-type]


def test_a_rule_of_a_real_client() -> None:
    rop = RopModifyRulesRequest.unpack(bytes.fromhex(RULER))
    [rule] = rop.rules_data
    assert rule.rule_data_flags == RuleDataFlags.RowAdd
    assert [value.tag.name for value in rule.property_values] == [
        "PidTagRuleName",
        "PidTagRuleSequence",
        "PidTagRuleState",
        "PidTagRuleCondition",
        "PidTagRuleActions",
        "PidTagRuleProvider",
        "PidTagRuleLevel",
        "PidTagRuleProviderData",
    ]
    assert rule.property_values[0].value == "wirerule"
    assert rop.pack().hex() == RULER


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    check_garbage("oxorule", data)


def test_more_rules_than_bytes_are_refused_before_anything_is_allocated() -> None:
    with pytest.raises(DecodeError, match="65535 elements announced"):
        RopModifyRulesRequest.unpack(bytes.fromhex("41 00 00 00 ffff"))

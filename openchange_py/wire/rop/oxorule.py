"""ROPs of [MS-OXORULE], e-mail rules: [MS-OXCROPS] 2.2.11, all of them."""

from __future__ import annotations

import enum
from typing import Annotated

from openchange_py.wire.codecs import U8, Bytes16, Counted, Structure, structure, u16
from openchange_py.wire.oxcdata.values import TaggedPropertyValues16
from openchange_py.wire.rop.base import RopHandleRequest, RopOpenRequest, RopResponse, rop_request, rop_response
from openchange_py.wire.rop.ids import RopId


class ModifyRulesFlags(enum.IntFlag, boundary=enum.KEEP):
    """[MS-OXORULE] 2.2.1.1."""

    Replace = 0x01


class RuleDataFlags(enum.IntFlag, boundary=enum.KEEP):
    """[MS-OXORULE] 2.2.1.3."""

    RowAdd = 0x01
    RowModify = 0x02
    RowRemove = 0x04


class RulesTableFlags(enum.IntFlag, boundary=enum.KEEP):
    """[MS-OXORULE] 2.2.2.1."""

    UnicodeStrings = 0x40


@structure
class RuleData(Structure):
    """[MS-OXORULE] 2.2.1.3: one change to the rules. See `RuleDataFlags`."""

    rule_data_flags: U8
    property_values: TaggedPropertyValues16


@rop_request(RopId.ModifyRules)
@structure
class RopModifyRulesRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.11.1.1. See `ModifyRulesFlags`."""

    modify_rules_flags: U8
    rules_data: Annotated[list[RuleData], Counted(u16, RuleData)]


@rop_response(RopId.ModifyRules)
@structure
class RopModifyRulesResponse(RopResponse):
    """[MS-OXCROPS] 2.2.11.1.2."""


@rop_request(RopId.GetRulesTable)
@structure
class RopGetRulesTableRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.11.2.1. See `RulesTableFlags`."""

    table_flags: U8


@rop_response(RopId.GetRulesTable)
@structure
class RopGetRulesTableResponse(RopResponse):
    """[MS-OXCROPS] 2.2.11.2.2. `handle_index` is the request's output handle index."""


@rop_request(RopId.UpdateDeferredActionMessages)
@structure
class RopUpdateDeferredActionMessagesRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.11.3.1."""

    server_entry_id: Bytes16
    client_entry_id: Bytes16


@rop_response(RopId.UpdateDeferredActionMessages)
@structure
class RopUpdateDeferredActionMessagesResponse(RopResponse):
    """[MS-OXCROPS] 2.2.11.3.2."""

"""ROPs of [MS-OXCPERM], folder permissions: [MS-OXCROPS] 2.2.10, all of them."""

from __future__ import annotations

import enum
from typing import Annotated

from openchange_py.wire.codecs import U8, Counted, Structure, structure, u16
from openchange_py.wire.oxcdata.values import TaggedPropertyValues16
from openchange_py.wire.rop.base import RopHandleRequest, RopOpenRequest, RopResponse, rop_request, rop_response
from openchange_py.wire.rop.ids import RopId


class PermissionsTableFlags(enum.IntFlag, boundary=enum.KEEP):
    """[MS-OXCPERM] 2.2.1.1."""

    IncludeFreeBusy = 0x02


class ModifyPermissionsFlags(enum.IntFlag, boundary=enum.KEEP):
    """[MS-OXCPERM] 2.2.2.1."""

    ReplaceRows = 0x01
    IncludeFreeBusy = 0x02


class PermissionDataFlags(enum.IntFlag, boundary=enum.KEEP):
    """[MS-OXCPERM] 2.2.2.1.1."""

    AddRow = 0x01
    ModifyRow = 0x02
    RemoveRow = 0x04


@structure
class PermissionData(Structure):
    """[MS-OXCPERM] 2.2.2.1.1: one change to the permissions list. See `PermissionDataFlags`."""

    permission_data_flags: U8
    property_values: TaggedPropertyValues16


@rop_request(RopId.ModifyPermissions)
@structure
class RopModifyPermissionsRequest(RopHandleRequest):
    """[MS-OXCROPS] 2.2.10.1.1. See `ModifyPermissionsFlags`."""

    modify_flags: U8
    permissions_data: Annotated[list[PermissionData], Counted(u16, PermissionData)]


@rop_response(RopId.ModifyPermissions)
@structure
class RopModifyPermissionsResponse(RopResponse):
    """[MS-OXCROPS] 2.2.10.1.2."""


@rop_request(RopId.GetPermissionsTable)
@structure
class RopGetPermissionsTableRequest(RopOpenRequest):
    """[MS-OXCROPS] 2.2.10.2.1. See `PermissionsTableFlags`."""

    table_flags: U8


@rop_response(RopId.GetPermissionsTable)
@structure
class RopGetPermissionsTableResponse(RopResponse):
    """[MS-OXCROPS] 2.2.10.2.2. `handle_index` is the request's output handle index."""

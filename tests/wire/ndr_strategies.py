"""Messages of every declared call, for Hypothesis: made of what their annotations say, or by field."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, Final

from hypothesis import strategies as st

from openchange_py.wire import epm, mgmt, oxabref, oxcrpc, oxnspi
from openchange_py.wire.ndr import ContextHandle, RpcInterface, RpcMessage, SyntaxId
from openchange_py.wire.ndr_message import CharString, Dword, Handle, Long
from openchange_py.wire.oxnspi_types import STAT, PropertyName_r
from tests.wire.test_oxnspi_restrictions import RESTRICTIONS
from tests.wire.test_oxnspi_types import GUID, INT32, RAW, RAW8, ROWS, TEXT, VALUES

INTERFACES: Final[tuple[RpcInterface, ...]] = (
    epm.EPMAPPER, mgmt.MGMT, oxabref.RFR, oxcrpc.EMSMDB, oxcrpc.ASYNCEMSMDB, oxnspi.NSPI,
)  # fmt: skip
#: Of every declared call.
MESSAGES: Final[list[type[RpcMessage]]] = [
    kind
    for interface in INTERFACES
    for method in interface.methods.values()
    for kind in (method.request, method.response)
    if kind is not None
]

U16, U32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
HANDLE = st.builds(ContextHandle, U32, GUID)
SYNTAX = st.builds(SyntaxId, GUID, U16, U16)
TAGS = st.lists(U32, max_size=4)
NAME = st.builds(PropertyName_r, st.none() | GUID, INT32, U32)
VERSION = st.tuples(U16, U16, U16)
TOWER = st.builds(epm.Tower, st.binary(max_size=90))
UNIQUE_NAME = st.none() | st.builds(oxabref.Name, st.none() | RAW8)
UNIQUE_ROWS = st.none() | st.lists(ROWS, max_size=3)

_BY_ANNOTATION: Final[dict[Any, st.SearchStrategy[Any]]] = {
    Dword: U32,
    Long: INT32,
    Handle: HANDLE,
    CharString: RAW8,
    oxabref.UniqueName: UNIQUE_NAME,
    oxnspi.Stat: st.builds(STAT, U32, U32, U32, INT32, U32, U32, U32, U32, U32),
    oxnspi.FlatUid: st.none() | GUID,
    oxnspi.Mids: TAGS,
    oxnspi.UniqueMids: st.none() | TAGS,
    oxnspi.UniqueTags: st.none() | TAGS,
    oxnspi.Strings: st.lists(st.none() | RAW8, max_size=3),
    oxnspi.WStrings: st.lists(st.none() | TEXT, max_size=3),
    oxnspi.Row: ROWS,
    oxnspi.UniqueRow: st.none() | ROWS,
    oxnspi.UniqueRows: UNIQUE_ROWS,
}

#: What other fields hold, in whatever message they are.
_BY_NAME: Final[dict[str, st.SearchStrategy[Any]]] = {
    "delta": st.none() | INT32,
    "e_table": st.none() | TAGS,
    "target": VALUES,
    "filter": st.none() | RESTRICTIONS,
    "prop_name": st.none() | NAME,
    "dn": st.none() | RAW8,
    "entry_ids": st.none() | st.lists(st.none() | RAW, max_size=3),
    "names": st.lists(NAME, max_size=3),
    "server_fqdn": st.none() | RAW8,
    "user_dn": RAW8,
    "dn_prefix": st.none() | RAW8,
    "display_name": st.none() | RAW8,
    "can_convert_code_pages": U16,
    "icxr": U16,
    "out_size": st.integers(0, oxcrpc.MAXIMUM_BUFFER),
    "aux_out_size": st.integers(0, oxcrpc.MAXIMUM_AUX_BUFFER),
    "object": st.none() | GUID,
    "map_tower": st.none() | TOWER,
    "interface_id": st.none() | SYNTAX,
    "towers": st.lists(st.none() | TOWER, max_size=3),
    "entries": st.lists(st.builds(epm.EptEntry, GUID, st.none() | TOWER, RAW8), max_size=3),
    "max_towers": st.integers(3, 0xFFFFFFFF),
    "max_ents": st.integers(3, 0xFFFFFFFF),
    "if_id_vector": st.none() | st.lists(st.none() | SYNTAX, max_size=3),
    "statistics": st.lists(U32, max_size=4),
    "princ_name": RAW8,
    "princ_name_size": st.integers(100, 0xFFFFFFFF),
    "cb_mailbox_server_dn": st.integers(100, 1024),
    "mailbox_server_dn": RAW8,
    "maximum": st.integers(100, 0xFFFF),
    "size": st.none() | st.integers(0x10000, 0xFFFFFFFF),
}
_BY_TYPE: Final[dict[Any, st.SearchStrategy[Any]]] = {
    int: U32,
    bytes: RAW,
    ContextHandle: HANDLE,
    oxcrpc.Version: VERSION,
}


def _field(kind: type[RpcMessage], name: str, hint: Any) -> st.SearchStrategy[Any]:
    if hint in _BY_ANNOTATION:
        return _BY_ANNOTATION[hint]
    if kind is oxnspi.NspiGetIDsFromNamesRequest and name == "names":
        return st.lists(st.none() | NAME, max_size=3)
    if kind is oxnspi.NspiGetNamesFromIDsResponse and name == "names":
        return st.none() | _BY_NAME[name]
    return _BY_NAME[name] if name in _BY_NAME else _BY_TYPE[hint]


def messages(kind: type[RpcMessage]) -> st.SearchStrategy[RpcMessage]:
    """Messages of this kind."""
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {field.name: _field(kind, field.name, hints[field.name]) for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return st.builds(kind, **fields)

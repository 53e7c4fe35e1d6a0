"""[MS-OXNSPI] from the client's side: names, address lists and the properties of people.

Texts are always asked for as Unicode. Not done yet: changing entries, restrictions beside name matching.
"""

from __future__ import annotations

import dataclasses
import enum
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, Protocol, TypeVar

from openchange_py.client.errors import AmbiguousName, ClientError, NoSuchName, check_return
from openchange_py.wire import proptags as p
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import NULL_HANDLE, ContextHandle, RpcMessage
from openchange_py.wire.oxcdata.errors import ErrorCode
from openchange_py.wire.oxcdata.properties import PropertyMap, PropertyTag, PropertyType
from openchange_py.wire.oxnspi import (
    NspiBindRequest,
    NspiBindResponse,
    NspiDNToMIdRequest,
    NspiDNToMIdResponse,
    NspiGetMatchesRequest,
    NspiGetMatchesResponse,
    NspiGetPropsRequest,
    NspiGetPropsResponse,
    NspiGetSpecialTableRequest,
    NspiGetSpecialTableResponse,
    NspiGetTemplateInfoRequest,
    NspiGetTemplateInfoResponse,
    NspiQueryRowsRequest,
    NspiQueryRowsResponse,
    NspiResolveNamesWRequest,
    NspiResolveNamesWResponse,
    NspiUnbindRequest,
    NspiUnbindResponse,
)
from openchange_py.wire.oxnspi_restrictions import PropertyRestriction_r
from openchange_py.wire.oxnspi_types import STAT, PropertyRow_r, PropertyValue_r
from openchange_py.wire.oxoabkt import Control, unpack_template

R = TypeVar("R", bound=RpcMessage)

#: What the library asks of an entry where the caller does not say.
COLUMNS: Final[tuple[PropertyTag, ...]] = (
    p.PidTagDisplayName,
    p.PidTagAccount,
    p.PidTagSmtpAddress,
    p.PidTagEmailAddress,
    p.PidTagAddressType,
    p.PidTagObjectType,
    p.PidTagDisplayType,
    p.PidTagTitle,
    p.PidTagDepartmentName,
    p.PidTagCompanyName,
    p.PidTagOfficeLocation,
    p.PidTagBusinessTelephoneNumber,
)

#: Code page of the few 8-bit strings, and the locale of sorting: [MS-OXNSPI] 2.2.1.4, 2.2.1.5.
_CODE_PAGE: Final = 1252
_LOCALE: Final = 1033
_CODEC: Final = "cp1252"
#: TI_TEMPLATE, 2.2.1.16, and SortTypeDisplayName_RO, 2.2.1.10.
_TI_TEMPLATE: Final = 0x00000001
_SORT_DISPLAY_NAME_RO: Final = 1000
#: NspiUnicodeStrings, 2.2.1.12.
_UNICODE_STRINGS: Final = 0x00000004
_MID_END_OF_TABLE: Final = 2
#: relop ==, [MS-OXCDATA] 2.12.5.1.
_EQUAL: Final = 4
_PAGE: Final = 100
#: Address lists in address lists; a depth beyond it is no depth.
_DEEPEST: Final = 64
#: Larger than any address list; a server that never ends one is stopped here.
_MAXIMUM_ROWS: Final = 5_000_000


class NameMatch(enum.IntEnum):
    """What name resolution says of a name: [MS-OXNSPI] 2.2.1.9."""

    UNRESOLVED = 0
    AMBIGUOUS = 1
    RESOLVED = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Resolution:
    """The outcome for one name; `properties` is there where it was resolved."""

    name: str
    match: int
    properties: PropertyMap


@dataclasses.dataclass(frozen=True, slots=True)
class AddressList:
    """One container. `container_id` is what `query_rows` takes; 0 is the Global Address List."""

    container_id: int
    name: str
    depth: int


class Calls(Protocol):
    """A channel, as far as it is needed here."""

    async def call(self, request: RpcMessage, response: type[R]) -> R:
        """See `Channel.call`."""
        ...


class NspiClient:
    """One NSPI session over a channel.

        nspi = NspiClient(await connector.connect(NSPI))
        await nspi.bind()
        alice = await nspi.resolve("alice")
        await nspi.unbind()

    Errors of the server raise `MapiError` with the call's name.
    """

    def __init__(self, channel: Calls) -> None:
        self._channel = channel
        self._handle: ContextHandle = NULL_HANDLE

    async def bind(self) -> uuid.UUID | None:
        """NspiBind (3.1.4.1.1): the server's GUID."""
        response = await self._channel.call(NspiBindRequest(0, _stat(), uuid.UUID(int=0)), NspiBindResponse)
        check_return(response.return_value, "NspiBind")
        self._handle = response.context_handle
        return response.server_guid

    async def unbind(self) -> None:
        """NspiUnbind (3.1.4.1.2), whose return value of success is 1."""
        if not self._handle.is_null:
            handle, self._handle = self._handle, NULL_HANDLE
            await self._channel.call(NspiUnbindRequest(handle), NspiUnbindResponse)

    async def resolve_names(self, names: Sequence[str], tags: Sequence[PropertyTag] = COLUMNS) -> list[Resolution]:
        """NspiResolveNamesW (3.1.4.1.17) in the Global Address List, an outcome for each name in order."""
        request = NspiResolveNamesWRequest(self._handle, 0, _stat(), list(tags), list(names))
        response = await self._channel.call(request, NspiResolveNamesWResponse)
        check_return(response.return_value, "NspiResolveNamesW")
        mids = response.mids or []
        rows = iter(response.rows or [])
        if len(mids) != len(names) or mids.count(NameMatch.RESOLVED) != len(response.rows or []):
            raise ClientError(f"NspiResolveNamesW: {len(mids)} results for {len(names)} names")
        return [
            Resolution(name, int(mid), properties_of(next(rows)) if mid == NameMatch.RESOLVED else {})
            for name, mid in zip(names, mids, strict=True)
        ]

    async def resolve(self, name: str, tags: Sequence[PropertyTag] = COLUMNS) -> PropertyMap:
        """The one entry that a name means. Raises `NoSuchName`, and `AmbiguousName` with the candidates.

        Where several fit, the one whose account, mail address, alias or distinguished name it is exactly is meant.
        """
        wanted = tuple(dict.fromkeys((*tags, *COLUMNS)))
        (found,) = await self.resolve_names([name], wanted)
        if found.match == NameMatch.RESOLVED:
            return found.properties
        if found.match == NameMatch.UNRESOLVED:
            raise NoSuchName(f"the address book knows no {name!r}")
        candidates = await self.matches(name, tags=wanted)
        exact = [row for row in candidates if _is_exactly(row, name)]
        if len(exact) == 1:
            return exact[0]
        raise AmbiguousName(f"{name!r} may be one of several entries", exact or candidates)

    async def matches(self, name: str, limit: int = 50, tags: Sequence[PropertyTag] = COLUMNS) -> list[PropertyMap]:
        """NspiGetMatches (3.1.4.1.10): the entries that a name may mean; none where there are more than `limit`."""
        value = PropertyValue_r(p.PidTagAnr, name)
        restriction = PropertyRestriction_r(_EQUAL, p.PidTagAnr, value)
        request = NspiGetMatchesRequest(self._handle, 0, _stat(), None, 0, restriction, None, limit, list(tags))
        response = await self._channel.call(request, NspiGetMatchesResponse)
        if response.return_value == ErrorCode.TableTooBig:
            return []
        check_return(response.return_value, "NspiGetMatches")
        return [properties_of(row) for row in response.rows or []]

    async def query_rows(
        self,
        container_id: int = 0,
        *,
        tags: Sequence[PropertyTag] = COLUMNS,
        limit: int | None = None,
        page: int = _PAGE,
    ) -> AsyncIterator[PropertyMap]:
        """The entries of an address list in its order, at most `limit`: NspiQueryRows (3.1.4.1.8), `page` at a time."""
        stat = _stat(container_id)
        left = _MAXIMUM_ROWS if limit is None else limit
        while left > 0:
            count = min(page, left)
            request = NspiQueryRowsRequest(self._handle, 0, stat, 0, None, count, list(tags))
            response = await self._channel.call(request, NspiQueryRowsResponse)
            check_return(response.return_value, "NspiQueryRows")
            rows = (response.rows or [])[:left]
            for row in rows:
                yield properties_of(row)
            left -= len(rows)
            before, stat = stat, response.stat
            if not rows or stat.current_rec == _MID_END_OF_TABLE:
                return
            if (stat.current_rec, stat.num_pos) == (before.current_rec, before.num_pos):
                raise ClientError("NspiQueryRows: the server does not move on in its table")

    async def get_props(self, mid: int, tags: Sequence[PropertyTag] | None = None) -> PropertyMap:
        """NspiGetProps (3.1.4.1.7) of the entry with that Minimal Entry Id; all properties without `tags`."""
        stat = dataclasses.replace(_stat(), current_rec=mid)
        request = NspiGetPropsRequest(self._handle, 0, stat, None if tags is None else list(tags))
        response = await self._channel.call(request, NspiGetPropsResponse)
        check_return(response.return_value, "NspiGetProps")
        return {} if response.row is None else properties_of(response.row)

    async def dn_to_mid(self, dns: Sequence[str]) -> list[int]:
        """NspiDNToMId (3.1.4.1.13): Minimal Entry Ids of distinguished names, 0 for those that are unknown."""
        names: list[bytes | None] = [dn.encode("utf-8") for dn in dns]
        response = await self._channel.call(NspiDNToMIdRequest(self._handle, 0, names), NspiDNToMIdResponse)
        check_return(response.return_value, "NspiDNToMId")
        return [int(mid) for mid in response.out_mids or []]

    async def template(self, display_type: int, locale_id: int) -> list[Control]:
        """NspiGetTemplateInfo (3.1.4.1.18): the controls of the details dialog for a kind of object."""
        request = NspiGetTemplateInfoRequest(self._handle, _TI_TEMPLATE, display_type, None, _CODE_PAGE, locale_id)
        response = await self._channel.call(request, NspiGetTemplateInfoResponse)
        check_return(response.return_value, "NspiGetTemplateInfo")
        data = {} if response.data is None else properties_of(response.data)
        try:
            return unpack_template(data.get(p.PidTagTemplateData, b""), lambda raw: raw.decode(_CODEC, "replace"))
        except DecodeError as error:
            raise ClientError(f"NspiGetTemplateInfo: the server's template is damaged: {error}") from error

    async def linked(self, mid: int, tag: PropertyTag, limit: int) -> list[str] | None:
        """The names of those whom a property of an entry refers to; None where they are more than `limit`.

        NspiGetMatches (3.1.4.1.10) of the table behind that property. An entry without it has none.
        """
        stat = dataclasses.replace(_stat(tag), sort_type=_SORT_DISPLAY_NAME_RO, current_rec=mid)
        names = [p.PidTagDisplayName]
        request = NspiGetMatchesRequest(self._handle, 0, stat, None, 0, None, None, limit, names)
        response = await self._channel.call(request, NspiGetMatchesResponse)
        if response.return_value == ErrorCode.TableTooBig:
            return None
        if response.return_value in (ErrorCode.NotFound, ErrorCode.NotSupported):
            return []
        check_return(response.return_value, "NspiGetMatches")
        return [str(properties_of(row).get(p.PidTagDisplayName, "")) for row in response.rows or []]

    async def special_table(self) -> list[AddressList]:
        """NspiGetSpecialTable (3.1.4.1.3): the address lists, each behind its parent."""
        request = NspiGetSpecialTableRequest(self._handle, _UNICODE_STRINGS, _stat())
        response = await self._channel.call(request, NspiGetSpecialTableResponse)
        check_return(response.return_value, "NspiGetSpecialTable")
        return [_address_list(properties_of(row)) for row in response.rows or []]


def _stat(container_id: int = 0) -> STAT:
    """The beginning of a container."""
    return STAT(container_id=container_id, code_page=_CODE_PAGE, template_locale=_LOCALE, sort_locale=_LOCALE)


def properties_of(row: PropertyRow_r) -> PropertyMap:
    """The values of a row that are no errors."""
    return {
        PropertyTag(value.prop_tag): value.value
        for value in row.values or ()
        if value.prop_tag & 0xFFFF != PropertyType.ErrorCode and value.value is not None
    }


def _address_list(properties: PropertyMap) -> AddressList:
    """A container without a name is the Global Address List."""
    name: Any = properties.get(p.PidTagDisplayName) or ""
    container_id = properties.get(p.PidTagAddressBookContainerId, 0)
    depth = min(max(properties.get(p.PidTagDepth, 0), 0), _DEEPEST)
    return AddressList(container_id & 0xFFFFFFFF, name or "Global Address List", depth)


def _is_exactly(properties: PropertyMap, name: str) -> bool:
    tags = (p.PidTagAccount, p.PidTagSmtpAddress, p.PidTagEmailAddress)
    return name.casefold() in {str(properties.get(tag, "")).casefold() for tag in tags}

"""Who is in the address book of the server relayed to, for Autodiscover: asked with calls as clients make them.

They go through modules, relay and its authorization as the caller's own would, and come back with this server's names.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Final, TypeVar

from openchange_py.addressbook.base import DirectoryError, DisplayType
from openchange_py.client.errors import ClientError
from openchange_py.client.nspi import NameMatch, NspiClient
from openchange_py.proxy.dispatcher import Dispatcher
from openchange_py.rpc.call import Call, FaultStatus, RpcFault, Session
from openchange_py.rpc.security import Identity
from openchange_py.servers.autodiscover.settings import Person
from openchange_py.wire import proptags as p
from openchange_py.wire.buffer import DecodeError
from openchange_py.wire.ndr import RpcMessage
from openchange_py.wire.oxcdata.errors import MapiError
from openchange_py.wire.oxcdata.properties import PropertyMap
from openchange_py.wire.oxnspi import NSPI

R = TypeVar("R", bound=RpcMessage)

_WHOSE: Final = "the address book of the server relayed to"
#: Seconds that a client is let wait for it.
_SECONDS: Final = 15.0
_COLUMNS: Final = (
    p.PidTagDisplayName,
    p.PidTagSmtpAddress,
    p.PidTagEmailAddress,
    p.PidTagDisplayType,
    p.PidTagAddressBookProxyAddresses,
)


class UpstreamBook:
    """Made on the event loop that the dispatcher's calls run on, and asked in other threads."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._loop = asyncio.get_running_loop()

    def find(self, caller: Identity, name: str) -> Person | None:
        """Who has that mail address or distinguished name. Raises `DirectoryError`; blocks."""
        asked = asyncio.run_coroutine_threadsafe(self._find(caller, name), self._loop)
        try:
            return asked.result()
        except RpcFault as fault:
            if fault.status == FaultStatus.ACCESS_DENIED:
                return None  # the caller is not told of anybody there
            raise DirectoryError(f"{_WHOSE}: {fault}") from fault
        except (ClientError, MapiError, TimeoutError, DecodeError) as error:
            raise DirectoryError(f"{_WHOSE}: {error or 'no answer in time'}") from error

    async def _find(self, caller: Identity, name: str) -> Person | None:
        # Tickets that a client forwarded are its sessions': they would be wiped with this one.
        calls = _Calls(self._dispatcher, Session("autodiscover", "-"), dataclasses.replace(caller, delegated=None))
        try:
            async with asyncio.timeout(_SECONDS):
                nspi = NspiClient(calls)
                await nspi.bind()
                (found,) = await nspi.resolve_names([name], _COLUMNS)
                await nspi.unbind()
        finally:
            await self._dispatcher.unbind(calls.session)
        return _person(found.properties, name) if found.match == NameMatch.RESOLVED else None


class _Calls:
    """What a client library takes for its channel."""

    def __init__(self, dispatcher: Dispatcher, session: Session, caller: Identity) -> None:
        self.session = session
        self._dispatcher = dispatcher
        self._caller = caller

    async def call(self, request: RpcMessage, response: type[R]) -> R:
        """The decoded response. Raises `RpcFault`, `DecodeError`."""
        opnum = next(method.opnum for method in NSPI.methods.values() if method.request is type(request))
        made = Call(NSPI, opnum, request.pack(), self.session, self._caller)
        return response.unpack(await self._dispatcher.handle(made))


def _person(properties: PropertyMap, name: str) -> Person | None:
    """Somebody with a mailbox whose name that is, and not only begins so."""
    addresses = [str(address) for address in properties.get(p.PidTagAddressBookProxyAddresses) or ()]
    dn, address = str(properties.get(p.PidTagEmailAddress) or ""), str(properties.get(p.PidTagSmtpAddress) or "")
    known = {dn.casefold(), address.casefold(), *(text.partition(":")[2].casefold() for text in addresses)}
    if properties.get(p.PidTagDisplayType) != DisplayType.MAILUSER or name.casefold() not in known:
        return None
    return Person(address, str(properties.get(p.PidTagDisplayName) or address), dn) if dn and address else None

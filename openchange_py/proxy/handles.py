"""Where a call's context handle stands in its stubs, so that a relayed call need not be decoded for it.

[MS-OXCRPC] section 6 and [MS-OXNSPI] section 6 (IDL): a handle that goes in is the first parameter; one
that comes out is the first too, but for NspiBind, where pServerGuid stands in front of it.
"""

from __future__ import annotations

from typing import Final

from openchange_py.wire.ndr import ContextHandle, NdrReader

HANDLE_SIZE: Final = 20
_RETURN_VALUE_SIZE: Final = 4

_TAKING: Final[dict[str, frozenset[int]]] = {
    "exchange_emsmdb": frozenset({1, 2, 3, 4, 5, 9, 11, 14}),
    "exchange_async_emsmdb": frozenset({0}),
    "exchange_nsp": frozenset(range(1, 21)),
}
_GIVING_FIRST: Final[dict[str, frozenset[int]]] = {
    "exchange_emsmdb": frozenset({0, 1, 2, 3, 4, 5, 9, 10, 11, 14}),
    "exchange_nsp": frozenset({1}),
}
_NSPI_BIND: Final = 0
#: Calls that take one handle and bring another one beside it.
_MAKING: Final = frozenset({("exchange_emsmdb", 14)})


def takes_handle(interface: str, opnum: int) -> bool:
    """Whether the call acts on a context handle."""
    return opnum in _TAKING.get(interface, ())


def makes_handle(interface: str, opnum: int) -> bool:
    """Whether the response's handle is one beside the request's, and not what became of that one."""
    return (interface, opnum) in _MAKING


def handle_taken(interface: str, opnum: int, stub: bytes) -> ContextHandle | None:
    """The handle that a request names; None for a call without one. `DecodeError` for a stub that is too short."""
    return ContextHandle.read(NdrReader(stub)) if takes_handle(interface, opnum) else None


def handle_given(interface: str, opnum: int, reply: bytes) -> ContextHandle | None:
    """The handle that a response brings (a null handle ends one); None for a call without one."""
    if opnum in _GIVING_FIRST.get(interface, ()):
        return ContextHandle.read(NdrReader(reply))
    if interface == "exchange_nsp" and opnum == _NSPI_BIND:
        at = max(0, len(reply) - HANDLE_SIZE - _RETURN_VALUE_SIZE)
        return ContextHandle.read(NdrReader(reply[at:]))
    return None

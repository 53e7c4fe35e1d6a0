"""Where a call's context handle stands in its stubs, so that a relayed call need not be decoded for it.

[MS-OXCRPC] section 6 and [MS-OXNSPI] section 6 (IDL): a handle that goes in is the first parameter; one
that comes out is the first too, but for NspiBind, where pServerGuid stands in front of it.
"""

from __future__ import annotations

from typing import Final

from openchange_py.wire.buffer import DecodeError

HANDLE_SIZE: Final = 20
#: A handle here is its bytes: two are the same where their bytes are.
NULL_HANDLE: Final = bytes(HANDLE_SIZE)
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
#: All but NspiModProps (11) and NspiModLinkAtt (14), which write; of the mailbox only EcDummyRpc.
_REPEATABLE: Final[dict[str, frozenset[int]]] = {
    "exchange_emsmdb": frozenset({6}),
    "exchange_nsp": frozenset(range(21)) - {11, 14},
    "exchange_ds_rfr": frozenset({0, 1}),
}


def handle_space(interface: str) -> str:
    """The interface whose handles an interface's calls act on.

    Interfaces of different spaces have nothing in common, and each may be another process' on the server.
    """
    return "exchange_emsmdb" if interface == "exchange_async_emsmdb" else interface


def takes_handle(interface: str, opnum: int) -> bool:
    """Whether the call acts on a context handle."""
    return opnum in _TAKING.get(interface, ())


def makes_handle(interface: str, opnum: int) -> bool:
    """Whether the response's handle is one beside the request's, and not what became of that one."""
    return (interface, opnum) in _MAKING


def opens_handle(interface: str, opnum: int) -> bool:
    """Whether a response brings one more handle than there was before."""
    if interface == "exchange_nsp" and opnum == _NSPI_BIND:
        return True
    gives = opnum in _GIVING_FIRST.get(interface, ())
    return makes_handle(interface, opnum) or (gives and not takes_handle(interface, opnum))


def repeatable(interface: str, opnum: int) -> bool:
    """Whether a call may be executed twice as well as once, and needs no more state than an address book session."""
    return opnum in _REPEATABLE.get(interface, ())


def handle_taken(interface: str, opnum: int, stub: bytes) -> bytes | None:
    """The handle that a request names; None for a call without one. `DecodeError` for a stub that is too short."""
    return _handle_at(stub, 0) if takes_handle(interface, opnum) else None


def handle_given(interface: str, opnum: int, reply: bytes) -> bytes | None:
    """The handle that a response brings (`NULL_HANDLE` ends one); None for a call without one."""
    if opnum in _GIVING_FIRST.get(interface, ()):
        return _handle_at(reply, 0)
    if interface == "exchange_nsp" and opnum == _NSPI_BIND:
        return _handle_at(reply, max(0, len(reply) - HANDLE_SIZE - _RETURN_VALUE_SIZE))
    return None


def _handle_at(stub: bytes, at: int) -> bytes:
    handle = stub[at : at + HANDLE_SIZE]
    if len(handle) < HANDLE_SIZE:
        raise DecodeError(f"a context handle needs {HANDLE_SIZE} bytes, {len(handle)} are left", at)
    return handle

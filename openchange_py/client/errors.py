"""What can go wrong on the way to a mailbox, in words for a person.

A call or ROP that the server answers with an error code raises `MapiError` of that code with the call's name.
"""

from __future__ import annotations

from typing import Any, Final

from openchange_py.wire.oxcdata.errors import ErrorCode, MapiError

#: Return values that say "done, but": a call that answers one of them did its work.
_WARNINGS: Final = frozenset(
    {
        ErrorCode.Success,
        ErrorCode.ErrorsReturned,
        ErrorCode.PositionChanged,
        ErrorCode.ApproximateCount,
        ErrorCode.PartialCompletion,
    }
)


class ClientError(Exception):
    """The client cannot do what was asked; the message says why."""


class Unreachable(ClientError):
    """No server answers there, or not as one."""


class LogonRefused(ClientError):
    """The server does not accept the credentials, or demands more protection of the connection."""


class NoSuchName(ClientError):
    """The address book does not know the name."""


class AmbiguousName(ClientError):
    """Several entries of the address book fit the name; `candidates` are their properties."""

    def __init__(self, message: str, candidates: list[Any]) -> None:
        super().__init__(message)
        self.candidates = candidates


class NoSuchFolder(ClientError):
    """The mailbox has no folder of that path."""


class NoSuchMessage(ClientError):
    """The folder has no such message, or the message no such attachment."""


class IncompleteStream(ClientError):
    """A value ended before all of its bytes had come."""


def check_return(value: int, name: str) -> None:
    """Raise `MapiError` with the name of the call or ROP for a return value that is an error."""
    if value in _WARNINGS:
        return
    try:
        raise MapiError(ErrorCode(value), name)
    except ValueError:
        raise MapiError(value, name) from None

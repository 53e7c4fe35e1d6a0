"""What a line of the log is about, beside its text: connection, session, peer, account, interface, call, status.

Nothing has to be said where something is logged: objects among a message's arguments that have `log_fields()` tell
theirs, and so does the call in whose handling the line was written, in worker threads too.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any, Final, ParamSpec, Protocol, TypeVar, runtime_checkable

P = ParamSpec("P")
R = TypeVar("R")
LogFields = dict[str, str | int]


@runtime_checkable
class HasLogFields(Protocol):
    """Something that lines of the log are about."""

    def log_fields(self) -> LogFields:
        """Names and values; never a secret."""


_current: Final[contextvars.ContextVar[HasLogFields | None]] = contextvars.ContextVar("ocpy_log", default=None)


def set_log_context(about: HasLogFields | None) -> None:
    """What this task, and what it starts from now on, logs is about that."""
    _current.set(about)


def in_this_context(function: Callable[P, R]) -> Callable[P, R]:
    """The function as something to run in another thread, whose lines are about the same."""
    context = contextvars.copy_context()

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        return context.run(function, *args, **kwargs)

    return run


def log_fields(arguments: Any) -> LogFields:
    """The fields of a line that is written here and now with these arguments, the nearest last word."""
    about = _current.get()
    fields: LogFields = dict(about.log_fields()) if about is not None else {}
    values = arguments.values() if isinstance(arguments, dict) else arguments if isinstance(arguments, tuple) else ()
    for value in values:
        if isinstance(value, HasLogFields):
            fields |= value.log_fields()
    return fields

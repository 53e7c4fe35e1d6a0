"""A progress bar for a person who waits."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final, Self

import click

#: Seconds before a progress bar is worth looking at.
_PATIENCE: Final = 2.0
_BAR: Final = 30


class ProgressBar:
    """Shows on standard error how far something is, once it took long enough, and only to a person."""

    def __init__(self, name: str, amount: Callable[[int], str] = str) -> None:
        self._name = name
        self._amount = amount
        self._started = time.monotonic()
        self._shown = False
        self._wanted = sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.finish()

    def __call__(self, done: int, total: int, now: str = "") -> None:
        """`done` of `total` are there; `now`: what comes next."""
        if not self._wanted or time.monotonic() - self._started < _PATIENCE:
            return
        filled = _BAR * done // max(total, 1)
        bar = "#" * filled + "." * (_BAR - filled)
        amount = f"{self._amount(done)} of {self._amount(total)}"
        click.echo(f"\r{self._name} [{bar}] {amount}{now and f': {now}'}\033[K", err=True, nl=False)
        self._shown = True

    def finish(self) -> None:
        """Take the bar away."""
        if self._shown:
            click.echo("\r\033[K", err=True, nl=False)

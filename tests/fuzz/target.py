"""What a fuzz target is: a function that takes any bytes, and raises only where something is wrong with the program."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Final

FuzzFunction = Callable[[bytes], None]


@dataclasses.dataclass(frozen=True)
class Target:
    """One target: `run` is fed, `seeds()` are good inputs to start from, `longest` the bytes of one input."""

    name: str
    run: FuzzFunction
    seeds: Callable[[], Sequence[bytes]]
    longest: int

    @property
    def about(self) -> str:
        """The first line of the function's docstring."""
        return (self.run.__doc__ or "").partition("\n")[0]


TARGETS: Final[dict[str, Target]] = {}


def target(
    name: str, seeds: Callable[[], Sequence[bytes]] = tuple, *, longest: int = 4096
) -> Callable[[FuzzFunction], FuzzFunction]:
    """Register the decorated function under a name."""

    def register(function: FuzzFunction) -> FuzzFunction:
        TARGETS[name] = Target(name, function, seeds, longest)
        return function

    return register

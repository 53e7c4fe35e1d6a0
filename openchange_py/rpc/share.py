"""Which of several processes has what a client names: the numbers that a process gives out tell it."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class Share:
    """The numbers of one process among `count`: those that leave `number` when they are divided by `count`."""

    number: int = 0
    count: int = 1

    def elsewhere(self, identifier: int) -> int | None:
        """Which other process has it; None where it is this one's."""
        owner = identifier % self.count
        return None if owner == self.number else owner

"""What a benchmark found: tables for a person, and the same as JSON."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from typing import Any

Cell = str | int | float | None


@dataclasses.dataclass
class Table:
    """One table. The first column names the row; a cell of None was not measured."""

    title: str
    columns: Sequence[str]
    rows: list[list[Cell]] = dataclasses.field(default_factory=list)

    def add(self, *cells: Cell) -> None:
        """One row."""
        self.rows.append(list(cells))

    def __str__(self) -> str:
        lines = [list(self.columns), *([_text(cell) for cell in row] for row in self.rows)]
        widths = [max(len(line[place]) for line in lines) for place in range(len(self.columns))]
        text = [
            "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
            for line in lines
        ]
        return "\n".join([self.title, *("  " + line.rstrip() for line in text)])


@dataclasses.dataclass
class Report:
    """A benchmark's tables, and what must be known to read them."""

    title: str
    tables: list[Table] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    def table(self, title: str, *columns: str) -> Table:
        """A new table, to be filled."""
        self.tables.append(Table(title, columns))
        return self.tables[-1]

    def __str__(self) -> str:
        parts = ["\n".join([f"== {self.title}", *(f"   {note}" for note in self.notes)]), *map(str, self.tables)]
        return "\n\n".join(parts)

    def as_json(self) -> dict[str, Any]:
        """Everything, rows as objects."""
        return {
            "title": self.title,
            "notes": self.notes,
            "tables": [
                {"title": t.title, "rows": [dict(zip(t.columns, row, strict=True)) for row in t.rows]}
                for t in self.tables
            ],
        }


def _text(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:.2f}" if abs(cell) < 100 else f"{cell:.0f}"
    return str(cell)


def quantile(values: Sequence[float], fraction: float) -> float:
    """The value that `fraction` of all values stay below, or equal."""
    ordered = sorted(values)
    return ordered[min(int(fraction * len(ordered)), len(ordered) - 1)]


def median_ratio(values: Sequence[float], base: Sequence[float]) -> float:
    """How many times the base, round by round: what disturbed a round disturbed both."""
    return statistics.median(value / other for value, other in zip(values, base, strict=True))

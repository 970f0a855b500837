"""One measured quantity."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """What was measured, several times, in `unit` (`x`: a ratio, empty: a count).

    `budget` is the most that it should be; None for what others are compared with.
    """

    name: str
    unit: str
    budget: float | None
    values: Sequence[float]

    def row(self) -> list[str]:
        """Name, median, least, most and budget as they are shown."""
        if not self.values:
            return [self.name, "not measurable here", "", "", self._shown(self.budget)]
        numbers = (statistics.median(self.values), min(self.values), max(self.values), self.budget)
        return [self.name, *map(self._shown, numbers)]

    def _shown(self, number: float | None) -> str:
        if number is None:
            return ""
        digits = {"s": 1 if number >= 10 else 2, "ms": 2, "x": 2}.get(self.unit, 0)
        return f"{number:.{digits}f} {self.unit}".rstrip()

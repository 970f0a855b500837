"""One measured quantity."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """What was measured, several times, in `unit`; `budget` is the most that it should be."""

    name: str
    unit: str
    budget: float
    values: Sequence[float]

    def row(self) -> list[str]:
        """Name, median, least, most and budget as they are shown."""
        if not self.values:
            return [self.name, "not measurable here", "", "", self._shown(self.budget)]
        numbers = (statistics.median(self.values), min(self.values), max(self.values), self.budget)
        return [self.name, *map(self._shown, numbers)]

    def _shown(self, number: float) -> str:
        digits = 1 if self.unit == "s" else 0
        return f"{number:.{digits}f} {self.unit}"

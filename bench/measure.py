"""One measured quantity."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MET, MISSED, NO_GOAL, NOT_MEASURED = "met", "missed", "no goal", "not measurable here"


@dataclass(frozen=True)
class Measure:
    """What was measured, several times, in `unit` (`x`: a ratio, empty: a count).

    `budget` is the most that its median should be, or with `at_least` the least; None is no goal.
    """

    name: str
    unit: str
    budget: float | None
    values: Sequence[float]
    at_least: bool = False

    @property
    def median(self) -> float | None:
        return statistics.median(self.values) if self.values else None

    @property
    def verdict(self) -> str:
        """Whether the goal is met, in a word."""
        if self.median is None:
            return NOT_MEASURED
        if self.budget is None:
            return NO_GOAL
        met = self.median >= self.budget if self.at_least else self.median <= self.budget
        return MET if met else MISSED

    def row(self) -> list[str]:
        """Figure, median, spread, goal and verdict as they are shown."""
        shown = (self._shown(self.median), self._spread) if self.values else ("", "")
        return [self.name, *shown, self._goal, self.verdict]

    def as_json(self) -> dict[str, Any]:
        """What is kept of it; keys are only ever added."""
        return {
            "name": self.name,
            "unit": self.unit,
            "goal": self.budget,
            "at_least": self.at_least,
            "values": list(self.values),
            "median": self.median,
            "verdict": self.verdict,
        }

    @classmethod
    def of_json(cls, facts: Mapping[str, Any]) -> Measure:
        """What `as_json` kept. Goal and direction may be missing: then there is none."""
        return cls(
            facts["name"],
            facts["unit"],
            facts.get("goal"),
            facts["values"],
            facts.get("at_least", False),
        )

    @property
    def _spread(self) -> str:
        if len(self.values) == 1:
            return "once"
        return f"{self._number(min(self.values))} to {self._shown(max(self.values))}"

    @property
    def _goal(self) -> str:
        if self.budget is None:
            return ""
        return f"at {'least' if self.at_least else 'most'} {self._shown(self.budget)}"

    def _shown(self, number: float | None) -> str:
        return "" if number is None else f"{self._number(number)} {self.unit}".rstrip()

    def _number(self, number: float) -> str:
        """With as many digits as say something: 0.123, 1.23, 12.3, 123."""
        if number == int(number) and abs(number) < 1e6:
            return str(int(number))
        digits = next((d for d, least in ((0, 100), (1, 10), (2, 0.1)) if abs(number) >= least), 3)
        return f"{number:.{digits}f}"

"""The geometry of the workbench's two charts; the templates draw it as SVG."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 330, 96
LEFT = 44  # where bars begin, beside the labels of the lines
SHORTEST, LONGEST = 1, 10_000  # milliseconds at the bottom and at the top of the times
TIMES = 60  # requests whose times are drawn


@dataclass(frozen=True)
class Bar:
    """A rectangle, in units of the drawing; `kind` is good, warn or bad."""

    x: float
    y: float
    width: float
    height: float
    kind: str

    @property
    def middle(self) -> float:
        return self.x + self.width / 2

    @property
    def mark(self) -> float:
        """Where the sign of a bar that is not good stands: above it, if there is room."""
        return max(self.y - 6, 7)


@dataclass(frozen=True)
class Chart:
    """What is drawn, the lines across it with their labels, and the same in words."""

    bars: list[Bar]
    lines: list[tuple[float, str]]
    words: str
    left: int = LEFT
    width: int = WIDTH
    height: int = HEIGHT


def kind_of(status: int) -> str:
    """Return how an HTTP status is shown: 5xx is bad, 4xx warns."""
    return "bad" if status >= 500 else "warn" if status >= 400 else "good"


def times(requests: Sequence[dict[str, Any]]) -> Chart:
    """Draw how long requests took, on a logarithmic scale.

    Args:
        requests: newest first, each with `ms` and `status`.
    """
    shown = list(reversed(requests[:TIMES]))
    step = (WIDTH - LEFT) / TIMES
    bars = [
        Bar(
            round(LEFT + (TIMES - len(shown) + place) * step + 1, 1),
            round(_level(request["ms"]), 1),
            round(step - 1.5, 1),
            round(HEIGHT - _level(request["ms"]), 1),
            kind_of(request["status"]),
        )
        for place, request in enumerate(shown)
    ]
    lines = [(round(_level(ms), 1), label) for ms, label in ((10, "10 ms"), (100, "100 ms"))]
    lines.append((round(_level(1000), 1), "1 s"))
    return Chart(bars, lines, _times_in_words(shown))


def counted(buckets: Sequence[dict[str, int]], seconds: int) -> Chart:
    """Draw how many requests there were, stacked by kind: good below, bad on top.

    Args:
        buckets: requests by kind of status ("2xx"), oldest first.
        seconds: how long each of them is.
    """
    totals = [sum(bucket.values()) for bucket in buckets]
    top = max([*totals, 4])
    step = (WIDTH - LEFT) / max(len(buckets), 1)
    bars = []
    for place, bucket in enumerate(buckets):
        base = float(HEIGHT)
        for kind in ("good", "warn", "bad"):
            number = sum(n for name, n in bucket.items() if kind_of(int(name[0]) * 100) == kind)
            if number:
                height = max(number / top * (HEIGHT - 14), 2)
                base -= height
                x, width = round(LEFT + place * step + 1, 1), round(step - 2, 1)
                bars.append(Bar(x, round(base, 1), width, round(height, 1), kind))
    minutes = len(buckets) * seconds // 60
    words = f"{sum(totals)} requests in the last {minutes} minutes"
    words += f", at most {max(totals, default=0)} in {seconds} s"
    failed = sum(bucket.get("5xx", 0) for bucket in buckets)
    words += f"; {failed} failed." if failed else "."
    return Chart(bars, [(14.0, f"{top}")], words)


def _level(milliseconds: float) -> float:
    span = math.log10(LONGEST / SHORTEST)
    share = math.log10(min(max(milliseconds, SHORTEST * 1.05), LONGEST) / SHORTEST) / span
    return HEIGHT * (1 - share)


def _times_in_words(requests: Sequence[dict[str, Any]]) -> str:
    if not requests:
        return "No request yet."
    taken = [request["ms"] for request in requests]
    words = f"The last {len(taken)}: median {duration(statistics.median(taken))}"
    words += f", slowest {duration(max(taken))}"
    refused = sum(kind_of(request["status"]) == "warn" for request in requests)
    failed = sum(kind_of(request["status"]) == "bad" for request in requests)
    if refused or failed:
        words += f"; {refused} refused (4xx), {failed} failed (5xx)"
    return words + "."


def duration(milliseconds: float) -> str:
    """Return a duration as people read it."""
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"

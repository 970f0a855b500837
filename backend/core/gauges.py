"""Figures of the whole that each worker reads now and then, where a collector is named.

Sent by core/tracing/metrics.py, beside the requests and tasks that are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

Values = Iterable[tuple[float, dict[str, str]]]
Read = Callable[[], Values]


@dataclass(frozen=True)
class Gauge:
    """A figure; `read` gives each of its values with attributes. `unit` is one of UCUM."""

    name: str
    unit: str
    about: str
    read: Read


GAUGES: list[Gauge] = []


def gauge(name: str, unit: str, about: str) -> Callable[[Read], Read]:
    """Register the function that reads a figure."""

    def add(read: Read) -> Read:
        GAUGES.append(Gauge(name, unit, about, read))
        return read

    return add

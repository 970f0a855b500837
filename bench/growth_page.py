"""docs/growth.md: what grows, from the figures of the parts `growth`, `growth-data` and `webs`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .circumstances import circumstances
from .measure import Measure
from .webs import CONNECTIONS, PROCESSES, THREADS

PAGE = "docs/growth.md"
PARTS = ("growth", "growth-data", "webs")

_CONNECTION = Path(__file__).parents[1] / "backend/tenants/postgresql/base.py"
_TEXTS = Path(__file__).with_suffix(".txt")
_SIZE = re.compile(r"(?P<name>.+), (?P<number>[\d,]+) (?P<of>tenants|rows|webs)(?P<more>.*)")
_SEEN, _RELEASE = "connection that saw all tables", "release with a migration"
_CONNECTIONS = (20, 50, 100)
_POOLED = 10  # connections: pool/pgbouncer.ini
_WINDOW = 10  # minutes that a release may take


def page(parts: Mapping[str, Any]) -> str:
    """The page; a part that was not measured is left out."""
    measured = [name for name in PARTS if name in parts]
    pages = [_text("head", parts=" ".join(measured))]
    cell = ""
    if "growth" in parts:
        bounds, cell = _bounds(parts["growth"])
        pages += [_text("tenants"), _table(parts["growth"]), bounds]
    if "growth-data" in parts:
        pages += [_text("data"), _table(parts["growth-data"])]
    if "webs" in parts:
        pages += _webs(parts["webs"])
    pages.append(_text("when", cell=cell))
    return "\n".join(line.rstrip() for line in "\n".join(pages).splitlines()) + "\n"


def _text(name: str, **figures: Any) -> str:
    """The section of that name in the texts."""
    _, *sections = re.split(r"^%% (.+)\n", _TEXTS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    texts = dict(zip(sections[::2], sections[1::2]))
    return texts[name].rstrip("\n").format(**figures)


def _table(found: Mapping[str, Any]) -> str:
    """The figures of a part: a line for each, with a column for each size."""
    rows: dict[str, dict[str, str]] = {}
    columns: list[str] = []
    for measure in map(Measure.of_json, found["measures"]):
        if what := _SIZE.fullmatch(measure.name):
            columns.append(f"{what['number']} {what['of']}")
            rows.setdefault(what["name"] + what["more"], {})[columns[-1]] = measure.row()[1]
    columns = list(dict.fromkeys(columns))
    lines = ["", f"{circumstances(found)} Medians.", "", _row("", *columns)]
    lines.append("|---" * (len(columns) + 1) + "|")
    lines += [_row(name, *(shown.get(one, "") for one in columns)) for name, shown in rows.items()]
    return "\n".join(lines)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _figures(found: Mapping[str, Any]) -> dict[str, dict[int, float]]:
    """The medians by figure and size."""
    figures: dict[str, dict[int, float]] = {}
    for measure in map(Measure.of_json, found["measures"]):
        what = _SIZE.fullmatch(measure.name)
        if what and measure.median is not None:
            size = int(what["number"].replace(",", ""))
            figures.setdefault(what["name"] + what["more"], {})[size] = measure.median
    return figures


def _bounds(found: Mapping[str, Any]) -> tuple[str, str]:
    """What bounds the number of tenants, and how many a database may have by that."""
    figures = _figures(found)
    least, most = min(figures["relations"]), max(figures["relations"])
    if least == most:  # --tenants 2
        return "", ""
    each = {
        name: (sizes[most] - sizes[least]) / (most - least)
        for name, sizes in figures.items()
        if least in sizes
    }
    of_window = _rounded(_WINDOW * 60 / each[_RELEASE])
    bounds = _text(
        "bounds",
        least=least,
        most=most,
        relations=each["relations"],
        files=each["files"],
        disk=each["database"],
        release=each[_RELEASE],
        memory=each[_SEEN],
        bound=_most_tenants(),
        connections=_connections(each[_SEEN] * _most_tenants()),
        pooled=_POOLED * each[_SEEN],  # MB of one tenant, GB of a thousand
        window=_WINDOW,
        in_window=of_window,
        files_at_1000=each["files"] * 1000,
        disk_at_1000=each["database"],  # MB of one, GB of a thousand
    )
    return bounds, _text("cell", window=_WINDOW, by_release=of_window, most=most)


def _connections(memory: float) -> str:
    """A table of what connections hold, with so many MB each."""
    head = _row(*(f"{number} connections" for number in _CONNECTIONS))
    held = _row(*(f"{memory * number / 1000:.1f} GB" for number in _CONNECTIONS))
    return "\n".join((head, "|---" * len(_CONNECTIONS) + "|", held))


def _most_tenants() -> int:
    """The tenants after which a connection ends, as the application says."""
    source = _CONNECTION.read_text(encoding="utf-8")
    return int(re.findall(r"^MOST_TENANTS = (\d+)$", source, flags=re.MULTILINE)[0])


def _webs(found: Mapping[str, Any]) -> list[str]:
    figures = _figures(found)
    each = sum(figures[f"{name}'s processor for each"][1] for name in ("web", "db", "proxy"))
    core = _rounded(1000 / each)
    return [
        _text("webs", connections=CONNECTIONS, processes=PROCESSES, threads=THREADS),
        _table(found),
        _text("bound of webs", cores=found["machine"]["cores"], each=each, core=core),
    ]


def _rounded(number: float) -> str:
    """The number with its first two digits."""
    return f"{int(float(f'{number:.1e}')):,}"

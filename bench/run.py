"""Measuring parts one after the other, and what is kept of it: figures, machine, load."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from devtools.checkout import Checkout
from devtools.engines.choice import choose
from devtools.errors import DevError
from devtools.terminal import Terminal

from . import growth_page
from .circumstances import circumstances
from .measure import Measure
from .parts import PARTS, about

KEPT = "docs/performance.json"
PAGE = "docs/performance.md"


def part(checkout: Checkout, terminal: Terminal, name: str, rounds: int) -> dict[str, Any]:
    """What the part `name` finds, with the machine that it ran on. Raises DevError if it fails."""
    machine = describe(checkout, terminal)
    began, load = time.monotonic(), _load()
    at = datetime.now(timezone.utc)
    measures = PARTS[name](checkout, terminal, rounds)
    return {
        "about": about(name),
        "at": at.isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - began),
        "rounds": rounds,
        "machine": machine,
        "load": {"start": load, "end": _load()},
        "measures": [measure.as_json() for measure in measures],
    }


def describe(checkout: Checkout, terminal: Terminal) -> dict[str, Any]:
    """The machine: cores, memory in bytes, versions, and the engine that would run the stack."""
    engine = choose("", checkout, terminal)
    return {
        "engine": engine.name,
        "cores": os.cpu_count(),
        "memory": _total_memory(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "docker": _said(checkout, "docker", "version", "--format", "{{.Server.Version}}"),
        "compose": _said(checkout, "docker", "compose", "version", "--short"),
    }


def load(path: Path) -> dict[str, Any]:
    """What was kept in `path`, by part; nothing of a file that is not there.

    Raises DevError if it is not a bench's.
    """
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        for found in kept["parts"].values():
            list(map(Measure.of_json, found["measures"]))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DevError(
            f"{path} is not what ./dev bench writes: {type(error).__name__}: {error}",
            "measure again: ./dev bench --json FILE",
        ) from error
    return kept["parts"]


def kept(path: Path, names: Sequence[str] = ()) -> dict[str, Any]:
    """The parts `names` of what was kept in `path`, or all. Raises DevError if one is not there."""
    parts = load(path)
    missing = [name for name in names if name not in parts]
    if missing or not parts:
        what = f"{path} does not keep {', '.join(missing) or 'any part'}"
        raise DevError(what, "measure it: ./dev bench PART --json FILE")
    return {name: parts[name] for name in names or parts}


def write(path: Path, parts: Mapping[str, Any]) -> None:
    """Keep `parts` in `path`, as `load` reads them. Raises DevError if it cannot be written."""
    try:
        path.write_text(json.dumps({"parts": parts}, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise DevError(f"{path} cannot be written: {error.strerror}") from error


def write_docs(checkout: Checkout, parts: Mapping[str, Any]) -> None:
    """Put `parts` in place of their earlier runs, in the pages and in what they are made from."""
    ordered = {**load(checkout.root / KEPT), **parts}
    known = {name: ordered[name] for name in PARTS if name in ordered}
    write(checkout.root / KEPT, known)
    (checkout.root / PAGE).write_text(page(known), encoding="utf-8")
    if known.keys() & set(growth_page.PARTS):
        (checkout.root / growth_page.PAGE).write_text(growth_page.page(known), encoding="utf-8")


def page(parts: Mapping[str, Any]) -> str:
    """The page of the documentation that shows `parts`, without those of growth_page."""
    lines = [
        "# Performance",
        "",
        "Written by `./dev bench --write-docs` from a run; do not edit. The goals are those of the",
        "parts in [bench](../bench). Figures are of the machine named there and",
        "of its load in that moment: trust a ratio, which is measured within one run, more than a",
        "time. `missed` says that the median was not within the goal there; nothing fails by it.",
        "",
        "`./dev bench --list` names the parts, `./dev bench PART` measures one of them again.",
        "Growth has [a page for itself](growth.md).",
    ]
    for name, found in parts.items():
        if name in growth_page.PARTS:
            continue
        lines += ["", f"## {name}", "", found["about"], "", circumstances(found), ""]
        lines += ["| figure | median | spread | goal | |", "|---|---|---|---|---|"]
        for measure in map(Measure.of_json, found["measures"]):
            lines.append(f"| {' | '.join(measure.row())} |")
    return "\n".join(lines) + "\n"


def _load() -> Sequence[float]:
    try:
        return [round(number, 2) for number in os.getloadavg()]
    except OSError:
        return [0.0, 0.0, 0.0]


def _total_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0


def _said(checkout: Checkout, *command: str) -> str:
    try:
        asked = checkout.run(command, timeout=20)
    except DevError:
        return ""
    return asked.output.strip() if asked.ok else ""

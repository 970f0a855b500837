"""The outcomes of a run as a table, as JSON and as a page of the documentation."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ..errors import DevError
from ..terminal import seconds
from .criteria import CHAPTERS
from .run import FAIL, LEFT_OUT, NOT_APPLICABLE, PASS, Outcome

SIGNS = {PASS: "✔", FAIL: "✖", NOT_APPLICABLE: "-", LEFT_OUT: "·"}


def summary(outcomes: Sequence[Outcome]) -> str:
    """One line: how many passed, failed, were not applicable, were left out."""
    counted = Counter(outcome.status for outcome in outcomes)
    words = {PASS: "passed", FAIL: "failed", NOT_APPLICABLE: "not applicable", LEFT_OUT: "left out"}
    return ", ".join(
        f"{counted[status]} {word}" for status, word in words.items() if counted[status]
    )


def as_table(outcomes: Sequence[Outcome]) -> list[str]:
    """The lines that follow the outcomes on a terminal: what failed, and the count."""
    names = failed(outcomes)
    again = [f"again, those alone: ./dev verify {' '.join(names)}"] if names else []
    return [summary(outcomes), *again]


def as_json(outcomes: Sequence[Outcome], engine: str) -> dict[str, Any]:
    """The shape of `./dev verify --json`; keys are only ever added."""
    return {
        "engine": engine,
        "passed": not failed(outcomes),
        "criteria": [
            {
                "id": outcome.criterion.id,
                "statement": outcome.criterion.statement,
                "status": outcome.status,
                "evidence": outcome.evidence,
                "remedy": outcome.remedy,
                "seconds": round(outcome.took, 2),
            }
            for outcome in outcomes
        ],
    }


def as_markdown(outcomes: Sequence[Outcome], engine: str, circumstances: str) -> str:
    """A page: one table for each chapter."""
    lines = [
        "# Acceptance",
        "",
        "What Homeport promises, and what was seen when it was last checked. Generated from the",
        "running stack by `./dev verify --markdown FILE`; do not edit.",
        "",
        f"{circumstances}, {engine} engine: {summary(outcomes)}.",
        "",
        "✔ passed, ✖ failed, - cannot be shown on this engine, · left out of a quick run.",
    ]
    for chapter, title in CHAPTERS.items():
        rows = [outcome for outcome in outcomes if outcome.criterion.chapter == chapter]
        if not rows:
            continue
        lines += ["", f"## {title}", "", "| | id | criterion | evidence | time |"]
        lines += ["|---|---|---|---|---|", *map(_row, rows)]
    return "\n".join(lines) + "\n"


def write_page(path: str, outcomes: Sequence[Outcome], engine: str) -> None:
    """Write the page of a run to `path`. Raises DevError if that cannot be."""
    today = datetime.now(timezone.utc).date()
    machine = f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}"
    page = as_markdown(outcomes, engine, f"{today}, {machine}")
    try:
        Path(path).write_text(page, encoding="utf-8")
    except OSError as error:
        raise DevError(f"{path} cannot be written: {error.strerror}") from error


def failed(outcomes: Sequence[Outcome]) -> list[str]:
    """The ids of the criteria that are not met."""
    return [outcome.criterion.id for outcome in outcomes if outcome.status == FAIL]


def _row(outcome: Outcome) -> str:
    took = seconds(outcome.took) if outcome.status in (PASS, FAIL) else ""
    cells = (
        f"{SIGNS[outcome.status]} {outcome.status}",
        outcome.criterion.id,
        outcome.criterion.statement,
        outcome.evidence,
        took,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

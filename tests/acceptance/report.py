"""How a run of the acceptance criteria is shown: on the terminal, as JSON and as a page."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from criteria import CHAPTERS, Criterion

from devtools.errors import DevError
from devtools.terminal import Mark, Terminal, seconds

PASS, FAIL = "pass", "fail"
NOT_APPLICABLE, LEFT_OUT = "not applicable", "left out"
SIGNS = {PASS: "✔", FAIL: "✖", NOT_APPLICABLE: "-", LEFT_OUT: "·"}
MARKS = {PASS: Mark.GOOD, FAIL: Mark.BAD, NOT_APPLICABLE: Mark.WAITING, LEFT_OUT: Mark.WAITING}
WORDS = {PASS: "passed", FAIL: "failed", NOT_APPLICABLE: "not applicable", LEFT_OUT: "left out"}


@dataclass(frozen=True)
class Outcome:
    """The result of a criterion: `evidence` is what was seen or why not; `took` in seconds."""

    criterion: Criterion
    status: str
    evidence: str
    remedy: str
    took: float


def show(terminal: Terminal, outcome: Outcome) -> None:
    """Print one outcome as it ends."""
    took = seconds(outcome.took) if outcome.status in (PASS, FAIL) else ""
    line = f"{outcome.criterion.id:<8}  {took:>8}  {outcome.evidence}"
    if outcome.status in (NOT_APPLICABLE, LEFT_OUT):
        line = terminal.faint(f"{outcome.criterion.id:<8}  {'':>8}  {outcome.status}: ")
        line += terminal.faint(outcome.evidence)
    terminal.mark(MARKS[outcome.status], line)
    if outcome.status == FAIL:
        terminal.say(f"{'':12}expected: {outcome.criterion.statement}")
        if outcome.remedy:
            terminal.say(f"{'':12}try: {outcome.remedy}")


def summary(outcomes: Sequence[Outcome]) -> str:
    """One line: how many passed, failed, were not applicable, were left out."""
    counted = Counter(outcome.status for outcome in outcomes)
    return ", ".join(
        f"{counted[status]} {word}" for status, word in WORDS.items() if counted[status]
    )


def as_data(outcomes: Sequence[Outcome], engine: str) -> dict[str, Any]:
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
        "The acceptance criteria, and what was seen when they were last checked. Generated from",
        "the running stack by `./dev verify --markdown FILE`; do not edit.",
        "",
        f"{circumstances}, {engine} engine: {summary(outcomes)}.",
        "",
        "✔ passed, ✖ failed, - not applicable on this engine, · left out of a quick run.",
    ]
    for chapter, title in CHAPTERS.items():
        rows = [outcome for outcome in outcomes if outcome.criterion.chapter == chapter]
        if not rows:
            continue
        lines += ["", f"## {title}", "", "| | id | criterion | evidence | time |"]
        lines += ["|---|---|---|---|---|", *map(_row, rows)]
    return "\n".join(lines) + "\n"


def publish(
    terminal: Terminal,
    outcomes: Sequence[Outcome],
    engine: str,
    *,
    chosen: int,
    as_json: bool = False,
    page: str | None = None,
) -> None:
    """Print the result of a run of `chosen` criteria, and write its page.

    An interrupted run has neither JSON nor a page. Raises DevError if it cannot be written.
    """
    if not as_json:
        terminal.say("")
        terminal.say(summary(outcomes))
        if names := failed(outcomes):
            terminal.say(f"only these again: ./dev verify {' '.join(names)}")
    if len(outcomes) < chosen:
        unwritten = f"; {page} was not written" if page else ""
        terminal.say(f"interrupted after {len(outcomes)} of {chosen} criteria{unwritten}")
        return
    if as_json:
        print(json.dumps(as_data(outcomes, engine), indent=2))
    if page:
        _write(page, outcomes, engine)


def _write(path: str, outcomes: Sequence[Outcome], engine: str) -> None:
    today = datetime.now(UTC).date()
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

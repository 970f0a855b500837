"""A pytest plugin: with `--results`, the run ends with one line of JSON, which `./dev test --json`
reads. It works with pytest-xdist, whose workers send their reports here."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from typing import Any

import pytest

MARK = "results of tests: "
LONGEST = 4000  # characters of a failure's text that are kept, the last ones
OF_OTHERS = ("site-packages", "lib/python")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--results", action="store_true", help="end with the results as JSON")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("results") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Results(), "test-results")


class Results:
    """Counts the outcomes and keeps the failures."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.counts: Counter[str] = Counter()
        self.failures: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.note_failure(report)
        elif report.skipped or report.when == "call":
            self.counts[report.outcome] += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.note_failure(report)

    def note_failure(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        self.counts["failed"] += 1
        file, line, message = _place(report)
        self.failures.append(
            {
                "test": report.nodeid,
                "file": file,
                "line": line,
                "message": message,
                "text": report.longreprtext[-LONGEST:],
            }
        )

    def pytest_unconfigure(self) -> None:
        found = {
            "counts": dict(self.counts),
            "seconds": round(time.monotonic() - self.began, 1),
            "failures": self.failures,
        }
        print(f"\n{MARK}{json.dumps(found)}", file=sys.__stdout__, flush=True)


def _place(report: pytest.TestReport | pytest.CollectReport) -> tuple[str, int, str]:
    """Return file and line of the last own code in the traceback, and the error's first line."""
    traceback = getattr(report.longrepr, "reprtraceback", None)
    crash = getattr(report.longrepr, "reprcrash", None)
    message = crash.message if crash else report.longreprtext.strip().rpartition("\n")[2]
    places = [entry.reprfileloc for entry in getattr(traceback, "reprentries", ())]
    ours = [
        place for place in places if place and not any(part in place.path for part in OF_OTHERS)
    ]
    if ours:
        return ours[-1].path, ours[-1].lineno, message.partition("\n")[0]
    file, line, _ = getattr(report, "location", None) or (report.nodeid, 0, "")
    return file, (line or 0) + 1, message.partition("\n")[0]

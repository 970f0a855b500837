"""Following a start: how long each service may take."""

from __future__ import annotations

import io
from itertools import count

import pytest

from devtools import readiness
from devtools.errors import DevError
from devtools.readiness import Verdict
from devtools.terminal import Mark, Terminal

WAITING = Verdict(Mark.WAITING, "waiting")
STARTING = Verdict(Mark.BUSY, "starting")
CRASHING = Verdict(Mark.BUSY, "crashing")
HEALTHY = Verdict(Mark.GOOD, "healthy")


@pytest.fixture
def follow(monkeypatch):
    """Follow services whose verdicts are given for each second, with a timeout of 3 seconds."""

    def run(**services: list[Verdict]) -> None:
        seconds = count()
        monkeypatch.setattr("devtools.terminal.Board.elapsed", property(lambda _: now))
        monkeypatch.setattr("time.sleep", lambda _: None)

        def look() -> dict[str, Verdict]:
            nonlocal now
            now = next(seconds)
            return {name: given[min(now, len(given) - 1)] for name, given in services.items()}

        now = 0
        terminal = Terminal(io.StringIO(), io.StringIO(), {})
        readiness.follow(
            terminal, list(services), look, lambda name, state: DevError(f"{name}: {state}"), 3
        )

    return run


def test_the_time_of_a_service_begins_when_it_starts(follow):
    follow(
        db=[STARTING, STARTING, STARTING, HEALTHY],
        migrate=[WAITING, WAITING, WAITING, *[STARTING] * 3, HEALTHY],
        web=[*[WAITING] * 6, *[STARTING] * 3, HEALTHY],
    )


def test_a_service_that_starts_for_too_long_is_named(follow):
    with pytest.raises(DevError, match=r"migrate: not ready after 3 s \(crashing\)"):
        follow(
            db=[STARTING, HEALTHY],
            migrate=[WAITING, STARTING, CRASHING, STARTING, CRASHING],
            web=[WAITING],
        )


def test_a_service_that_waits_while_nothing_starts_is_named(follow):
    with pytest.raises(DevError, match=r"web: not ready after 3 s \(waiting\)"):
        follow(db=[STARTING, HEALTHY], web=[WAITING])

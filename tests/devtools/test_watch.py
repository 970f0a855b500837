"""The verdicts on a service during a start."""

from __future__ import annotations

from dataclasses import replace

import pytest

from devtools.docker.project import Container, Service
from devtools.docker.watch import CRASHES, judge, judge_all
from devtools.terminal import Mark

WEB = Service("web", "image", built=True, one_shot=False, declaration={})
MIGRATE = replace(WEB, name="migrate", one_shot=True)
HEALTHY = Container(
    id="1",
    service="web",
    number=1,
    one_off=False,
    state="running",
    health="healthy",
    exit_status=0,
    restarts=0,
    started_at="2026-01-02T03:04:05",
    image_id="",
    directory="",
)
BEFORE = replace(HEALTHY, started_at="2026-01-01T00:00:00")


@pytest.mark.parametrize(
    ("service", "change", "mark", "state"),
    [
        (WEB, {}, Mark.GOOD, "healthy"),
        (WEB, {"health": ""}, Mark.GOOD, "running"),
        (WEB, {"health": "starting"}, Mark.BUSY, "starting"),
        (WEB, {"health": "unhealthy"}, Mark.BAD, "unhealthy"),
        (WEB, {"state": "created", "health": ""}, Mark.WAITING, "waiting"),
        (WEB, {"state": "exited", "exit_status": 3}, Mark.BAD, "stopped (exit status 3)"),
        (WEB, {"state": "restarting", "restarts": 1}, Mark.BUSY, "crashing"),
        (WEB, {"state": "restarting", "restarts": CRASHES}, Mark.BAD, "crashing"),
        (WEB, {"restarts": CRASHES}, Mark.GOOD, "healthy"),
        (MIGRATE, {"health": ""}, Mark.BUSY, "running"),
        (MIGRATE, {"state": "exited"}, Mark.GOOD, "completed"),
        (MIGRATE, {"state": "exited", "exit_status": 1}, Mark.BAD, "failed (exit status 1)"),
    ],
)
def test_a_new_run_is_judged_by_its_state(service, change, mark, state):
    assert judge(service, replace(HEALTHY, **change), BEFORE, settled=False) == (mark, state)


def test_an_earlier_run_gets_no_verdict_while_it_may_be_replaced():
    assert judge(WEB, HEALTHY, HEALTHY, settled=False).mark is Mark.WAITING
    assert judge(WEB, HEALTHY, HEALTHY, settled=True).mark is Mark.GOOD


def test_crashes_before_the_start_do_not_count():
    before = replace(BEFORE, restarts=9)
    now = replace(HEALTHY, state="restarting", restarts=10)
    assert judge(WEB, now, before, settled=False).mark is Mark.BUSY


def test_a_scaled_service_has_the_state_of_its_worst_replica():
    waiting = replace(HEALTHY, id="2", number=2)
    crashing = replace(HEALTHY, id="3", number=3, state="restarting", restarts=CRASHES)

    def mark(*replicas: Container) -> Mark:
        return judge_all(WEB, replicas, {"1": BEFORE, "2": waiting}, settled=False).mark

    assert mark(HEALTHY) is Mark.GOOD
    assert mark(HEALTHY, waiting) is Mark.WAITING
    assert mark(HEALTHY, waiting, crashing) is Mark.BAD
    assert mark() is Mark.WAITING

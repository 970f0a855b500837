"""Waiting until all containers reach their state, or one fails."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Callable

from .. import readiness
from ..errors import DevError
from ..process import Background
from ..readiness import Verdict
from ..terminal import Mark, Terminal
from .project import Container, Project, Service

# A service that crashes once during a start may recover; one that crashes twice does not.
CRASHES = 3
# For several services: each look starts `docker` twice, and takes processor time from their start.
INTERVAL = 0.5
_WORST_FIRST = (Mark.BAD, Mark.WAITING, Mark.BUSY, Mark.GOOD)


def judge(
    service: Service, container: Container, before: Container | None, settled: bool
) -> Verdict:
    """The verdict on a container of `service` during a start.

    `before` is its container before the start; `settled` tells that the command that starts the
    services has ended, so that an unchanged container will not change any more.
    """
    unchanged = before is not None and before.run == container.run
    if container.state == "created" or (unchanged and not settled):
        return Verdict(Mark.WAITING, "waiting")
    if service.one_shot:
        return _judge_one_shot(container)
    earlier = before.restarts if before and before.id == container.id else 0
    return _judge_long_running(container, crashes=max(0, container.restarts - earlier))


def judge_all(
    service: Service,
    replicas: Sequence[Container],
    before: Mapping[str, Container],
    settled: bool,
) -> Verdict:
    """The verdict on `service` with all its `replicas`: that of the worst one.

    `before` is as in `judge`, by the id of the container.
    """
    verdicts = [judge(service, one, before.get(one.id), settled) for one in replicas]
    waiting = Verdict(Mark.WAITING, "waiting")
    return min(verdicts, key=lambda verdict: _WORST_FIRST.index(verdict.mark), default=waiting)


def follow(
    project: Project,
    terminal: Terminal,
    command: Background,
    names: Sequence[str],
    before: Mapping[str, Container],
    timeout: float,
    arrived: Callable[[], bool] = lambda: False,
) -> None:
    """Show progress of `names` while `command` starts them, until all are healthy.

    `before` is as in `judge_all`.
    `arrived` may end the wait early: a server answers before its next health check is due.
    Raises DevError, after the failing service's last log lines, if a service or the command fails,
    or after `timeout` seconds. On Ctrl-C it prints the current states and re-raises.
    """

    def look() -> dict[str, Verdict]:
        # Checked first, so that the containers' states are final if the command has ended.
        status = command.status
        ended = status is not None
        now = project.replicas()
        verdicts = {
            name: judge_all(project.services[name], now.get(name, ()), before, settled=ended)
            for name in names
        }
        if any(verdict.mark is Mark.BAD for verdict in verdicts.values()) or not ended:
            return verdicts
        if status:
            raise _command_failure(project, terminal, command.output)
        return dict.fromkeys(names, Verdict(Mark.GOOD, "answering")) if arrived() else verdicts

    def explain(name: str, state: str) -> DevError:
        return failure(project, terminal, name, state)

    interval = INTERVAL if len(names) > 1 else readiness.INTERVAL
    readiness.follow(terminal, names, look, explain, timeout, interval=interval)


def failure(project: Project, terminal: Terminal, name: str, state: str) -> DevError:
    """The error for a failed service; prints its last log lines."""
    lines = str(readiness.LAST_LINES)
    logs = project.compose("logs", "--no-color", "--no-log-prefix", "--tail", lines, name)
    return readiness.failure(terminal, name, state, plain(logs.output + logs.errors))


def plain(text: str) -> str:
    """Log lines without the escape sequence that Compose writes before each, even into a pipe."""
    return text.replace("\x1b[2K", "")


def _judge_one_shot(container: Container) -> Verdict:
    if container.state != "exited":
        return Verdict(Mark.BUSY, "running")
    if container.exit_status:
        return Verdict(Mark.BAD, f"failed (exit status {container.exit_status})")
    return Verdict(Mark.GOOD, "completed")


def _judge_long_running(container: Container, crashes: int) -> Verdict:
    if container.healthy:
        return Verdict(Mark.GOOD, container.health or "running")
    if container.state == "restarting" or crashes:
        return Verdict(Mark.BAD if crashes >= CRASHES else Mark.BUSY, "crashing")
    if not container.running:
        return Verdict(Mark.BAD, f"stopped (exit status {container.exit_status})")
    if container.health == "unhealthy":
        return Verdict(Mark.BAD, "unhealthy")
    return Verdict(Mark.BUSY, "starting")


def _command_failure(project: Project, terminal: Terminal, output: str) -> DevError:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    last = lines[-1] if lines else "no output"
    # Compose names the container that the others wait for.
    for name in project.services:
        found = re.search(rf"container {project.name}-{name}-\d+ (?:is )?(.+)", last)
        if found:
            return failure(project, terminal, name, found[1])
    return DevError(
        f"docker compose could not start the stack: {last}",
        "watch the start with: docker compose up",
    )

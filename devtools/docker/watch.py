"""Following containers until every one of them is where it should be, or one fails."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Callable, NamedTuple

from ..errors import DevError
from ..process import Background
from ..terminal import Board, Mark, Terminal
from .project import Container, Project, Service

INTERVAL = 0.25
LAST_LINES = 20
# A service that crashes once at a start may still come up; one that does so again does not.
CRASHES = 3


class Verdict(NamedTuple):
    """Where a service stands, and the words for it."""

    mark: Mark
    state: str


def judge(
    service: Service, container: Container | None, before: Container | None, settled: bool
) -> Verdict:
    """Where `service` stands on its way up.

    `before` is its container as it was when the work began; `settled` says that the command
    that starts the services has ended, so that what did not change will not.
    """
    if container is None or container.state == "created":
        return Verdict(Mark.WAITING, "waiting")
    if before and before.run == container.run and not settled:
        return Verdict(Mark.WAITING, "waiting")
    if service.one_shot:
        return _judge_one_shot(container)
    earlier = before.restarts if before and before.id == container.id else 0
    return _judge_long_running(container, crashes=max(0, container.restarts - earlier))


def follow(
    project: Project,
    terminal: Terminal,
    command: Background,
    names: Sequence[str],
    before: Mapping[str, Container],
    timeout: float,
    arrived: Callable[[], bool] = lambda: False,
) -> None:
    """Show how `names` come up while `command` starts them, until all are well.

    `arrived` may end the waiting sooner: a server answers before its next health check is due.
    Raises DevError, after the failing service's last log lines, if one fails, if the command
    does, or if `timeout` seconds pass. On Ctrl-C says where things stand and raises it on.
    """
    board = terminal.board(names)
    try:
        while True:
            # Asked first: what the containers say afterwards is then final.
            status = command.status
            verdicts = _look(project, board, names, before, settled=status is not None)
            failed = [name for name, verdict in verdicts.items() if verdict.mark is Mark.BAD]
            if failed:
                raise failure(project, terminal, failed[0], verdicts[failed[0]].state)
            if status:
                raise _command_failure(command.output)
            if all(verdict.mark is Mark.GOOD for verdict in verdicts.values()):
                return
            if status is not None and arrived():
                for name in names:
                    board.show(name, Mark.GOOD, "answering")
                board.draw()
                return
            if board.elapsed > timeout:
                late = next(n for n, verdict in verdicts.items() if verdict.mark is not Mark.GOOD)
                state = f"not ready after {timeout:.0f} s ({verdicts[late].state})"
                raise failure(project, terminal, late, state)
            time.sleep(INTERVAL)
    except KeyboardInterrupt:
        standing = ", ".join(f"{name} {state}" for name, state in board.states().items())
        terminal.say(f"\nstopped watching: {standing}")
        terminal.say("  ./dev up goes on from here, ./dev down stops it all")
        raise


def failure(project: Project, terminal: Terminal, name: str, state: str) -> DevError:
    """The error for a service that failed; prints its last log lines."""
    logs = project.compose("logs", "--no-color", "--no-log-prefix", "--tail", str(LAST_LINES), name)
    lines = plain(logs.output + logs.errors).rstrip().splitlines()
    if lines:
        terminal.heading(f"the last lines of {name}:")
        for line in lines[-LAST_LINES:]:
            terminal.say(f"  {line}")
    return DevError(
        f"{name}: {state}",
        f"./dev logs {name}   shows all it said; mend the cause, then run ./dev up again",
    )


def plain(text: str) -> str:
    """Log lines without the sequence that Compose writes before each, even into a pipe."""
    return text.replace("\x1b[2K", "")


def _look(
    project: Project,
    board: Board,
    names: Sequence[str],
    before: Mapping[str, Container],
    settled: bool,
) -> dict[str, Verdict]:
    now = project.containers()
    verdicts = {
        name: judge(project.services[name], now.get(name), before.get(name), settled)
        for name in names
    }
    for name, verdict in verdicts.items():
        board.show(name, verdict.mark, verdict.state)
    board.draw()
    return verdicts


def _judge_one_shot(container: Container) -> Verdict:
    if container.state != "exited":
        return Verdict(Mark.BUSY, "running")
    if container.exit_status:
        return Verdict(Mark.BAD, f"failed (exit status {container.exit_status})")
    return Verdict(Mark.GOOD, "completed")


def _judge_long_running(container: Container, crashes: int) -> Verdict:
    if container.well:
        return Verdict(Mark.GOOD, container.health or "running")
    if container.state == "restarting" or crashes:
        return Verdict(Mark.BAD if crashes >= CRASHES else Mark.BUSY, "crashing")
    if not container.running:
        return Verdict(Mark.BAD, f"stopped (exit status {container.exit_status})")
    if container.health == "unhealthy":
        return Verdict(Mark.BAD, "unhealthy")
    return Verdict(Mark.BUSY, "starting")


def _command_failure(output: str) -> DevError:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return DevError(
        f"docker compose could not start the stack: {lines[-1] if lines else 'no output'}",
        "see it at work with: docker compose up",
    )

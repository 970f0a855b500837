"""Replacing the supervised web server, and knowing when the new one is there."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

from .. import health, ports, readiness
from ..errors import DevError, NoAnswer
from ..readiness import Verdict
from ..services import WEB
from ..terminal import Mark, Terminal
from .protocol import Control, State

# A server that fails at the start fails again; one that lost its port to the one before does not.
CRASHES = 2


def serve(
    control: Control,
    terminal: Terminal,
    server: str,
    debug_port: int | None,
    web_port: int,
    log: Path,
    timeout: float,
) -> bool:
    """Have `server` answer on `web_port`; return whether anything had to be done for it.

    Without a debugger it returns when the server answers, with one on `debug_port` when that
    listens. Raises DevError if the new server does not start, after the last lines of `log`.
    """
    now = control.look()
    keep = (
        now is not None
        and (now.server, now.debug_port) == (server, debug_port)
        # One that runs and does not answer yet is slow; starting it anew takes longer.
        and ((now.phase == "running" and not now.crashes) or arrived(now, web_port))
    )
    if not keep:
        control.serve(server, debug_port)
    follow(control, terminal, web_port, log, timeout)
    return not keep


def restart(control: Control, terminal: Terminal, web_port: int, log: Path, timeout: float) -> None:
    """Start the present server anew. Returns and raises as `serve`."""
    control.restart()
    follow(control, terminal, web_port, log, timeout)


def follow(control: Control, terminal: Terminal, web_port: int, log: Path, timeout: float) -> None:
    """Wait until the server that was last asked for is there. Raises as `serve`."""

    def look() -> dict[str, Verdict]:
        try:
            state = control.look()
        except NoAnswer:
            return {WEB: Verdict(Mark.BUSY, "its supervisor does not answer yet")}
        if state is None:
            return {WEB: Verdict(Mark.BAD, "has no supervisor any more")}
        if state.crashes >= CRASHES:
            return {WEB: Verdict(Mark.BAD, f"crashed (exit status {state.exit_status})")}
        if state.crashes:
            return {WEB: Verdict(Mark.BUSY, "crashing")}
        if arrived(state, web_port):
            word = "debugger listens" if state.debug_port else "answers"
            return {WEB: Verdict(Mark.GOOD, word)}
        return {WEB: Verdict(Mark.BUSY, "starting")}

    readiness.follow(
        terminal, [WEB], look, _explained(terminal, log), timeout, interval=readiness.QUICK
    )


def arrived(state: State, web_port: int) -> bool:
    """Whether the server can be used: by an editor where it has a debugger, else by a browser."""
    if state.phase != "running":
        return False
    if state.debug_port:
        return ports.listens(state.debug_port)
    answer = health.ask(web_port)
    return answer is not None and answer.server == state.server


def _explained(terminal: Terminal, log: Path) -> Callable[[str, str], DevError]:
    def explain(name: str, state: str) -> DevError:
        try:
            said = log.read_text(encoding="utf-8", errors="replace")
        except OSError:
            said = ""
        return readiness.failure(terminal, name, state, said)

    return explain

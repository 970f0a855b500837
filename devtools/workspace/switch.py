"""Replacing the supervised web server, and waiting for the new one."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

from .. import health, ports, readiness
from ..errors import DevError, NoAnswer
from ..readiness import Verdict
from ..services import WEB
from ..supervisor_protocol import Control, State
from ..terminal import Mark, Terminal

# Retry once: the old server may still hold the port.
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
    """Make `server` answer on `web_port`; return whether anything had to be done.

    Without a debugger it returns when the server answers, with one when `debug_port` listens.
    If the new server does not start, it prints the last lines of `log` and raises DevError.
    """
    now = control.look()
    keep = (
        now is not None
        and (now.server, now.debug_port) == (server, debug_port)
        # A running server that does not answer yet is slow; a restart would take longer.
        and ((now.phase == "running" and not now.crashes) or arrived(now, web_port))
    )
    if not keep:
        control.serve(server, debug_port)
    follow(control, terminal, web_port, log, timeout)
    return not keep


def restart(control: Control, terminal: Terminal, web_port: int, log: Path, timeout: float) -> None:
    """Restart the current server. Returns and raises as `serve`."""
    control.restart()
    follow(control, terminal, web_port, log, timeout)


def follow(control: Control, terminal: Terminal, web_port: int, log: Path, timeout: float) -> None:
    """Wait until the requested server is ready. Raises as `serve`."""

    def look() -> dict[str, Verdict]:
        try:
            state = control.look()
        except NoAnswer:
            return {WEB: Verdict(Mark.BUSY, "its supervisor does not answer yet")}
        if state is None:
            return {WEB: Verdict(Mark.BAD, "its supervisor is gone")}
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
    """Whether an editor can attach, if it has a debugger, else whether it answers requests."""
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

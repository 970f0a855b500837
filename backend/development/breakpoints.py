"""`breakpoint()` without a debugger: a line in the log, not a failed request.

Python's own hook opens pdb on the standard input, which a server does not have: pdb reads its end
and raises BdbQuit, so the request is answered 500.
"""

from __future__ import annotations

import os
import sys

import structlog

log = structlog.get_logger(__name__)


def install() -> None:
    """Replace Python's hook. A debugger's stays, as does pdb where a terminal can be typed into."""
    has_terminal = sys.stdin is not None and sys.stdin.isatty()
    if sys.breakpointhook is sys.__breakpointhook__ and not has_terminal:
        sys.breakpointhook = pass_over


def pass_over(*args: object, **options: object) -> object:
    """Log how to get a debugger, and go on; what PYTHONBREAKPOINT names is called instead."""
    if "PYTHONBREAKPOINT" in os.environ:
        return sys.__breakpointhook__(*args, **options)
    caller = sys._getframe(1)
    log.warning(
        "breakpoint() did not stop: no debugger runs here",
        at=f"{caller.f_code.co_filename}:{caller.f_lineno}",
        remedy="press F5 in the editor (docs/debug.md), or: ./dev up --debug",
    )
    return None

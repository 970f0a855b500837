"""Assistants that work in this checkout."""

from __future__ import annotations

import sys

from .. import environment
from ..process import hand_over
from ..terminal import Mark, Terminal
from .options import flag
from .registry import Run, group

command = group("Assistants", "./dev mcp --install")


@command(
    "mcp",
    "serve the Model Context Protocol on standard input and output: tools for an assistant",
    "./dev mcp --install   then connect an editor: docs/agents.md",
    options=[
        flag("--install", help="only install what it needs, and say how to connect"),
        flag(
            "--allow-changes", help="also requests that delete, and any expression in the debugger"
        ),
    ],
)
def mcp(run: Run) -> int:
    # Standard output is for the protocol.
    aside = Terminal(out=sys.stderr)
    python = environment.ensure(run.checkout, aside)
    beside = environment.ensure_beside(run.checkout, aside, environment.PROTOCOL)
    if run.options.install:
        run.terminal.mark(Mark.GOOD, "the server is installed; an editor starts it: ./dev mcp")
        return 0
    changes = "changes" if run.options.allow_changes else "none"
    return hand_over(
        [str(python), "-m", "devtools.mcp.server", run.asked_engine, changes],
        directory=run.checkout.root,
        environment={**run.checkout.variables, "PYTHONPATH": str(beside)},
    )

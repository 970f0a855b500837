"""The server: gives Tools to the client at the other end of standard input and output.

Run by a Python that has the protocol's library: python -m devtools.mcp.server ENGINE PERMISSION
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import sys
from typing import Any, Callable

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

from .. import VERSION
from ..checkout import Checkout
from ..errors import DevError
from .answers import bounded, masked
from .front_door import FrontDoor
from .tools import Tools

_INSTRUCTIONS = """\
The tools run the Django workspace of this checkout: its stack, tests, logs, data and debugger.
Read AGENTS.md first. Begin with `status`. To find a fault: `tests`, `logs`, then the debugger,
which shows the values. Answers are short and show no secrets; each tool says how to get more."""


def main(engine: str, changes: str) -> None:
    """Serve until the client closes the connection."""
    # PYTHONPATH has the library's packages, which are for this process only.
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    tools = Tools(FrontDoor(Checkout(variables=variables), engine), changes=changes == "changes")
    server = made(tools)
    try:
        server.run("stdio")
    finally:
        tools.debugging.end()


def made(tools: Tools) -> MCPServer:
    """A server with `tools`."""
    server = MCPServer(
        "workspace", instructions=_INSTRUCTIONS, version=VERSION, log_level="WARNING"
    )
    for name in (*tools.READ, *tools.ACT):
        work = getattr(tools, name)
        server.add_tool(
            _answering(work),
            name=name,
            description=inspect.getdoc(work),
            annotations=ToolAnnotations(
                # Allowed changes are the person's choice, and the editor asks for each.
                readOnlyHint=name in tools.READ and not (tools.changes and name in tools.FREED),
                destructiveHint=tools.changes and name in tools.FREED,
                openWorldHint=False,
            ),
            structured_output=False,
        )
    return server


def _answering(work: Callable[..., Any]) -> Callable[..., Any]:
    """`work` with an answer that is short and shows no secrets, and errors with their remedies."""

    @functools.wraps(work)
    def answer(*arguments: Any, **options: Any) -> str:
        try:
            found = bounded(masked(work(*arguments, **options)))
            return json.dumps(found, indent=1, ensure_ascii=False, default=str)
        except DevError as error:
            lines = (f"{one.what}\n  {one.remedy}".rstrip() for one in error.problems)
            raise ToolError(masked("\n".join(lines))) from error
        except OSError as error:
            raise ToolError(masked(str(error))) from error

    return answer


if __name__ == "__main__":
    main(*sys.argv[1:])

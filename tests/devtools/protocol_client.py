"""A client of the Model Context Protocol, the library's own, for `./dev mcp` of a checkout."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from front_door import Workspace
from mcp import Client as Protocol
from mcp import StdioServerParameters

from devtools.declared import jsonc

TIMEOUT = 1200  # seconds for one call


class Client:
    """Calls tools, and keeps a transcript."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.transcript: list[str] = []

    async def tools(self) -> dict[str, Any]:
        return {tool.name: tool for tool in (await self._session.list_tools()).tools}

    async def call(self, tool: str, **arguments: Any) -> Any:
        """The answer of a tool, as its text says; an error is raised as AssertionError."""
        answer = await self._session.call_tool(tool, arguments)
        text = answer.content[0].text
        self.transcript.append(f"> {tool} {json.dumps(arguments)}\n{text}\n")
        assert not answer.is_error, text
        return json.loads(text)

    async def refusal(self, tool: str, **arguments: Any) -> str:
        """The text of the error that a tool answers with."""
        answer = await self._session.call_tool(tool, arguments)
        assert answer.is_error, answer.content
        return answer.content[0].text


def talk(
    checkout: Workspace, conversation: Callable[[Client], Awaitable[Any]], *options: str
) -> Any:
    """Start the server as .vscode/mcp.json says, and return what `conversation` returns."""

    async def run() -> Any:
        written = jsonc.parse((checkout.root / ".vscode" / "mcp.json").read_text())
        declared = written["servers"]["workspace"]
        server = StdioServerParameters(
            command=declared["command"].replace("${workspaceFolder}", str(checkout.root)),
            args=[*declared["args"], *options],
            env=checkout.variables,
            cwd=str(checkout.root),
        )
        async with Protocol(server, read_timeout_seconds=TIMEOUT) as session:
            return await conversation(Client(session))

    return asyncio.run(run())

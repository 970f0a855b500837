"""An editor's debugger as it attaches and stays: no breakpoints, every new process followed.

https://microsoft.github.io/debug-adapter-protocol/specification
"""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

ANSWER_WITHIN = 20  # seconds


class Editor:
    """Attached to the debugger on `port`, and to each process that is started below it."""

    def __init__(self, port: int, host: str = "127.0.0.1", child: int | None = None) -> None:
        self._port = port
        self._connection = socket.create_connection((host, port), timeout=ANSWER_WITHIN)
        self._stream = self._connection.makefile("rwb")
        self._sent = 0
        self.attached = threading.Event()
        self.children: list[Editor] = []
        threading.Thread(target=self._listen, daemon=True).start()
        self._send("initialize", {"adapterID": "debugpy", "pathFormat": "path"})
        target = {"subProcessId": child} if child else {}
        self._send("attach", {"justMyCode": True, "subProcess": True, **target})

    def close(self) -> None:
        """Go away, as an editor that is closed."""
        for one in [*self.children, self]:
            one._connection.close()

    def _send(self, command: str, arguments: dict[str, Any]) -> None:
        self._sent += 1
        body = json.dumps(
            {"seq": self._sent, "type": "request", "command": command, "arguments": arguments}
        ).encode()
        self._stream.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._stream.flush()

    def _listen(self) -> None:
        try:
            while header := self._stream.readline():
                self._stream.readline()
                length = int(header.partition(b":")[2])
                self._hear(json.loads(self._stream.read(length)))
        except (OSError, ValueError):
            return  # the process has ended, or close() was called

    def _hear(self, message: dict[str, Any]) -> None:
        if message.get("event") == "initialized":
            self._send("configurationDone", {})
        elif message.get("event") == "debugpyAttach":
            body = message["body"]
            self.children.append(Editor(self._port, child=body["subProcessId"]))
        elif message.get("command") == "configurationDone":
            self.attached.set()

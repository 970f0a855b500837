"""A debugger client without an editor: attaches with a configuration of launch.json.

It speaks the Debug Adapter Protocol and follows child sessions like VS Code: debugpy announces
each new process, and the client attaches to it with the configuration in the announcement.
https://microsoft.github.io/debug-adapter-protocol/specification
"""

from __future__ import annotations

import contextlib
import json
import queue
import re
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import IO, Any

from .readiness import wait_until

# Properties that only the editor uses.
OF_THE_EDITOR = {"preLaunchTask", "postDebugTask", "presentation"}
_VARIABLE = re.compile(r"\$\{env:(\w+)\}")


class Direct:
    """Bytes to and from one debug port of this machine. Tests have one from inside a container."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=60)
        self._socket.settimeout(None)
        self.reader: IO[bytes] = self._socket.makefile("rb")
        self.writer: IO[bytes] = self._socket.makefile("wb")

    def cut(self) -> None:
        """Shut it down without a message; the reader then gets the end of its stream."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it, after the reader has ended."""
        self.reader.close()
        with contextlib.suppress(OSError):
            self.writer.close()
        self._socket.close()


@dataclass(frozen=True)
class Stop:
    """A thread that is paused at a breakpoint; `path` is the file that the editor would open."""

    session: Session
    thread: int
    frame: int
    path: str
    line: int
    function: str

    def resume(self, how: str = "continue") -> None:
        """Let the thread go on; `how` is also `next`, `stepIn` or `stepOut`."""
        self.session.request(how, threadId=self.thread)

    def evaluate(self, expression: str, frame: int | None = None) -> str:
        """Return the value of the expression in this frame, or in another, as text."""
        body = self.session.request("evaluate", expression=expression, frameId=frame or self.frame)
        return body["result"]

    def stack(self, levels: int) -> list[dict[str, Any]]:
        """The innermost frames of the thread, this one first, as the protocol has them."""
        body = self.session.request("stackTrace", threadId=self.thread, levels=levels)
        return body["stackFrames"]

    def local_variables(self, frame: int) -> list[dict[str, Any]]:
        """The local variables of a frame of the thread, as the protocol has them."""
        scopes = self.session.request("scopes", frameId=frame)["scopes"]
        reference = scopes[0]["variablesReference"]
        return self.session.request("variables", variablesReference=reference)["variables"]


class Editor:
    """Attaches once and follows every process that debugpy announces.

    Args:
        configuration: one of launch.json's, `request: attach`, as written there.
        folder: the value of ${workspaceFolder} for this editor.
        dial: connects to the host and port of a configuration.
        variables: the values of ${env:NAME} for this editor; a missing NAME is empty.
    """

    def __init__(
        self,
        configuration: Mapping[str, Any],
        folder: str,
        dial: Callable[[str, int], Direct] = Direct,
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        text = json.dumps({k: v for k, v in configuration.items() if k not in OF_THE_EDITOR})
        text = _VARIABLE.sub(lambda found: variables.get(found[1], ""), text)
        self.configuration = json.loads(text.replace("${workspaceFolder}", folder))
        self.folder = folder
        self.sessions: list[Session] = []
        self._dial = dial
        # What the sessions note: threads that paused, or why such a one cannot be inspected.
        self.stops: queue.Queue[Stop | BaseException] = queue.Queue()
        self._breakpoints: dict[str, list[int]] = {}
        self._attaching = threading.Lock()

    def __enter__(self) -> Editor:
        self.attach(self.configuration)
        return self

    def __exit__(self, *_: object) -> None:
        self.disconnect()

    def attach(self, configuration: Mapping[str, Any], parent: Session | None = None) -> None:
        """Open a session: the first one, or one for a process that debugpy announced.

        `parent` is the session that ends it, if one does.
        """
        where = configuration["connect"]
        # VS Code treats an empty host like this.
        connection = self._dial(where["host"] or "127.0.0.1", int(where["port"]))
        session = Session(self, connection, parent)
        with self._attaching:
            self.sessions.append(session)
            session.attach(configuration, self._breakpoints)

    def break_at(self, path: str, *lines: int) -> None:
        """Replace the breakpoints of a file of the checkout."""
        with self._attaching:
            self._breakpoints[f"{self.folder}/{path}"] = list(lines)
            for session in self.live():
                session.set_breakpoints(f"{self.folder}/{path}", lines)

    def files(self) -> list[str]:
        """The files of the checkout that have, or had, breakpoints."""
        return [path.removeprefix(f"{self.folder}/") for path in self._breakpoints]

    def stopped(self, within: float = 120) -> Stop:
        """Wait until a thread is paused at a breakpoint, at most `within` seconds."""
        try:
            found = self.stops.get(timeout=within)
        except queue.Empty:
            raise TimeoutError(f"no breakpoint was hit within {within} s") from None
        if isinstance(found, BaseException):
            raise found
        return found

    def followed(self, processes: int, after: int = 1, within: float = 120) -> None:
        """Wait until so many processes are attached, not counting the first `after` sessions."""
        wait_until(
            lambda: sum(session.attached for session in self.sessions[after:]) >= processes,
            within,
            "no new process was announced",
        )

    def live(self) -> list[Session]:
        """The sessions whose processes still run."""
        return [session for session in self.sessions if session.open]

    def disconnect(self, focused: Session | None = None) -> None:
        """End all sessions like the editor's Stop button: the processes continue.

        VS Code asks one session and expects the others to end with it: the root of the `focused`
        session, which is that of the paused process.
        """
        asked = (focused or self.sessions[0]).root
        asked.leaving = True
        with contextlib.suppress(ConnectionError):
            asked.request("disconnect", terminateDebuggee=False)
        wait_until(lambda: not self.live(), 30, "one Stop did not detach all processes")
        self.vanish()

    def vanish(self) -> None:
        """Disconnect without a message, like an editor that crashed or lost its network."""
        for session in self.sessions:
            session.close()


@dataclass
class Session:
    """One debugged process. Any thread may send requests."""

    editor: Editor
    connection: Direct
    parent: Session | None
    open: bool = True
    attached: bool = False
    # Whether it was told to disconnect: a second request may end the adapter.
    leaving: bool = False
    _number: int = 0
    _waiting: dict[int, queue.Queue[dict[str, Any]]] = field(default_factory=dict)
    _sending: threading.Lock = field(default_factory=threading.Lock)
    _initialized: threading.Event = field(default_factory=threading.Event)
    _reader: threading.Thread | None = None

    @property
    def root(self) -> Session:
        """The session that is told to end instead of this one."""
        return self.parent.root if self.parent else self

    def attach(
        self, configuration: Mapping[str, Any], breakpoints: Mapping[str, Sequence[int]]
    ) -> None:
        """Perform the protocol's handshake; the process continues when it returns."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.request(
            "initialize",
            adapterID="debugpy",
            clientID="vscode",
            pathFormat="path",
            linesStartAt1=True,
            columnsStartAt1=True,
            # debugger.py does without that request, which is not answered here.
            supportsStartDebuggingRequest=True,
        )
        # The answer arrives only after the configuration is done.
        attached = self.send("attach", dict(configuration))
        if not self._initialized.wait(60):
            raise ConnectionError("the debug adapter never asked for breakpoints")
        for path, lines in breakpoints.items():
            self.set_breakpoints(path, lines)
        self.request("configurationDone")
        self.answer(attached)
        self.attached = True

    def set_breakpoints(self, path: str, lines: Sequence[int]) -> None:
        self.request(
            "setBreakpoints",
            source={"path": path},
            breakpoints=[{"line": line} for line in lines],
        )

    def request(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a request and return the body of its response.

        Raises:
            ConnectionError: if the session ends first, or the adapter refuses.
        """
        return self.answer(self.send(command, arguments))

    def send(self, command: str, arguments: Mapping[str, Any]) -> int:
        """Send a request; return its number for `answer`."""
        with self._sending:
            self._number += 1
            number = self._number
            self._waiting[number] = queue.Queue()
            head = {"seq": number, "type": "request", "command": command}
            self._write({**head, "arguments": arguments})
        if not self.open:  # the reader has ended, and will not wake any waiter
            raise ConnectionError("the session has ended")
        return number

    def answer(self, number: int, within: float = 60) -> dict[str, Any]:
        """Return the body of the response to a request."""
        try:
            message = self._waiting[number].get(timeout=within)
        except queue.Empty:
            raise ConnectionError("the debug adapter does not answer") from None
        finally:
            del self._waiting[number]
        if not message["success"]:
            raise ConnectionError(message.get("message") or "refused")
        return message.get("body") or {}

    def close(self) -> None:
        """Disconnect without a message."""
        self.open = False
        self.connection.cut()
        if self._reader:
            self._reader.join(30)

    # Incoming messages

    def _read(self) -> None:
        try:
            while message := read_message(self.connection.reader):
                self._take(message)
        except (OSError, ValueError):
            pass  # closed by either side
        finally:
            self.open = False
            self.connection.close()
            gone = {"success": False, "message": "the session has ended"}
            for waiting in list(self._waiting.values()):
                waiting.put(gone)

    def _take(self, message: dict[str, Any]) -> None:
        event, body = message.get("event"), message.get("body") or {}
        if message["type"] == "response":
            if message["request_seq"] in self._waiting:
                self._waiting[message["request_seq"]].put(message)
        elif event == "initialized":
            self._initialized.set()
        elif event == "stopped":
            self._aside(self._note_stop, body["threadId"])
        elif event == "debugpyAttach":
            # The Python extension starts the session with `lifecycleManagedByParent`.
            self._aside(self.editor.attach, body, self)
        elif event == "terminated" and not self.leaving:
            self._aside(self._leave)

    def _aside(self, work: Callable[..., None], *arguments: Any) -> None:
        """Handle a message that needs responses, while the reader continues."""

        def run() -> None:
            with contextlib.suppress(ConnectionError):  # a process may end meanwhile
                work(*arguments)

        threading.Thread(target=run, daemon=True).start()

    def _leave(self) -> None:
        """Respond to the end of a session like VS Code."""
        try:
            self.request("disconnect")
        finally:
            self.open = False
            self.connection.cut()

    def _note_stop(self, thread: int) -> None:
        try:
            top = self.request("stackTrace", threadId=thread, levels=1)["stackFrames"][0]
        except ConnectionError as error:  # a pause must be inspectable
            self.editor.stops.put(error)
            return
        self.editor.stops.put(
            Stop(
                session=self,
                thread=thread,
                frame=top["id"],
                path=top["source"]["path"],
                line=top["line"],
                function=top["name"],
            )
        )

    def _write(self, message: Mapping[str, Any]) -> None:
        data = json.dumps(message).encode()
        try:
            self.connection.writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
            self.connection.writer.flush()
        except (OSError, ValueError) as error:
            raise ConnectionError("the session has ended") from error


def read_message(reader: IO[bytes]) -> dict[str, Any] | None:
    """Return the next message of a stream, None at its end."""
    length = 0
    while line := reader.readline().strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    if not length:
        return None
    return json.loads(reader.read(length))

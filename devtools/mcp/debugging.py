"""One debugging session: web, the worker or a test, with breakpoints."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Callable

from .. import debuggers, environment, ports
from ..checkout import Checkout
from ..debug_client import Editor, Stop
from ..declared import jsonc
from ..errors import DevError
from ..process import Background, background
from ..readiness import wait_until
from ..services import WEB, WORKER
from .front_door import LONG, FrontDoor

LAUNCH = ".vscode/launch.json"
STEPS = {"continue": "continue", "over": "next", "into": "stepIn", "out": "stepOut"}
_FRAMES = 12
_LONGEST = 300  # characters of a variable's value
_SETTLED = 2.0  # seconds without a new process
_INTERVAL = 0.1
_GROUPS = ("special variables", "function variables", "class variables")


class Debugging:
    """Attaches to one process at a time; what it started ends with it."""

    def __init__(self, dev: FrontDoor) -> None:
        self._dev = dev
        self._editor: Editor | None = None
        self._stop: Stop | None = None
        self._work: Future[Any] | None = None
        self._started = contextlib.ExitStack()
        self._pool = ThreadPoolExecutor()

    def attach(self, service: str, breakpoints: Sequence[str]) -> dict[str, Any]:
        """Start web and worker under their debuggers and attach to `service`."""
        self.end()
        status = self._dev.answer("up", "--debug", timeout=LONG)
        if service not in status["debuggers"]:
            known = ", ".join(status["debuggers"])
            raise DevError(f"{service!r} has no debugger", f"one of: {known}")
        host, _, port = status["debuggers"][service]["address"].rpartition(":")
        self._connect(service, host, int(port), breakpoints)
        self._settle()
        return {"attached": service, "breakpoints": list(breakpoints)}

    def start_test(self, test: str, breakpoints: Sequence[str], timeout: float) -> dict[str, Any]:
        """Run a test of the backend under the debugger until it stops or ends."""
        self.end()
        port = ports.next_free(debuggers.PORTS[WORKER][1])
        variables = self._dev.answer("test", "--environment", timeout=LONG)
        checkout = self._dev.checkout
        started = self._started.enter_context(
            background(
                [
                    *(sys.executable, "-Xfrozen_modules=off", "development/debugger.py"),
                    *("--listen", f"{ports.LOOPBACK}:{port}", "--wait-for-client"),
                    *("-m", "pytest", "-q", "--tb=short", "-p", "no:xdist", test),
                ],
                directory=checkout.root / "backend",
                # debugger.py starts its adapter with the first Python on PATH.
                environment={**environment.activated(checkout), **variables},
            )
        )
        try:
            wait_until(
                lambda: ports.listens(port) or started.status is not None, LONG, "no debugger"
            )
            if started.status is not None:
                raise DevError(f"the test did not start: {started.output}")
            self._connect(WEB, ports.LOOPBACK, port, breakpoints)
        except BaseException:
            self.end()
            raise
        self._work = self._pool.submit(_ended, started)
        return self.wait(timeout)

    def run(self, work: Callable[[], Any], timeout: float, *, linger: bool) -> dict[str, Any]:
        """Do `work`, such as a request, until a breakpoint is hit or it has ended.

        With `linger`, wait for a breakpoint also after it has ended.
        """
        self._attached()
        self._work = self._pool.submit(work)
        return self.wait(timeout, linger=linger)

    def wait(self, timeout: float, *, linger: bool = False) -> dict[str, Any]:
        """Wait until a thread stops, or what was started has ended."""
        editor = self._attached()
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                self._stop = editor.stopped(_INTERVAL)
                return self.where()
            if self._work and self._work.done() and not linger:
                break
        if self._work and self._work.done():
            return {"ended": self._work.result(), "stopped": None}
        return {"ended": None, "stopped": None, "note": f"no breakpoint was hit in {timeout:g} s"}

    def where(self, frame: int = 0) -> dict[str, Any]:
        """Where the thread is paused: the stack, and the locals of frame number `frame`."""
        stop = self._paused()
        frames = stop.stack(_FRAMES)
        if not 0 <= frame < len(frames):
            raise DevError(f"there is no frame {frame}", f"0 to {len(frames) - 1}")
        return {
            "stopped": self._place(frames[frame]),
            "stack": [f"{number} {self._place(one)}" for number, one in enumerate(frames)],
            "locals": {
                one["name"]: one["value"][:_LONGEST]
                for one in stop.local_variables(frames[frame]["id"])
                if one["name"] not in _GROUPS
            },
        }

    def evaluate(self, expression: str, frame: int) -> str:
        """The value of an expression in frame number `frame`, as text."""
        stop = self._paused()
        frames = stop.stack(_FRAMES)
        return stop.evaluate(expression, frames[min(frame, len(frames) - 1)]["id"])

    def go_on(self, how: str, timeout: float, breakpoints: Sequence[str] | None) -> dict[str, Any]:
        """Let the paused thread go on until the next stop or the end; replace breakpoints first."""
        stop = self._paused()
        if how not in STEPS:
            raise DevError(f"there is no step {how!r}", f"one of: {', '.join(STEPS)}")
        if breakpoints is not None:
            self._break_at(self._attached(), breakpoints)
        self._stop = None
        stop.resume(STEPS[how])
        return self.wait(timeout)

    def end(self) -> None:
        """Detach; paused requests continue, a test that was started ends."""
        editor, self._editor = self._editor, None
        stop, self._stop = self._stop, None
        with contextlib.suppress(OSError, DevError):
            if editor:
                editor.disconnect(stop.session if stop else None)
        self._started.close()
        self._work = None

    def _connect(self, name: str, host: str, port: int, breakpoints: Sequence[str]) -> None:
        configuration = _configuration(self._dev.checkout, name)
        connect = {"connect": {"host": host, "port": port}}
        editor = Editor({**configuration, **connect}, str(self._dev.checkout.root))
        self._break_at(editor, breakpoints)
        try:
            self._editor = editor.__enter__()
        except OSError as error:
            raise DevError(f"the debugger on port {port} does not answer: {error}") from error

    def _break_at(self, editor: Editor, breakpoints: Sequence[str]) -> None:
        wanted: dict[str, list[int]] = {path: [] for path in editor.files()}
        for place in breakpoints:
            path, line = self._known(place)
            wanted.setdefault(path, []).append(line)
        for path, lines in wanted.items():
            editor.break_at(path, *lines)

    def _known(self, place: str) -> tuple[str, int]:
        path, _, line = place.rpartition(":")
        root = self._dev.checkout.root
        if not line.isdigit() or not path:
            raise DevError(f"{place!r} is not FILE:LINE", "e.g. backend/core/views.py:20")
        if not (root / path).is_file() or not (root / path).resolve().is_relative_to(root):
            raise DevError(f"{path} is not a file of this checkout", "e.g. backend/core/views.py")
        return path, int(line)

    def _settle(self) -> None:
        """Wait until every process is attached: Gunicorn's workers are announced one by one."""
        editor = self._attached()
        known, since = -1, time.monotonic()
        while time.monotonic() < since + _SETTLED:
            attached = sum(session.attached for session in editor.sessions)
            if attached != known:
                known, since = attached, time.monotonic()
            time.sleep(_INTERVAL)

    def _place(self, frame: Mapping[str, Any]) -> str:
        path = str(frame.get("source", {}).get("path", ""))
        root = f"{self._dev.checkout.root}/"
        return f"{path.removeprefix(root)}:{frame['line']} in {frame['name']}"

    def _attached(self) -> Editor:
        if self._editor is None:
            raise DevError("nothing is being debugged", "attach first, or start a test")
        return self._editor

    def _paused(self) -> Stop:
        self._attached()
        if self._stop is None:
            raise DevError("no thread is paused at a breakpoint", "run a request or a test")
        return self._stop


def _ended(test: Background) -> dict[str, Any]:
    """Wait for the end of a test; return its status and output."""
    while test.status is None:
        time.sleep(_INTERVAL)
    return {"status": test.status, "output": test.output}


def _configuration(checkout: Checkout, name: str) -> dict[str, Any]:
    """The configuration of launch.json that attaches to `name`."""
    found = jsonc.parse(checkout.read(LAUNCH))["configurations"]
    return next(one for one in found if one["name"] == name)

"""Django's shell as one process that runs one piece of code after the other.

To start Django takes longer than most checks do.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import IO, Any

# Answers each line of its input, {"code", "tenant"}, by a line {"printed", "fault"}. A piece of
# code sees no name and no context variable of the one before it.
LOOP = """
import contextlib, contextvars, io, json, sys
from django.db import connections
from django_tenants.utils import tenant_context
from tenants.operators import Operators
from tenants.services import get_tenant

def place(name):
    if not name:
        return contextlib.nullcontext()
    return tenant_context(Operators() if name == Operators.schema_name else get_tenant(name))

for line in sys.stdin:
    asked, printed, fault = json.loads(line), io.StringIO(), ""
    try:
        with place(asked["tenant"]), contextlib.redirect_stdout(printed):
            contextvars.copy_context().run(exec, asked["code"], {})
    except Exception as error:
        fault = f"{type(error).__name__}: {error}"
    connections.close_all()  # a check may restart the database before the next question
    print(json.dumps({"printed": printed.getvalue(), "fault": fault}), flush=True)
"""


class DjangoShell:
    """The process of `command`, which runs LOOP; started when it is first asked."""

    def __init__(
        self, command: Sequence[str], directory: Path, environment: Mapping[str, str]
    ) -> None:
        self._start = {"args": command, "cwd": directory, "env": dict(environment)}
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()  # "" at the end

    def ask(self, code: str, tenant: str, timeout: float) -> str:
        """What `code` prints. Raises AssertionError if it fails or takes too long (s)."""
        question = json.dumps({"code": code, "tenant": tenant})
        # A server that was replaced took the process with it, which may show only now.
        answer = self._answer(question, timeout) or self._answer(question, timeout, last=True)
        if answer["fault"]:
            raise AssertionError(f"in Django's shell: {answer['fault']}")
        return answer["printed"]

    def close(self) -> None:
        """End the process."""
        if self._process:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _answer(self, question: str, timeout: float, *, last: bool = False) -> dict[str, Any]:
        """The answer; nothing if the process ended without one, unless this is the `last` try."""
        if not self._process:
            self._begin()
        said: deque[str] = deque(maxlen=2)  # a fault, and what to do about it
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(question + "\n")
            self._process.stdin.flush()
        with contextlib.suppress(queue.Empty):
            while line := self._lines.get(timeout=timeout):
                with contextlib.suppress(ValueError):
                    found = json.loads(line)
                    if isinstance(found, dict) and "printed" in found:
                        return found
                said.append(line.strip())
            self.close()
            if last:
                raise AssertionError(f"Django's shell ended: {' '.join(said)}")
            return {}
        self.close()
        raise AssertionError(
            f"Django's shell did not answer within {timeout:.0f} s: {' '.join(said)}"
        )

    def _begin(self) -> None:
        self._process = subprocess.Popen(
            **self._start,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        self._lines = queue.SimpleQueue()
        # A thread, because a line may wait in Python's buffer, where select does not see it.
        Thread(target=_read, args=(self._process.stdout, self._lines), daemon=True).start()


def _read(output: IO[str], lines: queue.SimpleQueue[str]) -> None:
    with output:
        for line in output:
            lines.put(line)
    lines.put("")

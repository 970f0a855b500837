"""Running other programs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Callable

from .errors import DevError, NoAnswer

# The exit status that a shell reports for a process killed by a signal: 128 + signal number.
SIGNAL_BASE = 128
INTERRUPTED = SIGNAL_BASE + signal.SIGINT


@dataclass(frozen=True)
class Result:
    """The exit status and the output of a program."""

    status: int
    output: str
    errors: str

    @property
    def ok(self) -> bool:
        return self.status == 0

    def must(self, what: str, remedy: str = "") -> Result:
        """This result, of a program that succeeded. Raises DevError with `what` and the reason."""
        if not self.ok:
            raise DevError(f"{what}: {self.last_words}", remedy)
        return self

    @property
    def last_words(self) -> str:
        """The line with the reason of a failure: the first error line, else the last line."""
        lines = [line.strip() for line in (self.errors or self.output).splitlines()]
        said = [line for line in lines if line.lower().startswith(("error", "fatal"))] or lines[
            ::-1
        ]
        return next(filter(None, said), "no output")


def capture(
    command: Sequence[str],
    *,
    directory: Path,
    environment: Mapping[str, str],
    timeout: float = 60,
    given: IO[bytes] | str = "",
    into: IO[bytes] | None = None,
) -> Result:
    """Run `command`, at most `timeout` seconds, and return its output.

    Its input is `given`, a text or a file; its output goes `into` a file, if there is one.
    Raises NoAnswer on a timeout, DevError if it cannot be started.
    """
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=dict(environment),
            **({"input": given} if isinstance(given, str) else {"stdin": given}),
            stdout=into or subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NoAnswer(
            f"`{' '.join(command[:3])}` did not answer within {timeout:.0f} s",
            "is the machine overloaded, or the Docker daemon stuck? try `docker info`",
        ) from error
    except OSError as error:
        raise _not_started(command, error) from error
    return Result(shell_status(done.returncode), done.stdout or "", done.stderr)


def hand_over(command: Sequence[str], *, directory: Path, environment: Mapping[str, str]) -> int:
    """Run `command` on this terminal and return its exit status. Only it receives Ctrl-C."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = subprocess.Popen(
            command, cwd=directory, env=dict(environment), preexec_fn=_restore_interrupt
        )
        try:
            return shell_status(child.wait())
        except KeyboardInterrupt:  # the signal was sent to us alone: forward it
            child.terminate()
            child.wait()
            raise
    except OSError as error:
        raise _not_started(command, error) from error
    finally:
        signal.signal(signal.SIGINT, previous)


def stream(
    command: Sequence[str],
    on_line: Callable[[str], None],
    *,
    directory: Path,
    environment: Mapping[str, str],
) -> int:
    """Run `command`, pass each output line to `on_line`, return its exit status."""
    with _started(command, directory, environment, subprocess.PIPE) as child:
        for line in child.stdout or ():
            on_line(line.rstrip("\n"))
        return shell_status(child.wait())


class Background:
    """A program that runs while ./dev watches it."""

    def __init__(self, child: subprocess.Popen[str], log: IO[str]) -> None:
        self._child = child
        self._log = log

    @property
    def status(self) -> int | None:
        """Its exit status, None while it runs."""
        status = self._child.poll()
        return None if status is None else shell_status(status)

    @property
    def process(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def output(self) -> str:
        """Its whole output so far."""
        self._log.seek(0)
        return self._log.read()


@contextlib.contextmanager
def background(
    command: Sequence[str],
    *,
    directory: Path,
    environment: Mapping[str, str],
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[Background]:
    """Run `command` while the block runs; at the end, send `stop` if it still runs."""
    log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
    with log, _started(command, directory, environment, log, stop) as child:
        yield Background(child, log)


def shell_status(returncode: int) -> int:
    """Python's return code as a shell reports it."""
    return returncode if returncode >= 0 else SIGNAL_BASE - returncode


@contextlib.contextmanager
def _started(
    command: Sequence[str],
    directory: Path,
    environment: Mapping[str, str],
    output: IO[str] | int,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[subprocess.Popen[str]]:
    # A separate process group: only ./dev receives Ctrl-C, and stops the program in order.
    try:
        child = subprocess.Popen(
            command,
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise _not_started(command, error) from error
    with child:
        try:
            yield child
        finally:
            _end(child, stop)


def _end(child: subprocess.Popen[str], first: signal.Signals, patience: float = 10) -> None:
    for stop in (first, signal.SIGKILL):
        if child.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, stop)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(patience)


def _restore_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _not_started(command: Sequence[str], error: OSError) -> DevError:
    return DevError(f"{command[0]} cannot be run: {error.strerror or error}")

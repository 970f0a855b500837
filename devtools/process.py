"""The one way ./dev runs another program."""

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

# What a shell reports for a process that a signal ended: 128 + signal number.
SIGNAL_BASE = 128
INTERRUPTED = SIGNAL_BASE + signal.SIGINT


@dataclass(frozen=True)
class Result:
    """How a program ended and what it wrote."""

    status: int
    output: str
    errors: str

    @property
    def ok(self) -> bool:
        return self.status == 0

    @property
    def last_words(self) -> str:
        """The line that says why it failed: the first that calls itself an error, else the last."""
        lines = [line.strip() for line in (self.errors or self.output).splitlines()]
        said = [line for line in lines if line.lower().startswith("error")] or lines[::-1]
        return next(filter(None, said), "no output")


def capture(
    command: Sequence[str],
    *,
    directory: Path,
    environment: Mapping[str, str],
    timeout: float = 60,
    given: IO[bytes] | None = None,
    into: IO[bytes] | None = None,
) -> Result:
    """Run `command` to its end, at most `timeout` seconds, and return what it wrote.

    It reads the file `given`, or nothing; what it writes goes `into` a file instead, if there is
    one. Raises NoAnswer if it does not end in time, DevError if it cannot be started.
    """
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=dict(environment),
            stdin=given or subprocess.DEVNULL,
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
    """Run `command` on this terminal and return its exit status. Ctrl-C goes to it alone."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = subprocess.Popen(
            command, cwd=directory, env=dict(environment), preexec_fn=_restore_interrupt
        )
        try:
            return shell_status(child.wait())
        except KeyboardInterrupt:  # told to end, not by the terminal: the program is too
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
    """Run `command`, pass each line that it writes to `on_line`, return its exit status."""
    with _started(command, directory, environment, subprocess.PIPE) as child:
        for line in child.stdout or ():
            on_line(line.rstrip("\n"))
        return shell_status(child.wait())


class Background:
    """A program that runs while ./dev watches what it does."""

    def __init__(self, child: subprocess.Popen[str], log: IO[str]) -> None:
        self._child = child
        self._log = log

    @property
    def status(self) -> int | None:
        """Its exit status, None while it runs."""
        status = self._child.poll()
        return None if status is None else shell_status(status)

    @property
    def output(self) -> str:
        """All that it has written so far."""
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
    """Run `command` while the block runs; what is left of it at the end is told to `stop`."""
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
    # A process group of its own: Ctrl-C reaches ./dev only, which then ends the program in order.
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

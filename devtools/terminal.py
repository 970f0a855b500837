"""Terminal output: marks, colour, and progress that updates in place."""

from __future__ import annotations

import contextlib
import enum
import os
import shutil
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from .errors import Problem


class Mark(enum.Enum):
    """The outcome of a line: sign, plain spelling, ANSI colour."""

    GOOD = ("✔", "ok", "32")
    BAD = ("✖", "failed", "31")
    BUSY = ("…", "..", "36")
    WAITING = ("·", "-", "2")
    WARNING = ("!", "!", "33")


class Terminal:
    """The two streams of this run: `out` for results and progress, `err` for errors."""

    def __init__(
        self,
        out: TextIO | None = None,
        err: TextIO | None = None,
        variables: Mapping[str, str] = os.environ,
    ) -> None:
        self.out = out or sys.stdout
        self.err = err or sys.stderr
        able = variables.get("TERM") != "dumb"
        self.live = self.out.isatty() and able
        plain = bool(variables.get("NO_COLOR"))  # https://no-color.org
        self._colours = {
            stream: stream.isatty() and able and not plain for stream in (self.out, self.err)
        }
        for stream in (self.out, self.err):
            # A log line in another encoding must not abort the command.
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")

    def say(self, text: str = "") -> None:
        """Print a line of the result."""
        print(text, file=self.out, flush=True)

    def heading(self, text: str) -> None:
        """Print the heading of a section."""
        self.say(self.paint(text, "1"))

    def mark(self, mark: Mark, text: str) -> None:
        """Print a line of progress after its mark."""
        self.say(self._marked(mark, text))

    def warn(self, problem: Problem) -> None:
        """Print a problem that does not stop the command."""
        self._complain("warning", Mark.WARNING, problem)

    def fail(self, problem: Problem) -> None:
        """Print a problem that stops the command."""
        self._complain("error", Mark.BAD, problem)

    def paint(self, text: str, ansi: str, stream: TextIO | None = None) -> str:
        """`text` in an ANSI colour if the stream supports colours."""
        stream = stream or self.out
        return f"\x1b[{ansi}m{text}\x1b[0m" if self._colours[stream] else text

    def faint(self, text: str) -> str:
        """`text` in a faint colour."""
        return self.paint(text, "2")

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """A timed piece of work: shows `title` while it runs, and a marked line at the end."""
        step = Step(self, title)
        step.note("")
        try:
            yield step
        except BaseException:
            step.end(Mark.BAD)
            raise
        step.end(Mark.GOOD)

    def rewrite(self, lines: Sequence[str], over: int) -> None:
        """On a live terminal: print `lines` over the `over` lines printed last."""
        up = f"\x1b[{over}A" if over else ""
        body = "".join(f"\r\x1b[2K{line}\n" for line in lines)
        print(f"{up}{body}", end="", file=self.out, flush=True)

    def fit(self, text: str) -> str:
        """`text` cut to the terminal's width: a wrapped line cannot be overwritten."""
        width = shutil.get_terminal_size().columns - 4
        return text if len(text) <= width else text[: width - 3] + "..."

    def _marked(self, mark: Mark, text: str) -> str:
        sign, plain, ansi = mark.value
        if not _can_encode(self.out, sign):
            sign = plain
        return f"{self.paint(sign, ansi)} {text}"

    def _complain(self, word: str, mark: Mark, problem: Problem) -> None:
        word = self.paint(f"{word}:", mark.value[2], self.err)
        print(f"{word} {problem.what}", file=self.err)
        for line in problem.remedy.splitlines():
            print(f"  {line}", file=self.err)
        self.err.flush()


class OnlyLines(Terminal):
    """A terminal that prints only the lines of one trace, also under its request's id."""

    def __init__(self, terminal: Terminal, trace: str) -> None:
        super().__init__(terminal.out, terminal.err)
        self.live = False  # nothing may write to the stream by itself
        self._to = terminal
        self._ids = (trace, str(uuid.UUID(trace)))

    def say(self, text: str = "") -> None:
        if any(one in text for one in self._ids):
            self._to.say(text)


class Step:
    """A piece of work in progress."""

    def __init__(self, terminal: Terminal, title: str) -> None:
        self._terminal = terminal
        self.title = title
        self._began = time.monotonic()
        self._printed = 0

    def note(self, detail: str) -> None:
        """Show the current detail: in place on a terminal, else on a separate line."""
        if self._terminal.live:
            line = self._terminal.fit(f"{self.title}  {seconds(self._elapsed)}  {detail}")
            self._terminal.rewrite([self._terminal._marked(Mark.BUSY, line)], self._printed)
            self._printed = 1
        else:
            self._terminal.mark(Mark.BUSY, f"{self.title}  {detail}".rstrip())

    def end(self, mark: Mark) -> None:
        """Print the final line."""
        line = self._terminal._marked(mark, f"{self.title}  {seconds(self._elapsed)}")
        self._terminal.rewrite([line], self._printed) if self._printed else self._terminal.say(line)

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._began


@dataclass
class _Row:
    mark: Mark = Mark.WAITING
    state: str = "waiting"
    elapsed: float | None = None


class Board:
    """Services that change state, each with the time since the board was created."""

    def __init__(self, terminal: Terminal, names: Sequence[str]) -> None:
        self._terminal = terminal
        self._began = time.monotonic()
        self._rows = {name: _Row() for name in names}
        self._width = max(map(len, names), default=0)
        self._printed = 0

    @property
    def elapsed(self) -> float:
        """Seconds since the board was created."""
        return time.monotonic() - self._began

    def show(self, name: str, mark: Mark, state: str) -> None:
        """Record that `name` is in `state`; without a live terminal, print a change at once."""
        row = self._rows[name]
        if (mark, state) == (row.mark, row.state):
            return
        self._rows[name] = row = _Row(mark, state, self.elapsed)
        if not self._terminal.live and mark is not Mark.WAITING:
            self._terminal.say(self._line(name, row))

    def draw(self) -> None:
        """Redraw the table on a live terminal; do nothing otherwise."""
        if self._terminal.live:
            lines = [self._line(name, row) for name, row in self._rows.items()]
            self._terminal.rewrite(lines, self._printed)
            self._printed = len(lines)

    def states(self) -> dict[str, str]:
        """The last state of each service."""
        return {name: row.state for name, row in self._rows.items()}

    def _line(self, name: str, row: _Row) -> str:
        moving = row.mark in (Mark.BUSY, Mark.WAITING) and self._terminal.live
        elapsed = self.elapsed if moving else row.elapsed
        when = f"{seconds(elapsed):>8}" if elapsed is not None else ""
        return self._terminal._marked(row.mark, f"{name:<{self._width}}  {row.state:<10}{when}")


def seconds(duration: float) -> str:
    """A duration in seconds in its display format: `1.9 s`, `2 min 5 s`."""
    if duration < 60:
        return f"{duration:.1f} s"
    return f"{int(duration // 60)} min {int(duration % 60)} s"


def megabytes(size: int) -> str:
    """A size in bytes in its display format."""
    return f"{size / 1e6:.0f} MB"


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """`rows` as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows
    ]


def _can_encode(stream: TextIO, text: str) -> bool:
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True

"""The commands, by name and by the groups of `./dev help`."""

from __future__ import annotations

import argparse
import functools
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

from ..checkout import Checkout
from ..errors import DevError
from ..process import stream
from ..production.stack import ProductionStack
from ..terminal import Mark, Terminal, seconds

if TYPE_CHECKING:
    from ..engines.base import Engine
    from .options import Option

Work = Callable[["Run"], int]


@dataclass(frozen=True)
class Command:
    """A command: its help, its arguments, its function. `answer` is in shapes.py, None without."""

    name: str
    group: str
    summary: str
    examples: Sequence[str]
    run: Callable[[Run], int]
    options: Sequence[Option]
    passes_on: str
    answer: Any


@dataclass
class Run:
    """One run of a command. With --json, `terminal` is stderr, and stdout has only the answer."""

    checkout: Checkout
    terminal: Terminal
    asked_engine: str
    options: argparse.Namespace
    rest: Sequence[str]
    # As they were given, the command's name first.
    words: Sequence[str] = ()

    @functools.cached_property
    def engine(self) -> Engine:
        """The engine that runs the stack, chosen when a command first needs it."""
        from ..engines.choice import choose

        return choose(self.asked_engine, self.checkout, self.terminal)

    @property
    def production(self) -> ProductionStack:
        """The production stack with the environment file that was chosen."""
        return ProductionStack(self.checkout, self.options.env_file)

    def answer(self, found: Any) -> None:
        """Print the answer of --json, if that was given."""
        if self.json:
            Terminal().say(json.dumps(found, indent=2))

    def answer_seconds(self, began: float, done: str) -> None:
        """Say how long it took since `began`, a monotonic time; `done` is as "restarted in"."""
        took = time.monotonic() - began
        self.answer({"seconds": round(took, 1)})
        self.terminal.mark(Mark.GOOD, f"{done} {seconds(took)}")

    def without_json(self, on_line: Callable[[str], None], *more: str) -> int:
        """Run this command without --json, with `more` options; pass each line to `on_line`.

        For commands whose output is that of another program. Returns the exit status.
        """
        words = [word for word in self.words if word != "--json"]
        asked = ["--engine", self.asked_engine] if self.asked_engine else []
        return stream(
            [sys.executable, str(self.checkout.root / "dev"), *asked, *words, *more],
            on_line,
            directory=Path.cwd(),
            environment={**self.checkout.variables, **_PLAIN},
        )

    @property
    def json(self) -> bool:
        """Whether --json was given."""
        return getattr(self.options, "json", False) is True

    def say_engine(self, engine: Engine | None = None) -> None:
        """Print the engine that runs the stack, and the reason."""
        engine = engine or self.engine
        self.terminal.say(self.terminal.faint(f"engine: {engine.name} ({engine.reason})"))

    def confirmed(self, remains: Sequence[str]) -> bool:
        """Ask whether `remains` may be deleted. Raises DevError if stdin is not a terminal."""
        self.terminal.say("this will be deleted:")
        for line in remains:
            self.terminal.say(f"  {line}")
        if self.unattended and not self.options.yes:
            raise DevError(
                f"cannot ask for confirmation: {self.unattended}",
                "add --yes to delete without asking",
            )
        agreed = self.agreed("delete all of it")
        if not agreed:
            self.terminal.say("nothing was deleted")
        return agreed

    @property
    def unattended(self) -> str:
        """Why the user cannot be asked; empty if that is possible."""
        if self.json:
            return "--json was given"
        return "" if sys.stdin.isatty() else "stdin is not a terminal"

    def agreed(self, question: str) -> bool:
        """Whether the user answers yes, or has given --yes."""
        return self.options.yes or input(f"{question}? [y/N] ").strip().lower() in ("y", "yes")


# Another program's output in a form that can be read again.
_PLAIN = {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"}

COMMANDS: dict[str, Command] = {}
# By title, in the order of `./dev help`, each with examples.
GROUPS: dict[str, Sequence[str]] = {}
# The room of a group that `./dev adopt` removes: ../adoption.py
ROOMS: dict[str, str] = {}


def group(title: str, *examples: str, room: str = "") -> Callable[..., Callable[[Work], Work]]:
    """Begin a group of commands; return a decorator that registers one, see `_command`."""
    GROUPS[title] = examples
    ROOMS[title] = room
    return functools.partial(_command, title)


def _command(
    group: str,
    name: str,
    summary: str,
    *examples: str,
    options: Sequence[Option] | Option = (),
    passes_on: str = "",
    answer: Any = None,
) -> Callable[[Work], Work]:
    """Register a command with options of options.py. `passes_on` names the program that gets
    unknown arguments; with an `answer`, the command takes --json."""
    # Until 0.3.0 also one function that fills the parser, as products wrote them for 0.1.0.
    listed = [options] if callable(options) else options

    def register(run: Work) -> Work:
        COMMANDS[name] = Command(name, group, summary, examples, run, listed, passes_on, answer)
        return run

    return register

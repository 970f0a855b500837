"""The commands, by name and by the groups of `./dev help`."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable

from ..checkout import Checkout
from ..errors import DevError
from ..terminal import Terminal

if TYPE_CHECKING:
    from ..engines.base import Engine

Work = Callable[["Run"], int]


@dataclass(frozen=True)
class Command:
    """A command: its help, its arguments, its function."""

    name: str
    group: str
    summary: str
    examples: Sequence[str]
    run: Callable[[Run], int]
    options: Callable[[argparse.ArgumentParser], None] | None
    passes_on: str


@dataclass
class Run:
    """One run of a command."""

    checkout: Checkout
    terminal: Terminal
    asked_engine: str
    options: argparse.Namespace
    rest: Sequence[str]

    @property
    def engine(self) -> Engine:
        """The engine that runs the stack, chosen when a command first needs it."""
        if not hasattr(self, "_engine"):
            from ..engines.choice import choose

            self._engine = choose(self.asked_engine, self.checkout, self.terminal)
        return self._engine

    @property
    def aside(self) -> Terminal:
        """The terminal for progress, separate from JSON output on stdout."""
        return Terminal(out=sys.stderr) if getattr(self.options, "json", False) else self.terminal

    def say_engine(self) -> None:
        """Print the engine that runs the stack, and the reason."""
        self.terminal.say(engine_line(self.terminal, self.engine))

    def confirmed(self, remains: Sequence[str]) -> bool:
        """Ask whether `remains` may be deleted. Raises DevError if stdin is not a terminal."""
        self.terminal.say("this will be deleted:")
        for line in remains:
            self.terminal.say(f"  {line}")
        if self.options.yes:
            return True
        if not sys.stdin.isatty():
            raise DevError(
                "cannot ask for confirmation: stdin is not a terminal",
                "add --yes to delete without asking",
            )
        answer = input("delete all of it? [y/N] ").strip().lower()
        if answer not in ("y", "yes"):
            self.terminal.say("nothing was deleted")
            return False
        return True


def engine_line(terminal: Terminal, engine: Engine) -> str:
    """The engine that runs the stack, and the reason."""
    return terminal.faint(f"engine: {engine.name} ({engine.reason})")


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
    options: Callable[[argparse.ArgumentParser], None] | None = None,
    passes_on: str = "",
) -> Callable[[Work], Work]:
    """Register a command. `passes_on` names the program that gets unknown arguments."""

    def register(run: Work) -> Work:
        COMMANDS[name] = Command(name, group, summary, examples, run, options, passes_on)
        return run

    return register

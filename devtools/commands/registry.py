"""What a command is, and all there are: by name, and by the groups of `./dev help`."""

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
    """A command: how it is shown, what it parses, what it does."""

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
        """The engine that runs the stack, chosen when a command first needs one."""
        if not hasattr(self, "_engine"):
            from ..engines.choice import choose

            self._engine = choose(self.asked_engine, self.checkout, self.terminal)
        return self._engine

    @property
    def aside(self) -> Terminal:
        """Where progress is shown: not among JSON, which a program reads."""
        return Terminal(out=sys.stderr) if getattr(self.options, "json", False) else self.terminal

    def say_engine(self) -> None:
        """Print which engine runs the stack, and why."""
        self.terminal.say(engine_line(self.terminal, self.engine))

    def confirmed(self, remains: Sequence[str]) -> bool:
        """Whether `remains` may be deleted. Raises DevError where nobody can be asked."""
        self.terminal.say("this will be deleted:")
        for line in remains:
            self.terminal.say(f"  {line}")
        if self.options.yes:
            return True
        if not sys.stdin.isatty():
            raise DevError(
                "nobody is here to confirm that", "add --yes to delete without being asked"
            )
        answer = input("delete all of it? [y/N] ").strip().lower()
        if answer not in ("y", "yes"):
            self.terminal.say("nothing was deleted")
            return False
        return True


def engine_line(terminal: Terminal, engine: Engine) -> str:
    """Which engine runs the stack, and why."""
    return terminal.faint(f"engine: {engine.name} ({engine.reason})")


COMMANDS: dict[str, Command] = {}
# By title, in the order of `./dev help`, each with examples.
GROUPS: dict[str, Sequence[str]] = {}


def group(title: str, *examples: str) -> Callable[..., Callable[[Work], Work]]:
    """Open a group of commands; what is returned registers one, as `_command` does."""
    GROUPS[title] = examples
    return functools.partial(_command, title)


def _command(
    group: str,
    name: str,
    summary: str,
    *examples: str,
    options: Callable[[argparse.ArgumentParser], None] | None = None,
    passes_on: str = "",
) -> Callable[[Work], Work]:
    """Register a command. `passes_on` names the program that gets what ./dev does not know."""

    def register(run: Work) -> Work:
        COMMANDS[name] = Command(name, group, summary, examples, run, options, passes_on)
        return run

    return register

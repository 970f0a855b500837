"""The command line of ./dev: dispatches commands, reports errors, prints the help."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from typing import NoReturn

from . import VERSION
from .checkout import Checkout
from .commands import COMMANDS, GROUPS
from .commands.parsers import parse, parser_of, top_parser
from .commands.registry import Run
from .errors import FAILED, DevError, Problem, UsageError
from .nearest import nearest
from .process import INTERRUPTED, SIGNAL_BASE
from .terminal import Terminal

# Commands of Docker Compose that ./dev lacks, and their replacements.
_OF_COMPOSE = {
    "ps": "./dev status",
    "ls": "./dev status",
    "top": "./dev status",
    "port": "./dev status   lists the addresses",
    "start": "./dev up",
    "create": "./dev up",
    "build": "./dev up --build",
    "pull": "./dev up   pulls missing images",
    "watch": "./dev serve runserver   reloads the code on each edit",
    "stop": "./dev down   keeps the data",
    "kill": "./dev down   keeps the data",
    "rm": "./dev down   keeps the data",
    "run": "./dev exec SERVICE COMMAND\nor with the rights of the database's owner: ./dev manage",
    "attach": "./dev logs -f SERVICE",
    "events": "./dev logs -f",
    "config": "./dev env   shows the variables in force",
    "version": "./dev --version",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; print every error with its remedy."""
    terminal = Terminal()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return _dispatch(list(sys.argv[1:] if arguments is None else arguments), terminal)
    except DevError as error:
        for problem in error.problems:
            terminal.fail(problem)
        return error.exit_status
    except KeyboardInterrupt:
        terminal.say("\ninterrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader, such as `head`, has closed the pipe; prevent Python's complaint at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SIGNAL_BASE + signal.SIGPIPE
    except Exception as error:
        traceback.print_exc()
        what = f"internal error: {type(error).__name__}: {error}"
        terminal.fail(Problem(what, "report it with the lines above"))
        return FAILED


def _dispatch(arguments: list[str], terminal: Terminal) -> int:
    if os.name == "nt":
        raise UsageError("only Linux and macOS are supported", "on Windows, use it inside WSL 2")
    top = top_parser()
    top.add_argument("words", nargs=argparse.REMAINDER)
    given = top.parse_args(arguments)
    name, *words = given.words or ["help"]
    if given.version:
        return _version(terminal)
    if name == "help" or given.help:
        return _help(terminal, words)
    if name not in COMMANDS:
        raise _unknown(name)
    chosen = COMMANDS[name]
    options, rest = parse(chosen, words)
    asked = getattr(options, "engine", "") or given.engine
    run = Run(Checkout(), terminal, asked, options, rest, given.words)
    if not run.json:
        return chosen.run(run)
    run.terminal = Terminal(out=sys.stderr)
    try:
        return chosen.run(run)
    except DevError as error:
        run.answer({"problems": list(map(asdict, error.problems))})
        raise


def _help(terminal: Terminal, words: Sequence[str]) -> int:
    if words == ["--json"]:
        found = [
            {"name": one.name, "group": one.group, "summary": one.summary}
            for one in COMMANDS.values()
        ]
        terminal.say(json.dumps(found, indent=2))
        return 0
    if words:
        if words[0] not in COMMANDS:
            raise _unknown(words[0])
        terminal.say(parser_of(COMMANDS[words[0]]).format_help().rstrip())
        return 0
    terminal.say("usage: ./dev [--engine ENGINE] COMMAND ...")
    width = max(map(len, COMMANDS))
    for group, examples in GROUPS.items():
        terminal.say("")
        terminal.heading(group)
        for one in COMMANDS.values():
            if one.group == group:
                terminal.say(f"  {one.name:<{width}}  {one.summary}")
        for number, example in enumerate(examples):
            lead = "" if number else "e.g."
            terminal.say(terminal.faint(f"  {lead:<{width}}  {example}"))
    terminal.say("\n./dev COMMAND --help shows details and examples")
    return 0


def _unknown(name: str) -> UsageError:
    remedy = _OF_COMPOSE.get(name) or nearest(name, [*COMMANDS, "help"])
    return UsageError(f"there is no command {name!r}", remedy)


def _version(terminal: Terminal) -> int:
    """The version of the workspace and the commit of this checkout, for bug reports."""
    try:
        described = Checkout().run(["git", "describe", "--always", "--dirty", "--exclude", "*"])
        commit = described.output.strip()
    except DevError:  # git is missing
        commit = ""
    where = f"commit {commit}" if commit else "of an unknown commit"
    terminal.say(f"./dev {VERSION}, {where}, Python {platform.python_version()}")
    return 0


def _terminate(number: int, frame: object) -> NoReturn:
    # As for Ctrl-C: stop child processes in an orderly way.
    raise KeyboardInterrupt

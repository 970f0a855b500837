"""Finding problems, and completing command lines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable

from ..checkout import Checkout
from ..completion import SHELLS, WORDS, candidates, script
from ..errors import FAILED
from ..nearest import must_be_known
from . import shapes
from .options import completed_by, yes_option
from .parsers import parser_of, top_parser
from .registry import COMMANDS, Run, engine_line, group

command = group("Help", "./dev doctor --fix", "./dev help snapshot")


def _doctor_options(parser: argparse.ArgumentParser) -> None:
    from ..doctor.examination import CHECKS

    checks = parser.add_argument(
        "checks", nargs="*", metavar="CHECK", help=f"only {_either(CHECKS)}"
    )
    completed_by(checks, lambda: CHECKS)
    parser.add_argument(
        "--fix", action="store_true", help="fix what can be fixed safely; asks before deleting"
    )
    yes_option(parser)


@command(
    "doctor",
    "list problems of the machine, the checkout and the stack, and how to fix them",
    "./dev doctor",
    "./dev doctor --fix",
    "./dev doctor ports volume   only these checks",
    "exit status: 1 if something is wrong; warnings and unknown results do not count",
    options=_doctor_options,
    answer=shapes.DOCTOR,
)
def doctor(run: Run) -> int:
    from ..doctor import examination
    from ..doctor.context import Context

    options = run.options
    must_be_known("check", options.checks, examination.CHECKS)
    done: dict[str, list[str]] = {}
    context = Context(run.checkout, run.terminal, run.asked_engine)
    results = examination.examine(context, options.checks)
    if options.fix:
        done = examination.fix(context, results, lambda what: _agreed(run, what))
        # A new context: the fixes may have changed what the old one cached.
        checkout = Checkout(run.checkout.root, run.checkout.variables)
        context = Context(checkout, run.terminal, run.asked_engine)
        results = examination.examine(context, options.checks)
    if run.json:
        run.answer(examination.as_json(results, done))
    else:
        run.terminal.say(engine_line(run.terminal, context.engine))
        examination.show(run.terminal, results, done)
    return 0 if examination.passed(results) else FAILED


def _agreed(run: Run, what: str) -> bool:
    """Whether the user confirms; False if stdin is not a terminal."""
    if run.options.yes:
        return True
    if run.json or not sys.stdin.isatty():
        return False
    return input(f"{what}? [y/N] ").strip().lower() in ("y", "yes")


def _completion_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "shell",
        choices=[*SHELLS, WORDS],
        help=f"the shell to print a script for; {WORDS}: completions, for the scripts",
    )
    parser.add_argument("words", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)


@command(
    "completion",
    "print a completion script for bash, zsh or fish",
    "source <(./dev completion bash)      in ~/.bashrc, with the path of the checkout",
    "source <(./dev completion zsh)       in ~/.zshrc, after compinit",
    "./dev completion fish | source       in ~/.config/fish/config.fish",
    options=_completion_options,
)
def completion(run: Run) -> int:
    options = run.options
    if options.shell != WORDS:
        run.terminal.say(script(options.shell).rstrip())
        return 0
    summaries = {name: one.summary for name, one in COMMANDS.items()}
    found = candidates(
        options.words, summaries, top_parser(), lambda name: parser_of(COMMANDS[name])
    )
    for word, about in found:
        run.terminal.say(f"{word}\t{about}")
    return 0


def _either(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last

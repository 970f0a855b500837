"""Finding problems, and completing command lines."""

from __future__ import annotations

import argparse

from ..checkout import Checkout
from ..completion import SCRIPTS, WORDS, candidates
from ..errors import FAILED
from ..nearest import must_be_known
from . import shapes
from .options import YES, flag, option
from .parsers import parser_of, top_parser
from .registry import COMMANDS, Run, group

command = group("Help", "./dev doctor --fix", "./dev help snapshot")


def _checks(parser: argparse._ActionsContainer) -> None:
    from ..doctor.examination import CHECKS

    *most, last = CHECKS
    only = f"only {', '.join(most)} or {last}"
    option("checks", nargs="*", metavar="CHECK", help=only, completes=lambda: CHECKS)(parser)


@command(
    "doctor",
    "list problems of the machine, the checkout and the stack, and how to fix them",
    "./dev doctor",
    "./dev doctor --fix",
    "./dev doctor ports volume   only these checks",
    "exit status: 1 if something is wrong; warnings and unknown results do not count",
    options=[
        _checks,
        flag("--fix", help="fix what can be fixed safely; asks before deleting"),
        YES,
    ],
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
        run.say_engine(context.engine)
        examination.show(run.terminal, results, done)
    return 0 if examination.passed(results) else FAILED


def _agreed(run: Run, what: str) -> bool:
    """Whether the user confirms; False if the user cannot be asked."""
    return run.options.yes or (not run.unattended and run.agreed(what))


@command(
    "completion",
    "print a completion script for bash, zsh or fish",
    "source <(./dev completion bash)      in ~/.bashrc, with the path of the checkout",
    "source <(./dev completion zsh)       in ~/.zshrc, after compinit",
    "./dev completion fish | source       in ~/.config/fish/config.fish",
    options=[
        option(
            "shell",
            choices=[*SCRIPTS, WORDS],
            help=f"the shell to print a script for; {WORDS}: completions, for the scripts",
        ),
        option("words", nargs="...", help=argparse.SUPPRESS),
    ],
)
def completion(run: Run) -> int:
    options = run.options
    if options.shell != WORDS:
        run.terminal.say(SCRIPTS[options.shell].rstrip())
        return 0
    summaries = {name: one.summary for name, one in COMMANDS.items()}
    found = candidates(
        options.words, summaries, top_parser(), lambda name: parser_of(COMMANDS[name])
    )
    for word, about in found:
        run.terminal.say(f"{word}\t{about}")
    return 0

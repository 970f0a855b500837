"""Options and arguments of commands, and those that several commands share."""

from __future__ import annotations

import argparse
import contextlib
import functools
import re
from collections.abc import Iterable
from typing import Any, Callable

from .. import completion
from ..engines import AUTO, NAMES
from ..production.stack import ENVIRONMENT_FILE

# Adds to a parser.
Option = Callable[[argparse._ActionsContainer], object]


def option(
    *names: str, completes: Callable[[], Iterable[str]] | None = None, **settings: Any
) -> Option:
    """An option or an argument, with the settings of `add_argument`.

    `completes` returns its completions. The shell waits for it, so it imports only what it needs.
    """

    def add(parser: argparse._ActionsContainer) -> None:
        action = parser.add_argument(*names, **settings)
        if completes:
            vars(action)["completes"] = completes

    return add


flag = functools.partial(option, action="store_true")
repeated = functools.partial(option, action="append", default=[])


def one_of(*options: Option) -> Option:
    """Options that exclude each other."""

    def add(parser: argparse._ActionsContainer) -> None:
        group = parser.add_mutually_exclusive_group()
        for one in options:
            one(group)

    return add


def trace_id(text: str) -> str:
    """The 32 digits of a trace's id, also written as X-Request-ID; the `type` of an argument."""
    digits = text.replace("-", "").lower()
    if re.fullmatch("[0-9a-f]{32}", digits):
        return digits
    raise argparse.ArgumentTypeError(f"{text!r} is no id of a trace: 32 digits of 0-9, a-f")


def positive(text: str) -> int:
    """A whole number above 0; the `type` of an argument."""
    with contextlib.suppress(ValueError):
        if int(text) > 0:
            return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")


def assignment(text: str) -> tuple[str, str]:
    """A name and its value, of NAME=VALUE; the `type` of an argument."""
    name, separator, value = text.partition("=")
    if not (name and separator):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


BUILD = flag("--build", help="rebuild the image even if nothing changed; without Docker, reinstall")
DEBUG = flag("--debug", help="run under a debugger that an editor can attach to; reload on edits")
DRY_RUN = flag("--dry-run", help="list the files; change nothing")
ENGINE = option(
    "--engine",
    default="",
    metavar="ENGINE",
    help=f"auto or {', '.join(NAMES)}",
    completes=lambda: [AUTO, *NAMES],
)
ENV_FILE = option(
    "--env-file",
    default=ENVIRONMENT_FILE,
    metavar="FILE",
    help="environment file of the production stack (%(default)s)",
)
JSON = flag("--json", help="print JSON with stable keys")
PRODUCTION = flag("--production", help="that of the production stack")
SERVICES = option(
    "services",
    nargs="*",
    metavar="SERVICE",
    help="only these services",
    completes=completion.services,
)
TIMEOUT = option(
    "--timeout",
    type=positive,
    default=180,
    metavar="SECONDS",
    help="fail if a service is not healthy within this time from its start (%(default)s)",
)
YES = flag("--yes", help="delete without asking")

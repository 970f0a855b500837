"""Options and arguments that several commands share."""

from __future__ import annotations

import argparse
import contextlib
import re
from collections.abc import Iterable
from typing import Callable

from .. import completion
from ..production.stack import ENVIRONMENT_FILE


def start_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--build",
        action="store_true",
        help="rebuild the image even if nothing changed; without Docker, reinstall",
    )


def debug_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--debug",
        action="store_true",
        help="run under a debugger that an editor can attach to; reload on edits",
    )


def timeout_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=positive,
        default=180,
        metavar="SECONDS",
        help="fail if a service is not healthy within this time from its start (%(default)s)",
    )


def yes_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="delete without asking")


def env_file_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--env-file",
        default=ENVIRONMENT_FILE,
        metavar="FILE",
        help="environment file of the production stack (%(default)s)",
    )


def json_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON with stable keys")


def services_argument(parser: argparse.ArgumentParser) -> None:
    services = parser.add_argument(
        "services", nargs="*", metavar="SERVICE", help="only these services"
    )
    completed_by(services, completion.services)


def completed_by(action: argparse.Action, values: Callable[[], Iterable[str]]) -> None:
    """Set the function that returns the completions of an argument.

    The shell waits for it, so it imports only what it needs.
    """
    vars(action)["completes"] = values


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

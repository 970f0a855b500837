"""The parsers of the command line: global options, and each command's arguments."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from typing import NoReturn

from ..errors import UsageError
from ..nearest import nearest
from .options import ENGINE, JSON
from .registry import Command


def top_parser() -> Parser:
    """The options before a command."""
    top = Parser(prog="./dev", add_help=False, allow_abbrev=False)
    ENGINE(top)
    top.add_argument("-h", "--help", action="store_true", help="the commands")
    top.add_argument("--version", action="store_true", help="the version and the commit")
    return top


def parser_of(chosen: Command) -> Parser:
    """The arguments of a command."""
    usage_tail = f" [ARGUMENTS OF {chosen.passes_on}]" if chosen.passes_on else ""
    parser = Parser(
        prog=f"./dev {chosen.name}",
        description=chosen.summary[0].upper() + chosen.summary[1:] + ".",
        epilog="examples:\n" + "\n".join(f"  {example}" for example in chosen.examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    more = [JSON] if chosen.answer is not None else []
    for add in (*chosen.options, *more, ENGINE):
        add(parser)
    parser.usage = parser.format_usage().removeprefix("usage: ").rstrip() + usage_tail
    return parser


def parse(chosen: Command, words: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options of a command, and the remaining words for the program that it calls.

    Raises UsageError.
    """
    parser = parser_of(chosen)
    if not chosen.passes_on:
        return parser.parse_args(words), []
    if not chosen.options and words[:1] not in (["-h"], ["--help"]):
        return argparse.Namespace(), words
    cut = words.index("--") if "--" in words else len(words)
    options, rest = parser.parse_known_args(words[:cut])
    _refuse_mistyped(chosen, parser, rest)
    return options, rest + words[cut + 1 :]


def _refuse_mistyped(chosen: Command, parser: Parser, rest: Sequence[str]) -> None:
    """Reject a misspelt option of ./dev instead of passing it on to the other program."""
    for word in rest if chosen.options else ():
        own = parser.spellings
        near = difflib.get_close_matches(word.partition("=")[0], own, n=1, cutoff=0.8)
        if word.startswith("--") and near:
            raise UsageError(
                f"{parser.prog} has no option {word}",
                f"did you mean {near[0]}?\n"
                f"if it is one of {chosen.passes_on}: {parser.prog} -- {word}",
            )


class Parser(argparse.ArgumentParser):
    """A parser that reports errors in the format of all other errors."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"{self._near(message)}{self.prog} --help")

    def _near(self, message: str) -> str:
        """A line with suggestions; empty if there are none."""
        unknown = re.match(r"unrecognized arguments: (--[^\s=]+)", message)
        if unknown:
            return f"{nearest(unknown[1], self.spellings)}\n"
        choice = re.match(r"argument (\S+): invalid choice: '(.*?)'", message)
        for action in self._actions:
            if choice and choice[1] in (action.dest, action.metavar, *action.option_strings):
                return f"{nearest(choice[2], map(str, action.choices or ()))}\n"
        return ""

    @property
    def spellings(self) -> list[str]:
        """The names of its options."""
        return [text for action in self._actions for text in action.option_strings]

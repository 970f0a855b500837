"""The command lines in a text, and whether their programs accept them.

Each is read as its program reads it: by the parsers of ./dev and of Django's commands, and by the
help of docker and git. Values that a message fills in are X; words in capitals stand for a name.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

from compose_files import CHECKOUT

from devtools.commands import COMMANDS
from devtools.commands.parsers import parse, parser_of, top_parser
from devtools.errors import UsageError

# What precedes a command in a text. Before the name of another program, only this tells it from
# a word of a sentence.
_BEFORE = r"(?:^|[:;,`(>\"] ?|  |\n|&& |X |=\S+ |\b(?:[Rr]un|[Uu]se|with|then|there|or|and|at) )"
_WORD = r"(?:'[^'\n]*'|\"[^\"\n]*\"|[^\s'\"`;,:()<>|&…─]|:(?=\S)|,(?=\w))+"
# These words and a double space end a command.
_PROSE = r"(?!(?:or|and|then|in|as|again|would)\b)"
_COMMAND = re.compile(
    rf"{_BEFORE}(?P<command>(?P<program>\./dev|manage\.py|docker|git)(?: {_PROSE}{_WORD})*)", re.M
)
_PAGE = re.compile(
    r"(?<![\w./])((?:[\w.-]+/)*[\w-][\w.-]*\.(?:md|ya?ml|in|toml|example))\b(#[\w-]+)?"
)


def commands(text: str, programs: Iterable[str]) -> Iterator[list[str]]:
    """The commands of `programs` in a text, as words."""
    for found in _COMMAND.finditer(text):
        if found["program"] in programs:
            with contextlib.suppress(ValueError):  # a quote without its end is of the text
                yield shlex.split(found["command"].rstrip("."))


def files(text: str) -> Iterator[tuple[str, str]]:
    """The files of the checkout in a text, each with the anchor in it or an empty text."""
    for file, anchor in _PAGE.findall(text):
        yield file, anchor.removeprefix("#")


def fault(words: Sequence[str]) -> str:
    """Why the program refuses the command; empty if it accepts it."""
    return _CHECKS[words[0]](words[1:])


def _fault_for_dev(words: Sequence[str]) -> str:
    top = top_parser()
    top.add_argument("words", nargs="...", help=SUPPRESS)
    try:
        given = top.parse_args(list(words))
        if not given.words:
            return ""
        name, *rest = given.words
        if name == "help":
            return _unknown("command", rest, COMMANDS)
        if _is_placeholder(name):
            return ""
        if name not in COMMANDS:
            return f"there is no command {name}"
        if {"-h", "--help"} & set(rest):
            return ""
        options, passed_on = parse(COMMANDS[name], rest)
    except UsageError as error:
        what = error.problems[0].what
        # A word that stands for a value.
        return "" if re.search(r"invalid choice: 'X'|'(?:X|ID)' is no ", what) else what
    unknown = _unknown_value(top, given) or _unknown_value(parser_of(COMMANDS[name]), options)
    return unknown or (_fault_for_django(passed_on) if name == "manage" else "")


def _unknown_value(parser: ArgumentParser, given: Namespace) -> str:
    """The first value that is not one of those that its argument is completed with."""
    for action in parser._actions:
        known = vars(action).get("completes") if action.dest in _COMPLETED else None
        value = getattr(given, action.dest, None) or []
        chosen = [value] if isinstance(value, str) else value
        if known and (unknown := _unknown(action.dest, chosen, known())):
            return unknown
    return ""


def _fault_for_django(words: Sequence[str]) -> str:
    """Asked of Django itself, with all applications of a checkout."""
    if not words or _is_placeholder(words[0]):
        return ""
    return _faults_for_django()(tuple(words))


@cache
def _faults_for_django() -> Callable[[tuple[str, ...]], str]:
    """One Django for all questions."""
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _DJANGO],
        cwd=CHECKOUT / "backend",
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "core.settings.local"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    @cache
    def ask(words: tuple[str, ...]) -> str:
        print(json.dumps(words), file=child.stdin, flush=True)
        return json.loads(child.stdout.readline())

    return ask


_DJANGO = """
import json, sys
import django
from django.core.management import get_commands, load_command_class
from django.core.management.base import CommandError
from tenants import command_line

django.setup()
for line in sys.stdin:
    words, tenant = command_line._take_option(["manage.py", *json.loads(line)])
    name, fault = words[1], ""
    if name == "help":
        fault = ""
    elif name not in get_commands() or name in command_line.REPLACED:
        fault = f"there is no management command {name}"
    elif tenant and command_line._is_tenant_free(name):
        fault = f"{name} takes no tenant"
    else:
        app = get_commands()[name]
        command = app if not isinstance(app, str) else load_command_class(app, name)
        parser = command.create_parser("manage.py", name)
        parser.called_from_command_line = False
        try:
            parser.parse_args(words[2:])
        except CommandError as error:
            fault = str(error)
    print(json.dumps(fault), flush=True)
"""


def _fault_for_docker(words: Sequence[str]) -> str:
    if shutil.which("docker") is None:
        return ""
    path = ["docker"]
    rest = list(words)
    while rest:
        word = rest.pop(0)
        about = _help(*path, "--help")
        if word.startswith("-"):
            name = word.partition("=")[0]
            line = re.search(rf"^ +(?:-\w, )?{re.escape(name)}(?:,? .*)?$", about, re.M)
            if not line:
                return f"{' '.join(path)} has no option {name}"
            if re.search(rf"{re.escape(name)}(?:, --[\w-]+)? [a-z]+", line[0]) and "=" not in word:
                rest = rest[1:]
        elif re.search(rf"^  +{re.escape(word)}\*? ", about, re.M):
            path.append(word)
        elif "Commands:" in about:
            return f"{' '.join(path)} has no command {word}"
        else:
            return ""
    return ""


def _fault_for_git(words: Sequence[str]) -> str:
    if not words:
        return ""
    command, *rest = words
    about = _help("git", command, "-h")
    if "is not a git command" in about:
        return f"git has no command {command}"
    for word in rest:
        long = word.removeprefix("--")
        if word.startswith("--") and not re.search(rf"--(\[no-\])?{re.escape(long)}\b", about):
            return f"git {command} has no option {word}"
    return ""


@cache
def _help(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _unknown(kind: str, words: Iterable[str], known: Iterable[str]) -> str:
    known = list(known)
    strange = [word for word in words if word not in known and not _is_placeholder(word)]
    return f"there is no {kind.rstrip('s')} {strange[0]}" if strange else ""


def _is_placeholder(word: str) -> bool:
    return word.isupper() or "X" in word or "{" in word


# Arguments with few values; those of `snapshot` are a person's.
_COMPLETED = ("checks", "engine", "service", "services")
_CHECKS: dict[str, Callable[[Sequence[str]], str]] = {
    "./dev": _fault_for_dev,
    "manage.py": _fault_for_django,
    "docker": _fault_for_docker,
    "git": _fault_for_git,
}

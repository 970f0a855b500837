"""Completions for bash, zsh and fish, which call `./dev completion words`.

The shells' scripts contain no commands, so they are never outdated. Completions come from the
commands' own parsers.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import Callable

from . import texts
from .checkout import ROOT

WORDS = "words"

# Run only a launcher like this one: another project may have a `dev` too.
_OURS = "from devtools.cli import main"

_BASH = f"""\
# Completion of ./dev for bash. In ~/.bashrc:  source <(/PATH/TO/CHECKOUT/dev completion bash)
_dev_completion() {{
    local found
    COMPREPLY=()
    grep -qs "{_OURS}" "${{COMP_WORDS[0]}}" || return
    while IFS=$'\\t' read -r found _; do
        COMPREPLY+=("$found")
    done < <("${{COMP_WORDS[0]}}" completion words "${{COMP_WORDS[@]:1:COMP_CWORD}}" 2>/dev/null)
}}
complete -o default -F _dev_completion dev
"""

_ZSH = f"""\
#compdef dev
# Completion of ./dev for zsh. In ~/.zshrc, after compinit:
#   source <(/PATH/TO/CHECKOUT/dev completion zsh)
_dev_completion() {{
    local -a found
    local line dev=${{(Q)words[1]}}
    grep -qs "{_OURS}" $dev || return
    for line in ${{(f)"$($dev completion words "${{(@Q)words[2,CURRENT]}}" 2>/dev/null)"}}; do
        found+=("${{${{line%%$'\\t'*}}//:/\\\\:}}:${{line#*$'\\t'}}")
    done
    if (( $#found )); then _describe dev found; else _files; fi
}}
compdef _dev_completion dev
"""

_FISH = f"""\
# Completion of ./dev for fish. In ~/.config/fish/config.fish:
#   /PATH/TO/CHECKOUT/dev completion fish | source
function __dev_completion
    set -l typed (commandline -opc)
    grep -qs "{_OURS}" $typed[1]; or return
    command $typed[1] completion words $typed[2..-1] (commandline -ct) 2>/dev/null
end
complete -c dev -f -a '(__dev_completion)'
"""

# The script of each shell.
SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def candidates(
    words: Sequence[str],
    commands: Mapping[str, str],
    options: argparse.ArgumentParser,
    parser: Callable[[str], argparse.ArgumentParser],
) -> list[tuple[str, str]]:
    """The candidates for the last of `words`, each with a description.

    `commands` are names with their summaries, `options` the options before a command, `parser`
    gives a command's parser. The `completes` of an argument returns its values.
    """
    *before, last = _whole(words) or [""]
    at = _command_at(before, options)
    if at is None:
        names = {**commands, "help": "show the help of a command"}
        found = _of_parser(options, before, last) or list(names.items())
    elif before[at] == "help":
        found = list(commands.items())
    elif before[at] in commands:
        found = _of_parser(parser(before[at]), before[at + 1 :], last)
    else:
        found = []
    return [(word, about) for word, about in found if word.startswith(last)]


def services() -> list[str]:
    """The services of docker-compose.yml, read without a YAML library."""
    block = re.search(
        r"^services:\n((?:[ #\n].*\n?)*)", texts.read(ROOT / "docker-compose.yml"), re.M
    )
    return re.findall(r"^  ([\w-]+):", block.group(1), re.M) if block else []


def _whole(words: Sequence[str]) -> list[str]:
    """Undo bash's splitting of `--engine=compose`: drop the `=`."""
    whole = [word for word in words if word != "="]
    return [*whole, ""] if words and words[-1] == "=" else whole


def _command_at(before: Sequence[str], options: argparse.ArgumentParser) -> int | None:
    """The index of the command; None if there is none yet."""
    awaiting = False
    for number, word in enumerate(before):
        if awaiting or word.startswith("-"):
            awaiting = not awaiting and _takes_value(options, word)
        else:
            return number
    return None


def _of_parser(
    parser: argparse.ArgumentParser,
    before: Sequence[str],
    last: str,
) -> list[tuple[str, str]]:
    """The options, the values of the preceding option, or those of the positional argument."""
    by_option = {text: action for action in parser._actions for text in action.option_strings}
    if before and _takes_value(parser, before[-1]):
        return _values_of(by_option[before[-1]])
    name, equals, _ = last.partition("=")
    if equals and name in by_option:
        return [(f"{name}={word}", "") for word, _ in _values_of(by_option[name])]
    if last.startswith("-") and "--" not in before:
        return [
            (text, action.help or "")
            for text, action in by_option.items()
            if text.startswith("--") and text not in before
        ]
    given = sum(
        not word.startswith("-") and not (number and _takes_value(parser, before[number - 1]))
        for number, word in enumerate(before)
    )
    places = [action for action in parser._actions if not action.option_strings]
    if not places or (given >= len(places) and places[-1].nargs not in ("*", "+")):
        return []
    return _values_of(places[min(given, len(places) - 1)])


def _values_of(action: argparse.Action) -> list[tuple[str, str]]:
    work = getattr(action, "completes", tuple)
    return [(str(choice), "") for choice in action.choices or work()]


def _takes_value(parser: argparse.ArgumentParser, word: str) -> bool:
    """Whether the word after the option `word` is its value."""
    return any(word in action.option_strings and action.nargs != 0 for action in parser._actions)

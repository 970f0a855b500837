"""An environment as values: parsed and judged by the contract."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .contract import (
    CONTRACT,
    GUESSABLE,
    PASSWORDS,
    PRODUCTION_DEFAULTS,
    REFUSED_IN_PRODUCTION,
    REFUSED_WHERE_SERVED,
    REQUIRED_WITH,
    SETTINGS,
    Refusal,
    Variable,
)

BY_NAME = {variable.name: variable for variable in CONTRACT}
_ROLE_ALONE = re.compile(r"(?P<role>[a-z]+://(?P<name>\w+))@")
# What the emulators are given for keys.
TEST_CREDENTIALS = frozenset({"test", "testing"})


class EnvironmentProblems(Exception):
    """The environment cannot be used; the text lists every problem and its remedy.

    Args:
        text: what is printed.
        problems: each problem by itself, beginning with the variable's name.
        passing: whether a later start may succeed with the same variables.
    """

    def __init__(self, text: str, problems: Iterable[str] = (), *, passing: bool = False) -> None:
        super().__init__(text)
        self.problems = list(problems) or [text]
        self.passing = passing


class Environment(Mapping[str, Any]):
    """The parsed values of one mode, by variable name; `mode` names the mode."""

    def __init__(self, mode: str, values: dict[str, Any]) -> None:
        self.mode = mode
        self._values = values

    def __getitem__(self, name: str) -> Any:
        if name not in self._values and name not in BY_NAME:
            raise KeyError(
                f"{name} is not declared: add a Variable to backend/core/env/contract.py"
            )
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def read(
    source: Mapping[str, str],
    names: Container[str] | None = None,
    readers: Collection[str] = ("backend",),
    *,
    serves: bool = False,
) -> Environment:
    """Parse and validate every variable the backend reads, or those of `names` alone.

    Args:
        source: the environment, name to text. Empty text counts as unset; then NAME_FILE may
            name a file that holds the value, as mounted secrets do. A URL that names a role
            and no password gets that of PASSWORDS.
        readers: whose variables; see `Variable.reader`.
        serves: True for web and worker, of which production demands more.

    Raises:
        EnvironmentProblems: naming all problems at once, each with an example.
    """
    mode = mode_of(source)
    values: dict[str, Any] = {}
    problems: list[str] = []
    lenders: dict[str, str] = {}  # the variable that the password of a URL is from
    for variable in CONTRACT:
        wanted = variable.reader in readers and (names is None or variable.name in names)
        if not wanted and variable.name not in lenders.values():
            continue
        try:
            raw = given(variable, source) or default(variable, mode)
            if raw and (lender := password_variable(raw)):
                lenders[variable.name] = lender.name
                raw = with_password(raw, given(lender, source) or default(lender, mode) or "")
        except OSError as error:
            problems.append(_problem(variable, mode, f"cannot be read from its file: {error}"))
            continue
        if raw is None:
            problems.append(_problem(variable, mode, "is not set"))
            continue
        try:
            values[variable.name] = variable.parse(raw)
        except ValueError as error:
            shown = "" if variable.secret else f" ({raw!r})"
            problems.append(_problem(variable, mode, f"{error}{shown}"))
    for name, needs, others in REQUIRED_WITH:
        if name in values and needs(values[name]):
            problems += [
                _problem(BY_NAME[other], mode, f"is not set, and {name}={values[name]} needs it")
                for other in others
                if other in values and not values[other]
            ]
    if mode == "production":
        for name, is_refused, reason in refusals(serves):
            if reason is GUESSABLE and name in lenders:
                continue  # said of the variable that the password is from
            if name in values and is_refused(values[name]):
                problems.append(_problem(BY_NAME[name], mode, f"{reason}: refused in production"))
        problems += [
            f"{name} {reason}: refused in production\n      unset {name}"
            for name, reason in emulation(source)
        ]
        if source.get("DEBUG", "").lower() not in ("", "0", "false", "no", "off"):
            problems.append("DEBUG is set: error pages would show settings and code; remove it")
    if problems:
        raise EnvironmentProblems(report(SETTINGS[mode], problems), problems)
    return Environment(mode, values)


def password_variable(url: str) -> Variable | None:
    """Return the variable that completes a URL with a role and no password; None for others."""
    found = _ROLE_ALONE.match(url)
    return BY_NAME.get(PASSWORDS.get(found["name"], "")) if found else None


def with_password(url: str, password: str) -> str:
    """Return such a URL with the password, encoded."""
    return _ROLE_ALONE.sub(lambda found: f"{found['role']}:{quote(password, safe='')}@", url, 1)


def emulation(source: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what is set in `source` for an emulator of AWS: variable and reason.

    Emulators sign tokens with a key that everybody knows, and check hardly any signature.
    """
    found = []
    for name, value in sorted(source.items()):
        if value and (name.startswith("AWS_ENDPOINT_URL") or name == "AWS_S3_PUBLIC_ENDPOINT_URL"):
            found.append((name, "leads away from AWS"))
        if name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") and value in TEST_CREDENTIALS:
            found.append((name, "is an emulator's credential"))
    return found


def mode_of(source: Mapping[str, str]) -> str:
    """Return the one of MODES whose settings DJANGO_SETTINGS_MODULE names.

    Raises:
        EnvironmentProblems: when it names none.
    """
    module = source.get("DJANGO_SETTINGS_MODULE", "")
    for mode, name in SETTINGS.items():
        if module == name:
            return mode
    fault = f"is {module!r}" if module else "is not set"
    choices = "\n".join(f"    {name}" for name in SETTINGS.values())
    raise EnvironmentProblems(
        f"DJANGO_SETTINGS_MODULE {fault}. Choose one of:\n{choices}\n"
        "The stack sets it by itself; elsewhere:\n"
        f"    export DJANGO_SETTINGS_MODULE={SETTINGS['local']}"
    )


def given(variable: Variable, source: Mapping[str, str]) -> str:
    """Return the text given for a variable, by value or by file, or nothing.

    Raises:
        OSError: when the file it is in cannot be read.
    """
    if value := source.get(variable.name, ""):
        return value
    file = source.get(f"{variable.name}_FILE", "")
    return Path(file).read_text().strip() if file else ""


def default(variable: Variable, mode: str) -> str | None:
    """Return the text that counts in `mode` when none is given; None where one must be."""
    if mode in variable.required_in:
        return None
    if mode == "production":
        return PRODUCTION_DEFAULTS.get(variable.name, variable.default)
    return variable.default


def report(settings: str, problems: list[str]) -> str:
    """Return the text of EnvironmentProblems for a settings module."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = "\n".join(f"  - {problem}" for problem in problems)
    return (
        f"{count} in the environment for {settings}:\n{lines}\n"
        "Every variable is described in .env.example."
    )


def _problem(variable: Variable, mode: str, fault: str) -> str:
    return f"{variable.name} {fault}\n      {remedy(variable, mode)}"


def remedy(variable: Variable, mode: str) -> str:
    """Return what to set instead, which `mode` accepts."""
    example = variable.example.replace("{random}", secrets.token_urlsafe(48))
    if mode == "production" and _is_refused(variable, example):
        example = default(variable, mode) or ""
    return f"e.g. {variable.name}={example}" if example else f"unset {variable.name}"


def refusals(serves: bool) -> tuple[Refusal, ...]:
    """Return what production refuses, in processes that serve or in others."""
    return REFUSED_IN_PRODUCTION + (REFUSED_WHERE_SERVED if serves else ())


def _is_refused(variable: Variable, value: str) -> bool:
    return any(
        is_refused(variable.parse(value))
        for name, is_refused, _reason in REFUSED_IN_PRODUCTION
        if name == variable.name
    )

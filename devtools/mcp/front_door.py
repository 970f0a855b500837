"""./dev of this checkout, as the tools call it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from ..checkout import Checkout
from ..errors import DevError, Problem
from ..process import Result

LONG = 1800  # seconds for what may install, build or test


class FrontDoor:
    """Runs commands of ./dev on one engine."""

    def __init__(self, checkout: Checkout, engine: str) -> None:
        self.checkout = checkout
        self._engine = ["--engine", engine] if engine else []

    def answer(self, *words: str, timeout: float = 120) -> Any:
        """The answer of a command with --json. Raises DevError with its problems."""
        done = self.run(*words, "--json", timeout=timeout)
        try:
            found = json.loads(done.output)
        except ValueError:
            raise _failed(words, done) from None
        if isinstance(found, dict) and "problems" in found:
            raise DevError.of(Problem(**one) for one in found["problems"])
        return found

    def objects(self, *words: str) -> list[dict[str, Any]]:
        """The objects that a command with --json prints, one on each line."""
        return [json.loads(line) for line in self.output(*words, "--json").splitlines()]

    def management(self, *arguments: str) -> Any:
        """What a management command of web prints as JSON, run with web's rights."""
        printed = self.output("exec", "web", "python", "manage.py", *arguments)
        return json.loads(printed.strip().rpartition("\n")[2])

    def output(self, *words: str) -> str:
        """The output of a command. Raises DevError if it fails."""
        done = self.run(*words)
        if not done.ok:
            raise _failed(words, done)
        return done.output

    def run(self, *words: str, timeout: float = 120) -> Result:
        """Run a command and return its result."""
        command = [sys.executable, str(self.checkout.root / "dev"), *self._engine, *words]
        return self.checkout.run(command, timeout=timeout)


def _failed(words: Sequence[str], done: Result) -> DevError:
    return DevError(f"./dev {words[0]} failed: {(done.errors or done.output).strip()[-1500:]}")

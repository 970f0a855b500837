"""Locking the requirements: requirements/*.in to requirements/*.txt, by uv."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from .checkout import Checkout
from .errors import DevError
from .process import capture
from .terminal import Terminal

DIRECTORY = "requirements"
# The oldest Python that a host may have; the locks are valid for newer ones and all platforms.
PYTHON = "3.11"

_COMPILE = (
    *("-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", PYTHON),
    *("--generate-hashes", "--no-emit-index-url", "--custom-compile-command", "./dev lock"),
)


def write(checkout: Checkout, python: Path, terminal: Terminal, *, upgrade: bool = False) -> bool:
    """Write every lock; versions change only if necessary, or all with `upgrade`.

    Returns whether any lock changed. Raises DevError if the requirements contradict
    each other.
    """
    directory = checkout.root / DIRECTORY
    before = _locks(directory)
    for source in _sources(directory):
        with terminal.step(f"locking {DIRECTORY}/{source.name}"):
            _compile(checkout, python, source, upgrade)
    return _locks(directory) != before


def outdated(checkout: Checkout, python: Path, terminal: Terminal) -> list[str]:
    """The names of the locks that `write` would change."""
    directory = checkout.root / DIRECTORY
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / DIRECTORY
        shutil.copytree(directory, copy)
        with terminal.step("comparing the locks with their sources"):
            for source in _sources(copy):
                _compile(checkout, python, source, upgrade=False)
        return [lock.name for lock in sorted(copy.glob("*.txt")) if not _same(lock, directory)]


def _sources(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.in"))


def _locks(directory: Path) -> dict[str, bytes]:
    return {lock.name: lock.read_bytes() for lock in directory.glob("*.txt")}


def _compile(checkout: Checkout, python: Path, source: Path, upgrade: bool) -> None:
    lock = source.with_suffix(".txt").name
    command = [str(python), *_COMPILE, "-o", lock, source.name]
    done = capture(
        [*command, *(["--upgrade"] if upgrade else [])],
        # uv records in the lock which file requires a package, relative to its working directory.
        directory=source.parent,
        environment=checkout.variables,
        timeout=600,
    )
    if not done.ok:
        raise DevError(f"{source.name} cannot be locked: {done.last_words}", done.errors.strip())


def _same(lock: Path, directory: Path) -> bool:
    other = directory / lock.name
    return other.is_file() and lock.read_bytes() == other.read_bytes()

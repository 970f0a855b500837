"""Locking the requirements: requirements/*.in to requirements/*.txt, by uv."""

from __future__ import annotations

import filecmp
import itertools
import re
import shutil
import tempfile
from pathlib import Path

from .checkout import Checkout
from .errors import Problem
from .process import capture
from .terminal import Terminal

DIRECTORY = "requirements"
# Everything, in one resolution: all other locks are parts of it, so that they agree.
WHOLE = "tools"
# By itself: its packages contradict the others.
ALONE = "cloud"
# The oldest Python that a host may have; the locks are valid for newer ones and all platforms.
PYTHON = "3.11"

NEWEST_PYTHON = "3.14"
# Where every package must have a wheel, as uv and as people call it. glibc as in Debian 10.
PLATFORMS = {
    "x86_64-manylinux_2_28": "Linux x86-64",
    "aarch64-manylinux_2_28": "Linux arm64",
    "aarch64-apple-darwin": "macOS arm64",
}

_WHEELS = (
    *("-m", "uv", "pip", "install", "--quiet", "--dry-run", "--no-deps", "--require-hashes"),
    *("--only-binary", ":all:"),
)
# What uv writes before the reason.
_REASON = re.compile(r"\A.*?(?:cause|╰─▶) ?:? ?|(?: and you require |^hint:).*", re.DOTALL | re.M)
_COMPILE = (
    *("-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", PYTHON),
    *("--generate-hashes", "--no-emit-index-url", "--custom-compile-command", "./dev lock"),
)


def write(
    checkout: Checkout,
    python: Path,
    terminal: Terminal,
    *,
    upgrade: bool = False,
    dry_run: bool = False,
) -> list[str]:
    """Write every lock; versions change only if necessary, or all with `upgrade`.

    Returns the names of those that changed, or would if it were no `dry_run`. Raises DevError if
    the requirements contradict each other.
    """
    directory = checkout.root / DIRECTORY
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary) / DIRECTORY
        shutil.copytree(directory, made)
        whole = made / f"{WHOLE}.in"
        for source in sorted(made.glob("*.in"), key=lambda path: (path != whole, path)):
            lock = source.with_suffix(".txt")
            with terminal.step(f"locking {DIRECTORY}/{source.name}"):
                alone = source == whole or source.stem == ALONE
                if not alone and whole.exists():
                    # uv keeps the versions that it finds in the file it writes.
                    shutil.copyfile(whole.with_suffix(".txt"), lock)
                _compile(checkout, python, source, upgrade and alone)
        locks = sorted(lock.name for lock in made.glob("*.txt"))
        _same, changed, absent = filecmp.cmpfiles(made, directory, locks, shallow=False)
        differing = [*changed, *absent]
        for name in [] if dry_run else differing:
            shutil.copyfile(made / name, directory / name)
    return differing


def without_wheels(checkout: Checkout, python: Path, terminal: Terminal) -> list[Problem]:
    """The platforms on which a locked package would have to be compiled, each with the reason.

    Asks the package index; downloads nothing but descriptions. PostgreSQL and Valkey are packages.
    """
    locks = [
        lock for lock in (WHOLE, ALONE) if (checkout.root / DIRECTORY / f"{lock}.txt").exists()
    ]
    found = []
    with terminal.step("looking for wheels"), tempfile.TemporaryDirectory() as nothing:
        for name, platform, version in itertools.product(locks, PLATFORMS, (PYTHON, NEWEST_PYTHON)):
            lock = Path(DIRECTORY) / f"{name}.txt"
            place = ["--python-platform", platform, "--python-version", version]
            done = checkout.run(
                [str(python), *_WHEELS, *place, "--target", nothing, "-r", str(lock)], timeout=600
            )
            if not done.ok:
                what = " ".join(_REASON.sub("", done.errors).split())
                found.append(
                    Problem(
                        f"{lock}: {PLATFORMS[platform]}, Python {version}: {what}",
                        f"choose a version with wheels in {DIRECTORY}/*.in, or leave the package"
                        " out there by a marker: ; sys_platform != 'darwin'",
                    )
                )
    return found


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
    done.must(f"{source.name} cannot be locked", done.errors.strip())

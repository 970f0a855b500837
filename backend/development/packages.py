"""What this environment lacks of the packages that are locked, and how it gets them.

    python -m development.packages           # print each that differs; exit status 3 if one does
    python -m development.packages install   # install what is locked, and note that it was asked
    python -m development.packages start     # before a process: install what was asked for

Each container has separate packages. `./dev up` in the dev container installs them there; the
note, a file of the checkout that all containers share, has the others do the same as they start.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NOTE = ROOT / ".dev" / "packages"

DIFFERS = 3  # not what Python itself ends with

# A name, its version and, where it is not for every machine, for which.
_LOCKED = re.compile(r"^([\w.-]+)==([^\s;\\]+)( *;)?", re.MULTILINE)


def lock() -> Path:
    """Return the lock of this environment; .venv may have more than a start needs."""
    own = Path(sys.prefix).resolve() == (ROOT / ".venv").resolve()
    return ROOT / "requirements" / ("embedded.txt" if own else "test.txt")


def differences() -> list[str]:
    """Return what is locked and not installed here, as `name version`."""
    try:
        return list(compare(lock().read_text("utf-8"), installed()))
    except FileNotFoundError:
        return []


def compare(locked: str, present: Mapping[str, str]) -> Iterator[str]:
    """Yield what a lock has and `present`, version by name, has not."""
    # One that is locked more than once has a version for each of several Pythons.
    versions: dict[str, list[str]] = {}
    optional = set()
    for name, version, condition in _LOCKED.findall(locked):
        versions.setdefault(normal(name), []).append(version)
        if condition:
            optional.add(normal(name))
    for name, locked_versions in versions.items():
        here = present.get(name)
        wanted = f"{name} {' or '.join(locked_versions)}"
        if here is None and name not in optional:
            yield wanted
        elif here is not None and here not in locked_versions:
            yield f"{wanted} (here {here})"


def locked_names(locked: str) -> set[str]:
    """Return the normalised names of the packages of a lock."""
    return {normal(name) for name, _version, _condition in _LOCKED.findall(locked)}


def installed() -> dict[str, str]:
    """Return the version of each installed package, by its normalised name.

    By the names of their directories: reading what is in them takes a hundred times as long.
    """
    found = {}
    for place in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for directory in Path(place).glob("*.dist-info"):
            name, _, version = directory.name.removesuffix(".dist-info").rpartition("-")
            found[normal(name)] = version
    return found


def install() -> int:
    """Make this environment what is locked, and note that; return the installer's exit status."""
    status = _sync()
    if status == 0:
        NOTE.parent.mkdir(exist_ok=True)
        NOTE.write_text(_digest())
    return status


def start() -> None:
    """Install what is missing if that was asked for, of this very lock; else say what is."""
    if not (missing := differences()):
        return
    if _noted() == _digest():
        _say("installing what `./dev up` installed in the dev container")
        if _sync() == 0:
            return
    _say(sentence(missing))


def sentence(missing: list[str]) -> str:
    """Return what is wrong where `missing` is, with the remedy."""
    where = lock().relative_to(ROOT)
    return f"{where} locks what is not installed here: {', '.join(missing)}; install it: ./dev up"


def asked() -> int:
    """Return a number that is another one after each time that somebody asked to install."""
    try:
        return NOTE.stat().st_mtime_ns
    except OSError:
        return 0


def _sync() -> int:
    return subprocess.run(
        [
            *(sys.executable, "-m", "uv", "pip", "sync", "--require-hashes"),
            *("--compile-bytecode", "--link-mode", "copy"),
            *("--python", sys.executable, str(lock())),
        ],
        check=False,
    ).returncode


def _noted() -> str:
    try:
        return NOTE.read_text()
    except OSError:
        return ""


def _digest() -> str:
    return hashlib.sha256(lock().read_bytes()).hexdigest()


def normal(name: str) -> str:
    """Return the name of a package as all its spellings are compared."""
    # https://packaging.python.org/en/latest/specifications/name-normalization/
    return re.sub(r"[-_.]+", "-", name).lower()


def _say(text: str) -> None:
    print(f"packages: {text}", file=sys.stderr, flush=True)


def main(arguments: list[str]) -> int:
    """Run one of the commands above; return the exit status."""
    match arguments:
        case []:
            missing = differences()
            for line in missing:
                print(line)
            return DIFFERS if missing else 0
        case ["install"]:
            return install()
        case ["start"]:
            start()
            return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

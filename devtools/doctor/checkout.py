"""The checkout: `.env`, the declared variables, files."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from ..contract import drift as audit
from ..declared import variables
from ..errors import Problem
from ..preflight import files
from .check import Confirm, Result, State, check, of, ok, warning, wrong
from .context import Context, NotApplicable


@check
def environment_file(context: Context) -> Result:
    """Is `.env` valid, and safe to append to?"""
    dotenv = context.checkout.dotenv
    if dotenv.problems or dotenv.warnings:
        state = State.WRONG if dotenv.problems else State.WARNING
        return of(dotenv.problems or dotenv.warnings, state=state)
    path = context.checkout.root / ".env"
    if not path.exists():
        return ok("no .env: the defaults apply")
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        return warning(
            ".env does not end with a newline: appended text would extend its last value",
            "./dev doctor --fix   or: echo >> .env",
        )
    return ok(f"variables set in .env: {len(dotenv.values)}")


@environment_file.fixed_by
def _end_with_a_newline(context: Context, confirm: Confirm) -> list[str]:
    path = context.checkout.root / ".env"
    if context.checkout.dotenv.problems or path.read_bytes().endswith(b"\n"):
        return []
    with context.checkout.writing(), path.open("ab") as file:
        file.write(b"\n")
    return ["added a newline at the end of .env"]


@check
def drift(context: Context) -> Result:
    """Do the declared variables, the code that reads them and the files that set them agree?"""
    if not (context.checkout.root / variables.FILE).exists():
        raise NotApplicable(f"there is no {variables.FILE}")
    python = context.engine.python_with(*variables.MODULES)
    if python is None:
        raise NotApplicable("no Python has the needed packages; to install them: ./dev env --check")
    evidence = audit.gather(context.checkout, python)
    found = audit.findings(evidence)
    return of([finding.problem for finding in found], audit.summary(evidence))


@check
def line_endings(context: Context) -> Result:
    """Do all scripts end their lines with LF?"""
    found = files.windows_line_endings(context.checkout)
    return of(found, "every script has Unix line endings")


@line_endings.fixed_by
def _convert_line_endings(context: Context, confirm: Confirm) -> list[str]:
    root = context.checkout.root
    changed = files.with_windows_ends(root)
    for path in changed:
        with context.checkout.writing():
            path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n"))
    return [f"gave {path.relative_to(root)} Unix line endings" for path in changed]


@check
def permissions(context: Context) -> Result:
    """Are scripts executable, and files readable by the containers' users?"""
    names = [str(path.relative_to(context.checkout.root)) for path in _not_executable(context)]
    found = [Problem(f"{one} is not executable", f"chmod +x {shlex.quote(one)}") for one in names]
    # Processes of the embedded engine run as you and can read everything that you can.
    found += files.unreadable(context.checkout) if context.composed else []
    return of(found, "scripts are executable, and mounted files are readable")


@permissions.fixed_by
def _permit(context: Context, confirm: Confirm) -> list[str]:
    root = context.checkout.root
    done = []
    with context.checkout.writing():
        for path in _not_executable(context):
            path.chmod(path.stat().st_mode | 0o111)
            done.append(f"made {path.relative_to(root)} executable")
        closed = files.closed_to_others(root) if context.composed else {}
        for name, paths in closed.items():
            for path in paths:
                path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
            done += [f"made {len(paths)} files of {name} readable"] if paths else []
    return done


def _not_executable(context: Context) -> list[Path]:
    """The scripts that are not executable: copying through another system may lose the mode."""
    root = context.checkout.root
    scripts = [root / "dev", *sorted(root.glob("backend/bin/*"))]
    return [path for path in scripts if path.is_file() and not path.stat().st_mode & 0o100]


# Large directories that are recreated rather than edited.
_NOT_LOOKED_INTO = {".venv", "node_modules", "__pycache__"}
# The data of the embedded engine's PostgreSQL, which runs as another user if you are root.
_OF_OTHERS = {"data"}


@check
def ownership(context: Context) -> Result:
    """Do you own every file?

    Commands run with sudo, and containers that run as root, leave files that you cannot edit.
    """
    if os.getuid() == 0:
        raise NotApplicable("you are root, who can write every file")
    root = context.checkout.root
    others = [path for path in _files(root) if path.lstat().st_uid != os.getuid()]
    if not others:
        return ok("you own every file")
    first = others[0].relative_to(root)
    count = f" and {len(others) - 1} more" if len(others) > 1 else ""
    return wrong(
        f"you do not own {first}{count}",
        f"sudo chown -R $(id -u):$(id -g) {shlex.quote(str(root))}",
    )


def _files(root: Path) -> Iterator[Path]:
    for parent, directories, names in os.walk(root):
        skipped = _NOT_LOOKED_INTO | (_OF_OTHERS if Path(parent) == root / ".dev" else set())
        directories[:] = [name for name in directories if name not in skipped]
        yield from (Path(parent, name) for name in (*directories, *names))

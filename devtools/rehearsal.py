"""Rehearsing a release: a copy of the database, the code before, and who runs manage.py rehearse.

The copy is a database of the same cluster, dumped and restored, so that no session of the stack is
closed. It and the folder of the code before have one name each: the next run removes those of a
run that was killed.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

from .checkout import Checkout
from .database import query
from .engines.base import Engine
from .errors import DevError
from .process import Result, hand_over
from .production.stack import ProductionStack
from .repository import git
from .terminal import Terminal

FOLDER = "rehearsal"
_COPIED_WITHIN = 24 * 3600  # seconds
# Engines set PGUSER and PGDATABASE; production's container has the variables of its image.
_BEGIN = """set -eu
export PGUSER="${PGUSER:-$POSTGRES_USER}" PGDATABASE="${PGDATABASE:-$POSTGRES_DB}"
copy="$PGDATABASE@@rehearsal"
sql() { psql --no-psqlrc --quiet --no-align --tuples-only --set ON_ERROR_STOP=1 "$@"; }
sql --dbname postgres --command "DROP DATABASE IF EXISTS \\"$copy\\" WITH (FORCE)"
"""
_COPY = """
owner=$(sql --command 'SELECT quote_ident(pg_get_userbyid(datdba)) FROM pg_database
    WHERE datname = current_database()')
sql --dbname postgres --command "CREATE DATABASE \\"$copy\\" OWNER $owner TEMPLATE template0"
pg_dump --format custom --compress 0 |
    pg_restore --exit-on-error --transaction-size 1000 --dbname "$copy"
printf '%s' "$copy"
"""
_NOT_REHEARSED = ("the release was not rehearsed", "./dev logs db")
_APPLIED = "SELECT app || '/migrations/' || name || '.py' FROM public.django_migrations"


def rehearse(engine: Engine, terminal: Terminal, commit: str, options: Sequence[str]) -> int:
    """Rehearse the release of this checkout's code; return 1 if it is unsafe."""
    checkout = engine.checkout
    if not any(query(engine, "SELECT to_regclass('public.django_migrations')")):
        raise DevError("the database has no release yet", "make it: ./dev up")
    commit = commit or _before(checkout, query(engine, _APPLIED))
    if not git(checkout, "rev-parse", "--verify", f"{commit}^{{commit}}", fails=True):
        remedy = "name one whose code serves this database: ./dev release --rehearse --old COMMIT"
        raise DevError(f"there is no commit {commit}", remedy)
    folder = _folder(checkout)
    packed = folder / "code.tar"
    terminal.say(f"  the code before: {git(checkout, 'log', '-1', '--format=%h %s', commit)}")
    git(checkout, "archive", "--output", str(packed), commit, "backend")
    unpack = ["tar", "--extract", "--file", str(packed), "--directory", str(folder)]
    checkout.run(unpack).must(*_NOT_REHEARSED)
    old = f"../{folder.relative_to(checkout.root)}/backend"
    return _on_copy(
        functools.partial(engine.in_database, timeout=_COPIED_WITHIN),
        terminal,
        folder,
        lambda copy: engine.manage(["rehearse", copy, "--old", old, *options]),
    )


def rehearse_production(stack: ProductionStack, terminal: Terminal, options: Sequence[str]) -> int:
    """Rehearse the release of the image that `roll` would start; the code before is web's."""
    web, *_ = stack.running("web")["web"]
    folder = _folder(stack.checkout)
    stack.docker("cp", f"{web}:/app/backend", str(folder))
    shell = ("exec", "-T", "db", "sh", "-c")
    in_database = functools.partial(stack.compose, *shell, timeout=_COPIED_WITHIN)

    def run(copy: str) -> int:
        place = ["run", "--rm", "-T", "--no-deps", "--volume", f"{folder}:/before:ro"]
        work = ["python", "manage.py", "rehearse", copy, "--old", "/before/backend"]
        return hand_over(
            [*stack.command, *place, "migrate", *work, *options],
            directory=stack.checkout.root,
            environment=stack.checkout.variables,
        )

    return _on_copy(in_database, terminal, folder, run)


def _on_copy(
    in_database: Callable[[str], Result],
    terminal: Terminal,
    folder: Path,
    run: Callable[[str], int],
) -> int:
    try:
        with terminal.step("copying the database"):
            copy = in_database(_BEGIN + _COPY).must(*_NOT_REHEARSED).output.strip()
        return run(copy)
    finally:
        in_database(_BEGIN)
        shutil.rmtree(folder)


def _before(checkout: Checkout, applied: Sequence[str]) -> str:
    """The commit before the first that added a migration which the database lacks, else HEAD."""
    there = checkout.root.glob("backend/*/migrations/[0-9]*.py")
    known = {f"backend/{path}" for path in applied}
    pending = sorted({str(path.relative_to(checkout.root)) for path in there} - known)
    log = ("log", "--reverse", "--diff-filter=A", "--format=%H", "--")
    added = git(checkout, *log, *pending, fails=True).split() if pending else []
    return f"{added[0]}^" if added else "HEAD"


def _folder(checkout: Checkout) -> Path:
    folder = checkout.state / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder

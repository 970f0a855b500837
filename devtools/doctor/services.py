"""The stack while it is up: health, packages, migrations, AWS emulators."""

from __future__ import annotations

from collections.abc import Mapping

from .. import emulators as emulator
from .. import health
from ..environment import not_installed
from ..errors import NoAnswer, Problem
from ..health import CODE, MIGRATIONS, OF_MIGRATIONS, UNKNOWN_MIGRATIONS
from ..services import EMULATORS, WEB
from ..status import StackStatus
from .check import Result, State, check, of, ok, wrong
from .context import Context, NotApplicable

PATIENCE = 15  # seconds


@check
def services(context: Context) -> Result:
    """Is every service healthy, and every dependency that web reports?"""
    status = context.status
    failing = _but_migrations(status.failing)
    port = context.address(WEB)[1] if WEB not in failing else 0
    if status.health is None and port:
        # Retry with more time: a slow answer is not an error.
        answer = health.answer(port, PATIENCE)
        said = answer.failing if answer else {WEB: "it does not answer at its health address"}
        failing |= _but_migrations(said)
    late = status.health.late if status.health else {}
    if failing and failing.keys() <= late.keys():
        lines = "\n".join(f"{name}: {reason}" for name, reason in failing.items())
        raise NoAnswer(lines, "try again: ./dev doctor services")
    return of(
        [Problem(f"{name}: {why}", _remedy(status, name, why)) for name, why in failing.items()],
        f"{', '.join(one.name for one in status.services)} are healthy",
    )


def _remedy(status: StackStatus, name: str, reason: str) -> str:
    started = {one.name: one.since for one in status.services if not one.healthy or one.name == WEB}
    if name not in started:
        return health.remedy(name, reason)
    return f"./dev logs {name}   and then ./dev restart {name}" if started[name] else "./dev up"


def _but_migrations(failing: Mapping[str, str]) -> dict[str, str]:
    # The check `migrations` reports them, with its remedies.
    return {name: reason for name, reason in failing.items() if name not in OF_MIGRATIONS}


@check
def packages(context: Context) -> Result:
    """Is a locked package missing from web's Python, or installed in another version?"""
    _ = context.status  # raises NotApplicable if the stack is down
    if missing := context.engine.missing_packages():
        return of([not_installed(context.engine.lock, missing)], state=State.WARNING)
    return ok(f"web has the packages of {context.engine.lock}")


# Migrating back needs the migration's file (on its branch) or a snapshot from before.
AHEAD = """\
./dev snapshot list   if one is from before the migration: ./dev snapshot restore NAME
or git switch BRANCH-THAT-HAS-IT, ./dev manage migrate APP MIGRATION-BEFORE-IT, git switch -
or, if it failed and its file is gone: ./dev up
or, if a squash was reverted, forget its record: ./dev manage migrate APP --prune
or use a stack for each branch: ./dev worktree add BRANCH"""


@check
def migrations(context: Context) -> Result:
    """Are migrations pending, unknown or not made? Only the application knows."""
    said = context.status.health
    if said is None:
        raise NotApplicable("web does not answer, and only web can compare migrations")
    if MIGRATIONS not in said.checks:
        raise NotApplicable("web does not report migrations")
    late = said.late.keys() & set(OF_MIGRATIONS)
    if late:
        raise NoAnswer(said.late[min(late)], "try again: ./dev doctor migrations")
    pending = said.failing.get(MIGRATIONS)
    if pending and pending == said.failing.get("database"):
        raise NotApplicable("web cannot use the database: see services")
    if pending:
        return wrong(pending, health.remedy(MIGRATIONS, pending) or "./dev migrate")
    unknown = said.failing.get(UNKNOWN_MIGRATIONS) or said.failing.get(CODE)
    if unknown:
        finding, _, command = unknown.partition("; run: ")
        return wrong(finding, AHEAD if "doctor" in command else command)
    if unmigrated := context.engine.unmigrated():
        return of([unmigrated], state=State.WARNING)
    return ok(f"public and {len(context.status.tenants)} tenants are up to date")


@check
def emulators(context: Context) -> Result:
    """Does each AWS emulator answer, and is it seeded?"""
    names = [one.name for one in context.status.services if one.name in EMULATORS]
    if not names:
        raise NotApplicable("the stack has no AWS services")
    answers = {name: emulator.ask(*context.address(name), EMULATORS[name]) for name in names}
    silent = " ".join(name for name, answer in answers.items() if answer is None)
    if silent:
        return wrong(f"no answer: {silent.replace(' ', ', ')}", f"./dev logs {silent}\n./dev up")
    empty = " ".join(name for name, answer in answers.items() if not emulator.filled(answer or ""))
    if empty:
        return wrong(
            f"not seeded: {empty}", f"./dev logs {empty}   shows the error\n./dev restart {empty}"
        )
    return ok(f"answering and seeded: {', '.join(names)}")

"""Do the database and the code have the same migrations, in every tenant?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import NoAnswer
from ..health import MIGRATIONS, UNKNOWN_MIGRATIONS
from .result import Result, not_applicable, ok, wrong

if TYPE_CHECKING:
    from .surroundings import Surroundings

# Migrating back needs the migration's file (on its branch) or a snapshot from before.
AHEAD = """\
./dev snapshot list   if one is from before the migration: ./dev snapshot restore NAME
or git switch BRANCH-THAT-HAS-IT, ./dev manage migrate APP MIGRATION-BEFORE-IT, git switch -
or, if a squash was reverted, forget its record: ./dev manage migrate APP --prune
or use a database for each branch: git worktree add ../NAME BRANCH, there ./dev up --auto-ports"""


def check(here: Surroundings) -> Result:
    """Are migrations pending or unknown? Web reports this, because only the application knows."""
    health = here.status.health
    if health is None:
        return not_applicable("web does not answer, and only web can compare migrations")
    if MIGRATIONS not in health.checks:
        return not_applicable("web does not report migrations")
    late = health.late.keys() & {MIGRATIONS, UNKNOWN_MIGRATIONS}
    if late:
        raise NoAnswer(health.late[min(late)], "try again: ./dev doctor migrations")
    pending = health.failing.get(MIGRATIONS)
    if pending:
        return wrong(pending, "./dev migrate")
    unknown = health.failing.get(UNKNOWN_MIGRATIONS)
    if unknown:
        finding, _, command = unknown.partition("; run: ")
        return wrong(finding, AHEAD if "doctor" in command else command)
    return ok(f"public and {len(here.status.tenants)} tenants are up to date")

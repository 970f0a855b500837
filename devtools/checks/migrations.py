"""Is the database as new as the code, in every tenant, and no newer?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import NoAnswer
from ..health import MIGRATIONS, UNKNOWN_MIGRATIONS
from .result import Result, not_applicable, ok, wrong

if TYPE_CHECKING:
    from .surroundings import Surroundings

# Going back needs the migration's file: the branch that has it, or the data of before.
AHEAD = """\
./dev snapshot list   if one is of before: ./dev snapshot restore NAME
or git switch BRANCH-THAT-HAS-IT, ./dev manage migrate APP MIGRATION-BEFORE-IT, git switch -
or, of a squash that was taken away again, forget it: ./dev manage migrate APP --prune
or keep a database for each branch: git worktree add ../NAME BRANCH, there ./dev up --auto-ports"""


def check(here: Surroundings) -> Result:
    """Are migrations pending or unknown? Only the application knows them, so web is asked."""
    health = here.status.health
    if health is None:
        return not_applicable("web does not answer, and only it knows the code's migrations")
    if MIGRATIONS not in health.checks:
        return not_applicable("web says nothing of migrations")
    late = health.late.keys() & {MIGRATIONS, UNKNOWN_MIGRATIONS}
    if late:
        raise NoAnswer(health.late[min(late)], "look again: ./dev doctor migrations")
    pending = health.failing.get(MIGRATIONS)
    if pending:
        return wrong(pending, "./dev migrate")
    unknown = health.failing.get(UNKNOWN_MIGRATIONS)
    if unknown:
        finding, _, command = unknown.partition("; run: ")
        return wrong(finding, AHEAD if "doctor" in command else command)
    return ok(f"public and {len(here.status.tenants)} tenants are as new as the code")

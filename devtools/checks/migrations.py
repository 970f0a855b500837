"""Is the database as new as the code, in every tenant?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..health import MIGRATIONS
from .result import Result, not_applicable, ok, wrong

if TYPE_CHECKING:
    from .surroundings import Surroundings


def check(here: Surroundings) -> Result:
    """Are migrations pending? Only the application knows them, so web is asked."""
    health = here.status.health
    if health is None:
        return not_applicable("web does not answer, and only it knows the code's migrations")
    if MIGRATIONS not in health.checks:
        return not_applicable("web says nothing of migrations")
    pending = health.failing.get(MIGRATIONS)
    if pending:
        return wrong(pending, "./dev migrate")
    return ok(f"public and {len(here.status.tenants)} tenants are as new as the code")

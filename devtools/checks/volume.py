"""Can the declared PostgreSQL read the database's data?

A major version cannot read the data of another, and 18 uses another directory, so it would
create an empty database next to the old one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .. import environment
from ..services import DATABASE
from .result import NotApplicable, Result, ok, wrong

if TYPE_CHECKING:
    from .surroundings import Surroundings

# The directory up to 17, and the one since 18.
_LOOK = "cat /found/PG_VERSION /found/*/docker/PG_VERSION 2>/dev/null; true"


def check(here: Surroundings) -> Result:
    """Does the data belong to the declared major version?"""
    wanted, written, name = _in_volume(here) if here.composed else _in_checkout(here)
    if not written:
        return ok(f"{name} contains no database yet; PostgreSQL {wanted} will create it")
    if wanted in written:
        return ok(f"{name} is of PostgreSQL {wanted}")
    return wrong(
        f"{name} was written by PostgreSQL {', '.join(map(str, written))}; "
        f"the stack runs {wanted}, which cannot read it",
        "keep what you need: start the old version with it and use pg_dumpall\n"
        "then create an empty database: ./dev down --volumes && ./dev up",
    )


def _in_volume(here: Surroundings) -> tuple[int, list[int], str]:
    """The declared version, the versions with data in the volume, the volume's name."""
    project = here.project
    if DATABASE not in project.services:
        raise NotApplicable(f"the stack has no service {DATABASE}")
    declared = project.services[DATABASE]
    version = re.search(r"postgres\D*:(\d+)", declared.image)
    if not version:
        raise NotApplicable(f"{declared.image} does not name a PostgreSQL version")
    volume = _mounted(here)
    if volume not in project.volumes():
        return int(version.group(1)), [], volume
    if here.database_runs:
        return int(version.group(1)), [int(version.group(1))], volume
    # Do not pull: a check must not wait for a download.
    look = ("run", "--rm", "--pull", "never", "--network", "none", "--entrypoint", "sh")
    mount = ("--volume", f"{volume}:/found:ro")
    found = project.docker(*look, *mount, declared.image, "-c", _LOOK, timeout=20)
    if not found.ok:
        raise NotApplicable(f"{volume} cannot be read: {found.last_words}")
    return int(version.group(1)), sorted(map(int, found.output.split())), volume


def _mounted(here: Surroundings) -> str:
    mounts = here.project.services[DATABASE].declaration.get("volumes") or ()
    names = [mount["source"] for mount in mounts if mount.get("type") == "volume"]
    if not names:
        raise NotApplicable(f"{DATABASE} does not use a volume for its data")
    return here.project.configuration["volumes"][names[0]]["name"]


def _in_checkout(here: Surroundings) -> tuple[int, list[int], str]:
    if not environment.installed(here.checkout):
        raise NotApplicable(".venv, with its PostgreSQL, does not exist yet")
    wanted, cluster = here.embedded.database_version()
    try:
        written = [int((cluster / "PG_VERSION").read_text())]
    except (OSError, ValueError):
        written = []
    return wanted, written, str(cluster.relative_to(here.checkout.root))

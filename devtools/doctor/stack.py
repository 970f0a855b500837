"""What a start of the stack uses: project name, ports, images, data; and what earlier ones left."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .. import environment, identity
from ..docker import image as images
from ..docker import project_owner, published_ports
from ..docker.project import Container
from ..errors import Problem
from ..services import DATABASE
from .check import Confirm, Result, State, check, of, ok, warning, wrong
from .context import Context, NotApplicable


@check
def project_name(context: Context) -> Result:
    """Does only this checkout use the Compose project name, and so the data?"""
    project = context.project
    shared = project_owner.problems(project)
    if not shared and (left := project_owner.left_behind(project)):
        return of(left, state=State.WARNING)
    return of(shared, f"only this checkout uses {project.name}")


@check
def ports(context: Context) -> Result:
    """Are the ports free, or used by the stack itself?"""
    if context.composed:
        found = [f"{port.service} {port.port}" for port in context.project.published()]
        taken, movable = published_ports.problems(context.project)
        return _of_ports(taken, movable, ", ".join(found))
    wanted = context.embedded.ports()
    if not wanted:
        raise NotApplicable("the ports are known once .venv exists: ./dev up")
    shown = ", ".join(f"{service} {port}" for service, port in wanted.items())
    taken, movable = context.embedded.taken_ports()
    return _of_ports(taken, movable, shown)


def _of_ports(taken: Sequence[Problem], movable: bool, shown: str) -> Result:
    # `up` replaces ports that were not chosen explicitly.
    state = State.WARNING if movable else State.WRONG
    return of(taken, f"free or used by the stack: {shown}", state)


@check
def image(context: Context) -> Result:
    """Does the image match the Dockerfile and the locks, and do the containers run it?"""
    project = context.project
    present = images.ids(project)
    built = [name for name in images.built_names(project) if name in present]
    if not built:
        raise NotApplicable("no image is built yet; to build it: ./dev up")
    stale = images.outdated(project, present)
    if stale:
        return wrong(
            f"{', '.join(stale)} was built from another Dockerfile or other requirements",
            "./dev up   rebuilds it and starts it; only to rebuild it: ./dev doctor --fix",
        )
    services = project.services
    old = [
        name
        for name, container in context.containers.items()
        if name in services and container.image_id != present.get(services[name].image)
    ]
    if old:
        return wrong(f"{', '.join(old)}: still running a replaced image", "./dev up")
    return ok(f"{', '.join(built)} is up to date")


@image.fixed_by
def _rebuild(context: Context, confirm: Confirm) -> list[str]:
    stale = images.outdated(context.project, images.ids(context.project))
    if stale:
        images.ensure(context.project, context.terminal)
    return [f"rebuilt {name}; to start it: ./dev up" for name in stale]


# The directory up to 17, and the one since 18.
_LOOK = "cat /found/PG_VERSION /found/*/docker/PG_VERSION 2>/dev/null; true"


@check
def volume(context: Context) -> Result:
    """Can the declared PostgreSQL read the database's data?

    A major version cannot read the data of another, and 18 uses another directory, so it would
    create an empty database next to the old one.
    """
    find = _in_volume if context.composed else _in_checkout
    wanted, written, name = find(context)
    if not written:
        return ok(f"{name} contains no database yet; PostgreSQL {wanted} will create it")
    if wanted in written:
        return ok(f"{name} is of PostgreSQL {wanted}")
    return wrong(
        f"{name} was written by PostgreSQL {', '.join(map(str, written))}; "
        f"the stack runs {wanted}, which cannot read it",
        "to keep its data: ./dev down && ./dev upgrade-db\n"
        "or create an empty database: ./dev down --volumes && ./dev up",
    )


def _in_volume(context: Context) -> tuple[int, list[int], str]:
    """The declared version, the versions with data in the volume, the volume's name."""
    project = context.project
    if DATABASE not in project.services:
        raise NotApplicable(f"the stack has no service {DATABASE}")
    declared = project.services[DATABASE]
    version = re.search(r"postgres\D*:(\d+)", declared.image)
    if not version:
        raise NotApplicable(f"{declared.image} does not name a PostgreSQL version")
    wanted, name = int(version.group(1)), _mounted(context)
    if name not in project.volumes():
        return wanted, [], name
    if context.database_runs:
        return wanted, [wanted], name
    # Do not pull: a check must not wait for a download.
    look = ("run", "--rm", "--pull", "never", "--network", "none", "--entrypoint", "sh")
    mount = ("--volume", f"{name}:/found:ro")
    found = project.docker(*look, *mount, declared.image, "-c", _LOOK, timeout=20)
    if not found.ok:
        raise NotApplicable(f"{name} cannot be read: {found.last_words}")
    return wanted, sorted(map(int, found.output.split())), name


def _mounted(context: Context) -> str:
    mounts = context.project.services[DATABASE].declaration.get("volumes") or ()
    names = [mount["source"] for mount in mounts if mount.get("type") == "volume"]
    if not names:
        raise NotApplicable(f"{DATABASE} does not use a volume for its data")
    return context.project.configuration["volumes"][names[0]]["name"]


def _in_checkout(context: Context) -> tuple[int, list[int], str]:
    if not environment.installed(context.checkout):
        raise NotApplicable(".venv, with its PostgreSQL, does not exist yet")
    wanted, written, cluster = context.embedded.database_version()
    return wanted, [written] if written else [], str(cluster.relative_to(context.checkout.root))


@check
def orphans(context: Context) -> Result:
    """Are there undeclared containers, processes without a supervisor, data without a checkout?"""
    if not context.composed:
        if leftover := context.embedded.runner.leftover:
            return of([leftover])
        lost = [
            Problem(
                f"{path} has the database of a checkout that is no longer in {root}",
                f"delete it, unless you moved the checkout: rm -r {path}",
            )
            for path, root in identity.lost_outside()
        ]
        return of(lost, "no orphaned process or database", State.WARNING)
    found = _orphans(context)
    if not found:
        return ok("no orphaned container")
    return warning(
        f"orphaned: {', '.join(map(_shown, found))}",
        "./dev doctor --fix   removes them",
    )


@orphans.fixed_by
def _remove_orphans(context: Context, confirm: Confirm) -> list[str]:
    if not context.composed:
        return []  # the next start, or `down`, stops the processes
    found = _orphans(context)
    if not found or not confirm(f"remove the containers {', '.join(map(_shown, found))}"):
        return []
    done = []
    for container in found:
        removed = context.project.docker("rm", "--force", "--volumes", container.id)
        done.append(f"removed {_shown(container)}" if removed.ok else removed.last_words)
    return done


def _orphans(context: Context) -> list[Container]:
    """Containers of services that the Compose files no longer declare, and of finished commands."""
    project = context.project
    # All profiles, or the tests' container would count as an orphan.
    declared = project.compose("--profile", "*", "config", "--services").output.split()
    return [
        container
        for container in project.all_containers()
        if (not container.running if container.one_off else container.service not in declared)
    ]


def _shown(container: Container) -> str:
    return f"{container.service} ({container.id[:12]}, {container.state})"

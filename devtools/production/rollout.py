"""Replacing web and worker without failed requests or lost tasks.

The new containers start next to the old ones. An old web is first removed from the proxy's
rotation (backend/bin/drain), then stopped; an old worker finishes its current task.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from ..errors import DevError, Problem
from ..terminal import Terminal
from .stack import ProductionStack

SERVICES = ("web", "worker")
POOL = "pool"  # of connections to the database, if there is one
_RELEASE = ("check", "migrate")  # each ends by itself
HEALTHY_WITHIN = 180  # seconds
MIGRATED_WITHIN = 3600  # seconds
# The proxy probes every half second; allow a probe and its answer.
UNTIL_NOTICED = 2.0  # seconds


def roll(stack: ProductionStack, terminal: Terminal) -> None:
    """Migrate the database with the new image, then replace web and worker.

    Raises:
        DevError: on failure. The old containers still serve then: new ones that do not become
        healthy are removed.
    """
    old = refuse_if_not_possible(stack)
    with terminal.step("release"):
        _release(stack)
    with terminal.step("starting new web and worker"):
        _add(stack, old)
    for service, containers in old.items():
        with terminal.step(f"stopping old {service}"):
            _remove(stack, service, containers)


@contextlib.contextmanager
def replaced_pool(stack: ProductionStack, terminal: Terminal) -> Iterator[None]:
    """Start a pool with the environment of now beside the old one, which stops at the end.

    Both answer at one name; a client whom one of them refuses tries the other.
    """
    old = stack.containers(POOL) if POOL in stack.configuration["services"] else []
    if old:
        with terminal.step("starting a new pool"):
            _add(stack, {POOL: old})
    yield
    if old:
        with terminal.step("stopping the old pool"):
            _remove(stack, POOL, old)


def refuse_if_not_possible(stack: ProductionStack) -> dict[str, list[str]]:
    """Return the running containers of SERVICES. Raises DevError if they cannot be replaced."""
    ports = stack.configuration["services"]["web"].get("ports") or []
    fixed = [str(port["published"]) for port in ports if port.get("published") not in (None, "0")]
    if fixed and not any("-" in port for port in fixed):
        raise DevError(
            f"web is published on port {fixed[0]}, which the old and the new web cannot share",
            f"set WEB_PORT=0 in {stack.environment_file} and put a proxy in front: "
            "COMPOSE_PROFILES=proxy, see docs/production.md",
        )
    return stack.running(*SERVICES)


def _release(stack: ProductionStack) -> None:
    """Check the environment and migrate, with the new image."""
    # Not --no-deps, here and below: Compose would take the container for an outdated one, and
    # recreate it at the next `up`. --no-recreate for database and Redis, which must keep running
    # when a variable of theirs has changed.
    stack.compose("rm", "--force", *_RELEASE)
    stack.compose(
        "up", "--detach", "--no-build", "--no-recreate", "migrate", timeout=HEALTHY_WITHIN
    )
    (container,) = _all_containers(stack, "migrate")
    if stack.docker("wait", container, timeout=MIGRATED_WITHIN).output.strip() != "0":
        words = _last_lines(stack, container)
        raise DevError("the release failed, so nothing was replaced", words)


def _last_lines(stack: ProductionStack, container: str) -> str:
    """What a container has logged last."""
    logged = stack.docker("logs", "--tail", "30", container)
    return (logged.output + logged.errors).strip()


def _add(stack: ProductionStack, old: dict[str, list[str]]) -> None:
    options = ["--detach", "--no-recreate", "--no-build", "--wait"]
    options += ["--wait-timeout", str(HEALTHY_WITHIN)]
    options += [f"--scale={name}={2 * len(containers)}" for name, containers in old.items()]
    try:
        stack.compose("up", *options, *old, timeout=2 * HEALTHY_WITHIN)
    except DevError as error:
        problems = error.problems
        for service, containers in old.items():
            for new in set(_all_containers(stack, service)) - set(containers):
                words = _last_lines(stack, new)
                stack.docker("rm", "--force", new)
                problems.append(Problem(f"the last log lines of the new {service}:", words))
        what = Problem("the new containers failed and were removed; the old ones still serve")
        raise DevError.of([what, *problems]) from None


def _all_containers(stack: ProductionStack, service: str) -> list[str]:
    return stack.compose("ps", "--all", "--quiet", service).output.split()


def _remove(stack: ProductionStack, service: str, containers: list[str]) -> None:
    if service == "web":
        for container in containers:
            stack.docker("exec", container, "bin/drain")
        time.sleep(UNTIL_NOTICED)
    # The stop timeout that Compose would use; the containers store it.
    stack.docker("stop", *containers, timeout=400)
    stack.docker("rm", *containers)

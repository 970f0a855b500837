"""Replacing web and worker without a failed request or a lost task.

The new containers come up beside the old ones. An old web is first taken out of the proxy's
rotation (backend/bin/drain), then stopped; an old worker ends the task it has.
"""

from __future__ import annotations

import time

from ..errors import DevError, Problem
from ..process import Result
from ..terminal import Terminal
from .stack import ProductionStack

SERVICES = ("web", "worker")
HEALTHY_WITHIN = 180  # seconds
MIGRATED_WITHIN = 3600  # seconds
# The proxy probes every half second; a probe and its answer must have passed.
UNTIL_NOTICED = 2.0  # seconds


def roll(stack: ProductionStack, terminal: Terminal) -> None:
    """Bring the database up to the new image, then replace web and worker by it.

    Raises:
        DevError: when something fails. The old containers then still serve: new ones that do
            not become healthy are removed again.
    """
    _refuse_a_fixed_port(stack)
    old = {service: stack.containers(service) for service in SERVICES}
    missing = [service for service, containers in old.items() if not containers]
    if missing:
        command = " ".join([*stack.command, "up --detach --wait"])
        raise DevError(f"not running: {', '.join(missing)}", f"start the stack: {command}")
    with terminal.step("release"):
        _release(stack)
    with terminal.step("new web and worker beside the old"):
        _add(stack, old)
    for service, containers in old.items():
        with terminal.step(f"old {service} away"):
            _remove(stack, service, containers)


def _refuse_a_fixed_port(stack: ProductionStack) -> None:
    ports = stack.configuration["services"]["web"].get("ports") or []
    fixed = [str(port["published"]) for port in ports if port.get("published") not in (None, "0")]
    if fixed and not any("-" in port for port in fixed):
        raise DevError(
            f"web is published on port {fixed[0]}, which the old and the new cannot both have",
            f"put WEB_PORT=0 into {stack.environment_file} and a proxy in front: "
            "--profile proxy, see docs/production.md",
        )


def _release(stack: ProductionStack) -> None:
    """Look at the environment and migrate, with the new image."""
    # Not --no-deps, here and below: Compose takes what was made so for something else, and
    # makes it anew at the next `up`.
    stack.compose("up", "--detach", "--no-build", "migrate", timeout=HEALTHY_WITHIN)
    (container,) = _all_containers(stack, "migrate")
    if stack.docker("wait", container, timeout=MIGRATED_WITHIN).output.strip() != "0":
        words = stack.docker("logs", "--tail", "30", container)
        raise DevError("the release failed, so nothing was replaced", _text(words))


def _text(result: Result) -> str:
    return (result.output + result.errors).strip()


def _add(stack: ProductionStack, old: dict[str, list[str]]) -> None:
    scales = [f"{service}={2 * len(containers)}" for service, containers in old.items()]
    options = ["--detach", "--no-recreate", "--no-build", "--wait"]
    options += ["--wait-timeout", str(HEALTHY_WITHIN)]
    options += [part for scale in scales for part in ("--scale", scale)]
    try:
        stack.compose("up", *options, *old, timeout=2 * HEALTHY_WITHIN)
    except DevError as error:
        problems = error.problems
        for service, containers in old.items():
            for new in set(_all_containers(stack, service)) - set(containers):
                words = stack.docker("logs", "--tail", "20", new)
                stack.docker("rm", "--force", new)
                problems.append(Problem(f"the last words of the new {service}:", _text(words)))
        what = Problem("the new containers did not come up, and are removed; the old serve on")
        raise DevError.of([what, *problems]) from None


def _all_containers(stack: ProductionStack, service: str) -> list[str]:
    return stack.compose("ps", "--all", "--quiet", service).output.split()


def _remove(stack: ProductionStack, service: str, containers: list[str]) -> None:
    if service == "web":
        for container in containers:
            stack.docker("exec", container, "bin/drain")
        time.sleep(UNTIL_NOTICED)
    # As long as Compose would wait; the containers remember it.
    stack.docker("stop", *containers, timeout=400)
    stack.docker("rm", *containers)

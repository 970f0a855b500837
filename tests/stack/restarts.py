"""Restarts of a stack, after which it must recover without a command."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

from running_stack import Stack, eventually

RECOVERY_TIMEOUT = 240  # seconds; about 40 on an idle machine
_SERVICE = "com.docker.compose.service"


@contextlib.contextmanager
def recovers(stack: Stack, *services: str, use: Callable[[Any], object]) -> Iterator[None]:
    """The block restarts these services, or all; then the stack must become and stay healthy.

    Args:
        use: works before and after, with the same result.
    """
    before, result = _started(stack), use(stack)
    yield
    eventually(lambda: _all_healthy(stack), RECOVERY_TIMEOUT)
    after = _started(stack)
    kept = [name for name in services or before if after[name] == before[name]]
    assert not kept, f"not restarted: {kept}"
    assert use(stack) == result
    assert _started(stack) == after, "started again by itself"


def restart_machine(stack: Stack) -> None:
    """Kill all containers at once, then start those with a restart policy, in no order.

    A Docker daemon does this when it starts: it ignores `depends_on`. The daemon itself keeps
    running, because it may run other stacks.
    """
    containers = [one["Id"] for one in _long_running(stack).values()]
    # As if the process ids of the next start were others: the database's lock file then names one
    # of its processes.
    stack.compose("exec", "-T", "db", "sh", "-c", 'sed -i "1s/.*/1/" "$PGDATA/postmaster.pid"')
    stack.run("docker", "kill", *containers)
    starts = [
        subprocess.Popen(["docker", "start", container], stdout=subprocess.DEVNULL)
        for container in containers
    ]
    assert [start.wait() for start in starts] == [0] * len(starts)


def _all_healthy(stack: Stack) -> bool:
    """Whether each container is healthy and readiness is ok; a ValueError names the reason."""
    states = {name: one["State"] for name, one in _long_running(stack).items()}
    unhealthy = {
        name: state.get("Health", state)["Status"]
        for name, state in states.items()
        if state.get("Health", {}).get("Status") != "healthy"
    }
    if unhealthy:
        raise ValueError(f"not healthy: {unhealthy}")
    return stack.healthy()


def _started(stack: Stack) -> dict[str, str]:
    """When each service was last started."""
    return {name: one["State"]["StartedAt"] for name, one in _long_running(stack).items()}


def _long_running(stack: Stack) -> dict[str, dict[str, Any]]:
    """Docker's data on each container with a restart policy, by service."""
    listed = stack.compose("ps", "--all", "--quiet").stdout.split()
    found = json.loads(stack.run("docker", "inspect", *listed).stdout)
    return {
        one["Config"]["Labels"][_SERVICE]: one
        for one in found
        if one["HostConfig"]["RestartPolicy"]["Name"] != "no"
    }

"""MiniStack, with what AWS does and MiniStack leaves out. Run by a Python that has it:

    python -m devtools.cloud.emulator

local.py sets its variables. MiniStack ignores `user`, a read-only root, capabilities, `tmpfs`,
memory, volumes and health checks of a container; it sends requests to a task that does not listen
yet, or that is about to stop; and it hands `AWS_ENDPOINT_URL` to each task, with which production
refuses to start.
"""

from __future__ import annotations

import functools
import os
import time
from typing import Any

from ministack import app
from ministack.services import alb, ecs, ssm

# Between the last request that the load balancer sends to a task, and the signal that stops it.
DEREGISTRATION = 3.0  # seconds
# Between two health checks of a task that starts; `interval` of its definition is for later ones.
INTERVAL = 1.0

_run_kwargs = ecs._build_run_kwargs
_mark_running = ecs._mark_task_running
_stop = ecs._remove_docker_container


def run_kwargs(cdef: dict[str, Any], td: dict[str, Any], *rest: Any) -> dict[str, Any]:
    """The options of `docker run`, with all of those that the definition names."""
    kwargs = _run_kwargs(cdef, td, *rest)
    linux = cdef.get("linuxParameters", {})
    kwargs["environment"].pop("AWS_ENDPOINT_URL")
    return {
        **kwargs,
        "user": cdef.get("user"),
        "read_only": cdef.get("readonlyRootFilesystem", False),
        "init": linux.get("initProcessEnabled", False),
        "cap_drop": linux.get("capabilities", {}).get("drop"),
        "tmpfs": {
            one["containerPath"]: ",".join([f"size={one['size']}m", *one["mountOptions"]])
            for one in linux.get("tmpfs", ())
        },
        "mem_limit": f"{td['memory']}m",
        "volumes": [
            f"{os.environ['CLOUD_VOLUMES']}_{mount['sourceVolume']}:{mount['containerPath']}"
            for mount in cdef.get("mountPoints", ())
        ],
    }


def mark_running(arn: str, task: dict[str, Any]) -> bool:
    """Wait until the health checks of a started task pass: only then the load balancer gets it."""
    docker = ecs._get_docker()
    definition = ecs._task_defs[ecs._resolve_td_key(task["taskDefinitionArn"])]
    for number, cdef in zip(task["_docker_ids"], definition["containerDefinitions"]):
        check = cdef.get("healthCheck")
        patience = check["startPeriod"] + check["retries"] * check["interval"] if check else 0
        end = time.monotonic() + patience
        while check and ecs._task_is_active(arn, task):
            container = docker.containers.get(number)
            command = ["sh", "-c", check["command"][1]]
            if container.status == "running" and container.exec_run(command).exit_code == 0:
                break
            container.reload()
            if container.status != "running" or time.monotonic() > end:
                status = container.attrs["State"]["ExitCode"]
                reason = "Essential container exited"
                ecs._mark_task_stopped(arn, task, reason, "EssentialContainerExited", status)
                return False
            time.sleep(INTERVAL)
    return _mark_running(arn, task)


def stop(client: Any, container: Any) -> None:
    """Stop a container once the requests that the load balancer had sent to it are under way."""
    time.sleep(DEREGISTRATION)
    _stop(client, container)


def of_the_load_balancer(host: str, path: str) -> bool:
    """Whether a request is for the load balancer: all are whose host is a name of this machine."""
    return bool(alb._lbs) and host.partition(":")[0].endswith("localhost")


if __name__ == "__main__":
    ecs._build_run_kwargs = run_kwargs
    ecs._mark_task_running = mark_running
    ecs._remove_docker_container = stop
    # The task gets the value of a SecureString, not its encrypted form.
    ssm.resolve_parameter_value = functools.partial(ssm.resolve_parameter_value, decrypt=True)
    app._is_potential_alb_request = of_the_load_balancer
    alb.find_lb_for_host = lambda _host: next(iter(alb._lbs.values()), None)
    app.main()

"""The production stack: under load, beside the same server outside a container, and rebuilt."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from .. import ports
from ..checkout import Checkout
from ..errors import DevError
from ..process import background, capture
from ..production.trial import HOST, TENANT, Trial
from ..readiness import wait_until
from ..terminal import Terminal
from .copy import free_port, page
from .measure import Measure

CONNECTIONS = (10, 50, 100)
SECONDS = 10  # of each load
# Seconds that each of two servers is compared before it is the other's turn. Short, because
# connections stay with the processes that took them, by chance more with one than with another.
TURN = 2
TURNS = 5  # each time one, the other, the other, the one
WARM_UP = 2  # seconds of load that is not counted
TASKS = 500
WEB_PROCESSES = 4  # the same in the container and outside

LIST = "/api/v1/products/"
# None of them has a limit on how often one may ask. From the cache, or from nowhere:
PAGES = {"products": LIST, "first page": "/", "liveness": "/api/v1/health/live/"}

Found = defaultdict[tuple[str, str], list[float]]

OUTSIDE = "throughput in the container over outside a container"
WORKER = "tasks sent and done"
REBUILD = "image built again after an edit"

_LUA = Path(__file__).with_name("wrk.lua")
# As the proxy would ask: by TLS, so that nothing is redirected.
_AS_THE_PROXY = {"Host": HOST, "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}
_PATIENCE = 120  # seconds for a server to answer

_SEND = f"""
import time
from core.celery import echo
from django_tenants.utils import schema_context
with schema_context("{TENANT}"):
    echo.delay("first").get(timeout=60)
    began = time.monotonic()
    sent = [echo.delay(str(number)) for number in range({TASKS})]
    for one in sent:
        one.get(timeout=300)
    print({TASKS} / (time.monotonic() - began))
"""


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Measure `rounds` times in one production stack, made for it and removed at the end.

    Raises:
        DevError: where there is no wrk, no Docker, or the stack does not start.
    """
    if not shutil.which("wrk", path=checkout.variables.get("PATH")):
        raise DevError("wrk, which makes the load, is not installed", "sudo apt-get install wrk")
    cores = str(os.cpu_count() or 1)
    chosen = {
        "WEB_CONCURRENCY": str(WEB_PROCESSES),
        # Nothing but the machine limits them: outside a container nothing else does.
        "WEB_CPUS": cores,
        "WORKER_CPUS": cores,
    }
    found: Found = defaultdict(list)
    found[OUTSIDE, "x"] = []
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as running:
        trial = Trial(checkout, Path(directory), chosen)
        with terminal.step("a production stack of its own"):
            running.enter_context(trial.up())
        with terminal.step("the same server outside a container"):
            outside = running.enter_context(_outside(trial, Path(directory)))
        for number in range(1, rounds + 1):
            with terminal.step(f"round {number}"):
                _load(trial, found)
                if outside:
                    found[OUTSIDE, "x"].append(_ratio(trial, outside))
                found[WORKER, "/s"].append(_tasks_a_second(trial))
                found[REBUILD, "s"].append(_rebuilt(trial, number))
    return [_judged(name, unit, values) for (name, unit), values in found.items()]


def _judged(name: str, unit: str, values: list[float]) -> Measure:
    if name == OUTSIDE:
        return Measure(name, unit, 0.95, values, at_least=True)
    return Measure(name, unit, 0 if name.endswith("errors") else None, values)


# --- load ---------------------------------------------------------------------------------


def _load(trial: Trial, found: Found) -> None:
    """Ask through the proxy and TLS, as users do."""
    port = trial.published("proxy", 8443)
    loads = [("products", count) for count in CONNECTIONS]
    loads += [(what, CONNECTIONS[1]) for what in PAGES if what != "products"]
    for what, count in loads:
        url = f"https://{ports.LOOPBACK}:{port}{PAGES[what]}"
        said = _wrk(trial, url, {"Host": HOST}, count, SECONDS)
        name = f"{what}, {count} connections"
        found[f"{name}: answers", "/s"].append(said["requests"] / said["seconds"])
        found[f"{name}: p50", "ms"].append(said["p50"])
        found[f"{name}: p99", "ms"].append(said["p99"])
        found[f"{name}: errors", ""].append(said["errors"])


def _wrk(
    trial: Trial, url: str, headers: dict[str, str], connections: int, length: float
) -> dict[str, float]:
    """What wrk.lua says of a load of `length` seconds. Raises DevError if wrk fails."""
    named = [f"--header={name}: {value}" for name, value in headers.items()]
    done = capture(
        [
            *("wrk", "--threads", "2", "--connections", str(connections)),
            *("--duration", f"{length:.0f}s", "--timeout", "30s", "--latency"),
            *("--script", str(_LUA), *named, url),
        ],
        directory=trial.checkout.root,
        environment=trial.checkout.variables,
        timeout=length + 60,
    )
    if not done.ok:
        raise DevError(f"wrk failed: {done.last_words}")
    return json.loads(done.output.splitlines()[-1])


# --- beside the same server outside a container -------------------------------------------


def _ratio(trial: Trial, outside: str) -> float:
    """Throughput in the container over that outside, by turns, so that both meet one machine."""
    inside = f"http://{trial.address('web', 'edge')}:8000"
    answered = {inside: 0.0, outside: 0.0}
    for server in answered:
        _wrk(trial, server + LIST, _AS_THE_PROXY, CONNECTIONS[1], WARM_UP)
    for _ in range(TURNS):
        for server in (inside, outside, outside, inside):
            said = _wrk(trial, server + LIST, _AS_THE_PROXY, CONNECTIONS[1], TURN)
            if said["errors"]:
                raise DevError(f"{server} made {said['errors']} errors under load")
            answered[server] += said["requests"] / said["seconds"]
    return answered[inside] / answered[outside]


@contextlib.contextmanager
def _outside(trial: Trial, directory: Path) -> Iterator[str]:
    """The image's own files, run as a process of this machine; its URL, empty where impossible.

    Python, its libraries and the packages are the image's, so that nothing but the container
    differs; database and Redis are those of the stack.
    """
    if not sys.platform.startswith("linux"):
        yield ""
        return
    root = _unpacked(trial, directory)
    port = free_port()
    start = 'for group; do echo $$ > "$group/cgroup.procs"; done; exec bin/web'
    with (
        _same_share(trial) as groups,
        background(
            ["sh", "-ec", start, "sh", *map(str, groups)],
            directory=root / "app/backend",
            environment=_environment(trial, root, port),
        ) as server,
    ):
        address = f"{ports.LOOPBACK}:{port}"
        try:
            wait_until(lambda: _answers(port), _PATIENCE, f"nothing answers at {address}")
        except DevError as error:
            raise DevError(f"{error}: {server.output[-500:]}") from error
        yield f"http://{address}"


@contextlib.contextmanager
def _same_share(trial: Trial) -> Iterator[list[Path]]:
    """Groups of processes beside the container's, for who is to compete as it does.

    All containers together may weigh as much as one process outside: without this a machine
    that others use would be measured. None where that takes rights one does not have.
    """
    process = trial.inspected("web")["State"]["Pid"]
    groups = []
    with contextlib.suppress(OSError), contextlib.ExitStack() as made:
        for line in Path(f"/proc/{process}/cgroup").read_text().splitlines():
            _number, controllers, path = line.split(":", 2)
            # Version 1 has a tree for each controller, version 2 one for all.
            if "cpu" not in controllers.split(",") and (controllers or groups):
                continue
            tree = Path("/sys/fs/cgroup", controllers)
            group = (tree / path.lstrip("/")).parent / trial.project
            group.mkdir()
            made.callback(group.rmdir)
            groups.append(group)
        made.pop_all()
    try:
        yield groups
    finally:
        for group in groups:
            with contextlib.suppress(OSError):  # of a process that ends a little later
                group.rmdir()


def _unpacked(trial: Trial, directory: Path) -> Path:
    """A directory with what web needs of the image, and a `python` that runs with it alone."""
    root = directory / "image"
    container = trial.docker("create", f"{trial.project}:production").output.strip()
    try:
        for part in ("usr/local", "usr/lib", "opt/venv", "app", "data"):
            (root / part).parent.mkdir(parents=True, exist_ok=True)
            trial.docker("cp", f"{container}:/{part}", str(root / part), timeout=_PATIENCE)
    finally:
        trial.docker("rm", container)
    (loader,) = (root / "usr/lib").glob("*-linux-gnu/ld-linux-*.so.*")
    # Python calls itself by this name, and finds its library by it.
    (python,) = (root / "usr/local/bin").glob("python3.[0-9][0-9]")
    libraries = f"{loader.parent}:{root / 'usr/local/lib'}"
    start = root / "start/python"
    start.parent.mkdir()
    start.write_text(f'#!/bin/sh\nexec "{loader}" --library-path "{libraries}" "{python}" "$@"\n')
    start.chmod(0o755)
    return root


def _environment(trial: Trial, root: Path, port: int) -> dict[str, str]:
    """That of the container, with the addresses of this machine."""
    declared = trial.inspected("web")["Config"]["Env"]
    # One without a value is not set in the container either.
    variables = dict(line.split("=", 1) for line in declared if "=" in line)
    for service in ("db", "redis"):
        address = trial.address(service, "data")
        variables = {
            name: value.replace(f"@{service}:", f"@{address}:") for name, value in variables.items()
        }
    (packages,) = (root / "opt/venv/lib").glob("python3.*/site-packages")
    return {
        **variables,
        "PATH": f"{root / 'start'}:/usr/bin:/bin",
        "PYTHONHOME": str(root / "usr/local"),
        "PYTHONPATH": str(packages),
        "STATIC_ROOT": str(root / "data/static"),
        "MEDIA_ROOT": str(root / "data/media"),
        "WEB_BIND": f"{ports.LOOPBACK}:{port}",
    }


def _answers(port: int) -> bool:
    try:
        return page(port, PAGES["liveness"]).status == 200
    except OSError:
        return False


# --- worker and image ---------------------------------------------------------------------


def _tasks_a_second(trial: Trial) -> float:
    shell = ("exec", "-T", "web", "python", "manage.py", "shell", "--verbosity=0")
    return float(trial.compose(*shell, "--command", _SEND, timeout=600).output.split()[-1])


def _rebuilt(trial: Trial, number: int) -> float:
    """Seconds that an image takes after an edit of one line."""
    with (trial.checkout.root / "backend/core/views.py").open("a", encoding="utf-8") as file:
        file.write(f"# edit {number}\n")
    began = time.monotonic()
    trial.build()
    return time.monotonic() - began

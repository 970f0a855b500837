"""The production server in its container beside the same one outside, under the same load."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from devtools.checkout import Checkout
from devtools.errors import DevError
from devtools.ports import LOOPBACK
from devtools.process import background
from devtools.readiness import wait_until
from devtools.terminal import Terminal

from . import wrk
from .copy import answers, free_port
from .measure import Measure
from .trial import HOST, Trial

RATIO = "throughput in the container over outside a container"

# From the cache, so that neither server waits for the database.
LIST = "/api/v1/products/"
LIVENESS = "/api/v1/health/live/"
PROCESSES = 4  # the same in both
CONNECTIONS = 50
# Seconds that each of the two is asked before it is the other's turn. Short, because connections
# stay with the processes that took them, by chance more with one than with another.
TURN = 2
TURNS = 5  # each time one, the other, the other, the one
WARM_UP = 2  # seconds of load that is not counted

# As the proxy would ask: by TLS, so that nothing is redirected.
_AS_THE_PROXY = {"Host": HOST, "X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.1"}
_PATIENCE = 120  # seconds for a server to answer


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Compare them `rounds` times in one production stack, made for it and removed at the end.

    Raises:
        DevError: where there is no wrk, no Docker, or the stack does not start.
    """
    wrk.demand(checkout)
    # Nothing but the machine limits the container: outside nothing else does.
    chosen = {"WEB_CONCURRENCY": str(PROCESSES), "WEB_CPUS": str(os.cpu_count() or 1)}
    ratios = []
    with tempfile.TemporaryDirectory() as directory, contextlib.ExitStack() as running:
        trial = Trial(checkout, Path(directory), chosen)
        with terminal.step("starting a separate production stack"):
            running.enter_context(trial.up())
        with terminal.step("the same server outside a container"):
            outside = running.enter_context(_outside(trial, Path(directory)))
        for number in range(1, rounds + 1 if outside else 1):
            with terminal.step(f"round {number}"):
                ratios.append(_ratio(trial, outside))
    return [Measure(RATIO, "x", 0.95, ratios, at_least=True)]


def _ratio(trial: Trial, outside: str) -> float:
    """Throughput in the container over that outside, by turns, so that both meet one machine."""
    inside = f"http://{trial.address('web', 'edge')}:8000"
    answered = {inside: 0.0, outside: 0.0}
    for server in answered:
        wrk.load(trial.checkout, server + LIST, _AS_THE_PROXY, CONNECTIONS, WARM_UP)
    for _ in range(TURNS):
        for server in (inside, outside, outside, inside):
            said = wrk.load(trial.checkout, server + LIST, _AS_THE_PROXY, CONNECTIONS, TURN)
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
        address = f"{LOOPBACK}:{port}"
        try:
            wait_until(lambda: answers(port, LIVENESS), _PATIENCE, f"nothing answers at {address}")
        except DevError as error:
            raise DevError(f"{error}: {server.output[-500:]}") from error
        yield f"http://{address}"


@contextlib.contextmanager
def _same_share(trial: Trial) -> Iterator[list[Path]]:
    """Control groups next to the container's, for processes that compete under the same conditions.

    All containers together may weigh as much as one process outside: without this a machine
    that others use would be measured. None where that takes rights one does not have.
    """
    process = trial.inspected("web")["State"]["Pid"]
    groups: list[Path] = []
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
        "WEB_BIND": f"{LOOPBACK}:{port}",
        "WEB_PROBE_BIND": f"{LOOPBACK}:{free_port()}",
    }

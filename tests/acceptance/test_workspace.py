"""The workspace: the editor in the stack."""

from __future__ import annotations

import re
from typing import Any

import json5
from criteria import Seen, criterion
from running import ProductStack
from running_stack import Failed

DEVCONTAINER = ".devcontainer/devcontainer.json"
WORKSPACE_TESTS = "tests/stack/test_debugging.py"  # they open a dev container and debug in it
EMBEDDED_TESTS = "tests/devtools/test_embedded_debugging.py"
RESTART_TESTS = "tests/stack/test_restarts.py"
AWS_TESTS = "tests/stack/test_aws.py"
EMBEDDED_ENGINE_TESTS = "tests/devtools/test_embedded_engine.py"
OPENED = "dev_container or sidecars or terminal or in_it or switching or killed"
DEBUGGED = "breakpoint or paused or debugs or debugged"
RESTARTED = "restart or killed or fills_itself"


@criterion(
    "WS-1",
    "`devcontainer up` attaches to the Compose web service with db, redis, worker, localstack as "
    "sidecars",
    long=True,
    needs_docker="a dev container is a container",
)
def test_devcontainer(stack: ProductStack, seen: Seen) -> None:
    declared = _json(stack, DEVCONTAINER)
    if declared.get("service") != "web" or declared.get("overrideCommand") is not False:
        raise Failed(f"{DEVCONTAINER} does not attach to web as it is")
    seen(stack.tests(WORKSPACE_TESTS, "-k", OPENED))


@criterion(
    "WS-2",
    "breakpoints hit in runserver, Gunicorn and worker through the attach configurations",
    long=True,
)
def test_breakpoints(stack: ProductStack, seen: Seen) -> None:
    tests = (WORKSPACE_TESTS, "-k", DEBUGGED) if stack.in_docker else (EMBEDDED_TESTS,)
    seen(stack.tests(*tests))


@criterion("WS-3", "tasks and launch profiles switch runserver and Gunicorn")
def test_tasks(stack: ProductStack, seen: Seen) -> None:
    tasks = {one["label"]: one for one in _json(stack, ".vscode/tasks.json")["tasks"]}
    launch = _json(stack, ".vscode/launch.json")
    entries = launch["configurations"] + launch.get("compounds", [])
    wanted = [one.get("preLaunchTask") for one in entries]
    missing = [name for name in wanted if name and name not in tasks]
    if missing:
        raise Failed(f"launch.json wants tasks that are not there: {', '.join(missing)}")
    commands = {name: _command(one) for name, one in tasks.items()}
    for server in ("runserver", "gunicorn"):
        if not any(f"serve {server}" in command for command in commands.values()):
            raise Failed(f"no task runs ./dev serve {server}")
    seen(f"{len(tasks)} tasks, {len(wanted)} launch profiles")


def _json(stack: ProductStack, path: str) -> Any:
    return json5.loads(stack.text(path))


def _command(task: dict[str, Any]) -> str:
    return " ".join([str(task.get("command", "")), *map(str, task.get("args", ()))])


@criterion("WS-4", "Codespaces: forwarded hosts accepted, CSRF works, ports labelled", long=True)
def test_codespaces(stack: ProductStack, seen: Seen) -> None:
    passed = stack.backend_tests("core/tests/test_codespaces.py")
    labels = _json(stack, DEVCONTAINER).get("portsAttributes", {})
    if not labels.get("8000", {}).get("label"):
        raise Failed(f"{DEVCONTAINER} gives port 8000 no label")
    seen(f"{passed}; port 8000 is {labels['8000']['label']!r}")


@criterion("WS-5", "pre-commit runs the same checks as CI", long=True)
def test_same_checks(stack: ProductStack, seen: Seen) -> None:
    steps = stack.text(".ci/run")
    runs = re.search(r"^lint\(\) *\{ \./dev lint; \}$", steps, re.M)
    if not runs or not re.search(r"^steps=\([^)]*\blint\b", steps, re.M):
        raise Failed(".ci/run does not run ./dev lint")
    hooks = re.findall(r"^\s*- id: (\S+)", stack.text(".pre-commit-config.yaml"), re.M)
    stack.dev("lint", timeout=900)
    seen(f".ci/run runs ./dev lint, which is pre-commit: {len(hooks)} hooks passed")


@criterion(
    "WS-6",
    "after a restart of the machine or of the Docker daemon the stack is healthy without a "
    "command; a restart of any service, or of all, ends healthy; `devcontainer up` again is green",
    long=True,
)
def test_restarts(stack: ProductStack, seen: Seen) -> None:
    # Without Docker nothing starts the processes with the machine.
    files = (
        (RESTART_TESTS, AWS_TESTS, WORKSPACE_TESTS) if stack.in_docker else (EMBEDDED_ENGINE_TESTS,)
    )
    seen(stack.tests(*files, "-k", RESTARTED))

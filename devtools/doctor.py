"""Runs the checks concurrently, each with a time limit, and applies fixes."""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType, ModuleType
from typing import Any, Callable

from .checks import (
    clock,
    disk,
    docker,
    drift,
    emulators,
    environment_file,
    extensions,
    image,
    line_endings,
    memory,
    migrations,
    orphans,
    ownership,
    packages,
    permissions,
    ports,
    project_name,
    python,
    services,
    space,
    volume,
)
from .checks.result import NotApplicable, Result, State, not_applicable, unknown, wrong
from .checks.surroundings import Surroundings
from .errors import DevError, NoAnswer

# In display order: the machine, the checkout, the stack.
CHECKS: Mapping[str, ModuleType] = MappingProxyType(
    {
        module.__name__.rpartition(".")[2].replace("_", "-"): module
        for module in (
            *(docker, python, memory, disk, space, clock),
            *(environment_file, drift, line_endings, permissions, ownership, extensions),
            *(project_name, ports, image, volume, orphans),
            *(services, packages, migrations, emulators),
        )
    }
)

# Longer than the time limit of any single query to Docker.
LIMIT = 60  # seconds for all checks together


def examine(
    here: Surroundings, names: Sequence[str] = (), checks: Mapping[str, ModuleType] = CHECKS
) -> list[Result]:
    """The results of the checks `names`, or of all checks, in their order."""
    wanted = [name for name in checks if name in (names or checks)]
    results: queue.Queue[Result] = queue.Queue()
    for name in wanted:
        # Daemon threads: a check that hangs must not keep ./dev from exiting.
        threading.Thread(
            target=lambda name=name: results.put(_one(name, checks[name], here)), daemon=True
        ).start()
    found: dict[str, Result] = {}
    end = time.monotonic() + LIMIT
    while len(found) < len(wanted) and time.monotonic() < end:
        try:
            result = results.get(timeout=max(0.01, end - time.monotonic()))
        except queue.Empty:
            break
        found[result.name] = result
    return [found.get(name) or _late(name) for name in wanted]


def mend(
    here: Surroundings, results: Sequence[Result], agrees: Callable[[str], bool]
) -> dict[str, list[str]]:
    """Apply fixes that cannot lose data to the problems in `results`; return the actions by check.

    Raises nothing: a failed fix is reported instead.
    """
    done = {}
    for result in results:
        fix = getattr(CHECKS[result.name], "fix", None)
        if not (fix and result.mendable):
            continue
        try:
            done[result.name] = fix(here, agrees)
        except NotApplicable as reason:
            done[result.name] = [f"not fixed: {reason}"]
        except DevError as error:
            done[result.name] = [f"not fixed: {problem.what}" for problem in error.problems]
    return done


def well(results: Sequence[Result]) -> bool:
    """Whether nothing is WRONG; warnings and unknown results do not count."""
    return not any(result.state is State.WRONG for result in results)


def as_json(results: Sequence[Result], done: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The format of `./dev doctor --json`; keys are only ever added."""
    return {
        "state": "well" if well(results) else "wrong",
        "checks": [result.as_json() for result in results],
        "fixed": {name: list(lines) for name, lines in done.items()},
    }


def _one(name: str, check: ModuleType, here: Surroundings) -> Result:
    began = time.monotonic()
    try:
        result = check.check(here)
    except NotApplicable as reason:
        result = not_applicable(str(reason))
    except NoAnswer as error:
        result = unknown(error.problems[0].what, error.problems[0].remedy)
    except DevError as error:
        result = wrong(error.problems[0].what, error.problems[0].remedy)
    except Exception as error:
        result = wrong(
            f"internal error in the check: {type(error).__name__}: {error}",
            f"report it: devtools/checks/{name.replace('-', '_')}.py",
        )
    return dataclasses.replace(result, name=name, seconds=time.monotonic() - began)


def _late(name: str) -> Result:
    late = unknown(f"no answer within {LIMIT} s", f"try again alone: ./dev doctor {name}")
    return dataclasses.replace(late, name=name, seconds=LIMIT)

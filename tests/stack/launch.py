"""VS Code's handling of an entry of launch.json: the tasks, then the configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import json5

FOLDER = Path(__file__).parents[2] / ".vscode"


class Entry(NamedTuple):
    """The commands of the tasks, in order, and the configurations."""

    commands: list[str]
    configurations: list[dict[str, Any]]


def entry(name: str) -> Entry:
    """The entry of this name: a configuration, or a compound of several."""
    launch = _read("launch.json")
    known = {one["name"]: one for one in launch["configurations"]}
    compounds = {one["name"]: one for one in launch["compounds"]}
    chosen = compounds.get(name) or known[name]
    found = [known[member] for member in chosen.get("configurations", [name])]
    tasks = dict.fromkeys(one.get("preLaunchTask") for one in (chosen, *found))
    return Entry([task(label) for label in tasks if label], found)


def task(label: str) -> str:
    """The command of a task of tasks.json."""
    return {one["label"]: one["command"] for one in _read("tasks.json")["tasks"]}[label]


def _read(name: str) -> dict[str, Any]:
    return json5.loads((FOLDER / name).read_text())

"""The files of the editor and of the dev container, and checks of them.

A team may add entries, tasks and settings, so only the workspace's are checked.

The editor marks unknown properties itself, and a tool reads its own files. So names are compared
with what they refer to, and values with what another file says.
"""

from __future__ import annotations

import copy
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import json5
from compose_files import CHECKOUT, COMBINATIONS, read_yaml

from devtools import debuggers
from devtools.ports import LOOPBACK

DEVCONTAINER = ".devcontainer/devcontainer.json"
LAUNCH = ".vscode/launch.json"
TASKS = ".vscode/tasks.json"
SETTINGS = ".vscode/settings.json"
EXTENSIONS = ".vscode/extensions.json"

# Extensions that are needed only outside the containers.
OUTSIDE_ONLY = {"ms-vscode-remote.remote-containers"}

# The workspace's entries of launch.json, without compounds.
ENTRIES = {
    "runserver (reload)", "Gunicorn", "Gunicorn (ASGI)", "web", "worker", "Test file",
    "Management command",
}  # fmt: skip
PATHS = {"program", "cwd"}

HOOKS = (
    "initializeCommand", "onCreateCommand", "updateContentCommand", "postCreateCommand",
    "postStartCommand", "postAttachCommand",
)  # fmt: skip


@dataclass
class EditorFiles:
    """The parsed files, and the Compose files that they refer to, as written."""

    devcontainer: dict[str, Any]
    launch: dict[str, Any]
    tasks: dict[str, Any]
    settings: dict[str, Any]
    extensions: dict[str, Any]
    local: dict[str, Any]
    override: dict[str, Any]
    published: dict[str, Any]

    @classmethod
    def read(cls) -> EditorFiles:
        """Read all of them. Raises ValueError for a file that is not JSON with comments."""
        parsed = [
            json5.loads((CHECKOUT / name).read_text())
            for name in (DEVCONTAINER, LAUNCH, TASKS, SETTINGS, EXTENSIONS)
        ]
        local, override = COMBINATIONS["workspace"]
        _, published = COMBINATIONS["debug"]
        compose = [read_yaml(name)["services"] for name in (local, override, published)]
        return cls(*parsed, *compose)

    def copy(self) -> EditorFiles:
        return copy.deepcopy(self)

    @property
    def tasks_by_label(self) -> dict[str, dict[str, Any]]:
        return {task["label"]: task for task in self.tasks["tasks"] if "label" in task}

    @property
    def own_tasks(self) -> list[dict[str, Any]]:
        """The tasks that run a program of the checkout."""
        return [one for one in self.tasks["tasks"] if one.get("command", "").startswith("./")]

    @property
    def configurations(self) -> list[dict[str, Any]]:
        """The workspace's configurations, without compounds."""
        return [one for one in self.launch["configurations"] if one["name"] in ENTRIES]

    @property
    def compounds(self) -> list[dict[str, Any]]:
        return self.launch.get("compounds", [])

    @property
    def configurations_by_name(self) -> dict[str, dict[str, Any]]:
        return {one["name"]: one for one in self.configurations}

    @property
    def workspace(self) -> dict[str, Any]:
        """The editor's service, with the override's changes."""
        service = self.devcontainer["service"]
        local, override = self.local.get(service, {}), self.override.get(service, {})
        # Compose adds volumes, and replaces the rest.
        volumes = [*local.get("volumes", ()), *override.get("volumes", ())]
        return {**local, **override, "volumes": volumes}


def complaints(files: EditorFiles) -> list[str]:
    """Return all problems of the files, one sentence for each."""
    checks = (
        devcontainer,
        hooks,
        ports,
        launch,
        debug_ports,
        tasks,
        settings,
        extensions,
    )
    return [complaint for check in checks for complaint in check(files)]


# The checks


# A personal file; .devcontainer/initialize creates one without changes.
OVERRIDE = "docker-compose.override.yml"


def devcontainer(files: EditorFiles) -> Iterator[str]:
    said = files.devcontainer
    named = tuple(
        os.path.normpath(f".devcontainer/{file}") for file in said.get("dockerComposeFile", ())
    )
    local, workspace = COMBINATIONS["workspace"]
    if named != (local, OVERRIDE, workspace):
        yield f"dockerComposeFile: {named} is not the combination that is checked"
    yield from _unknown("service", [said.get("service")], files.local)
    yield from _unknown("runServices", said.get("runServices", ()), files.local)
    started = _with_dependencies(files.local, said.get("runServices", ()))
    if f".:{said.get('workspaceFolder')}" not in files.workspace.get("volumes", ()):
        yield "workspaceFolder: the checkout is not mounted there"
    if said.get("remoteUser") != files.workspace.get("user"):
        yield "remoteUser: the processes of the container run as somebody else"
    dockerfile = (CHECKOUT / "backend/Dockerfile").read_text()
    if not re.search(rf"useradd .* {said.get('remoteUser')}\b", dockerfile):
        yield "remoteUser: the image has no such user"
    if said.get("updateRemoteUserUID") is not True:
        yield "updateRemoteUserUID: files of the checkout would belong to somebody else"
    if said.get("overrideCommand") is not False:
        yield "overrideCommand: the supervisor would not be started"
    if files.workspace.get("command") != "bin/workspace":
        yield "the workspace's command is not the supervisor"
    needed = said.get("hostRequirements", {})
    for name in files.local:
        if float(_with_defaults(_limits(files, name).get("cpus", "0"))) > needed["cpus"]:
            yield f"hostRequirements: {name} wants more CPUs"
    total = sum(_bytes(_limits(files, name).get("memory", "0")) for name in started - {"migrate"})
    if total > _bytes(needed.get("memory", "0")):
        yield "hostRequirements: the services may take more memory"
    opened = said.get("customizations", {}).get("codespaces", {}).get("openFiles", ())
    yield from _missing("openFiles", opened)


def hooks(files: EditorFiles) -> Iterator[str]:
    for hook in HOOKS:
        command = files.devcontainer.get(hook, "")
        words = shlex.split(command) if isinstance(command, str) else ()
        yield from _missing(hook, [word for word in words if "/" in word])


def ports(files: EditorFiles) -> Iterator[str]:
    said = files.devcontainer
    forwarded = said.get("forwardPorts", [])
    targets = [int(entry.rpartition(":")[2]) for entry in files.workspace.get("ports", ())]
    for port in targets:
        if port not in forwarded:
            yield f"forwardPorts: the workspace listens on {port}, too"
        if not said.get("portsAttributes", {}).get(str(port), {}).get("label"):
            yield f"portsAttributes: {port} has no label"
    if said.get("otherPortsAttributes", {}).get("onAutoForward") != "ignore":
        yield "otherPortsAttributes: the debugger's own ports would be forwarded"


def launch(files: EditorFiles) -> Iterator[str]:
    names = [one["name"] for one in files.launch["configurations"] + files.compounds]
    if len(names) != len(set(names)):
        yield "launch.json: two entries have one name"
    for one in files.configurations:
        for option in ("django", "justMyCode", "subProcess"):
            if one.get(option) is not True:
                yield f"{one['name']}: {option} must be true"
        yield from _missing(one["name"], _paths(one[key] for key in PATHS & one.keys()))
        for mapping in one.get("pathMappings", ()):
            yield from _missing(one["name"], _paths([mapping.get("localRoot", "nowhere")]))
    for compound in files.compounds:
        yield from _unknown(compound["name"], compound["configurations"], names)
        if compound.get("stopAll") is not True:
            yield f"{compound['name']}: stopping one would leave the others"
    for one in files.configurations + files.compounds:
        for key in ("preLaunchTask", "postDebugTask"):
            if key in one:
                yield from _unknown(f"{one['name']}: {key}", [one[key]], files.tasks_by_label)
    inputs = {one["id"] for one in files.launch.get("inputs", ())}
    used = set(re.findall(r"\$\{input:(\w+)\}", str(files.launch)))
    yield from _unknown("launch.json: input", used, inputs)
    yield from _unknown("launch.json: input that nothing uses", inputs, used)


def debug_ports(files: EditorFiles) -> Iterator[str]:
    """A process must listen where an entry attaches, inside and outside the dev container."""
    inside = files.workspace.get("environment", {})
    places = {
        "in the dev container": (inside, set(_in_the_workspace(files))),
        "beside Compose": ({}, set(_published(files))),
        "without Docker": ({}, {(LOOPBACK, port) for _, port in debuggers.PORTS.values()}),
    }
    for one in files.configurations:
        if one["request"] != "attach":
            continue
        connect = one["connect"]
        for place, (variables, listening) in places.items():
            host = _resolved(connect["host"], variables)
            if (host or LOOPBACK, connect["port"]) not in listening:
                yield f"{one['name']}: {place} nothing listens on {host}:{connect['port']}"
        if [mapping.get("remoteRoot") for mapping in one.get("pathMappings", ())] != ["."]:
            yield f"{one['name']}: the paths of the containers are not those of the editor"
    published = {str(port) for port in _in_the_workspace(files).values()}
    for name, service in {**files.local, **files.override}.items():
        for entry in service.get("ports", ()):
            if entry.rpartition(":")[2] in published:
                yield f"{name}: a debug port is published in the workspace"


def tasks(files: EditorFiles) -> Iterator[str]:
    labels = [task["label"] for task in files.tasks["tasks"] if "label" in task]
    if len(labels) != len(set(labels)):
        yield "tasks.json: two tasks have one label"
    for task in files.own_tasks:
        yield from _missing(task["label"], shlex.split(task["command"])[:1])
        yield from _unknown(f"{task['label']}: dependsOn", task.get("dependsOn", ()), labels)
        if "problemMatcher" not in task:  # VS Code would ask for one at each run
            yield f"{task['label']}: no problemMatcher"
        for matcher in task.get("problemMatcher", ()):
            for pattern in _patterns(matcher):
                groups = re.compile(pattern["regexp"]).groups
                if any(isinstance(v, int) and v > groups for v in pattern.values()):
                    yield f"{task['label']}: its pattern has no such group"
            yield from _missing(task["label"], _paths(matcher["fileLocation"][1:]))


def settings(files: EditorFiles) -> Iterator[str]:
    said = files.settings
    inside = files.devcontainer["customizations"]["vscode"].get("settings", {})
    folders = [said.get("python.testing.cwd", "nowhere"), *said["python.analysis.extraPaths"]]
    yield from _missing("settings.json", _paths(folders))
    if said.get("python.terminal.activateEnvironment") is not False:
        yield "settings.json: activateEnvironment would be typed into psql"
    formatter = said.get("[python]", {}).get("editor.defaultFormatter")
    yield from _unknown("settings.json: formatter", [formatter], _recommended(files))
    for name in inside.keys() & said.keys():  # the checkout's setting would win
        yield f"settings.json: {name} hides what the dev container sets"
    interpreter = Path(inside.get("python.defaultInterpreterPath", "/nowhere"))
    if (
        f"uv venv --quiet {interpreter.parent.parent}"
        not in (CHECKOUT / "backend/Dockerfile").read_text()
    ):
        yield f"python.defaultInterpreterPath: the image has no {interpreter}"


def extensions(files: EditorFiles) -> Iterator[str]:
    inside = files.devcontainer["customizations"]["vscode"].get("extensions", [])
    for name in {*inside, *OUTSIDE_ONLY} - set(_recommended(files)):
        yield f"extensions.json: {name} is missing"


# Helpers


def _patterns(matcher: dict[str, Any]) -> list[dict[str, Any]]:
    pattern = matcher["pattern"]
    return pattern if isinstance(pattern, list) else [pattern]


def _recommended(files: EditorFiles) -> list[str]:
    return files.extensions.get("recommendations", [])


def _in_the_workspace(files: EditorFiles) -> dict[tuple[str, int], int]:
    """Host and port of each debugger that an editor in the dev container can reach."""
    found = {}
    for name, service in files.override.items():
        said = service.get("environment", {})
        if said.get("DEBUGPY_HOST") == "0.0.0.0" and said.get("DEBUGPY_PORT"):
            found[name, int(said["DEBUGPY_PORT"])] = int(said["DEBUGPY_PORT"])
    # Web's debugger, which `./dev serve --debug` starts on the port of docker-compose.debug.yml.
    service = files.published.get(files.devcontainer["service"], {})
    own = int(service.get("environment", {}).get("DEBUGPY_PORT", 0))
    return {**found, ("127.0.0.1", own): own}


def _resolved(text: str, variables: Mapping[str, str]) -> str:
    """The text with these variables interpolated by the editor."""
    return re.sub(r"\$\{env:(\w+)\}", lambda found: variables.get(found[1], ""), text)


def _published(files: EditorFiles) -> dict[tuple[str, int], int]:
    """The same for an editor outside the containers."""
    found = {}
    for service in files.published.values():
        target = service["environment"]["DEBUGPY_PORT"]
        for entry in service["ports"]:
            host, _, rest = _with_defaults(entry).partition(":")
            number, _, inside = rest.partition(":")
            if inside == target:
                found[host, int(number)] = int(number)
    return found


def _with_dependencies(services: dict[str, Any], names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for name in names:
        if name in services:
            found |= {name} | _with_dependencies(services, services[name].get("depends_on", ()))
    return found


def _limits(files: EditorFiles, name: str) -> dict[str, str]:
    def of(services: dict[str, Any]) -> dict[str, Any]:
        return services.get(name, {}).get("deploy", {}).get("resources", {}).get("limits", {})

    return {**of(files.local), **of(files.override)}


def _bytes(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([a-z]?)b?", text.lower()).groups()
    return int(number) * 1024 ** " kmgt".index(unit or " ")


def _with_defaults(value: str) -> str:
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def _paths(names: Iterable[str]) -> list[str]:
    return [name.replace("${workspaceFolder}", ".") for name in names]


def _missing(where: str, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        if not (CHECKOUT / name).exists():
            yield f"{where}: there is no {name}"


def _unknown(where: str, names: Iterable[Any], known: Iterable[str]) -> Iterator[str]:
    for name in names:
        if name not in known:
            yield f"{where}: there is no {name!r}"

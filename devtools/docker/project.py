"""The Compose project of this checkout: its declaration and its containers."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from .. import chosen_ports, project_table
from ..checkout import Checkout
from ..declared.compose import by_dependency, one_shots, port_variable, with_builds
from ..errors import DevError, Problem
from ..process import Result, capture
from ..services import POOL
from ..supervision.web import Choice

FILE = "docker-compose.yml"
# The override files that Compose looks for; the first one that exists is used.
OVERRIDES = (
    *("compose.override.yml", "compose.override.yaml"),
    *("docker-compose.override.yml", "docker-compose.override.yaml"),
)
PROJECT_LABEL = "com.docker.compose.project"
_DIRECTORY_LABEL = "com.docker.compose.project.working_dir"
VOLUME_LABEL = "com.docker.compose.volume"
# Labels of a volume: the checkout that created it, by identifier and by folder.
CHECKOUT_LABEL = "dev.checkout"
ROOT_LABEL = "dev.root"

NAME = project_table.VARIABLE
_WARNING = re.compile(r'level=warning msg="((?:\\.|[^"\\])*)"')
_UNSET = re.compile(r'The "(\w+)" variable is not set\.')


class PublishedPort(NamedTuple):
    """A port of a service on this machine."""

    service: str
    host: str
    port: int
    target: int


class Begun(NamedTuple):
    """A project with data, and the checkout that created it."""

    project: str
    checkout: str
    root: str


@dataclass(frozen=True)
class Service:
    """A service as declared in the Compose files."""

    name: str
    image: str
    built: bool
    one_shot: bool
    declaration: Mapping[str, Any]

    def fulfilled_by(self, replicas: Sequence[Container]) -> bool:
        """Whether there are containers and all are in the state that the service should reach."""
        return bool(replicas) and all(map(self.reached_by, replicas))

    def reached_by(self, container: Container) -> bool:
        """Whether a container is in the state that the service should reach."""
        if self.one_shot:
            return container.state == "exited" and container.exit_status == 0
        return container.healthy

    @property
    def digest(self) -> str:
        """A digest of the declaration: changes when its container must be recreated.

        Compose also has a hash, but for services with an `env_file`, `docker compose config --hash`
        does not print the one that Compose compares.
        """
        return hashlib.sha256(json.dumps(self.declaration, sort_keys=True).encode()).hexdigest()

    @property
    def published(self) -> list[PublishedPort]:
        """Its ports on this machine."""
        return [
            PublishedPort(
                self.name,
                entry.get("host_ip", ""),
                int(entry["published"]),
                int(entry["target"]),
            )
            for entry in self.declaration.get("ports") or ()
            if entry.get("published")
        ]


@dataclass(frozen=True)
class Container:
    """A container of the project as the daemon reports it."""

    id: str
    service: str
    number: int
    one_off: bool
    state: str
    health: str
    exit_status: int
    restarts: int
    started_at: str
    image_id: str
    directory: str
    # From its environment and labels: its web server, the port of its debugger (0: none),
    # whether it reloads, the Compose files that declared it.
    server: str = ""
    debug_port: int = 0
    reload: bool = False
    files: str = ""
    # Its published ports, by port in the container.
    published: Mapping[int, PublishedPort] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        return self.state == "running"

    @property
    def healthy(self) -> bool:
        """Running, and healthy if it has a health check."""
        return self.running and self.health in ("healthy", "")

    @property
    def is_dev_container(self) -> bool:
        return self.running and ".devcontainer/" in self.files

    @property
    def run(self) -> tuple[str, str]:
        """Identifies this start of the container: changes when it restarts."""
        return self.id, self.started_at


class Project:
    """Calls `docker`. Declarations are read once and cached."""

    def __init__(self, checkout: Checkout) -> None:
        self.checkout = checkout
        self._added: list[str] = []
        self._given: dict[str, str] = {}

    def add(self, file: str) -> None:
        """Add a Compose file of the checkout."""
        self._added.append(file)
        self.forget_configuration()

    def give(self, variable: str, value: str) -> None:
        """Set `variable` for the Compose files, overriding `.env`."""
        self._given[variable] = value
        self.forget_configuration()

    # Declarations

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """The Compose files with variables interpolated. Raises DevError if they are invalid."""
        return json.loads(self._configured.output)

    @property
    def warnings(self) -> list[Problem]:
        """Compose's warnings about its files; warnings about `.env` are separate, with lines."""
        # Of unset variables in `.env`.
        known = " ".join(problem.what for problem in self.checkout.dotenv.warnings)
        found = dict.fromkeys(_WARNING.findall(self._configured.errors))
        texts = [text.replace('\\"', '"') for text in found]
        return [
            Problem(f"docker compose warns: {text}", "docker compose config --quiet   repeats it")
            for text in texts
            if not ((unset := _UNSET.match(text)) and f"`${unset[1]}`" in known)
        ]

    @property
    def name(self) -> str:
        return self.configuration["name"]

    @cached_property
    def services(self) -> dict[str, Service]:
        """The services that `up` starts, in the order of their dependencies."""
        declared = with_builds(self.configuration["services"])
        awaited = one_shots(declared)
        return {
            name: Service(
                name=name,
                image=declared[name].get("image") or f"{self.name}-{name}",
                built="build" in declared[name],
                one_shot=name in awaited,
                declaration=self.configuration["services"][name],
            )
            for name in by_dependency(declared)
        }

    @property
    def long_running(self) -> list[str]:
        """The names of the long-running services."""
        return [name for name, service in self.services.items() if not service.one_shot]

    def published(self, services: Sequence[str] | None = None) -> list[PublishedPort]:
        """The ports on this machine, of `services` or of all."""
        return [
            port
            for name, service in self.services.items()
            if services is None or name in services
            for port in service.published
        ]

    @cached_property
    def port_variables(self) -> dict[tuple[str, int], str]:
        """The variable that sets the port on this machine, by service and port in the container."""
        found = self.compose("config", "--no-interpolate", "--format", "json")
        if not found.ok:
            return {}
        return {
            (name, target): variable
            for name, declaration in json.loads(found.output)["services"].items()
            for target, variable in map(port_variable, declaration.get("ports") or ())
            if variable
        }

    # Containers and volumes

    def replicas(self) -> dict[str, list[Container]]:
        """The containers by service; several if a service is scaled."""
        found: dict[str, list[Container]] = {}
        for container in self.all_containers():
            if not container.one_off:
                found.setdefault(container.service, []).append(container)
        return found

    def containers(self) -> dict[str, Container]:
        """One container for each service that has any; the first running one if it is scaled."""
        return one_each(self.replicas())

    def all_containers(self) -> list[Container]:
        """All containers of the project, including those of one-off commands."""
        # A container of `docker run` inherits the project and the service from its image, but has
        # no directory.
        labels = (f"{PROJECT_LABEL}={self.name}", _DIRECTORY_LABEL)
        filters = [part for label in labels for part in ("--filter", f"label={label}")]
        listed = self.docker("ps", "-aq", "--no-trunc", *filters)
        identifiers = listed.output.split()
        if not identifiers:
            return []
        # A container that disappears meanwhile is omitted and changes the exit status.
        inspected = self.docker("inspect", "--type", "container", *identifiers)
        found = [_container(facts) for facts in json.loads(inspected.output or "[]")]
        return sorted(found, key=lambda one: one.number)

    def volumes(self) -> list[str]:
        """The names of the existing volumes of this project."""
        found = self.docker("volume", "ls", "-q", "--filter", f"label={PROJECT_LABEL}={self.name}")
        return sorted({*found.output.split()} - {self._owner_volume})

    def make_volumes(self) -> bool:
        """Create the declared volumes that do not exist, with labels of this checkout.

        A volume created by Compose does not record its checkout once the containers are removed.
        Volumes with options are left to Compose. Return whether Compose created all of them:
        labels cannot be added later, so an empty volume records that they are this checkout's.
        """
        there = self.volumes()
        if not there:
            self.forget_owner()  # of volumes that were deleted meanwhile
        owned = not there or self.name in {one.project for one in self.begun}
        for key, declared in (self.configuration.get("volumes") or {}).items():
            if declared.keys() > {"name"} or declared["name"] in there:
                continue
            self._make_volume(declared["name"], {VOLUME_LABEL: key})
        if not owned:
            self._make_volume(self._owner_volume, {})
        return not owned

    def forget_owner(self) -> None:
        """Delete the volume that records the checkout of volumes that Compose created."""
        self.docker("volume", "rm", "--force", self._owner_volume)

    @property
    def _owner_volume(self) -> str:
        return f"{self.name}_dev-checkout"

    def _make_volume(self, name: str, labels: Mapping[str, str]) -> None:
        labels = {
            PROJECT_LABEL: self.name,
            CHECKOUT_LABEL: self.checkout.identity.id,
            ROOT_LABEL: str(self.checkout.root.resolve()),
            **labels,
        }
        options = [part for label in labels.items() for part in ("--label", "=".join(label))]
        self.docker("volume", "create", *options, name)

    @cached_property
    def begun(self) -> set[Begun]:
        """The projects with volumes labelled by checkouts; empty if the daemon does not answer."""
        labels = (PROJECT_LABEL, CHECKOUT_LABEL, ROOT_LABEL)
        form = "\t".join(f'{{{{.Label "{label}"}}}}' for label in labels)
        listed = self.docker(
            "volume", "ls", "--filter", f"label={CHECKOUT_LABEL}", "--format", form
        )
        return {Begun(*line.split("\t")) for line in listed.output.splitlines()}

    def forget_begun(self) -> None:
        """Read the owners of volumes again, because another command may have created some."""
        self.__dict__.pop("begun", None)

    # Calling docker

    @property
    def environment(self) -> dict[str, str]:
        """The environment of every `docker` command."""
        environment = dict(self.checkout.variables)
        # Of COMPOSE_PROFILES keep the pool; commands choose the others. With the tests' profile in
        # the environment or `.env`, `up` would run the tests.
        chosen_profiles = self.checkout.chosen("COMPOSE_PROFILES").split(",")
        environment["COMPOSE_PROFILES"] = POOL if POOL in chosen_profiles else ""
        environment.update(self._given)
        if self._added:
            separator = self.checkout.chosen("COMPOSE_PATH_SEPARATOR") or os.pathsep
            there = [name for name in OVERRIDES if (self.checkout.root / name).is_file()]
            by_default = separator.join([FILE, *there[:1]])
            chosen = self.checkout.chosen("COMPOSE_FILE") or by_default
            environment["COMPOSE_FILE"] = separator.join([chosen, *self._added])
        # Compose names a project after its folder, by Latin letters and digits.
        if not self.checkout.chosen(NAME) and not re.search("[a-zA-Z0-9]", self.checkout.root.name):
            environment[NAME] = project_table.stack_name(self.checkout.root)
        environment.update(chosen_ports.remembered(self.checkout, chosen_ports.COMPOSE))
        if os.getuid() != 0:
            for variable, value in (("APP_UID", os.getuid()), ("APP_GID", os.getgid())):
                if not self.checkout.chosen(variable):
                    environment[variable] = str(value)
        return environment

    def docker(self, *arguments: str, timeout: float = 60) -> Result:
        """Run `docker`; return the result."""
        return capture(
            ["docker", *arguments],
            directory=self.checkout.root,
            environment=self.environment,
            timeout=timeout,
        )

    def compose(self, *arguments: str, timeout: float = 60) -> Result:
        """Run `docker compose`; return the result."""
        return self.docker("compose", *arguments, timeout=timeout)

    def forget_configuration(self) -> None:
        """Read the declarations again, because a variable has changed."""
        for read in ("_configured", "configuration", "services"):
            self.__dict__.pop(read, None)

    @cached_property
    def _configured(self) -> Result:
        found = self.compose("config", "--format", "json")
        # Only then, because the remedy asks Compose, too.
        remedy = "" if found.ok else self._configuration_remedy()
        return found.must("the Compose files, or variables that they use, are invalid", remedy)

    def _configuration_remedy(self) -> str:
        wrong = []
        for variable in self.port_variables.values():
            try:
                self.checkout.chosen_port(variable)
            except DevError as error:
                wrong.append(str(error))
        if self.checkout.chosen("COMPOSE_FILE"):
            wrong.append(
                f"COMPOSE_FILE={self.checkout.chosen('COMPOSE_FILE')} "
                f"(in {self.checkout.where_chosen('COMPOSE_FILE')}) selects the files"
            )
        return "\n".join(wrong) or "see all errors with: docker compose config"


def one_each(replicas: Mapping[str, Sequence[Container]]) -> dict[str, Container]:
    """The first running container of each service, else its first."""
    return {
        name: next((one for one in group if one.running), group[0])
        for name, group in replicas.items()
    }


def _container(facts: Mapping[str, Any]) -> Container:
    labels = facts["Config"].get("Labels") or {}
    state = facts["State"]
    variables = dict(one.partition("=")[::2] for one in facts["Config"].get("Env") or ())
    choice = Choice.of(variables)
    service = labels.get("com.docker.compose.service", "")
    bindings = facts["NetworkSettings"].get("Ports") or {}
    if state["Status"] == "restarting":
        # A crashing container has no port now, but may listen again in the next moment.
        bindings = facts["HostConfig"].get("PortBindings") or {}
    published = {}
    for port, bound in bindings.items():
        target = int(port.partition("/")[0])
        number = int(bound[0]["HostPort"] or 0) if bound else 0  # 0: Docker chooses at each start
        if number:
            published[target] = PublishedPort(service, bound[0]["HostIp"], number, target)
    return Container(
        id=facts["Id"],
        service=service,
        number=int(labels.get("com.docker.compose.container-number") or 0),
        one_off=labels.get("com.docker.compose.oneoff") == "True",
        state=state["Status"],
        health=(state.get("Health") or {}).get("Status", "").replace("none", ""),
        exit_status=state["ExitCode"],
        restarts=facts.get("RestartCount", 0),
        started_at=state["StartedAt"],
        image_id=facts["Image"],
        directory=labels.get(_DIRECTORY_LABEL, ""),
        server=choice.server,
        debug_port=choice.debug_port or 0,
        reload=choice.reload,
        files=labels.get("com.docker.compose.project.config_files", ""),
        published=published,
    )

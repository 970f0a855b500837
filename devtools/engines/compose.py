"""The engine with Docker: runs the stack of docker-compose.yml."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Callable

from .. import cache, chosen_ports, environment, ports
from ..checkout import Checkout
from ..declared import local_stack
from ..declared.compose import size
from ..docker import image, project_owner, published_ports, report, watch
from ..docker.clusters import VolumeClusters
from ..docker.project import NAME, Container, Project, one_each
from ..embedded.places import Places
from ..embedded.stack import Stack
from ..errors import DevError, PortLost, Problem
from ..interpreter import Interpreter
from ..nearest import must_be_known
from ..preflight import daemon, disk_space, files
from ..process import Result, background, hand_over, stream
from ..services import CACHE, DATABASE, RELEASE, TESTS, WEB
from ..status import StackStatus
from ..supervision.web import SERVER
from ..terminal import Mark, Terminal
from .base import Engine, has_terminal, runs_once

# Publishes the debuggers' ports on loopback. There is no debugger without it.
DEBUG_FILE = "docker-compose.debug.yml"

SUBJECT = "stack"

_QUIETLY = ("--progress", "quiet")

_PORT_RACE = re.compile(r":(\d+)(?: failed: port is already allocated|: bind: address already)")


class ComposeEngine(Engine):
    """Calls `docker compose`; has no state except Project's cache."""

    name = "compose"

    def __init__(self, checkout: Checkout, terminal: Terminal) -> None:
        super().__init__(checkout, terminal)
        self.project = Project(checkout)
        self._docker_answers = False

    # The stack

    def up(self, *, build: bool, debug: bool, timeout: float) -> bool:
        if debug:
            self.project.add(DEBUG_FILE)
        self._check()
        self._must_not_be_a_workspace("./dev up")
        with self.checkout.lock(self.terminal, "up"), self.claims:
            if debug:
                self._keep_debugged_server()
            if not build and self._nothing_changed():
                return False
            self._warn_of_disk()
            self._prepare(build=build)
            self._stop_unwell()
            # Compose would recreate the web of `serve`, which was created without dependencies.
            kept = self._standing() & {WEB}
            names = [name for name in self.project.services if name not in kept]
            self._start(["up", "--detach", "--no-build"], names, timeout)
            self._remember(self.project.services)
            self.checkout.settle()
            return True

    def down(self, *, volumes: bool) -> None:
        self._check_docker()
        with self.checkout.lock(self.terminal, "down"):
            there = [container.service for container in self.project.all_containers()]
            if not there and not volumes:
                self.terminal.mark(Mark.GOOD, "nothing was running")
                return
            with self.terminal.step("stopping and removing " + (", ".join(there) or "volumes")):
                self._down(*(["--volumes"] if volumes else []))

    def status(self) -> StackStatus:
        self._check_docker()
        return report.status(self.project, self.name, self._tenant_names())

    def logs(self, services: Sequence[str], *, follow: bool, tail: int | None) -> int:
        self._check_docker()
        arguments = ["--follow"] if follow else []
        arguments += ["--tail", str(tail)] if tail is not None else []
        arguments += self._known(services)
        if self.terminal.live:
            return self._hand_over("logs", *arguments)
        return stream(
            ["docker", "compose", "logs", *arguments],
            lambda line: self.terminal.say(watch.plain(line)),
            directory=self.checkout.root,
            environment=self.project.environment,
        )

    def restart(self, services: Sequence[str], *, timeout: float) -> None:
        self._check()
        names = self._known(services) or self.project.long_running
        if WEB in names:
            self._must_not_be_a_workspace(f"./dev restart {WEB}")
        with self.checkout.lock(self.terminal, "restart"), self.claims:
            self._must_exist(names)
            published_ports.hold(self.project, names, self.claims)
            for wave in self._waves(names):
                # Without it, Compose would restart the dependents too.
                self._start(["restart", "--no-deps"], wave, timeout)

    def serve(self, server: str, *, debug: bool, timeout: float) -> bool:
        if debug:
            self.project.add(DEBUG_FILE)
        self._check()
        with self.checkout.lock(self.terminal, "serve"), self.claims:
            self._must_exist([WEB])
            web = self.project.containers()[WEB]
            if web.is_dev_container:
                return self._serve_in_workspace(server, debug=debug)
            if web.running and bool(web.debug_port) == debug and self._answers(server):
                return False
            self.project.give(SERVER, server)
            published_ports.settle(self.project, [WEB], self.claims, self.terminal)
            self._stop_unwell(only=WEB)
            self._start(
                # Without dependencies, so that Compose neither touches nor reruns them.
                ["up", "--detach", "--no-deps", "--no-build"],
                [WEB],
                timeout,
                arrived=lambda: self._answers(server),
            )
            self._remember([WEB])
            return True

    def remains(self) -> list[str]:
        self._check_docker()
        containers = [f"container {found.service}" for found in self.project.all_containers()]
        images = [f"image {name}" for name in image.made(self.project)]
        volumes = [f"volume {name}" for name in self.project.volumes()]
        return containers + volumes + images

    def data(self) -> list[str]:
        self._check_docker()
        return self.project.volumes()

    def clean(self) -> None:
        with self.checkout.lock(self.terminal, "clean"):
            with self.terminal.step("deleting containers and volumes"):
                self._down("--volumes")
            for problem in image.remove(self.project):
                self.terminal.warn(problem)
            for subject in (SUBJECT, image.SUBJECT, chosen_ports.COMPOSE):
                self.checkout.forget(subject)

    def clusters(self, programs: Path | None) -> VolumeClusters:
        if programs:
            raise DevError("--programs is for the engine without Docker", "leave it out")
        project = self.project
        return VolumeClusters(self.checkout, project.environment, project.configuration)

    # Commands inside it

    def manage(self, arguments: Sequence[str], *, writes_code: bool = False) -> int:
        caller = ["--user", f"{os.getuid()}:{os.getgid()}"] if writes_code else []
        given = [f"--env={name}" for name in self.account_variables]
        return self._run(RELEASE, *caller, *given, command=["python", "manage.py", *arguments])

    def look(self, arguments: Sequence[str]) -> int:
        self._check_docker()
        if report.runs(self.project.containers(), WEB):  # a container more would take seconds
            return self._exec(WEB, "python", "manage.py", *arguments)
        return self.manage(arguments)

    def release(self) -> int:
        return self._run(RELEASE)

    def shell(self, arguments: Sequence[str]) -> int:
        return self._exec(WEB, "python", "manage.py", "shell", *arguments)

    def execute(self, service: str, command: Sequence[str]) -> int:
        self._check_docker()
        self._known([service])
        if self.project.services[service].one_shot:
            raise runs_once(service)
        return self._exec(service, *command)

    def _as_superuser(self, *options: str) -> tuple[Sequence[str], Mapping[str, str]]:
        self._check_docker()
        container = self._must_run(DATABASE)[DATABASE]
        command = ("docker", "exec", "--interactive", *options, container.id, "sh", "-c")
        return (*command, report.SUPERUSER + 'exec "$@"', "sh"), self.project.environment

    def memory(self) -> int:
        running = [found.id for found in self.project.all_containers() if found.running]
        if not running:
            return 0
        asked = self.project.docker("stats", "--no-stream", "--format", "{{.MemUsage}}", *running)
        total = 0.0
        for line in asked.output.splitlines():  # as "12.3MiB / 1GiB"
            with contextlib.suppress(ValueError):  # of a container that has ended
                total += size(line.partition(" ")[0])
        return int(total)

    def copy_files_to(self, other: Checkout) -> None:
        theirs = ComposeEngine(other, self.terminal)._file_volumes()
        options = ("run", "--rm", "--network", "none", "--user", "0", "--entrypoint", "cp")
        image = self.project.services[DATABASE].image
        for key, name in self._file_volumes().items():
            if key in theirs:
                mounts = ("--volume", f"{name}:/from:ro", "--volume", f"{theirs[key]}:/to")
                self.project.docker(
                    *options, *mounts, image, "-a", "/from/.", "/to/", timeout=3600
                ).must(f"the volume {name} was not copied")

    def _file_volumes(self) -> dict[str, str]:
        """The existing volumes that neither the database nor the cache mounts, by their key."""
        services = (self.project.services[name].declaration for name in (DATABASE, CACHE))
        apart = {one.get("source") for found in services for one in found.get("volumes") or ()}
        there = self.project.volumes()
        return {
            key: declared["name"]
            for key, declared in (self.project.configuration.get("volumes") or {}).items()
            if key not in apart and declared["name"] in there
        }

    def missing_packages(self) -> list[str]:
        self._check_docker()
        web = self.project.containers().get(WEB)
        if web is None:
            return []
        # If web is not running, ask the image: web may have failed because of a missing package.
        where = web.id if web.running else ""
        return image.missing_packages(self.project, web.image_id, where)

    def image_python(self, *modules: str) -> Interpreter | None:
        self._check_docker()
        name = self.project.services[WEB].image
        if name not in image.ids(self.project):
            return None
        python = image.ImagePython(self.project, name)
        return python if environment.imports(self.checkout, python, *modules) else None

    def install_python(self, terminal: Terminal) -> Interpreter:
        image.build_outdated(self.project, terminal)
        return image.ImagePython(self.project, self.project.services[WEB].image)

    def empty_cache(self) -> None:
        self._check_docker()
        containers = self._must_run(CACHE)
        settings = self.project.services[WEB].declaration.get("environment") or {}
        port = report.port(self.project, containers, CACHE)
        cache.empty(settings.get("REDIS_URL", ""), ports.LOOPBACK, port)

    def test(self, arguments: Sequence[str], *, build: bool) -> int:
        return self._run(TESTS, command=arguments, build=build)

    def test_environment(self) -> Mapping[str, str]:
        self._check_docker()
        # Like the embedded engine: on the ports that the containers publish.
        given = {
            name: report.port(self.project, self._must_run(name), name)
            for name in (DATABASE, CACHE)
        }
        declared = local_stack.load_with(
            self.checkout, lambda: self.python_with(local_stack.READER)
        )
        if TESTS not in declared.extra:
            raise DevError(
                f"neither .venv nor the image can read {local_stack.FILE}",
                "create .venv: ./dev lint",
            )
        stack = Stack(self.checkout, Places(self.checkout), declared, Path(sys.executable), given)
        stack.make_places(declared.extra[TESTS])
        return stack.settings(declared.extra[TESTS])

    # The processes' environment

    def environment_at_start(self, service: str) -> Mapping[str, str]:
        return self.project.services[service].declaration.get("environment") or {}

    def filled_in(self) -> Mapping[str, str]:
        own = self.project.environment.items() - self.checkout.variables.items()
        return {**dict(own), "COMPOSE_PROJECT_NAME": self.project.name}

    def ask(self, service: str, command: Sequence[str]) -> Result | None:
        if not report.runs(self.project.containers(), service):
            return None
        return self.project.compose("exec", "-T", service, *command)

    # Before a start

    def _check(self) -> None:
        """Raise one DevError with all problems that prevent a start."""
        self._check_docker(
            [*files.windows_line_endings(self.checkout), *files.unreadable(self.checkout)]
        )
        for problem in (*self.checkout.dotenv.warnings, *self.project.warnings):
            self.terminal.warn(problem)

    def _check_docker(self, others: Sequence[Problem] = ()) -> None:
        """Raise one DevError with `others` and all problems with Docker."""
        if self._docker_answers and not others:
            return
        found = [
            *self.checkout.dotenv.problems,
            *others,
            *daemon.problems(self.checkout),
        ]
        # Only then can the project be read and its owner be determined.
        found = found or project_owner.problems(self.project)
        if found:
            raise DevError.of(found)
        self._docker_answers = True
        for problem in project_owner.left_behind(self.project):
            self.terminal.warn(problem)
        if not self.checkout.recall(SUBJECT):
            self._keep_ports()

    def _keep_ports(self) -> None:
        """Remember the containers' ports: `.dev`, or the configuration that chose them, is gone."""
        declared = {(port.service, port.target): port.port for port in self.project.published()}
        found = {}
        for container in self.project.containers().values():
            for port in container.published.values():
                place = port.service, port.target
                variable = self.project.port_variables.get(place, "")
                moved = declared.get(place, 0) not in (0, port.port)  # 0: any free port
                if variable and moved and not self.checkout.chosen(variable):
                    found[variable] = port.port
        if found:
            shown = " ".join(f"{variable}={number}" for variable, number in found.items())
            self.terminal.warn(Problem(f"the ports are kept that the containers have: {shown}"))
            chosen_ports.remember(self.checkout, chosen_ports.COMPOSE, found)
            self.project.forget_configuration()

    def _prepare(self, *, build: bool, services: Sequence[str] | None = None) -> None:
        """Ensure free ports and a current image for `services`, or for all, and the volumes."""
        self._hold_project()
        published_ports.settle(self.project, services, self.claims, self.terminal)
        if self.project.make_volumes():
            self.terminal.warn(
                Problem(
                    "the dev container or plain docker compose created the data of "
                    f"{self.project.name}; from now on it belongs to this checkout",
                    "if it is another checkout's: ./dev down, and another name in .env: "
                    f"{NAME}={self.project.name}-2",
                )
            )
        image.ensure(self.project, self.terminal, force=build)

    def _hold_project(self) -> None:
        """Raise DevError if another checkout of the same name starts, or has just started."""
        name = self.project.name
        if not self.claims.hold(name):
            raise DevError(
                f"another checkout is starting under the project name {name}",
                project_owner.another_name(self.project),
            )
        self.project.forget_begun()
        if found := project_owner.problems(self.project):
            raise DevError.of(found)

    def _nothing_changed(self) -> bool:
        """Whether the stack needs no `up`: as declared, healthy, migrated, image current."""
        return (
            self._standing() == set(self.project.services)
            and image.up_to_date(self.project, image.ids(self.project))
            and self._is_ready()
        )

    def _standing(self) -> set[str]:
        """The services that are healthy, match the declaration and run the current image."""
        replicas = self.project.replicas()
        if not replicas:
            return set()
        first = one_each(replicas)
        known = self.checkout.recall(SUBJECT)
        present = image.ids(self.project)
        return {
            name
            for name, service in self.project.services.items()
            if service.fulfilled_by(replicas.get(name, ()))
            and known.get(name) == self._record(first[name])
            and all(one.image_id == present.get(service.image) for one in replicas[name])
        }

    def _record(self, container: Container) -> dict[str, str]:
        """The container's id and its declaration, so that a change of either is detected."""
        service = self.project.services[container.service]
        return {"container": container.id, "declaration": service.digest}

    def _remember(self, names: Iterable[str]) -> None:
        """Record the declarations that the containers of `names` were started with."""
        containers = self.project.containers()
        started = {name: self._record(containers[name]) for name in names}
        self.checkout.remember(SUBJECT, {**self.checkout.recall(SUBJECT), **started})

    def _warn_of_disk(self) -> None:
        root = self.project.docker("info", "--format", "{{.DockerRootDir}}").output.strip()
        for problem in disk_space.of_docker(root)[1]:
            self.terminal.warn(problem)

    # Starting and following

    def _start(
        self,
        arguments: Sequence[str],
        names: Sequence[str],
        timeout: float,
        arrived: Callable[[], bool] = lambda: False,
    ) -> None:
        """Run `docker compose` with `arguments` on `names` and wait until they are healthy,
        or until `arrived` ends the wait early."""
        before = {one.id: one for one in self.project.all_containers()}
        with background(
            ["docker", "compose", "--progress", "plain", *arguments, *names],
            directory=self.checkout.root,
            environment=self.project.environment,
        ) as command:
            try:
                watch.follow(self.project, self.terminal, command, names, before, timeout, arrived)
            except DevError:
                self._explain_port_race(command.output)
                raise

    def _explain_port_race(self, output: str) -> None:
        """Raise a better error if another program took a port meanwhile, or invisibly."""
        numbers = set(map(int, _PORT_RACE.findall(output)))
        lost = published_ports.lost(self.project, numbers)
        if lost:
            raise PortLost.of(lost)

    def _waves(self, names: Sequence[str]) -> Iterator[Sequence[str]]:
        """`names` in groups, each after its dependencies: web and worker would crash until the
        emulators are seeded if all restarted at once."""
        services = self.project.services
        waits = {name: services[name].declaration.get("depends_on") or () for name in names}
        order = TopologicalSorter({name: {*waits[name]} & {*names} for name in names})
        order.prepare()
        while order.is_active():
            wave = order.get_ready()
            yield wave
            order.done(*wave)

    def _stop_unwell(self, only: str = "") -> None:
        """Stop crashing and unhealthy services, so that the start is not delayed by back-off."""
        names = [
            name
            for name, group in self.project.replicas().items()
            if any(one.state == "restarting" or one.health == "unhealthy" for one in group)
            and name == (only or name)
        ]
        if names:
            with self.terminal.step("stopping unhealthy services: " + ", ".join(names)):
                self.project.compose("stop", *names)

    def _down(self, *options: str) -> None:
        # All profiles: containers of one-off commands and of the tests too.
        self.project.compose(
            "--profile", "*", "down", "--remove-orphans", *options, timeout=180
        ).must("docker compose could not stop the stack", "see what is still running: ./dev status")
        if "--volumes" in options:
            self.project.forget_owner()

    # Commands inside

    def _run(
        self,
        service: str,
        *options: str,
        command: Sequence[str] = (),
        build: bool = False,
    ) -> int:
        """Run `command` in a separate container, with the database and Redis available."""
        if self.checkout.variables.get("DEBUGPY_RUNNING"):
            raise DevError(
                "breakpoints would not work: a debugger on this machine cannot follow a command "
                "into its container",
                "debug the command in the dev container, or without Docker: ./dev down, then put "
                "DEV_ENGINE=embedded in .env",
            )
        self._check()
        with self.checkout.lock(self.terminal, service):
            self.started(lambda: self._start_data_services(build=build))
        name = f"{self.project.name}-{service}-run-{uuid.uuid4().hex[:12]}"
        options = ("--rm", "--no-deps", "--name", name, *_no_tty(), *options)
        try:
            return self._hand_over(*_QUIETLY, "run", *options, service, *command)
        finally:
            # Compose leaves the container running if it is interrupted without a terminal.
            with contextlib.suppress(DevError):  # the command's own outcome counts
                self.project.docker("stop", name)

    def _start_data_services(self, *, build: bool) -> None:
        needs = self.project.services[RELEASE].declaration.get("depends_on") or {}
        needed = [name for name in self.project.long_running if name in needs]
        with self.claims:
            self._prepare(build=build, services=needed)
            there = self.project.replicas()
            services = self.project.services
            if not all(services[name].fulfilled_by(there.get(name, ())) for name in needed):
                self._start(["up", "--detach", "--no-deps"], needed, timeout=60)
                self.terminal.say(f"  {' and '.join(needed)} keep running; ./dev down stops them")

    def _exec(self, service: str, *command: str) -> int:
        self._check_docker()
        self._must_run(service)
        return self._hand_over("exec", *_no_tty(), service, *command)

    def _hand_over(self, *arguments: str) -> int:
        return hand_over(
            ["docker", "compose", *arguments],
            directory=self.checkout.root,
            environment=self.project.environment,
        )

    def _known(self, services: Sequence[str]) -> list[str]:
        must_be_known("service", services, self.project.services)
        return list(services)

    def _must_run(self, service: str) -> dict[str, Container]:
        """The containers. Raises DevError if `service` has no running one."""
        containers = self.project.containers()
        if not report.runs(containers, service):
            raise DevError(f"{service} is not running", "start the stack: ./dev up")
        return containers

    def _keep_debugged_server(self) -> None:
        """Keep a web that already runs under a debugger: an editor may be attached."""
        web = self.project.containers().get(WEB)
        if web and web.running and web.debug_port and SERVER not in self.checkout.variables:
            self.project.give(SERVER, web.server)

    def _must_not_be_a_workspace(self, command: str) -> None:
        """Raise DevError if a dev container runs: replacing it would disconnect the editor."""
        web = self.project.containers().get(WEB)
        if web and web.is_dev_container:
            raise DevError(
                "web is a dev container, with an editor in it",
                f"run the same command inside it: {command}\nor stop it first: ./dev down",
            )

    def _serve_in_workspace(self, server: str, *, debug: bool) -> bool:
        options = ["--debug"] if debug else []
        inside = ("sh", "-c", 'exec ../dev "$@"', "dev", "serve", server, *options)
        if self._exec(WEB, *inside):
            raise DevError(f"{server} did not start in the dev container", "./dev logs web")
        return True

    def _must_exist(self, services: Sequence[str]) -> None:
        missing = set(services) - set(self.project.containers())
        if missing:
            raise DevError(f"not up: {', '.join(sorted(missing))}", "start the stack: ./dev up")

    def _is_ready(self) -> bool:
        answer = report.ask_health(self.project, self.project.containers())
        return answer is not None and answer.ok

    def _answers(self, server: str) -> bool:
        answer = report.ask_health(self.project, self.project.containers())
        return answer is not None and answer.server == server


def _no_tty() -> list[str]:
    """Compose allocates a terminal by default, and fails if stdin or stdout is not one."""
    return [] if has_terminal() else ["-T"]

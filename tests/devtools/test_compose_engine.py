"""The commands with a real daemon, and a small stack instead of the application's."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import small_stack
from front_door import ROOT, Workspace, another_application, read_until
from misfits import misfit
from small_stack import BASE_IMAGE, lacks

from devtools import ports
from devtools.commands import shapes
from devtools.engines.compose import ComposeEngine
from devtools.readiness import wait_until

# Each, by its file, until that is deleted: see stack/.
FAULTS = ("silent", "pending", "hold", "crash", "crash-db")

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(
        lacks(BASE_IMAGE), reason=f"no Docker daemon answers, or it lacks {BASE_IMAGE}"
    ),
]


@pytest.fixture
def stack(workspace: Workspace):
    """The small stack in a separate checkout with its project and ports; removed at the end."""
    small_stack.put_into(workspace)
    yield workspace
    (workspace.root / "hold").unlink(missing_ok=True)
    small_stack.clean(workspace)


@pytest.fixture(scope="module")
def data_services(tmp_path_factory):
    """A small stack of which no command starts more than what a test or a release needs."""
    yield from _small_stack(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One small stack for all tests that need none of their own."""
    yield from _small_stack(tmp_path_factory.mktemp("shared"))


def _small_stack(directory: Path) -> Iterator[Workspace]:
    workspace = Workspace.copied_to(directory / "my checkout")
    small_stack.put_into(workspace)
    yield workspace
    small_stack.clean(workspace)


@pytest.fixture
def up(shared: Workspace):
    """The shared stack, up; its variables and declarations are restored afterwards."""
    kept = dict(shared.variables)
    shared.must("up")
    yield shared
    for file in (".env", "docker-compose.debug.yml", *FAULTS):
        (shared.root / file).unlink(missing_ok=True)
    shared.variables.clear()
    shared.variables.update(kept)


@pytest.fixture
def held(up: Workspace):
    """The shared stack, with migrations to apply whose release lasts until `hold` is deleted."""
    up.write("hold", "")
    up.write("pending", "")
    return up


def _docker(stack: Workspace, *arguments: str) -> str:
    """The output of `docker`, as ./dev calls it for the stack."""
    done = subprocess.run(
        ["docker", *arguments],
        cwd=stack.root,
        env=stack.variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def _containers(stack: Workspace) -> dict[str, str]:
    """Container ids by service, with the time of their last start."""
    listed = _docker(stack, "compose", "ps", "-aq", "--no-trunc").split()
    form = '{{index .Config.Labels "com.docker.compose.service"}} {{.Id}}@{{.State.StartedAt}}'
    inspected = _docker(stack, "inspect", "--format", form, *listed)
    return dict(line.split() for line in inspected.splitlines())


def test_up_shows_each_service_and_a_second_one_changes_nothing(stack):
    first = stack.must("up")
    assert "building" in first
    for service in ("db", "redis", "web", "worker"):
        assert any(line.split()[1:3] == [service, "healthy"] for line in first.splitlines())
    assert "migrate  completed" in first
    assert f"http://localhost:{stack.variables['WEB_PORT']}/" in first
    before = _containers(stack)

    assert "already up, nothing changed" in stack.must("up")
    assert _containers(stack) == before

    stack.write("pending", "")  # health reports pending migrations, so the release runs
    assert "migrate  completed" in stack.must("up")
    after = _containers(stack)
    assert {name for name in after if after[name] != before[name]} == {"image", "migrate"}


def test_serve_replaces_web_and_nothing_else(up):
    before = _containers(up)
    assert "runserver serves after" in up.dev("serve", "runserver").stdout
    after = _containers(up)
    assert {name for name in after if after[name] != before[name]} == {"web"}
    assert json.loads(up.dev("status", "--json").stdout)["server"] == "runserver"
    assert "is already running" in up.dev("serve", "runserver").stdout
    assert "served by gunicorn" in up.must("up")


def test_up_debug_keeps_a_server_that_is_debugged(up):
    debugged = 'services: {web: {environment: {DEBUGPY_PORT: "5678", RELOAD: "true"}}}'
    up.write("docker-compose.debug.yml", debugged)
    assert up.dev("serve", "runserver", "--debug").returncode == 0
    before = _containers(up)
    up.must("up", "--debug")
    assert _containers(up)["web"] == before["web"]
    up.variables["SERVER"] = "gunicorn"
    assert "served by gunicorn" in up.must("up", "--debug")


def test_a_command_that_cannot_be_debugged_in_its_container_is_refused(up):
    up.variables["DEBUGPY_RUNNING"] = "true"  # debugpy sets this for its children
    done = up.dev("manage", "check")
    assert done.returncode == 1
    assert "debug the command in the dev container" in done.stderr


def test_status_says_what_stopped_and_up_repairs_it(up):
    shown = json.loads(up.dev("status", "--json").stdout)
    assert shown["state"] == "up"
    assert misfit(shown, shapes.STATUS) == ""
    assert {service["name"] for service in shown["services"]} == {
        *("image", "db", "redis", "migrate", "web", "worker")
    }
    assert shown["health"]["checks"]["database"] == {"status": "ok", "latency_ms": 1.2}

    project = up.variables["COMPOSE_PROJECT_NAME"]
    _docker(up, "stop", f"{project}-worker-1")
    failing = up.dev("status")
    assert failing.returncode == 1
    assert "stopped" in failing.stdout
    up.must("up")
    assert up.dev("status").returncode == 0


def test_a_container_that_only_runs_the_image_is_no_service(up):
    """As ./dev itself runs its scripts in the image, beside other commands."""
    project = up.variables["COMPOSE_PROJECT_NAME"]
    image = f"{project}-backend:development"
    other = _docker(up, "run", "--detach", "--rm", image, "sleep", "60").strip()
    try:
        assert "healthy, " not in up.dev("status").stdout
        assert "nothing changed" in up.must("up")
    finally:
        _docker(up, "kill", other)


def test_a_fault_of_any_replica_of_a_scaled_service_shows(up):
    _docker(up, "compose", "up", "--detach", "--no-recreate", "--scale", "worker=2")
    assert "worker   healthy, 2/2 healthy" in up.dev("status").stdout
    assert "nothing changed" in up.must("up")
    project = up.variables["COMPOSE_PROJECT_NAME"]
    _docker(up, "kill", f"{project}-worker-2")
    failing = up.dev("status", "--json")
    assert failing.returncode == 1
    [worker] = [one for one in json.loads(failing.stdout)["services"] if one["name"] == "worker"]
    assert (worker["healthy"], worker["replicas"]) == (False, [1, 2])
    assert worker["state"].startswith("stopped")
    assert "hello" in up.dev("exec", "worker", "echo", "hello").stdout
    assert "nothing changed" not in up.must("up")
    assert up.dev("status").returncode == 0


def test_another_checkout_on_a_port_that_is_declared_now_is_not_reported(up):
    before = json.loads(up.dev("status", "--json").stdout)
    with another_application() as port:
        up.variables["WEB_PORT"] = str(port)
        after = json.loads(up.dev("status", "--json").stdout)
    assert after["server"] == before["server"] != "another checkout"
    assert after["addresses"] == before["addresses"]
    assert [one["address"] for one in after["services"]] == [
        one["address"] for one in before["services"]
    ]


def test_up_succeeds_only_if_health_is_ok(up):
    up.write("silent", "")
    done = up.dev("up", "--timeout", "3")
    assert done.returncode == 1
    assert "✔ up" not in done.stdout
    assert f"http://localhost:{up.variables['WEB_PORT']}/" in done.stdout
    assert "error: worker: not heard from\n  ./dev logs worker" in done.stderr
    with up.start("up") as child:
        read_until(child, "waiting for health")
        (up.root / "silent").unlink()  # it answers late
        assert "✔ up" in child.communicate(timeout=60)[0]
        assert child.returncode == 0


def test_a_restart_restarts_a_service_after_those_that_it_waits_for():
    needs = {"web": ["localstack", "migrate"], "localstack": ["cognito"], "cognito": [], "db": []}
    engine = ComposeEngine.__new__(ComposeEngine)
    engine.project = SimpleNamespace(
        services={
            name: SimpleNamespace(declaration={"depends_on": dict.fromkeys(awaited)})
            for name, awaited in needs.items()
        }
    )
    assert [*engine._waves([*needs])] == [("cognito", "db"), ("localstack",), ("web",)]
    assert [*engine._waves(["web"])] == [("web",)]


@pytest.mark.parametrize(
    ("service", "fault", "state"), [("worker", "crash", "crashing"), ("db", "crash-db", "")]
)
def test_a_failing_service_is_named_with_its_last_words(up, service, fault, state):
    """Also one that others wait for."""
    up.write(fault, f"the last words of {service}\n")
    container = f"{up.variables['COMPOSE_PROJECT_NAME']}-{service}-1"
    _docker(up, "restart", container)
    restarts = ("inspect", "--format", "{{.RestartCount}}", container)
    wait_until(lambda: int(_docker(up, *restarts)), 60, "it did not crash")
    done = up.dev("up")
    assert done.returncode == 1
    assert f"the last words of {service}" in done.stdout
    assert f"error: {service}: {state}" in done.stderr
    assert f"./dev logs {service}" in done.stderr
    (up.root / fault).unlink()
    up.must("up")


def test_ctrl_c_leaves_the_stack_as_it_is_and_says_how(held):
    with held.start("up") as child:
        read_until(child, "migrate running")
        child.send_signal(signal.SIGINT)
        output, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    assert errors == ""
    assert re.search(r"^stopped watching: .*\bdb \w+, redis \w+, migrate running, ", output, re.M)
    assert "./dev up continues from here" in output


def test_the_second_of_two_concurrent_commands_waits(held):
    released = held.root / "releases"
    before = released.read_text()
    with held.start("up") as first:
        read_until(first, "migrate running")
        with held.start("up") as second:
            read_until(second, "is at work here")
            (held.root / "hold").unlink()
            output, errors = second.communicate(timeout=120)
        first.communicate(timeout=120)
    assert (first.returncode, second.returncode) == (0, 0), errors
    assert "already up, nothing changed" in output
    assert released.read_text() == f"{before}released\n"


def test_a_taken_port_is_replaced_unless_it_was_chosen(stack):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]

        stack.variables["WEB_PORT"] = str(port)
        done = stack.dev("up")
        assert done.returncode == 1
        assert f"error: port {port} for web (WEB_PORT) is taken by " in done.stderr
        assert f"(process {os.getpid()})" in done.stderr
        assert "WEB_PORT=" in done.stderr
        assert "remove it from the environment" in done.stderr

        compose = stack.root / "docker-compose.yml"
        compose.write_text(compose.read_text().replace("${WEB_PORT:-0}", f"${{WEB_PORT:-{port}}}"))
        del stack.variables["WEB_PORT"]
        moved = stack.must("up")
        remembered = json.loads((stack.root / ".dev" / "ports.json").read_text())["WEB_PORT"]
        assert f"http://localhost:{remembered}/" in moved
        assert "already up" in stack.must("up")


def test_a_port_that_is_taken_during_the_start_is_replaced(stack):
    compose = stack.root / "docker-compose.yml"
    port = int(stack.variables.pop("WEB_PORT"))
    compose.write_text(compose.read_text().replace("${WEB_PORT:-0}", f"${{WEB_PORT:-{port}}}"))
    stack.write("hold", "")
    with stack.start("up") as child:
        read_until(child, "migrate running")  # web starts after it
        with socket.create_server(("127.0.0.1", port)):
            (stack.root / "hold").unlink()
            output, errors = child.communicate(timeout=120)
    assert child.returncode == 0, output + errors
    assert f"port {port} for web (WEB_PORT) is taken by " in errors
    assert json.loads((stack.root / ".dev" / "ports.json").read_text())["WEB_PORT"] != port


def test_ports_outlive_a_deleted_state_and_data_is_found_under_an_earlier_name(stack):
    port = stack.variables.pop("WEB_PORT")
    compose = stack.root / "docker-compose.yml"
    compose.write_text(compose.read_text().replace("${WEB_PORT:-0}", "${WEB_PORT:-8000}"))
    (stack.root / ".dev").mkdir()
    (stack.root / ".dev" / "ports.json").write_text(json.dumps({"WEB_PORT": port}))
    stack.must("up")
    shutil.rmtree(stack.root / ".dev")  # like `git clean -fdx`
    shown = stack.dev("status")
    assert f"the ports are kept that the containers have: WEB_PORT={port}" in shown.stderr
    assert f"127.0.0.1:{port}" in shown.stdout
    shutil.rmtree(stack.root / ".dev")
    assert f"http://localhost:{port}/" in stack.must("up")

    before = stack.variables["COMPOSE_PROJECT_NAME"]
    shutil.rmtree(stack.root / ".dev")
    renamed = Workspace(
        stack.root, {**stack.variables, "COMPOSE_PROJECT_NAME": f"{before}-2", "WEB_PORT": port}
    )
    refused = renamed.dev("up").stderr
    assert f"still runs as the Compose project {before}" in refused
    assert f"docker compose --project-name {before} down" in refused
    stack.dev("down")
    shutil.rmtree(stack.root / ".dev")
    try:
        warned = renamed.dev("up").stderr
        assert f"is in volumes of the Compose project {before}" in warned
        assert f"COMPOSE_PROJECT_NAME={before}" in warned
        assert "is in volumes of" not in renamed.dev("up", "--build").stderr
    finally:
        small_stack.clean(renamed)


def test_a_port_that_another_start_holds_is_taken(data_services, monkeypatch):
    with ports.Claims() as claims:
        port = ports.next_free(20000, free=claims.take)
        monkeypatch.setitem(data_services.variables, "WEB_PORT", str(port))
        done = data_services.dev("up")
    assert done.returncode == 1
    assert f"port {port} for web (WEB_PORT) is taken by a stack that is starting" in done.stderr


def test_another_checkout_that_starts_under_the_same_name_is_left_alone(data_services):
    name = data_services.variables["COMPOSE_PROJECT_NAME"]
    with ports.Claims() as claims:
        assert claims.hold(name)
        done = data_services.dev("up")
    assert done.returncode == 1
    assert f"another checkout is starting under the project name {name}" in done.stderr
    assert f"COMPOSE_PROJECT_NAME={name}-2" in done.stderr


def test_a_port_held_by_a_container_names_its_project(up, tmp_path):
    other = Workspace(tmp_path / "other", {**up.variables})
    shutil.copytree(up.root, other.root, ignore=shutil.ignore_patterns(".dev"))
    other.variables["COMPOSE_PROJECT_NAME"] += "-other"
    done = other.dev("up")
    assert done.returncode == 1
    assert f"of the Compose project {up.variables['COMPOSE_PROJECT_NAME']}" in done.stderr
    assert done.stderr.count("error: port ") == 3


def test_another_checkout_of_the_same_name_is_left_alone(up, tmp_path):
    other = Workspace(tmp_path / "other", up.variables)
    shutil.copytree(up.root, other.root)
    for command in (("up",), ("down",), ("restart",), ("clean", "--yes")):
        done = other.dev(*command)
        assert done.returncode == 1
        assert f"the checkout in {up.root} already runs under the project name" in done.stderr
    assert up.dev("status").returncode == 0


def test_an_image_that_cannot_be_built_is_named_with_its_last_words(up):
    dockerfile = up.root / "backend" / "Dockerfile"
    sound = dockerfile.read_text()
    dockerfile.write_text(f"{sound}RUN echo the step that fails; exit 3\n")
    done = up.dev("up")
    dockerfile.write_text(sound)
    assert done.returncode == 1
    assert "the step that fails" in done.stdout
    assert "could not be built" in done.stderr
    assert "the step that fails" in (up.root / ".dev" / "build.log").read_text()
    assert "already up, nothing changed" in up.must("up")


def test_a_locked_package_that_the_image_lacks_is_named(stack):
    package = stack.root / "backend" / "development"
    package.mkdir()
    for name in ("__init__.py", "packages.py"):
        shutil.copy(ROOT / "backend" / "development" / name, package)
    lock = stack.write("requirements/test.txt", "")
    stack.must("up")
    assert json.loads(stack.dev("status", "--json").stdout)["missing_packages"] == []
    lock.write_text("leftpad==1.2\n")
    said = "requirements/test.txt locks what is not installed: leftpad 1.2; install it: ./dev up"
    assert said in stack.dev("status").stdout
    project = stack.variables["COMPOSE_PROJECT_NAME"]
    _docker(stack, "stop", f"{project}-web-1")
    assert said in stack.dev("status").stdout
    assert f"building {project}-backend:development: leftpad 1.2" in stack.must("up")


def test_plain_compose_builds_one_image_and_keeps_its_name(stack):
    _docker(stack, "compose", "up", "--detach")
    built = _made(stack, "image")
    assert len(built) == 1
    _docker(stack, "compose", "run", "--rm", "test")
    _docker(stack, "compose", "up", "--detach", "--build")
    assert _made(stack, "image") == built
    stack.must("up")
    assert _made(stack, "image") == built


def test_clean_deletes_every_image_that_was_built(stack):
    dockerfile = stack.root / "backend" / "Dockerfile"
    for label in ("one", "two"):  # the second build takes over the name
        dockerfile.write_text(f"FROM {BASE_IMAGE}\nLABEL it={label}\n")
        _docker(stack, "compose", "build")
    assert len(_made(stack, "image")) == 2
    assert stack.dev("clean", "--yes").returncode == 0
    assert _made(stack, "image") == []


def _made(stack: Workspace, kind: str) -> list[str]:
    """The images (by id) or volumes (by name) of the project."""
    label = f"label=com.docker.compose.project={stack.variables['COMPOSE_PROJECT_NAME']}"
    return _docker(stack, kind, "ls", "-q", "--filter", label).split()


def test_profiles_in_the_environment_do_not_start_the_tests(up):
    up.write(".env", "COMPOSE_PROFILES=test\n")
    up.must("up")
    assert "test" not in _containers(up)


def test_the_tests_arguments_and_exit_status_are_passed_through(data_services):
    first = data_services.dev("test")
    assert "db and redis keep running; ./dev down stops them" in first.stdout
    assert set(_containers(data_services)) == {"db", "redis"}
    filtered, helped = (
        data_services.dev("test", "-k", "name"),
        data_services.dev("test", "--", "-h"),
    )
    for done, status, passed in ((first, 0, ""), (filtered, 2, "-k name"), (helped, 1, "-h")):
        assert done.returncode == status
        assert f"tested: {passed}" in done.stdout
        assert ("tests passed" in done.stdout) is (status == 0)


@pytest.mark.parametrize(
    ("kill", "number"),
    [(os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM)],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_a_separate_container_ends_with_an_interrupt(data_services, kill, number):
    def running() -> list[str]:
        name = f"name={data_services.variables['COMPOSE_PROJECT_NAME']}-migrate-run"
        return _docker(data_services, "ps", "--quiet", "--filter", name).split()

    (data_services.root / "hold").touch()
    with data_services.start("migrate", process_group=0) as child:
        wait_until(running, 60, "the release does not run")
        kill(child.pid, number)
        output, errors = child.communicate(timeout=60)
    (data_services.root / "hold").unlink()
    assert child.returncode == 130, output + errors
    assert not running()


def test_manage_runs_beside_the_database_and_its_files_are_the_callers(data_services):
    for arguments in ("makemigrations users --name it", "manage squashmigrations users 0002"):
        done = data_services.dev(*arguments.split())
        assert done.returncode == 0, done.stderr
        assert f"managed: {arguments.removeprefix('manage ')}" in done.stdout
        written = data_services.root / "written"
        assert written.stat().st_uid == os.getuid()
        written.unlink()


def test_an_account_gets_the_password_of_the_shell(up):
    up.variables["DJANGO_SUPERUSER_PASSWORD"] = "correct 'horse' $HOME"
    done = up.dev("manage", "createsuperuser", "--noinput")
    assert "password: correct 'horse' $HOME\n" in done.stdout, done.stderr


def test_a_command_inside_web_needs_web(data_services):
    for command in (("shell",), ("exec", "web", "true")):
        done = data_services.dev(*command)
        assert done.returncode == 1
        assert "error: web is not running\n  start the stack: ./dev up" in done.stderr


def test_exec_runs_a_command_in_a_service(up):
    # Options after the service belong to the command.
    done = up.dev("exec", "web", "sh", "-c", 'echo "$SERVER"; exit 3', "--engine", "x")
    assert (done.returncode, done.stdout) == (3, "gunicorn\n"), done.stderr
    assert "migrate runs once" in up.dev("exec", "migrate", "true").stderr
    assert "did you mean worker?" in up.dev("exec", "wrker", "true").stderr


def test_down_keeps_the_data_and_clean_deletes_it_only_with_yes(stack):
    stack.must("up")
    volume = f"{stack.variables['COMPOSE_PROJECT_NAME']}_data"
    assert volume in stack.dev("down").stdout
    down = stack.dev("status", "--json")
    assert (down.returncode, json.loads(down.stdout)["state"]) == (0, "down")
    assert "nothing was running" in stack.dev("down").stdout
    for command in (("clean",), ("down", "--volumes")):
        refused = stack.dev(*command)
        assert refused.returncode == 1
        assert f"{volume}" in refused.stdout
        assert "add --yes" in refused.stderr
    assert _made(stack, "volume") == [volume]
    assert stack.dev("clean", "--yes").returncode == 0
    assert _made(stack, "volume") == []

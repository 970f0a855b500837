"""The checks of a stack find real problems of containers, volumes, images and ports."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
import small_stack
from embedded_checkout import EmbeddedCheckout
from front_door import Workspace
from small_stack import BASE_IMAGE, lacks

pytestmark = pytest.mark.stack

DATABASE_IMAGE = "postgres:18-alpine"


needs_docker = pytest.mark.skipif(
    lacks(BASE_IMAGE, DATABASE_IMAGE),
    reason=f"no Docker daemon answers, or it lacks {BASE_IMAGE} or {DATABASE_IMAGE}",
)


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _one(workspace: Workspace, name: str, *arguments: str) -> dict:
    done = workspace.dev("doctor", "--json", name, *arguments)
    assert done.stdout, done.stderr
    (found,) = json.loads(done.stdout)["checks"]
    return found


def _found_of_a_held_port(checkout: Workspace | EmbeddedCheckout, variable: str) -> dict:
    """The result of `ports` while this process listens on the port in `variable`."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        checkout.variables[variable] = str(holder.getsockname()[1])
        return _one(checkout, "ports")


@pytest.fixture
def stack(workspace: Workspace):
    """The small stack in a separate checkout with its project and ports; not started."""
    small_stack.put_into(workspace)
    yield workspace
    small_stack.clean(workspace)


def _container(stack: Workspace, service: str, directory: Path) -> str:
    """Create a container with the labels of one of the project; return its id."""
    labels = {
        "com.docker.compose.project": stack.variables["COMPOSE_PROJECT_NAME"],
        "com.docker.compose.service": service,
        "com.docker.compose.project.working_dir": str(directory),
    }
    options = [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    return _docker("create", *options, BASE_IMAGE, "true")


@needs_docker
def test_a_port_that_another_process_holds(stack):
    found = _found_of_a_held_port(stack, "DB_PORT")
    assert found["state"] == "wrong"
    assert f"(process {os.getpid()})" in found["finding"]
    assert "DB_PORT" in found["finding"]


@needs_docker
def test_a_taken_default_port_is_only_a_warning(stack):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        stack.variables.pop("WEB_PORT")
        text = (stack.root / "docker-compose.yml").read_text()
        stack.write("docker-compose.yml", text.replace("WEB_PORT:-0", f"WEB_PORT:-{taken}"))
        found = _one(stack, "ports")
    assert (found["state"], "a free port automatically: ./dev up" in found["remedy"]) == (
        "warning",
        True,
    )


@needs_docker
def test_a_project_name_that_another_checkout_uses(stack, tmp_path):
    other = tmp_path / "another checkout"
    other.mkdir()
    container = _container(stack, "web", other)
    try:
        found = _one(stack, "project-name")
        assert found["state"] == "wrong"
        assert str(other) in found["finding"]
        assert "COMPOSE_PROJECT_NAME=" in found["remedy"]
    finally:
        _docker("rm", container)


@needs_docker
def test_an_orphaned_container_is_removed_after_asking(stack):
    container = _container(stack, "gone", stack.root)
    found = _one(stack, "orphans")
    assert found["state"] == "warning"
    assert container[:12] in found["finding"]

    assert _one(stack, "orphans", "--fix")["state"] == "warning"  # without a terminal to ask on
    assert container in _docker("ps", "-aq", "--no-trunc")
    assert _one(stack, "orphans", "--fix", "--yes")["state"] == "ok"
    assert container not in _docker("ps", "-aq", "--no-trunc")


@needs_docker
def test_a_volume_of_an_older_postgresql(stack):
    """PostgreSQL 18 is declared, but 17 wrote the volume's data."""
    # Not built here, because images that are built here are deleted with the stack.
    database = {"image": DATABASE_IMAGE, "volumes": ["data:/var/lib/postgresql"]}
    declared = {"services": {"db": database}, "volumes": {"data": {}}}
    stack.write("docker-compose.yml", json.dumps(declared))
    assert "contains no database yet" in _one(stack, "volume")["finding"]

    project = stack.variables["COMPOSE_PROJECT_NAME"]
    label = f"com.docker.compose.project={project}"
    volume = _docker("volume", "create", "--label", label, f"{project}_data")
    write = ("--entrypoint", "sh", DATABASE_IMAGE, "-c", "echo 17 > /data/PG_VERSION")
    _docker("run", "--rm", "--volume", f"{volume}:/data", *write)
    found = _one(stack, "volume")
    assert found["state"] == "wrong"
    assert "was written by PostgreSQL 17; the stack runs 18" in found["finding"]
    assert "./dev down --volumes" in found["remedy"]


@needs_docker
def test_the_faults_of_a_stack_that_is_up(stack):
    assert _one(stack, "image")["state"] == "not applicable"
    assert _one(stack, "services")["finding"] == "the stack is down"
    stack.must("up")
    for name in ("image", "services", "migrations", "ports", "orphans", "project-name"):
        assert _one(stack, name)["state"] == "ok", name

    stack.write("pending", "")
    found = _one(stack, "migrations")
    assert (found["state"], found["remedy"]) == ("wrong", "./dev migrate")

    project = stack.variables["COMPOSE_PROJECT_NAME"]
    _docker("stop", f"{project}-worker-1")
    found = _one(stack, "services")
    assert found["state"] == "wrong"
    assert "worker: stopped" in found["finding"]
    assert found["remedy"] == "./dev logs worker   and then ./dev restart worker"
    stack.dev("restart", "worker")
    assert _one(stack, "services")["state"] == "ok"

    dockerfile = stack.root / "backend" / "Dockerfile"
    stack.write("backend/Dockerfile", dockerfile.read_text() + "LABEL changed=yes\n")
    found = _one(stack, "image")
    assert found["state"] == "wrong"
    assert "was built from another Dockerfile" in found["finding"]
    # The containers do not run the rebuilt image yet.
    assert "running a replaced image" in _one(stack, "image", "--fix")["finding"]


# Without Docker


@pytest.fixture
def embedded(venv, tmp_path):
    return EmbeddedCheckout.make(tmp_path / "embedded", venv)


def test_data_of_another_postgresql_in_the_checkout(embedded):
    assert "contains no database yet" in _one(embedded, "volume")["finding"]
    embedded.write(".dev/data/postgres/PG_VERSION", "16\n")
    found = _one(embedded, "volume")
    assert found["state"] == "wrong"
    assert ".dev/data/postgres was written by PostgreSQL 16" in found["finding"]
    assert "./dev down --volumes" in found["remedy"]
    embedded.dev("down", "--volumes", "--yes")
    assert _one(embedded, "volume")["state"] == "ok"


def test_a_port_of_the_embedded_engine_that_is_held(embedded):
    found = _found_of_a_held_port(embedded, "REDIS_PORT")
    assert found["state"] == "wrong"
    assert f"(process {os.getpid()})" in found["finding"]


def test_orphans_of_a_killed_supervisor(embedded):
    embedded.places.sockets.mkdir()
    try:
        embedded.places.supervisor_socket.touch()
        found = _one(embedded, "orphans")
        assert found["state"] == "wrong"
        assert "only to stop: ./dev down" in found["remedy"]
        embedded.dev("down")
        assert _one(embedded, "orphans")["state"] == "ok"
    finally:
        shutil.rmtree(embedded.places.sockets, ignore_errors=True)

"""Problems that prevent a start are reported at once, in one format, with remedies."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest
from faults import run

from devtools.checkout import Checkout
from devtools.errors import DevError

ANSWERS = 'echo \'{"Client": {}, "Server": {"Version": "%s"}}\''


def _docker(engine: str = "26.1.5", compose: str = "echo 2.26.1") -> str:
    return f'case "$1" in\nversion) {ANSWERS % engine} ;;\ncompose) {compose} ;;\nesac'


@pytest.fixture
def without_docker(workspace, tmp_path):
    python_only = tmp_path / "bin"
    python_only.mkdir()
    (python_only / "python3").symlink_to(sys.executable)
    workspace.variables["PATH"] = str(python_only)


def test_without_docker_compose_says_so(workspace, without_docker):
    done = workspace.dev("--engine", "compose", "up")
    assert done.returncode == 1
    assert done.stdout == "engine: compose (--engine)\n"
    assert re.fullmatch(
        r"error: Docker is not installed\n  install Docker Engine .*https://.*\n", done.stderr
    )


def test_without_docker_the_other_engine_is_chosen_and_the_reason_said(workspace, without_docker):
    workspace.write("docker-compose.yml", "services: {}\n")
    done = workspace.dev("status")
    assert done.returncode == 0
    assert "engine: embedded (Docker is not installed)\n" in done.stdout


def test_a_daemon_that_answers_is_used(workspace, fake_docker):
    fake_docker(_docker())
    assert "engine: compose (the Docker daemon answers)\n" in workspace.dev("up").stdout


@pytest.mark.parametrize(
    ("script", "what", "remedy"),
    [
        (
            "echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. "
            "Is the docker daemon running?' >&2; exit 1",
            "its daemon is not running",
            "Docker Desktop",
        ),
        (
            "echo 'permission denied while trying to connect to the Docker daemon' >&2; exit 1",
            "permission denied",
            "sudo usermod -aG docker $USER",
        ),
        ("echo 'error: a strange thing' >&2; exit 1", "a strange thing", "docker context ls"),
        (_docker(engine="24.0.7"), "Docker Engine 24.0.7 is too old", "25 or newer"),
        (_docker(compose="echo v2.23.3"), "Docker Compose v2.23.3 is too old", "2.24 or newer"),
        (_docker(compose="exit 1"), "Docker Compose is not installed", "docker-compose-plugin"),
    ],
)
@pytest.mark.parametrize("command", ["up", "status", "test"])
def test_an_unsuitable_docker(workspace, fake_docker, script, what, remedy, command):
    fake_docker(script)
    done = workspace.dev("--engine", "compose", command)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert what in done.stderr
    assert remedy in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("socket", "start"),
    [
        ("/Users/ann/.colima/default/docker.sock", "colima start"),
        ("/Users/ann/.orbstack/run/docker.sock", "open OrbStack"),
        ("/Users/ann/.docker/run/docker.sock", "open Docker Desktop"),
        ("/var/folders/x/podman/podman-machine-default-api.sock", "podman machine start"),
        ("/run/user/1000/podman/podman.sock", "systemctl --user start podman.socket"),
        ("/run/user/1000/docker.sock", "systemctl --user start docker"),
        ("/var/run/docker.sock", "sudo systemctl start docker"),
    ],
)
@pytest.mark.skipif(not shutil.which("docker"), reason="there is no Docker client")
def test_the_daemon_of_the_clients_context_is_named_with_its_start(workspace, socket, start):
    """The real client decides which socket it is; none of these exists here."""
    socket = f"/nowhere{socket}"
    workspace.variables["DOCKER_CONFIG"] = str(workspace.root / "docker")
    workspace.variables.pop("DOCKER_HOST", None)
    subprocess.run(
        ["docker", "context", "create", "other", "--docker", f"host=unix://{socket}"],
        env=workspace.variables,
        check=True,
        capture_output=True,
    )
    workspace.variables["DOCKER_CONTEXT"] = "other"
    done = workspace.dev("--engine", "compose", "up")
    assert f"its daemon is not running at unix://{socket}\n  start it: {start}" in done.stderr


def test_every_problem_is_named_in_one_run(workspace, fake_docker):
    fake_docker(_docker(engine="20.10", compose="echo 2.17.0"))
    workspace.write(".env", "A B=1\nC='\n")
    workspace.write("backend/bin/web", "#!/bin/sh\r\nexec true\r\n", mode=0o755)
    done = workspace.dev("--engine", "compose", "up")
    assert done.returncode == 1
    assert done.stderr.count("error: ") == 5


@pytest.mark.parametrize("name", ["backend/bin/web", "init-scripts/postgres/01-init.sql", "dev"])
def test_windows_line_endings_are_reported_with_a_remedy(workspace, fake_docker, name):
    fake_docker(_docker())
    path = workspace.root / name
    content = path.read_bytes() if path.exists() else b"#!/bin/sh\nexec true\n"
    workspace.write(name, content.replace(b"\n", b"\r\n"), mode=0o755)
    done = subprocess.run(
        # By path: the kernel rejects a launcher with such line endings.
        [sys.executable, workspace.root / "dev", "up"],
        env=workspace.variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert f"error: {name} has Windows line endings" in done.stderr
    launcher = "python3 dev" if name == "dev" else "./dev"
    remedy = f"{launcher} doctor --fix line-endings"
    assert remedy in done.stderr
    run(workspace, remedy)
    assert path.read_bytes() == content


def test_a_directory_that_the_containers_user_cannot_read_is_named(workspace):
    workspace.write("init-scripts/postgres/01.sql", "SELECT 1;", mode=0o600)
    done = workspace.dev("--engine", "compose", "up")
    assert done.returncode == 1
    assert "error: init-scripts is not readable by other users" in done.stderr
    assert "chmod -R o+rX init-scripts" in done.stderr


def test_hidden_files_may_be_unreadable(workspace):
    workspace.write("init-scripts/.cache/constants", "", mode=0o600)
    assert "not readable by other users" not in workspace.dev("up", "--engine", "compose").stderr


def test_a_checkout_that_cannot_be_written_is_named(workspace):
    # A file instead of the state directory, because root ignores permissions.
    workspace.write(".dev", "")
    with pytest.raises(DevError, match="cannot be written") as refused:
        Checkout(workspace.root, {}).remember("ports", {})
    command = refused.value.problems[0].remedy.removeprefix("move it away: ")
    run(workspace, command)
    Checkout(workspace.root, {}).remember("ports", {})


@pytest.mark.parametrize("value", ["0", "-1", "soon"])
def test_an_invalid_timeout_is_a_usage_error(workspace, value):
    done = workspace.dev("up", f"--timeout={value}")
    assert done.returncode == 2
    assert "not a whole number above 0" in done.stderr

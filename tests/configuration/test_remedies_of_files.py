"""Remedies for faults in the files of a checkout: each is tried, and the fault is gone."""

from __future__ import annotations

import shutil

import pytest
from faults import Fault, program, remedied, repository, run, said, with_line, without
from front_door import Workspace

CONTRACT = "backend/core/env/contract.py"
DEV_CONTAINER = ".devcontainer/devcontainer.json"


@pytest.fixture
def committed(copy) -> Workspace:
    """A copy of this checkout that is a git repository, on a machine without Docker."""
    workspace = Workspace(copy.root, dict(copy.variables))
    repository(workspace)
    program(workspace, "docker", "echo 'no daemon' >&2; exit 1")
    return workspace


def exported(workspace: Workspace) -> None:
    run(workspace, "./dev --engine embedded export ecs")


def changed_export(workspace: Workspace) -> None:
    exported(workspace)
    (workspace.root / ".dev/ecs/web.json").write_text("{}")


def stray_export(workspace: Workspace) -> None:
    exported(workspace)
    shutil.copy(workspace.root / ".dev/ecs/web.json", workspace.root / ".dev/ecs/more.json")


FAULTS = {
    "no production": Fault(
        without("docker-compose.prod.yml"),
        "parity",
        "there is no docker-compose.prod.yml",
        "git checkout HEAD docker-compose.prod.yml",
    ),
    "no stack": Fault(
        without("docker-compose.yml"),
        "--engine embedded status",
        "docker-compose.yml cannot be read",
        "git checkout HEAD docker-compose.yml",
    ),
    "no Dockerfile": Fault(
        without("backend/Dockerfile"),
        "parity",
        "backend/Dockerfile cannot be read",
        "git checkout HEAD backend/Dockerfile",
    ),
    "no lock": Fault(
        without("requirements/embedded.txt"),
        "doctor python",
        "requirements/embedded.txt cannot be read",
        "git checkout HEAD requirements/embedded.txt",
    ),
    "no environment of production": Fault(
        lambda here: None, "roll", "there is no .env.production", "./dev secrets"
    ),
    "an outdated page": Fault(
        with_line("docs/reference.md", "more"),
        "reference --check",
        "docs/reference.md is outdated",
        "./dev reference",
    ),
    "a changed export": Fault(
        changed_export,
        "--engine embedded export ecs --check",
        ".dev/ecs/web.json is outdated",
        "./dev export ecs",
    ),
    "a stray export": Fault(
        stray_export,
        "--engine embedded export ecs --check",
        "does not belong to any task",
        "rm {root}/.dev/ecs/more.json",
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_what_the_message_says_removes_the_fault(committed, fault):
    remedied(committed, fault)


@pytest.mark.parametrize(
    ("file", "line", "finding"),
    [
        (CONTRACT, "broken = (", f"{CONTRACT} cannot be run"),
        (DEV_CONTAINER, "{,", f"{DEV_CONTAINER} is invalid"),
        ("docker-compose.yml", "  - broken: [", "docker-compose.yml is invalid"),
    ],
)
def test_a_staged_change_that_breaks_a_declaration_is_shown(committed, file, line, finding):
    with_line(file, line)(committed)
    printed = said(committed, "env --check")
    assert finding in printed
    command = printed[printed.index("git diff HEAD") :].splitlines()[0]
    assert f"+{line}" in run(committed, command)


def test_a_compose_file_that_is_no_text_is_named(committed):
    committed.write("docker-compose.debug.yml", b"x: \xff\n")
    assert "docker-compose.debug.yml is invalid" in said(committed, "env --check")

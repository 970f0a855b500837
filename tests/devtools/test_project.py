"""The Compose project of a checkout: its files and its name."""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path

import pytest
import small_stack

from devtools import project_table
from devtools.checkout import Checkout
from devtools.docker import project_owner
from devtools.docker.project import OVERRIDES, Begun, Project
from devtools.engines.compose import DEBUG_FILE

WEB = "services: {web: {image: none, environment: {%s: '1'}}}\n"


@pytest.fixture
def checkout(tmp_path):
    if shutil.which("docker") is None:
        pytest.skip("no docker command to read Compose files with")
    root = tmp_path / "проект"
    root.mkdir()
    (root / "docker-compose.yml").write_text(WEB % "BASE")
    (root / DEBUG_FILE).write_text(WEB % "DEBUGGED")
    return Checkout(root, {"PATH": os.environ["PATH"], "HOME": str(tmp_path)})


def test_a_folder_without_latin_letters_gets_the_name_of_the_project(checkout):
    assert Project(checkout).name.startswith("workspace-")
    compose = checkout.root / "docker-compose.yml"
    table = "x-project:\n  # why\n  owner: us\n  name: our-shop\n"
    compose.write_text(table + compose.read_text())
    name = Project(checkout).name
    assert name.startswith("our-shop-")
    moved = Checkout(checkout.root.rename(checkout.root.with_name("другой")), checkout.variables)
    assert Project(moved).name != name


@pytest.mark.parametrize("folder", ["shop", "My Shop-2.0", "_-shop_B", "Läden"])
def test_a_stack_without_docker_has_the_name_that_compose_derives(checkout, folder):
    moved = Checkout(checkout.root.rename(checkout.root.with_name(folder)), checkout.variables)
    assert project_table.stack_name(moved.root) == Project(moved).name


@pytest.mark.parametrize("file", OVERRIDES)
def test_your_override_file_stays_in_force_with_another_file(checkout, file):
    (checkout.root / file).write_text(
        "services: {web: {environment: {MINE: '1'}}, extra: {image: none}}\n"
    )
    project = Project(checkout)
    project.add(DEBUG_FILE)
    services = project.configuration["services"]
    assert set(services) == {"web", "extra"}
    assert set(services["web"]["environment"]) == {"BASE", "MINE", "DEBUGGED"}


def test_each_warning_of_compose_is_kept_once(checkout):
    (checkout.root / ".env").write_text("A=a$unknown\n")
    (checkout.root / OVERRIDES[0]).write_text(
        "services: {web: {environment: {A: '${A}', B: '${NOWHERE}', C: '${NOWHERE}'}}}\n"
    )
    [problem] = Project(Checkout(checkout.root, checkout.variables)).warnings
    assert '"NOWHERE" variable is not set' in problem.what


def test_a_copy_with_the_project_name_of_the_original_is_refused(checkout, tmp_path):
    checkout.remember("stack", {})
    root = tmp_path / "elsewhere" / checkout.root.name
    shutil.copytree(checkout.root, root)
    variables = {**checkout.variables, "DOCKER_HOST": "unix:///nowhere"}  # no daemon needed
    [problem] = project_owner.problems(Project(Checkout(root, variables)))
    assert f"this copy of {checkout.root} has the same project name" in problem.what
    (root / ".env").write_text("COMPOSE_PROJECT_NAME=another\n")
    assert project_owner.problems(Project(Checkout(root, variables))) == []


@pytest.fixture
def project(checkout):
    """Its folder is recorded; a volume with another identifier belongs to another checkout."""
    checkout.remember("stack", {})
    return Project(
        Checkout(checkout.root, {**checkout.variables, "DOCKER_HOST": "unix:///nowhere"})
    )


def _begun(project: Project, name: str, checkout: str, root: object) -> None:
    project.begun = {Begun(name, checkout, str(root))}
    project.volumes = lambda: [f"{name}_data"]


def test_data_of_another_checkout_under_the_same_name_is_left_alone(project, tmp_path):
    _begun(project, project.name, "another", tmp_path)
    [problem] = project_owner.problems(project)
    assert f"belongs to the checkout in {tmp_path}" in problem.what
    _begun(project, project.name, "another", tmp_path / "gone")
    assert project_owner.problems(project) == []
    for mine in ("another", project.checkout.root), (project.checkout.identity.id, tmp_path):
        _begun(project, project.name, *mine)
        assert project_owner.problems(project) == project_owner.left_behind(project) == []


def test_data_of_this_checkout_under_another_name_is_found(project, tmp_path):
    for mine in ("lost", project.checkout.root), (project.checkout.identity.id, tmp_path):
        _begun(project, "before", *mine)
        [problem] = project_owner.left_behind(project)
        assert "is in volumes of the Compose project before" in problem.what
    _begun(project, "before", "another", tmp_path)
    assert project_owner.left_behind(project) == []


def test_data_of_plain_compose_belongs_to_the_checkout_that_starts_it_first(checkout, tmp_path):
    if small_stack.lacks(small_stack.BASE_IMAGE):
        pytest.skip("no Docker daemon answers")
    name = f"devtools-{uuid.uuid4().hex[:8]}"
    data = f"{name}_data"
    (checkout.root / "docker-compose.yml").write_text(
        "services: {web: {image: none, volumes: ['data:/data']}}\nvolumes: {data: }\n"
    )
    variables = {**checkout.variables, "COMPOSE_PROJECT_NAME": name}
    shutil.copytree(checkout.root, tmp_path / "other")
    first, other = (Checkout(root, variables) for root in (checkout.root, tmp_path / "other"))
    project = Project(first)
    try:
        # As Compose does.
        label = f"com.docker.compose.project={name}"
        assert project.docker("volume", "create", "--label", label, data).ok
        assert project.make_volumes()
        assert project.volumes() == [data]
        assert not Project(first).make_volumes()
        [problem] = project_owner.problems(Project(other))
        assert f"belongs to the checkout in {checkout.root}" in problem.what
        project.docker("volume", "rm", data)
        assert project_owner.problems(Project(other)) == []
        assert not project.make_volumes()  # with labels of the first checkout
        assert len(project_owner.problems(Project(other))) == 1
    finally:
        project.docker("volume", "rm", "--force", data)
        project.forget_owner()
    assert first.root.resolve() not in {Path(one.root) for one in Project(first).begun}

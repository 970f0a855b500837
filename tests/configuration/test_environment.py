"""Compose files and the environment contract say the same."""

from __future__ import annotations

import re
import shutil
import sys

import pytest
from compose_files import CHECKOUT, COMBINATIONS, compose_config

from core.env import CONTRACT, SETTINGS, read

DECLARED = {variable.name: variable for variable in CONTRACT}
FILES = sorted({file for files in COMBINATIONS.values() for file in files})
# What the official database image reads, under names of its own.
OF_THE_DATABASE_IMAGE = {"POSTGRES_DB", "POSTGRES_USER", "POSTGRES_INITDB_ARGS"}
# Compose sets it itself, from the directory's name.
SET_BY_COMPOSE = {"COMPOSE_PROJECT_NAME"}


def interpolations(file: str) -> set[tuple[str, str]]:
    """Return (variable, default) for each ${VARIABLE:-default} that is not in a comment."""
    lines = (CHECKOUT / file).read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    return set(re.findall(r"\$\{(\w+)(?::?-([^}]*))?\}", text))


@pytest.mark.parametrize("file", FILES)
def test_every_variable_of_a_compose_file_is_declared(file):
    assert {name for name, _default in interpolations(file)} <= DECLARED.keys()


@pytest.mark.parametrize("file", FILES)
def test_defaults_of_compose_files_are_the_contracts(file):
    for name, default in interpolations(file):
        if name not in SET_BY_COMPOSE:
            assert default == DECLARED[name].default, name


def test_every_variable_declared_for_compose_is_used():
    used = {name for file in FILES for name, _default in interpolations(file)}
    declared = {variable.name for variable in CONTRACT if variable.reader == "compose"}
    assert declared <= used


def test_every_variable_declared_for_the_front_door_is_used():
    source = "".join(path.read_text() for path in (CHECKOUT / "devtools").rglob("*.py"))
    names = [variable.name for variable in CONTRACT if variable.reader == "dev"]
    assert names
    assert all(f'"{name}"' in source for name in names)


def test_every_variable_given_to_a_container_is_declared(services):
    for name, service in services.items():
        given = set(service.get("environment", {}))
        assert given <= DECLARED.keys() | OF_THE_DATABASE_IMAGE, name


@pytest.mark.parametrize("service", ["migrate", "web", "worker", "test"])
def test_what_compose_gives_is_a_complete_and_valid_environment(services, service):
    environment = services[service]["environment"]
    mode = "test" if service == "test" else "local"
    assert environment["DJANGO_SETTINGS_MODULE"] == SETTINGS[mode]
    assert read(environment).mode == mode


def test_a_variable_is_declared_once():
    names = [variable.name for variable in CONTRACT]
    assert len(names) == len(set(names))


def test_debuggers_are_where_the_front_door_expects_them():
    if shutil.which("docker") is None:
        pytest.skip("no docker command to read Compose files with")
    sys.path.insert(0, str(CHECKOUT))
    from devtools import debuggers

    published = compose_config(COMBINATIONS["debug"])["services"]
    for service, (variable, default) in debuggers.PORTS.items():
        assert DECLARED[variable].default == str(default)
        assert published[service]["environment"][debuggers.PORT_VARIABLE] == str(default)
        assert default in [port["target"] for port in published[service]["ports"]]

"""Compose files and the environment contract say the same."""

from __future__ import annotations

import re

import pytest
from compose_files import CHECKOUT, COMBINATIONS, DEVELOPMENT

from core.env import CONTRACT, SETTINGS, read

DECLARED = {variable.name: variable for variable in CONTRACT}
FILES = sorted({file for files in COMBINATIONS.values() for file in files})
# What the official images of database and Redis read, under names of their own.
OF_THE_IMAGES = {"POSTGRES_DB", "POSTGRES_USER", "POSTGRES_INITDB_ARGS", "REDISCLI_AUTH"}
# What the database's init script reads.
OF_THE_INIT_SCRIPT = {"OMIT_SAMPLE_TENANTS"}
# What the emulators of AWS read.
OF_THE_EMULATORS = {
    "DISABLE_EVENTS",
    "EAGER_SERVICE_LOADING",
    "LOCALSTACK_HOST",
    "MOTO_COGNITO_IDP_USER_POOL_CLIENT_ID_STRATEGY",
    "MOTO_COGNITO_IDP_USER_POOL_ID_STRATEGY",
    "S3_SKIP_SIGNATURE_VALIDATION",
    "SERVICES",
    "SKIP_SSL_CERT_DOWNLOAD",
}
# Of the local stack, which has emulators and a bucket in them; elsewhere there is neither.
OF_THE_STACK = {
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER",
    "AWS_S3_PUBLIC_ENDPOINT_URL",
    "AWS_STORAGE_BUCKET_NAME",
}
# Compose sets it itself, from the directory's name.
SET_BY_COMPOSE = {"COMPOSE_PROJECT_NAME"}


def interpolations(file: str) -> set[tuple[str, str]]:
    """Return (variable, default) for each ${VARIABLE:-default} that is not in a comment."""
    lines = (CHECKOUT / file).read_text().splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    inner = r"\$\{(\w+)(?::?-((?:\$\{[^{}]*\}|[^{}])*))?\}"
    found = set(re.findall(inner, text))
    return found | {nested for _name, default in found for nested in re.findall(inner, default)}


@pytest.mark.parametrize("file", FILES)
def test_every_variable_of_a_compose_file_is_declared(file):
    assert {name for name, _default in interpolations(file)} <= DECLARED.keys()


@pytest.mark.parametrize("file", FILES)
def test_defaults_of_compose_files_are_the_contracts(file):
    for name, default in interpolations(file):
        # Production has no default to offer for what must be given to it.
        required = "prod" in file and "production" in DECLARED[name].required_in
        assert not (required and default), name
        if name not in SET_BY_COMPOSE | OF_THE_STACK and not required:
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
        known = DECLARED.keys() | OF_THE_IMAGES | OF_THE_INIT_SCRIPT | OF_THE_EMULATORS
        assert given <= known, name


@pytest.mark.parametrize(
    "combination", DEVELOPMENT.values(), ids=DEVELOPMENT, indirect=True, scope="session"
)
@pytest.mark.parametrize("service", ["migrate", "web", "worker", "test"])
def test_what_compose_gives_is_a_complete_and_valid_environment(services, service):
    environment = services[service]["environment"]
    mode = "test" if service == "test" else "local"
    assert environment["DJANGO_SETTINGS_MODULE"] == SETTINGS[mode]
    assert read(environment).mode == mode


def test_a_variable_is_declared_once():
    names = [variable.name for variable in CONTRACT]
    assert len(names) == len(set(names))

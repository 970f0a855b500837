"""Rules for every combination of Compose files."""

from __future__ import annotations

import os
import re
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from compose_files import CHECKOUT, COMBINATIONS, DEVELOPMENT, compose_config, read_yaml

ONE_SHOT = {"check", "image", "migrate", "test"}
# A team's other services follow its own rules, but are as closed to the network and the machine.
OURS = ONE_SHOT | {"db", "redis", "localstack", "cognito", "web", "worker", "proxy", "pool"}
# Web and worker wait by themselves for what they need of these.
EMULATORS = {"localstack", "cognito"}
# A build ends before any start.
WITHOUT_WAITING = {*product(("web", "worker"), EMULATORS), ("cognito", "image")}
# Rules only for the local stack; production's are in test_production_compose.py.
in_development = pytest.mark.parametrize(
    "combination", DEVELOPMENT.values(), ids=DEVELOPMENT, indirect=True, scope="session"
)


@pytest.fixture
def ours(services):
    return {name: service for name, service in services.items() if name in OURS}


def test_the_services_are_called_by_their_roles(services):
    assert {"db", "redis", "migrate", "web", "worker"} <= services.keys()


@in_development
def test_the_emulators_of_aws_are_called_by_their_roles(services):
    assert services.keys() >= EMULATORS


def test_ports_are_published_on_loopback_only(services):
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published
    assert all(port["host_ip"] == "127.0.0.1" for port in published)


@in_development
def test_every_published_port_can_be_moved(combination):
    text = "".join((CHECKOUT / file).read_text() for file in combination)
    variables = set(re.findall(r"\$\{(\w+_PORT):", text))
    assert {"WEB_PORT", "DB_PORT", "REDIS_PORT"} <= variables
    moved = {name: str(number) for number, name in enumerate(sorted(variables), 18001)}
    services = compose_config(combination, **moved)["services"]
    published = {
        port["published"]
        for name in OURS & services.keys()
        for port in services[name].get("ports", [])
    }
    assert published <= set(moved.values())


def test_no_container_has_a_fixed_name(ours):
    assert not [name for name, service in ours.items() if "container_name" in service]


def test_images_are_pinned(ours):
    for name, service in ours.items():
        _image, colon, tag = service["image"].rpartition(":")
        assert colon, f"{name}: {service['image']} names no version"
        assert tag != "latest", name


def test_nothing_is_privileged(services):
    for name, service in services.items():
        assert not service.get("privileged"), name
        assert service.get("network_mode", "") != "host", name
        assert not service.get("cap_add"), name
        mounted = [volume.get("source", "") for volume in service.get("volumes", [])]
        assert not [source for source in mounted if source.endswith("docker.sock")], name


def test_no_service_runs_as_root(ours):
    for name, service in ours.items():
        assert str(service.get("user", "")).split(":")[0] not in ("root", "0"), name


def test_long_running_services_have_a_quick_health_check(ours):
    for name in ours.keys() - ONE_SHOT:
        check = ours[name]["healthcheck"]
        assert check["test"], name
        assert not check.get("disable"), name
        quick = ("1s",) if name in EMULATORS else ("250ms", "500ms")
        assert check["start_interval"] in quick, name
        assert check["start_period"], name


def test_one_shot_services_do_not_restart(services):
    assert {service.get("restart") for name, service in services.items() if name in ONE_SHOT} == {
        "no"
    }


def test_services_wait_for_what_they_need(ours):
    for name, service in ours.items():
        for dependency, how in service.get("depends_on", {}).items():
            if dependency not in ours:
                continue
            one_shot = dependency in ONE_SHOT
            wanted = "service_completed_successfully" if one_shot else "service_healthy"
            if (name, dependency) in WITHOUT_WAITING:
                wanted = "service_started"
            assert how["condition"] == wanted, f"{name} -> {dependency}"
    for name in ("web", "worker"):
        assert {"db", "redis", "migrate"} <= ours[name]["depends_on"].keys()


def test_every_service_has_limits_and_an_init(ours):
    for name, service in ours.items():
        limits = service["deploy"]["resources"]["limits"]
        assert limits["memory"], name
        assert limits["cpus"], name
        assert service["init"] is True, name


def test_the_logs_of_containers_are_bounded(ours):
    for name, service in ours.items():
        assert service["logging"]["options"].keys() >= {"max-size", "max-file"}, name


def test_each_image_is_built_for_one_service(combination, services):
    builders = [(one["image"], name) for name, one in services.items() if "build" in one]
    if ".devcontainer/docker-compose.yml" in combination:
        # The dev container CLI rejects a service that it cannot build.
        assert services["web"]["build"] == services["image"]["build"]
        assert services["image"]["pull_policy"] == "missing"
        builders.remove((services["web"]["image"], "web"))
    assert len(dict(builders)) == len(builders)


@in_development
def test_our_services_wait_for_the_image_build(services):
    for name, service in services.items():
        if service["image"] == services["image"]["image"] and name != "image":
            assert "image" in _awaited(services, name), name
            assert service["pull_policy"] == "never", name


def _awaited(services, name):
    needed = set(services[name].get("depends_on") or ())
    return needed.union(*(_awaited(services, other) for other in needed))


@in_development
def test_the_named_volumes_exist(config):
    assert {"postgres_data", "redis_data", "media_data", "static_data"} <= config["volumes"].keys()


def test_every_path_exists(ours):
    for name, service in ours.items():
        for volume in service.get("volumes", []):
            if volume["type"] == "bind":
                assert Path(volume["source"]).exists(), f"{name}: {volume['source']}"
        if "build" in service:
            context = Path(service["build"]["context"])
            dockerfile = (context / service["build"]["dockerfile"]).read_text()
            target = service["build"].get("target")
            assert not target or re.search(rf"AS {target}$", dockerfile, re.M), name


def test_every_command_is_a_script_of_the_backend(ours):
    for name, service in ours.items():
        # The command of cognito is a library's server with options.
        if name in ("test", "cognito", "image") or "-backend:" not in service["image"]:
            continue
        script, *arguments = service["command"]
        assert script.startswith(("bin/", "../init-scripts/")), name
        assert not arguments, f"{name}: a command line belongs into {script}"
        assert os.access(CHECKOUT / "backend" / script, os.X_OK), script


@pytest.mark.parametrize(
    "file", sorted({file for files in COMBINATIONS.values() for file in files})
)
def test_there_is_no_obsolete_version_key(file):
    assert "version" not in read_yaml(file)


def test_redis_persists_its_data(services):
    assert "--appendonly yes" in " ".join(services["redis"]["command"])


@in_development
def test_gunicorn_is_the_default_and_a_variable_selects_runserver(combination):
    def server(**variables):
        return compose_config(combination, **variables)["services"]["web"]["environment"]["SERVER"]

    assert server() == "gunicorn"
    assert server(SERVER="runserver") == "runserver"


def test_web_and_worker_are_not_the_databases_owner(services):
    def user(service):
        return re.match(r"postgres://(\w+)@", services[service]["environment"]["DATABASE_URL"])[1]

    assert user("web") == user("worker") == "app"
    assert user("migrate") == "app_owner"


@in_development
def test_web_and_worker_read_the_parameters_of_a_seeded_aws(services):
    for name in ("web", "worker"):
        assert services[name]["depends_on"].keys() >= EMULATORS
        # Set in the environment of what waits: backend/cloud/parameters.py.
        assert services[name]["environment"]["SSM_PARAMETER_PATH"]
    # Otherwise it would be healthy before its seed has run.
    assert "/_localstack/init/ready" in str(services["localstack"]["healthcheck"]["test"])


@in_development
def test_personal_aws_keys_do_not_reach_a_container(combination):
    own = {"AWS_ACCESS_KEY_ID": "AKIAREAL", "AWS_SECRET_ACCESS_KEY": "real", "AWS_PROFILE": "real"}
    services = compose_config(combination, **own, AWS_SESSION_TOKEN="real")["services"]
    for name, service in services.items():
        values = service.get("environment", {}).values()
        assert not [value for value in values if "real" in str(value).lower()], name


@in_development
def test_the_backends_tests_get_no_aws_variables(services):
    given = services["test"]["environment"]
    assert not [name for name in given if name.startswith(("AWS_", "SSM_", "COGNITO_"))]


@in_development
def test_services_reach_each_other_without_the_docker_clients_proxy(services):
    for name, service in services.items():
        given = service.get("environment") or {}
        asked = [value for key, value in given.items() if key.startswith("AWS_ENDPOINT_URL")]
        # Health checks call their own container; moto and LocalStack are called by HTTP.
        if not asked and name not in ("localstack", "cognito"):
            continue
        hosts = {urlsplit(value).hostname for value in asked} | {"localhost", "127.0.0.1"}
        for variable in ("NO_PROXY", "no_proxy"):
            assert hosts <= set(given[variable].split(",")), name


@in_development
def test_an_empty_endpoint_selects_the_cloud(combination):
    names = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER")
    web = compose_config(combination, **dict.fromkeys(names, ""))["services"]["web"]
    assert {web["environment"][name] for name in names} == {""}


@in_development
def test_tests_use_separate_redis_databases(services):
    names = ("REDIS_URL", "CELERY_BROKER_URL", "CELERY_RESULT_BACKEND")
    used = {
        service: {services[service]["environment"][name] for name in names}
        for service in ("web", "test")
    }
    assert not used["web"] & used["test"]


def test_there_is_a_debugger_only_if_requested(combination, services):
    wanted = {
        "docker-compose.debug.yml": {"web", "worker"},
        # `./dev serve --debug` starts the debugger of the dev container's server.
        ".devcontainer/docker-compose.yml": {"worker"},
    }
    debugged = {n for n, s in services.items() if "DEBUGPY_PORT" in s.get("environment", {})}
    assert debugged == wanted.get(combination[-1], set())

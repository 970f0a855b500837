"""Rules for docker-compose.prod.yml, in addition to those for every Compose file."""

from __future__ import annotations

import re

import pytest
from compose_files import CHECKOUT, COMBINATIONS, compose_config, read_yaml

from core.env import CONTRACT, PRODUCTION_DEFAULTS, EnvironmentProblems, read

(FILE,) = COMBINATIONS["production"]
SECRETS = {variable.name for variable in CONTRACT if variable.secret}
ONE_SHOT = {"check", "migrate"}
OURS = ("check", "migrate", "web", "worker")
GIVEN = {
    # What a product requires besides.
    **{
        variable.name: variable.example.replace("{random}", "a-value-for-this-test-alone")
        for variable in CONTRACT
        if f"${{{variable.name}}}" in (CHECKOUT / FILE).read_text()
    },
    "SECRET_KEY": "a-key-for-this-test-alone-0123456789-and-so-on-and-on",
    "ALLOWED_HOSTS": ".shop.example",
    "CSRF_TRUSTED_ORIGINS": "https://*.shop.example",
    "TENANT_BASE_DOMAIN": "shop.example",
    "EMAIL_URL": "smtp+tls://mail.example:587",
    **dict.fromkeys(
        ("POSTGRES_PASSWORD", "APP_PASSWORD", "APP_OWNER_PASSWORD", "REDIS_PASSWORD"),
        "a-password-for-this-test-alone",
    ),
}

in_production = pytest.mark.parametrize(
    "combination", [COMBINATIONS["production"]], ids=["production"], indirect=True, scope="session"
)


@in_production
def test_production_needs_no_other_compose_file(services):
    assert not any("extends" in service for service in read_yaml(FILE)["services"].values())
    assert "include" not in read_yaml(FILE)


@in_production
def test_no_source_is_mounted(services):
    for name in OURS:
        mounted = [one for one in services[name].get("volumes", []) if one["type"] == "bind"]
        source = CHECKOUT / "backend"
        assert not [one for one in mounted if source.is_relative_to(one["source"])], name


@in_production
def test_only_web_and_its_proxy_are_published(services):
    assert services["web"]["ports"]
    assert services["proxy"]["profiles"] == ["proxy"]
    for name in ("db", "redis", "check", "migrate", "worker"):
        assert not services[name].get("ports"), name


def test_the_address_of_web_can_be_chosen():
    services = compose_config((FILE,), PUBLISH_ADDRESS="10.0.0.5", WEB_PORT="80")["services"]
    (port,) = services["web"]["ports"]
    assert (port["host_ip"], port["published"]) == ("10.0.0.5", "80")


@in_production
def test_every_container_is_hardened(services):
    for name in (*OURS, "db", "redis", "proxy"):
        service = services[name]
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert any(place.startswith("/tmp:") for place in service["tmpfs"]), name
        assert service["deploy"]["resources"]["limits"]["pids"], name
        assert service["restart"] == ("no" if name in ONE_SHOT else "always"), name


@in_production
def test_only_the_application_can_reach_database_and_redis(config, services):
    assert config["networks"]["data"]["internal"] is True
    for name in ("check", "proxy"):
        assert "data" not in services[name].get("networks", {}), name
    assert services["db"]["networks"].keys() == services["redis"]["networks"].keys() == {"data"}


@in_production
def test_a_new_image_does_not_recreate_database_and_redis(services):
    # Compose recreates the dependents of a recreated container.
    for name in ("db", "redis", "proxy"):
        assert not services[name].get("depends_on"), name


@in_production
def test_our_containers_run_the_production_image(services):
    for name in OURS:
        assert services[name]["image"] == "homeport-backend:production"
    assert services["check"]["build"]["target"] == "production"


def test_no_secret_has_a_default():
    text = (CHECKOUT / FILE).read_text()
    assert not [name for name in SECRETS if re.search(rf"\$\{{{name}:?[-+]", text)]
    for name, service in compose_config((FILE,))["services"].items():
        for variable, value in (service.get("environment") or {}).items():
            if variable in SECRETS:
                password = re.sub(r"\w+://(\w*:(.*)@)?.*", r"\2", value or "")
                assert not password, (name, variable)


def test_what_is_missing_is_listed_together():
    environment = compose_config((FILE,))["services"]["check"]["environment"]
    source = {name: value or "" for name, value in environment.items()}
    with pytest.raises(EnvironmentProblems) as caught:
        read(source, readers=("backend", "compose"))
    assert all(f"{name} is not set" in str(caught.value) for name in GIVEN)


@pytest.mark.parametrize("service", OURS)
def test_the_generated_environment_is_valid(service):
    environment = compose_config((FILE,), **GIVEN)["services"][service]["environment"]
    source = {name: value or "" for name, value in environment.items()}
    read(source, readers=("backend", "compose") if service == "check" else ("backend",))


def test_production_starts_one_of_each_and_may_start_more():
    services = compose_config((FILE,), WEB_REPLICAS="3", WORKER_REPLICAS="2")["services"]
    assert services["web"]["deploy"]["replicas"] == 3
    assert services["worker"]["deploy"]["replicas"] == 2


def test_the_defaults_of_production_are_declared():
    assert PRODUCTION_DEFAULTS.keys() <= {variable.name for variable in CONTRACT}


def test_the_proxy_probes_where_web_answers_without_a_thread():
    proxy = (CHECKOUT / "proxy" / "haproxy.cfg").read_text()
    address = read_yaml(FILE)["services"]["web"]["environment"]["WEB_PROBE_BIND"]
    assert re.findall(r"check port (\d+)", proxy) == [address.rpartition(":")[2]]


def test_a_connection_of_the_pool_lives_as_long_as_one_without_it():
    (age,) = (one.default for one in CONTRACT if one.name == "DATABASE_CONN_MAX_AGE")
    configuration = (CHECKOUT / "pool" / "pgbouncer.ini").read_text()
    assert re.findall(r"^server_lifetime = (\d+)$", configuration, re.MULTILINE) == [age]

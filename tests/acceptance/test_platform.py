"""The platform: versions, data, settings, and likeness to production."""

from __future__ import annotations

import json
import re
import subprocess

import yaml
from criteria import Seen, criterion
from running import PRODUCTION_FILE, SETTING, ProductStack, Tenant
from running_stack import Failed

from devtools.services import CACHE, DATABASE, WEB, WORKER

# What no commit may hold. Written apart, so that this file does not.
SECRETS = ("BEGIN [A-Z ]*PRIVATE " + "KEY", "AKIA" + "[0-9A-Z]{16}", "ghp_" + "[A-Za-z0-9]{36}")


@criterion("PL-1", "Django 5 or newer, admin works at `http://localhost:8000/admin/`")
def test_django(stack: ProductStack, tenant: Tenant, seen: Seen) -> None:
    version = stack.shell("import django; print(django.get_version())")
    if int(version.split(".")[0]) < 5:
        raise Failed(f"Django is {version}")
    page = tenant.staff.get("/admin/").must_be(200).text
    if "Site administration" not in page:
        raise Failed("the admin's first page is not what a superuser sees")
    seen(f"Django {version}; {stack.addresses['admin']} shows a superuser its start page")


@criterion(
    "PL-2",
    "PostgreSQL 17 or newer, user permissions, initialisation, persistence, migrations, fixtures",
)
def test_postgresql(stack: ProductStack, seen: Seen) -> None:
    version = stack.sql("SHOW server_version").split()[0]
    if int(version.split(".")[0]) < 17:
        raise Failed(f"PostgreSQL is {version}", "./dev logs db")
    query = "SELECT rolsuper OR rolcreaterole OR rolbypassrls FROM pg_roles WHERE rolname = 'app'"
    if stack.sql(query) != "f":
        raise Failed("the role app may do too much")
    made = stack.sql("SELECT count(*) FROM tenant_config")
    directory = stack.sql("SHOW data_directory")
    migrated = stack.sql(f"SELECT count(*) FROM {stack.tenants[0]}.django_migrations")
    seen(
        f"PostgreSQL {version} in {directory}; app has no special right; {made} tenants, "
        f"{migrated} migrations"
    )


@criterion("PL-3", "Redis serves cache and sessions")
def test_redis(stack: ProductStack, tenant: Tenant, seen: Seen) -> None:
    cookies = tenant.staff.cookies.items()
    key = next((value for name, value in cookies if name.startswith("sessionid")), "")
    code = (
        "import json; from django.conf import settings; from django.core.cache import cache\n"
        f"key = cache.make_key('django.contrib.sessions.cache' + {key!r})\n"
        "client = cache._cache.get_client()\n"
        "print(json.dumps([settings.SESSION_ENGINE, client.exists(key), client.ttl(key)]))"
    )
    engine, there, left = json.loads(stack.shell(code, tenant.name))
    if not key or not there:
        raise Failed(f"a log-in's session is not in Redis; sessions are kept by {engine}")
    seen(f"the session of a log-in is in Redis for {left // 86400} more days; {engine}")


@criterion("PL-4", "environment-specific settings by `.env`, secrets never committed", long=True)
def test_settings(stack: ProductStack, fresh: ProductStack, seen: Seen) -> None:
    name, value = SETTING
    code = f"from core.env import environment; print(environment()[{name!r}])"
    found = fresh.shell(code)
    if found != value:
        raise Failed(f".env says {name}={value}, the application has {found}")
    if _git(stack, "check-ignore", "--quiet", ".env").returncode:
        raise Failed("git does not ignore .env")
    if _git(stack, "ls-files", ".env", ".env.production").stdout.strip():
        raise Failed("an environment file is committed", "git rm --cached .env")
    for pattern in SECRETS:
        held = _git(
            stack, "grep", "--cached", "-lE", "-e", pattern, "--", ":!.pre-commit-config.yaml"
        )
        if held.returncode == 0:
            raise Failed(f"what looks like a secret is committed in {held.stdout.split()[0]}")
    seen(f".env's {name}={value} is in force in a fresh stack; git ignores .env, no secret found")


def _git(stack: ProductStack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return stack.run("git", *arguments, check=False)


@criterion("PL-5", "base images, configuration and service layout match the production stack")
def test_likeness(stack: ProductStack, seen: Seen) -> None:
    local = yaml.safe_load(stack.text("docker-compose.yml"))["services"]
    production = yaml.safe_load(stack.text(PRODUCTION_FILE))["services"]
    roles = (DATABASE, CACHE, WEB, WORKER, "migrate")
    missing = [name for name in roles if name not in production]
    if missing:
        raise Failed(f"{PRODUCTION_FILE} has no {', '.join(missing)}")
    for name in (DATABASE, CACHE):
        if local[name]["image"] != production[name]["image"]:
            raise Failed(f"{name}: {local[name]['image']} here, {production[name]['image']} there")
    for name in (WEB, WORKER, "migrate"):
        if local[name].get("command") != production[name].get("command"):
            raise Failed(f"{name} is started by another command in {PRODUCTION_FILE}")
    bases = re.findall(
        r"^FROM (\S+) AS (development|production)$", stack.text("backend/Dockerfile"), re.M
    )
    if len({base for base, _ in bases}) != 1:
        raise Failed(f"the images are made from {bases}")
    images = " and ".join(local[name]["image"] for name in (DATABASE, CACHE))
    seen(f"the same {images}, the same start scripts, both images from one stage")

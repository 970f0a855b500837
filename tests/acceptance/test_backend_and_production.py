"""The backend and the production stack."""

from __future__ import annotations

import json
import re
import secrets
import shlex
import socket
import statistics
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
from criteria import Seen, criterion
from running import PAGE, ProductStack, production_services
from running_stack import Failed
from web_client import Answer, ask

from devtools.checkout import Checkout
from devtools.declared import compose, variables
from devtools.interpreter import Local
from devtools.ports import LOOPBACK
from devtools.services import DATABASE, TESTS

PRODUCTION_TESTS = "tests/stack/test_production.py"
NO_PRODUCTION = "the production stack runs in containers"
ONE_SHOTS = ("migrate", "check")
CHECK = "bin/check"
MEGABYTE = 10**6
LARGEST = {"development": 600, "production": 300}  # megabytes


# --- settings -----------------------------------------------------------------------------


@criterion(
    "BP-1",
    "settings split base/local/production; a missing variable fails fast with a helpful message",
)
def test_fails_fast(stack: ProductStack, seen: Seen) -> None:
    for name in ("base", "local", "production"):
        stack.text(f"backend/core/settings/{name}.py")
    check = "DJANGO_SETTINGS_MODULE=core.settings.production python manage.py check"
    done = stack.in_backend(f'env -i PATH="$PATH" {check}', check=False)
    said = done.stderr + done.stdout
    if done.returncode == 0 or "SECRET_KEY is not set" not in said or "e.g. " not in said:
        raise Failed(f"production without variables ended with {done.returncode}: {said[-200:]}")
    if "Traceback" in said:
        raise Failed("production without variables ends with a traceback")
    count = re.search(r"\d+ problems in the environment", said)
    seen(f"production without variables: {count.group() if count else 'refused'}, with examples")


@criterion("BP-2", "`.env.example` documents every variable, grouped, with security notes")
def test_documented_variables(stack: ProductStack, seen: Seen) -> None:
    generated = stack.in_backend("python -m core.env example").stdout
    text = stack.text(".env.example")
    if generated != text:
        raise Failed("it is not what backend/core/env/contract.py generates", "./dev reference")
    variables = len(re.findall(r"^# [A-Z_]+=", text, re.M))
    groups = len(re.findall(r"^# --- ", text, re.M))
    notes = text.count("# SECRET.")
    if not notes:
        raise Failed("no variable is marked SECRET")
    seen(f"{variables} variables in {groups} groups, {notes} marked SECRET; as generated")


# --- production ---------------------------------------------------------------------------


@criterion(
    "BP-3",
    "`docker compose -f docker-compose.prod.yml up` runs Gunicorn, DEBUG off, no database port on "
    "the host, restart always, limits",
    long=True,
    needs_docker=NO_PRODUCTION,
)
def test_production_stack(stack: ProductStack, seen: Seen) -> None:
    services = production_services(stack)
    faults = [
        f"{name} is not restarted always"
        for name, one in services.items()
        if name not in ONE_SHOTS and one.get("restart") != "always"
    ]
    faults += [
        f"{name} publishes a port"
        for name, one in services.items()
        if name in ("db", "redis") and one.get("ports")
    ]
    settings = services.get("web", {}).get("environment", {}).get("DJANGO_SETTINGS_MODULE")
    if settings != "core.settings.production":
        faults.append(f"web has the settings {settings}")
    if faults:
        raise Failed("; ".join(faults))
    seen(f"{len(services)} services, restart always; {stack.tests(PRODUCTION_TESTS)}")


@criterion("BP-4", "`check --deploy` passes")
@criterion("BC-8")
def test_deployment_checks(stack: ProductStack, seen: Seen) -> None:
    """As the service `check` of the production stack, with valid values for what it must have."""
    checkout, python = Checkout(stack.checkout), Local(Path(sys.executable))
    files = compose.load(checkout, python)
    declared = variables.load(checkout, python, files).values()
    given = {one.name: one.stand_in for one in declared if variables.PRODUCTION in one.required_in}
    given["DJANGO_SETTINGS_MODULE"] = "core.settings.production"
    words = [shlex.quote(f"{name}={value}") for name, value in given.items()]
    said = stack.in_backend(f'env -i PATH="$PATH" {" ".join(words)} {CHECK}').stdout
    seen(f"{CHECK}, which runs check --deploy: {said.strip().splitlines()[-1]}")


@criterion(
    "BP-5",
    "static files are served compressed with hashed names",
    long=True,
    needs_docker="they are collected when the production image is built",
)
def test_static_files(stack: ProductStack, production_image: str, seen: Seen) -> None:
    code = (
        "import json, pathlib; root = pathlib.Path('/data/static')\n"
        "names = json.loads((root / 'staticfiles.json').read_text())['paths']\n"
        "css = names['admin/css/base.css']\n"
        "assert all((root / name).is_file() for name in names.values())\n"
        "print(len(names), css, (root / (css + '.gz')).stat().st_size, (root / css).stat().st_size)"
    )
    said = stack.docker("run", "--rm", "--entrypoint", "python", production_image, "-c", code)
    count, name, packed, plain = said.stdout.split()
    if not re.fullmatch(r"admin/css/base\.[0-9a-f]{12}\.css", name):
        raise Failed(f"admin/css/base.css is served as {name}, without a hash")
    if int(packed) >= int(plain):
        raise Failed(f"{name} is not smaller compressed")
    seen(f"{count} files; {name} has {plain} bytes, {packed} as gzip")


# --- reach and load -----------------------------------------------------------------------


@criterion("BP-12", "cache set and get through Redis")
def test_cache(stack: ProductStack, seen: Seen) -> None:
    word = secrets.token_hex(6)
    code = (
        "import json; from django.core.cache import cache\n"
        f"cache.set('verify', {word!r}, 30); client = cache._cache.get_client()\n"
        "key = cache.make_key('verify'); there = client.exists(key); got = cache.get('verify')\n"
        "cache.delete('verify'); print(json.dumps([got, there, key, client.exists(key)]))"
    )
    got, there, key, left = json.loads(stack.shell(code, stack.tenants[0]))
    if (got, there, left) != (word, 1, 0):
        raise Failed(f"set {word}, got {got}; in Redis: {there}, after delete: {left}")
    seen(f"set and got; Redis held it as {key}, and no longer after delete")


@criterion("BP-13", "an outside database tool connects to the published loopback port")
def test_database_tool(stack: ProductStack, seen: Seen) -> None:
    port = stack.port(DATABASE)
    password = Checkout(stack.checkout).chosen("APP_PASSWORD") or "app"
    try:
        with psycopg.connect(
            f"host={LOOPBACK} dbname=homeport user=app", port=port, password=password
        ) as connection:
            user, version = connection.execute("SELECT current_user, version()").fetchone()
    except psycopg.Error as error:
        raise Failed(f"psycopg at {LOOPBACK}:{port}: {error}", "./dev status") from error
    seen(f"psycopg on this machine, {LOOPBACK}:{port}: {user} {' '.join(version.split()[:2])}")


@criterion(
    "BP-14",
    "100 requests with 10 connections, and 50 to 100 connections at once, without connection "
    "errors",
)
def test_load(stack: ProductStack, seen: Seen) -> None:
    stack.serve("gunicorn")
    port = stack.port("web")
    few = _load(port, 100, 10)
    many = _load(port, 300, 100)
    held = _held_open(port, 100)
    seen(f"100 on 10: {few}; 300 on 100: {many}; {held} connections open at once, all answered")


def _load(port: int, requests: int, connections: int) -> str:
    def one(number: int) -> Answer:
        host = f"test{number % 2 + 1}.localhost:{port}"
        return ask(port, "GET", PAGE, host=host, headers={}, timeout=60)

    with ThreadPoolExecutor(connections) as pool:
        answers = list(pool.map(one, range(requests)))
    statuses = Counter(answer.status for answer in answers)
    if set(statuses) != {200}:
        raise Failed(f"{requests} requests on {connections} connections: {dict(statuses)}")
    return f"all 200, median {statistics.median(answer.took for answer in answers):.0f} ms"


def _held_open(port: int, number: int) -> int:
    """Open all connections first, then ask on each: none may be refused or dropped."""
    opened = [socket.create_connection((LOOPBACK, port), timeout=60) for _ in range(number)]
    question = f"GET /api/v1/health/live/ HTTP/1.1\r\nHost: localhost:{port}\r\n".encode()
    answered = []
    lock = threading.Lock()

    def one(connection: socket.socket) -> None:
        with connection:
            connection.sendall(question + b"Connection: close\r\n\r\n")
            status = connection.recv(64).split(b" ")[1:2]
        with lock:
            answered.append(status)

    try:
        with ThreadPoolExecutor(number) as pool:
            list(pool.map(one, opened))
    except OSError as error:
        raise Failed(f"of {number} connections at once one broke: {error}") from error
    good = answered.count([b"200"])
    if good != number:
        raise Failed(f"of {number} connections at once {good} were answered with 200")
    return good


@criterion(
    "BP-16",
    "image sizes: development at most 600 MB, production at most 300 MB",
    long=True,
    needs_docker="there is no image here",
)
def test_image_sizes(stack: ProductStack, production_image: str, seen: Seen) -> None:
    configured = stack.compose("--profile", "*", "config", "--format", "json").stdout
    names = {
        "development": json.loads(configured)["services"][TESTS]["image"],
        "production": production_image,
    }
    sizes = {
        name: int(stack.docker("image", "inspect", "--format", "{{.Size}}", image).stdout)
        / MEGABYTE
        for name, image in names.items()
    }
    large = [f"{name} has {sizes[name]:.0f} MB" for name in sizes if sizes[name] > LARGEST[name]]
    if large:
        raise Failed("; ".join(large))
    seen(", ".join(f"{name} {size:.0f} MB" for name, size in sizes.items()))


@criterion(
    "BP-17",
    "a killed production service comes back by itself",
    long=True,
    needs_docker=NO_PRODUCTION,
)
def test_comes_back(stack: ProductStack, seen: Seen) -> None:
    seen(stack.tests(PRODUCTION_TESTS, "-k", "killed"))


@criterion("BP-18", "new developer ready in under five minutes", long=True)
def test_quickly_ready(fresh: ProductStack, seen: Seen) -> None:
    took = fresh.took
    if took > 300:
        raise Failed(f"./dev up in a fresh copy took {took:.0f} s")
    seen(
        f"./dev up in a fresh copy, with this machine's caches of packages and images: {took:.0f} s"
    )

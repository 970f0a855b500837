"""The backend, its shop, and the production stack."""

from __future__ import annotations

import csv
import io
import json
import re
import secrets
import shlex
import socket
import statistics
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from ..bench import container
from ..contract import compose, variables
from ..docker.project import PROJECT_LABEL, Project
from ..ports import LOOPBACK
from ..process import capture
from ..services import DATABASE, TESTS
from .criteria import Failed, criterion
from .http import Answer, Client, ask
from .stack import Stack, eventually

PRODUCTION_FILE = "docker-compose.prod.yml"
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
def fails_fast(stack: Stack) -> str:
    for name in ("base", "local", "production"):
        stack.text(f"backend/core/settings/{name}.py")
    done = stack.inside(
        'env -i PATH="$PATH" DJANGO_SETTINGS_MODULE=core.settings.production python manage.py check'
    )
    said = done.errors + done.output
    if done.ok or "SECRET_KEY is not set" not in said or "e.g. " not in said:
        raise Failed(f"production without variables ended with {done.status}: {done.last_words}")
    if "Traceback" in said:
        raise Failed("production without variables ends with a traceback")
    count = re.search(r"\d+ problems in the environment", said)
    return f"production without variables: {count.group() if count else 'refused'}, with examples"


@criterion("BP-2", "`.env.example` documents every variable, grouped, with security notes")
def documented_variables(stack: Stack) -> str:
    generated = stack.inside("python -m core.env example")
    text = stack.text(".env.example")
    if not generated.ok or generated.output != text:
        raise Failed("it is not what backend/core/env/contract.py generates", "./dev reference")
    variables = len(re.findall(r"^# [A-Z_]+=", text, re.M))
    groups = len(re.findall(r"^# --- ", text, re.M))
    notes = text.count("# SECRET.")
    if not notes:
        raise Failed("no variable is marked SECRET")
    return f"{variables} variables in {groups} groups, {notes} marked SECRET; as generated"


# --- production ---------------------------------------------------------------------------


@criterion(
    "BP-3",
    "`docker compose -f docker-compose.prod.yml up` runs Gunicorn, DEBUG off, no database port on "
    "the host, restart always, limits",
    long=True,
    needs_docker=NO_PRODUCTION,
)
def production_stack(stack: Stack) -> str:
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
    return f"{len(services)} services, restart always; {stack.tests(PRODUCTION_TESTS)}"


def production_services(stack: Stack) -> dict:
    """The services of the production file as Compose reads them. Raises Failed."""
    names = re.findall(r"\$\{([A-Z_]+)(?:\}|:?\?)", stack.text(PRODUCTION_FILE))
    given = [f"{name}=verify" for name in sorted(set(names))]
    done = capture(
        [
            *("env", *given, "docker", "compose", "--env-file", "/dev/null"),
            *("-f", PRODUCTION_FILE, "config", "--format", "json"),
        ],
        directory=stack.checkout.root,
        environment=stack.checkout.variables,
    )
    if not done.ok:
        raise Failed(f"{PRODUCTION_FILE}: {done.last_words}")
    return json.loads(done.output)["services"]


def production_image(stack: Stack) -> str:
    """The name of the production image, built from this checkout; untagged at the end."""
    return stack.once(_build_production)


def _build_production(stack: Stack) -> str:
    name = "homeport-verify:production"
    stack.tell("building the production image")
    stack.docker_must(
        # The label has `./dev clean` delete it if this ends too early to do so.
        *("build", "--label", f"{PROJECT_LABEL}={Project(stack.checkout).name}"),
        *("--file", "backend/Dockerfile", "--target", "production", "--tag", name, "."),
        timeout=1800,
    )
    stack.at_end(stack.docker, "rmi", name)
    return name


@criterion("BP-4", "`check --deploy` passes")
def deployment_checks(stack: Stack) -> str:
    """As the service `check` of the production stack, with valid values for what it must have."""
    files = compose.load(stack.checkout, stack.python)
    declared = variables.load(stack.checkout, stack.python, files).values()
    given = {one.name: one.stand_in for one in declared if variables.PRODUCTION in one.required_in}
    given["DJANGO_SETTINGS_MODULE"] = "core.settings.production"
    words = [shlex.quote(f"{name}={value}") for name, value in given.items()]
    done = stack.inside(f'env -i PATH="$PATH" {" ".join(words)} {CHECK}')
    if not done.ok:
        raise Failed(f"{CHECK}: {done.last_words}")
    return f"{CHECK}, which runs check --deploy: {done.output.strip().splitlines()[-1]}"


@criterion(
    "BP-5",
    "static files are served compressed with hashed names",
    long=True,
    needs_docker="they are collected when the production image is built",
)
def static_files(stack: Stack) -> str:
    code = (
        "import json, pathlib; root = pathlib.Path('/data/static')\n"
        "names = json.loads((root / 'staticfiles.json').read_text())['paths']\n"
        "css = names['admin/css/base.css']\n"
        "assert all((root / name).is_file() for name in names.values())\n"
        "print(len(names), css, (root / (css + '.gz')).stat().st_size, (root / css).stat().st_size)"
    )
    image = production_image(stack)
    said = stack.docker_must("run", "--rm", "--entrypoint", "python", image, "-c", code)
    count, name, packed, plain = said.split()
    if not re.fullmatch(r"admin/css/base\.[0-9a-f]{12}\.css", name):
        raise Failed(f"admin/css/base.css is served as {name}, without a hash")
    if int(packed) >= int(plain):
        raise Failed(f"{name} is not smaller compressed")
    return f"{count} files; {name} has {plain} bytes, {packed} as gzip"


# --- the shop -----------------------------------------------------------------------------


@criterion("BP-6", "register, log in, refresh; protected endpoints need the token")
def accounts(stack: Stack) -> str:
    client = Client(stack.shop.port, stack.shop.name)
    account = {
        "email": f"verify-{secrets.token_hex(4)}@example.com",
        "password": secrets.token_urlsafe(12),
    }
    client.get("/api/cart/").must_be(401)
    client.send("POST", "/api/auth/register/", account).must_be(201)
    client.send("POST", "/api/auth/login/", {**account, "password": "wrong"}).must_be(401)
    tokens = client.send("POST", "/api/auth/login/", account).must_be(200).json()
    client.token = tokens["access"]
    client.get("/api/cart/").must_be(200)
    refresh = {"refresh": tokens["refresh"]}
    client.token = (
        client.send("POST", "/api/auth/token/refresh/", refresh).must_be(200).json()["access"]
    )
    client.get("/api/cart/").must_be(200)
    return (
        "registered 201, wrong password 401, log-in 200, refresh 200; cart: 401 without, 200 with"
    )


@criterion("BP-7", "products list and detail, filter and search")
def products(stack: Stack) -> str:
    client = Client(stack.shop.port, stack.shop.name)
    teapot, lantern = stack.shop.PRODUCTS
    found = {
        query: {one["name"] for one in _list(client, f"/api/products/{query}")}
        for query in ("", "?category=verify&max_price=10", "?search=lantern")
    }
    wanted = {
        "": {teapot, lantern},
        "?category=verify&max_price=10": {teapot},
        "?search=lantern": {lantern},
    }
    if found != wanted:
        raise Failed(f"lists are {found}")
    first = _list(client, "/api/products/")[0]
    detail = client.get(f"/api/products/{first['id']}/").must_be(200).json()
    return f"list of 2; filtered: {teapot}; searched: {lantern}; detail of {detail['sku']}"


def _list(client: Client, path: str) -> list:
    return client.get(path).must_be(200).json()["results"]


@criterion("BP-8", "cart add, view, update, remove, with authentication")
def cart(stack: Stack) -> str:
    Client(stack.shop.port, stack.shop.name).get("/api/cart/").must_be(401)
    client = stack.shop.customer
    item = _fill(client)
    client.send("PATCH", f"/api/cart/update/{item}/", {"quantity": 3}).must_be(200)
    held = client.get("/api/cart/").must_be(200).json()["items"]
    if [one["quantity"] for one in held] != [3]:
        raise Failed(f"after an update to 3 the cart holds {held}")
    client.send("DELETE", f"/api/cart/remove/{item}/", None).must_be(200, 204)
    if client.get("/api/cart/").must_be(200).json()["items"]:
        raise Failed("after removing its item the cart is not empty")
    return "401 without a token; added, 3 pieces after an update, empty after removal"


def _fill(client: Client) -> int:
    product = _list(client, "/api/products/")[0]["id"]
    added = client.send("POST", "/api/cart/add/", {"product": product, "quantity": 1})
    added.must_be(200, 201)
    return client.get("/api/cart/").json()["items"][0]["id"]


@criterion("BP-9", "orders create, list, detail, CSV; e-mail notification")
def orders(stack: Stack) -> str:
    client = stack.shop.customer
    _fill(client)
    order = client.send("POST", "/api/orders/create/", {}).must_be(201).json()
    number, identifier = order["number"], order["id"]
    if number not in [one["number"] for one in _list(client, "/api/orders/")]:
        raise Failed(f"the list lacks {number}")
    client.get(f"/api/orders/{identifier}/").must_be(200)
    sheet = client.get(f"/api/orders/{identifier}/csv/").must_be(200)
    rows = list(csv.reader(io.StringIO(sheet.text.lstrip("\ufeff"))))
    if len(rows) < 2 or number not in sheet.text:
        raise Failed(f"the CSV of {number} is {sheet.text[:80]!r}")
    eventually(
        lambda: f"Your order {number}" in client.get("/workbench/live/").text,
        30,
        f"the workbench did not show the e-mail about {number}",
    )
    return f"order {number}: listed, detail 200, CSV of {len(rows)} rows, e-mail `Your order …`"


@criterion("BP-10", "tickets create, list, detail")
def tickets(stack: Stack) -> str:
    client = stack.shop.customer
    ticket = {"subject": "Verify", "body": "Is anybody there?"}
    made = client.send("POST", "/api/tickets/", ticket).must_be(201).json()
    if made["id"] not in [one["id"] for one in _list(client, "/api/tickets/")]:
        raise Failed("the list lacks the new ticket")
    detail = client.get(f"/api/tickets/{made['id']}/").must_be(200).json()
    return f"ticket {made['id']}: listed, {detail['status']}, {len(detail['messages'])} message"


@criterion("BP-11", "admin: log in, create, read, update, delete")
def admin(stack: Stack) -> str:
    browser, slug = stack.shop.staff, f"verify-{secrets.token_hex(4)}"
    place = "/admin/products/category/"
    _saved(browser.submit(f"{place}add/", name="Made", slug=slug))
    page = browser.get(f"{place}?q=Made").must_be(200).text
    row = re.search(rf"{place}(\d+)/change/", page)
    if not row:
        raise Failed("the list does not show what was added")
    one = f"{place}{row.group(1)}/"
    _saved(browser.submit(f"{one}change/", name="Changed", slug=slug))
    if 'value="Changed"' not in browser.get(f"{one}change/").must_be(200).text:
        raise Failed("a change was not kept")
    _saved(browser.submit(f"{one}delete/", post="yes"))
    if browser.get(f"{one}change/").status == 200:
        raise Failed("what was deleted is still there")
    return "logged in; a category was added, found, changed and deleted"


def _saved(answer: Answer) -> None:
    if answer.status != 302:
        faults = re.findall(r'class="errorlist[^>]*>(.*?)</ul>', answer.text, re.S)
        raise Failed(f"the admin answered {answer.status}: {' '.join(faults)[:120]}")


@criterion("BP-12", "cache set and get through Redis")
def cache(stack: Stack) -> str:
    word = secrets.token_hex(6)
    code = (
        "import json; from django.core.cache import cache\n"
        f"cache.set('verify', {word!r}, 30); client = cache._cache.get_client()\n"
        "key = cache.make_key('verify'); there = client.exists(key); got = cache.get('verify')\n"
        "cache.delete('verify'); print(json.dumps([got, there, key, client.exists(key)]))"
    )
    got, there, key, left = json.loads(stack.shell(code, "test1"))
    if (got, there, left) != (word, 1, 0):
        raise Failed(f"set {word}, got {got}; in Redis: {there}, after delete: {left}")
    return f"set and got; Redis held it as {key}, and no longer after delete"


# --- reach and load -----------------------------------------------------------------------


@criterion("BP-13", "an outside database tool connects to the published loopback port")
def database_tool(stack: Stack) -> str:
    port = stack.port(DATABASE)
    password = stack.checkout.chosen("APP_PASSWORD") or "app"
    code = (
        "import os, psycopg\n"
        f"with psycopg.connect(host='{LOOPBACK}', port={port}, dbname='homeport', user='app',\n"
        "        password=os.environ['PGPASSWORD']) as one:\n"
        "    print(*one.execute('SELECT current_user, version()').fetchone())"
    )
    done = capture(
        [str(stack.python), "-c", code],
        directory=stack.checkout.root,
        environment={**stack.checkout.variables, "PGPASSWORD": password},
    )
    if not done.ok:
        raise Failed(f"psycopg at {LOOPBACK}:{port}: {done.last_words}", "./dev status")
    return f"psycopg on this machine, {LOOPBACK}:{port}: {' '.join(done.output.split()[:3])}"


@criterion(
    "BP-14",
    "100 requests with 10 connections, and 50 to 100 connections at once, without connection "
    "errors",
)
def load(stack: Stack) -> str:
    stack.serve("gunicorn")
    port = stack.port("web")
    few = _load(port, 100, 10)
    many = _load(port, 300, 100)
    held = _held_open(port, 100)
    return f"100 on 10: {few}; 300 on 100: {many}; {held} connections open at once, all answered"


def _load(port: int, requests: int, connections: int) -> str:
    def one(number: int) -> Answer:
        host = f"test{number % 2 + 1}.localhost:{port}"
        return ask(port, "GET", "/api/v1/products/", host=host, headers={}, timeout=60)

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
    "BP-15",
    "throughput within 10 % of the same server outside a container",
    long=True,
    needs_docker="there is no container here to compare with",
)
def throughput(stack: Stack) -> str:
    done = stack.must("bench", "container", timeout=1800)
    row = next((line for line in done.splitlines() if container.RATIO in line), "")
    ratio = re.search(r"\s(\d+\.\d+)(?:\s|$)", row)
    if not ratio:
        raise Failed("./dev bench container compares nothing on this machine")
    if float(ratio.group(1)) < 0.9:
        raise Failed(f"{ratio.group(1)} of the throughput outside", "./dev bench container")
    return f"{ratio.group(1)} of the throughput outside a container (median of the rounds)"


@criterion(
    "BP-16",
    "image sizes: development at most 600 MB, production at most 300 MB",
    long=True,
    needs_docker="there is no image here",
)
def image_sizes(stack: Stack) -> str:
    configured = stack.docker_must("compose", "--profile", "*", "config", "--format", "json")
    names = {
        "development": json.loads(configured)["services"][TESTS]["image"],
        "production": production_image(stack),
    }
    sizes = {
        name: int(stack.docker_must("image", "inspect", "--format", "{{.Size}}", image)) / MEGABYTE
        for name, image in names.items()
    }
    large = [f"{name} has {sizes[name]:.0f} MB" for name in sizes if sizes[name] > LARGEST[name]]
    if large:
        raise Failed("; ".join(large))
    return ", ".join(f"{name} {size:.0f} MB" for name, size in sizes.items())


@criterion(
    "BP-17",
    "a killed production service comes back by itself",
    long=True,
    needs_docker=NO_PRODUCTION,
)
def comes_back(stack: Stack) -> str:
    return stack.tests(PRODUCTION_TESTS, "-k", "killed")


@criterion("BP-18", "new developer ready in under five minutes", long=True)
def quickly_ready(stack: Stack) -> str:
    took = stack.fresh.took
    if took > 300:
        raise Failed(f"./dev up in a fresh copy took {took:.0f} s")
    return (
        f"./dev up in a fresh copy, with this machine's caches of packages and images: {took:.0f} s"
    )


@criterion("BP-19", "data from a SQLite `dumpdata` loads without loss", long=True)
def moving_in(stack: Stack) -> str:
    return stack.backend_tests("demo/tests/test_moving_in.py")

"""The local environment: it starts, it serves, it separates tenants, it is documented."""

from __future__ import annotations

import json
import re
import secrets
from concurrent.futures import ThreadPoolExecutor

from criteria import Seen, criterion
from running import OPERATORS, PAGE, ProductStack, Tenant, operator
from running_stack import Failed
from web_client import Client

from devtools.readiness import wait_until
from devtools.services import CACHE, DATABASE, RELEASE, WEB, WORKER

LOG_FIELDS = {"timestamp", "level", "event", "logger"}
ROUTES = "backend/core/urls.py"
PATIENCE = 60  # seconds for a reload, on a machine that has other work, too


# --- it starts ----------------------------------------------------------------------------


@criterion("LDE-1.1", "starting the stack starts every service without error")
def test_starts(stack: ProductStack, seen: Seen) -> None:
    stack.dev("up", timeout=600)
    services = stack.status()["services"]
    unhealthy = [f"{one['name']} is {one['state']}" for one in services if not one["healthy"]]
    if unhealthy:
        raise Failed("; ".join(unhealthy), "./dev status")
    names = ", ".join(one["name"] for one in services)
    seen(f"./dev up ended with 0; {len(services)} services are healthy: {names}")


@criterion("LDE-1.2", "the web service answers at `http://localhost:8000` (or the port chosen)")
def test_web_answers(stack: ProductStack, seen: Seen) -> None:
    answer = stack.api().get("/").must_be(200)
    seen(f"200 at {stack.addresses['web']} in {answer.took:.0f} ms")


@criterion("LDE-1.3", "PostgreSQL and Redis are healthy by their health checks")
def test_data_is_healthy(stack: ProductStack, seen: Seen) -> None:
    states = {one["name"]: one["state"] for one in stack.services(DATABASE, CACHE)}
    if set(states.values()) != {"healthy"}:
        raise Failed(f"{states}", "./dev logs db redis")
    checks = stack.api().get("/api/v1/health/").json()["checks"]
    down = [name for name in ("database", "cache", "broker") if checks[name]["status"] != "ok"]
    if down:
        raise Failed(f"web cannot reach {', '.join(down)}", "./dev status")
    seen(f"db and redis are healthy; web reaches db in {checks['database']['latency_ms']} ms")


@criterion("LDE-1.4", "worker logs show the connection to the broker and to the database")
def test_worker_says_what_it_reached(stack: ProductStack, seen: Seen) -> None:
    events = stack.events(WORKER)
    for wanted in ("listening", "database reached"):
        if wanted not in events:
            raise Failed(f"no line {wanted!r} in the worker's log", "./dev logs worker")
    broker, host = events["listening"]["broker"], events["database reached"]["host"]
    seen(f"listening at {broker}; database reached at {host}")


# --- settings and releases ----------------------------------------------------------------


@criterion("LDE-2.1", "`DJANGO_SETTINGS_MODULE=core.settings.local` is in force")
def test_local_settings(stack: ProductStack, seen: Seen) -> None:
    found = stack.shell("from django.conf import settings; print(settings.SETTINGS_MODULE)")
    if found != "core.settings.local":
        raise Failed(f"settings are {found}")
    seen(found)


@criterion("LDE-2.2", "migrations run in the local environment")
def test_migrations_run(stack: ProductStack, seen: Seen) -> None:
    stack.dev("migrate")
    tenant = stack.tenants[0]
    count = stack.sql(f"SELECT count(*) FROM {tenant}.django_migrations")
    seen(f"./dev migrate ended with 0; {count} migrations are applied in {tenant}")


@criterion("LDE-2.3", "Redis is reachable from web and worker through environment variables")
def test_redis_from_both(stack: ProductStack, seen: Seen) -> None:
    word = secrets.token_hex(4)
    code = (
        "import json, os; from django.core.cache import cache; from core.celery import echo\n"
        f"cache.set('verify', {word!r}, 30); said = echo.delay({word!r}).get(timeout=30)\n"
        "names = ('REDIS_URL', 'CELERY_BROKER_URL', 'CELERY_RESULT_BACKEND')\n"
        "print(json.dumps([cache.get('verify'), said, [os.environ.get(n) for n in names]]))"
    )
    cached, echoed, urls = json.loads(stack.shell(code, stack.tenants[0]))
    if cached != word or echoed["message"] != word:
        raise Failed(f"cache gave {cached!r}, the worker {echoed!r}")
    if not all(urls):
        raise Failed(f"not all variables are set: {urls}")
    seen(f"cached by web, echoed by the worker through {urls[1]}")


@criterion("LDE-2.4", "debug mode is on locally")
def test_debug_is_on(stack: ProductStack, seen: Seen) -> None:
    answer = stack.api(Accept="text/html").get("/no-such-page/").must_be(404)
    if "DEBUG = True" not in answer.text:
        raise Failed("an unknown page is not answered with Django's debug page")
    seen("an unknown page shows Django's debug page")


# --- an empty database --------------------------------------------------------------------


@criterion(
    "LDE-3.1", "the SQL init scripts ran by themselves and created `tenant_config`", long=True
)
@criterion("AWS-2")
def test_init_scripts_ran(fresh: ProductStack, seen: Seen) -> None:
    owner = fresh.sql("SELECT tableowner FROM pg_tables WHERE tablename = 'tenant_config'")
    rows = fresh.sql("SELECT schema_name FROM tenant_config ORDER BY id").splitlines()
    if rows != list(fresh.tenants):
        raise Failed(f"a fresh database's tenant_config holds {rows}")
    seen(f"a fresh database has tenant_config of {owner} with {', '.join(rows)}")


@criterion("LDE-3.2", "`migrate` completes without error on start")
def test_release_completes(stack: ProductStack, seen: Seen) -> None:
    (state,) = stack.services(RELEASE)
    if not state["healthy"]:
        raise Failed(f"{RELEASE} is {state['state']}", "./dev logs migrate")
    migrations = stack.api().get("/api/v1/health/").json()["checks"]["migrations"]
    if migrations["status"] != "ok":
        raise Failed(migrations["error"], "./dev migrate")
    seen(f"{RELEASE} is {state['state']}; no migration is pending in any schema")


@criterion("LDE-3.3", "tenants `test1` and `test2` exist, seen in the admin and in psql")
def test_both_tenants_exist(stack: ProductStack, tenant: Tenant, seen: Seen) -> None:
    names = stack.sql("SELECT schema_name FROM tenant_config").splitlines()
    if stack.single:
        if stack.single not in names:
            raise Failed(f"psql shows {', '.join(names) or 'no tenant'}, not {stack.single}")
        tenant.staff.get("/admin/").must_be(200)
        seen(f"psql lists the single tenant {stack.single}; its admin opens")
        return
    with operator(stack) as browser:
        page = browser.get("/admin/tenants/tenant/").must_be(200).text
    for place, found in (("psql", names), ("the admin", page)):
        missing = [name for name in stack.tenants if name not in found]
        if missing:
            raise Failed(f"{place} does not show {', '.join(missing)}")
    seen(f"psql and the operators' admin list {' and '.join(stack.tenants)}")


@criterion("LDE-3.4", "no manual step is needed after the start", long=True)
def test_nothing_by_hand(fresh: ProductStack, seen: Seen) -> None:
    for tenant in fresh.tenants:
        fresh.api(tenant).get(PAGE).must_be(200)
    health = fresh.api().get("/api/v1/health/").must_be(200).json()
    seen(f"after ./dev up from nothing every tenant answers and health is {health['status']}")


# --- servers and logs ---------------------------------------------------------------------


@criterion("LDE-4.1", "web runs Gunicorn with accessible logs")
def test_gunicorn_with_logs(stack: ProductStack, seen: Seen) -> None:
    mark = f"/verify-{secrets.token_hex(4)}/"
    stack.serve("gunicorn")
    server = stack.api().get("/api/v1/health/").json()["server"]
    stack.api().get(mark)
    wait_until(lambda: mark in "\n".join(stack.log(WEB)), 15, "./dev logs web did not show it")
    if server != "gunicorn":
        raise Failed(f"{server} serves")
    seen("gunicorn serves; a request shows in ./dev logs web")


@criterion("LDE-4.2", "the worker's log shows it listening on its queues")
def test_worker_says_its_queues(stack: ProductStack, seen: Seen) -> None:
    listening = stack.events(WORKER).get("listening")
    if not listening or not listening.get("queues"):
        raise Failed("no line `listening` with queues in the worker's log", "./dev logs worker")
    seen(f"listening, queues: {', '.join(listening['queues'])}")


@criterion("LDE-4.3", "logs are JSON lines of the production schema")
@criterion("BC-8")
def test_logs_are_json(stack: ProductStack, seen: Seen) -> None:
    mark = secrets.token_hex(8)
    stack.serve("gunicorn")
    stack.api(stack.tenants[0]).get(f"{PAGE}?mark={mark}")
    code = (
        "import structlog; from core.celery import echo\n"
        f"structlog.contextvars.bind_contextvars(request_id={mark!r})\n"
        "print(echo.delay('verify').get(timeout=30))"
    )
    stack.shell(code, stack.tenants[0])
    written = {}
    for service in (WEB, WORKER):
        written[service] = wait_until(
            lambda service=service: _since(stack.log(service), mark), 15, f"{service}: no line"
        )
    for service, lines in {**written, RELEASE: stack.log(RELEASE)[-20:]}.items():
        for line in lines:
            _must_be_an_entry(service, line)
    lines = sum(map(len, written.values()))
    seen(f"{lines} lines of web and worker: {', '.join(sorted(LOG_FIELDS))}")


def _since(lines: list[str], mark: str) -> list[str]:
    first = next((place for place, line in enumerate(lines) if mark in line), None)
    return [] if first is None else lines[first:]


def _must_be_an_entry(service: str, line: str) -> None:
    try:
        missing = LOG_FIELDS - json.loads(line).keys()
    except (ValueError, AttributeError):
        raise Failed(f"{service} wrote a line that is no JSON: {line[:80]!r}") from None
    if missing:
        raise Failed(f"{service} wrote a line without {', '.join(sorted(missing))}")


@criterion("LDE-4.4", "both are stable under basic load")
def test_stable_under_load(stack: ProductStack, seen: Seen) -> None:
    stack.serve("gunicorn")
    before = _started(stack)
    requests, tasks = 300, 50
    client = stack.api(stack.tenants[0])
    send = f"from core.celery import echo; r = [echo.delay(str(n)) for n in range({tasks})]; "
    with ThreadPoolExecutor(11) as pool:
        worked = pool.submit(
            stack.shell,
            send + "print(sum(1 for one in r if one.get(timeout=60)))",
            stack.tenants[0],
        )
        answers = list(pool.map(lambda _: client.get(PAGE).status, range(requests)))
        done = int(worked.result())
    bad = [status for status in answers if status != 200]
    if bad or done != tasks:
        raise Failed(f"{len(bad)} of {requests} requests failed, {tasks - done} of {tasks} tasks")
    if _started(stack) != before:
        raise Failed("web or worker restarted meanwhile", "./dev logs web worker")
    seen(f"{requests} requests on 10 connections and {tasks} tasks: all answered, no restart")


def _started(stack: ProductStack) -> list[str]:
    return [one["since"] for one in stack.services(WEB, WORKER)]


@criterion("LDE-5.1", "a switch runs `manage.py runserver` instead")
@criterion("WS-3")
def test_switch_to_runserver(stack: ProductStack, seen: Seen) -> None:
    others = (DATABASE, CACHE, WORKER)
    stack.serve("gunicorn")
    before = [one["since"] for one in stack.services(*others)]
    stack.serve("runserver")
    server = stack.api().get("/api/v1/health/").json()["server"]
    if server != "runserver":
        raise Failed(f"after `./dev serve runserver` {server} serves", "./dev logs web")
    if [one["since"] for one in stack.services(*others)] != before:
        raise Failed(f"the switch restarted one of {', '.join(others)}")
    seen(f"./dev serve runserver: runserver serves; {', '.join(others)} were not touched")


@criterion("LDE-5.2", "code changes show without a restart")
@criterion("BC-2", "an edited source file reloads by itself and the change is visible")
def test_edits_show(stack: ProductStack, seen: Seen) -> None:
    word = secrets.token_hex(6)
    route = (
        "\n\nfrom django.http import HttpResponse as _Verify\n"
        f'urlpatterns.insert(0, path("verify-{word}/", lambda request: _Verify("{word}")))\n'
    )
    path = f"/verify-{word}/"
    stack.serve("runserver")
    stack.api().get(path).must_be(404)
    with stack.appended(ROUTES, route):
        answer = wait_until(lambda: _found(stack, path), PATIENCE, "the edit did not show")
    wait_until(lambda: not _found(stack, path, word), PATIENCE, "taking it back did not show")
    seen(f"a route added to {ROUTES} answered {answer!r}; taken back it was gone")


def _found(stack: ProductStack, path: str, otherwise: str = "") -> str:
    try:
        answer = stack.api().get(path)
    except OSError:  # no server answers during the switch
        return otherwise
    return answer.text if answer.status == 200 else ""


@criterion("LDE-5.3", "Gunicorn is the default")
def test_gunicorn_is_default(stack: ProductStack, seen: Seen) -> None:
    code = (
        "import os; from core.env import read\n"
        "print(read({k: v for k, v in os.environ.items() if k != 'SERVER'})['SERVER'])"
    )
    contract = stack.shell(code)
    compose = re.search(r"SERVER: \$\{SERVER:-(\w+)\}", stack.text("docker-compose.yml"))
    found = {contract, compose.group(1) if compose else "nothing"}
    if found != {"gunicorn"}:
        raise Failed(f"the defaults are {', '.join(sorted(found))}")
    seen("with SERVER unset the contract and docker-compose.yml say gunicorn")


# --- tests --------------------------------------------------------------------------------


@criterion("LDE-6.1", "one target starts what the tests need and runs them all", long=True)
def test_all_tests(stack: ProductStack, seen: Seen) -> None:
    seen(stack.backend_tests())


@criterion("LDE-6.2", "test output reaches the terminal and the exit status is right")
def test_status(stack: ProductStack, seen: Seen) -> None:
    few = ("test", "-q", "core/tests/test_env.py")
    counted = re.search(r"\d+ passed", stack.dev(*few).stdout)
    if not counted:
        raise Failed("the output of passing tests does not reach the terminal")
    none = stack.dev(*few, "-k", "no_test_has_this_name", check=False)
    if none.returncode != 5:  # pytest's own, for: nothing was collected
        raise Failed(f"a run without tests ended with {none.returncode}, not 5")
    seen(f"{counted.group()}: status 0; no test collected: status 5")


@criterion(
    "LDE-6.3",
    "nothing outside Docker is needed to run them (compose)",
    needs_docker="here they run without Docker, from .venv",
)
def test_tests_in_docker(stack: ProductStack, seen: Seen) -> None:
    done = stack.compose("run", "--rm", "-T", "test", "-q", "core/tests/test_env.py")
    counted = re.search(r"\d+ passed", done.stdout)
    seen(f"docker compose run --rm test: {counted.group() if counted else 'status 0'}")


# --- documentation ------------------------------------------------------------------------


def _documentation(stack: ProductStack) -> str:
    pages = [
        stack.checkout / "README.md",
        *sorted((stack.checkout / "docs").glob("*.md")),
    ]
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def _says(stack: ProductStack, **subjects: str) -> str:
    """What the documentation says of each subject, by a pattern. Raises Failed if it is silent."""
    text = _documentation(stack)
    found = {name: re.search(pattern, text) for name, pattern in subjects.items()}
    silent = [name.replace("_", " ") for name, match in found.items() if not match]
    if silent:
        raise Failed(f"README and docs say nothing of: {', '.join(silent)}")
    return "; ".join(" ".join(match.group().split()) for match in found.values() if match)


@criterion("LDE-7.1", "documentation covers starting, stopping, troubleshooting")
def test_documented_use(stack: ProductStack, seen: Seen) -> None:
    seen(
        _says(
            stack,
            starting=r"\./dev up\b",
            stopping=r"\./dev down\b",
            troubleshooting=r"## .*wrong|# Trouble\w+",
        )
    )


@criterion("LDE-7.2", "it states requirements (Docker version, memory) and common errors")
def test_documented_needs(stack: ProductStack, seen: Seen) -> None:
    seen(
        _says(
            stack,
            docker=r"Engine \d\d or newer",
            memory=r"\d+ [GM]B of memory",
            errors=r"port 8000 \.\.\. taken|port \S+ .*taken",
        )
    )


@criterion("LDE-7.3", "it says how to reset the database and read logs")
def test_documented_reset(stack: ProductStack, seen: Seen) -> None:
    seen(_says(stack, reset=r"\./dev clean\b", logs=r"\./dev logs\b"))


# --- tenants ------------------------------------------------------------------------------


@criterion("LDE-8.1", "each tenant's data lives in its own schema")
def test_schemas(stack: ProductStack, seen: Seen) -> None:
    names = ", ".join(f"'{name}'" for name in stack.tenants)
    query = (
        "SELECT nspname, pg_get_userbyid(nspowner), count(*) FROM pg_class "
        "JOIN pg_namespace n ON n.oid = relnamespace JOIN tenant_config ON nspname = schema_name "
        f"WHERE relkind = 'r' AND nspname IN ({names}) GROUP BY 1, 2 ORDER BY 1"
    )
    rows = [row.split("|") for row in stack.sql(query).splitlines()]
    if [row[:2] for row in rows] != [[name, f"tenant_{name}"] for name in stack.tenants]:
        raise Failed(f"schemas and owners are {rows}")
    # Beside a single tenant there are only the operators.
    reader, owner = (OPERATORS, *stack.tenants)[-2:]
    code = (
        "from django.db import connection, Error\n"
        f"try:\n    connection.cursor().execute('SELECT * FROM {owner}.users_user')\n"
        "    print('read')\n"
        "except Error as error:\n    print(str(error).splitlines()[0])"
    )
    said = stack.shell(code, reader)
    if "permission denied" not in said:
        raise Failed(f"raw SQL of {reader} on a table of {owner}: {said}")
    tables = ", ".join(f"{name} has {count} tables of {role}" for name, role, count in rows)
    seen(f"{tables}; raw SQL across: {said}")


@criterion("LDE-8.2", "schema routing works locally")
def test_routing(stack: ProductStack, seen: Seen) -> None:
    if stack.single:
        for client in (stack.api(), stack.api("nosuch"), stack.api(OPERATORS)):
            _must_be_in(client, stack.single)
        _must_be_in(stack.api(X_Tenant="nosuch"), stack.single)
        seen(f"{stack.single} answers at every host name, whatever X-Tenant says")
        return
    for tenant in stack.tenants:
        for client in (stack.api(tenant), stack.api(X_Tenant=tenant)):
            _must_be_in(client, tenant)
    stack.api("nosuch").get("/").must_be(404)
    _must_be_in(stack.api(OPERATORS), OPERATORS)
    seen("by host name and by X-Tenant test1 and test2 answer from their schemas; nosuch: 404")


@criterion("LDE-8.3", "tests of the multi-tenant flows pass", long=True)
def test_tenant_tests(stack: ProductStack, seen: Seen) -> None:
    seen(stack.backend_tests("tenants"))


def _must_be_in(client: Client, schema: str) -> None:
    # On a busy machine the page may say at first that the database is silent.
    shown = f"<code>{schema}</code>"
    wait_until(lambda: shown in client.get("/").text, 15, f"`/` did not show the schema {schema}")

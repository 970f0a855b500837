"""The production stack with random secrets: its network access, its responses, its recovery."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import ssl
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO

import pytest
from browser import Watched, chromium
from production_stack import ENVIRONMENT_FILE, PSQL, SERVICES, ProductionStack, inspected
from restarts import recovers, restart_machine
from running_stack import eventually, free_ports
from tenant_work import PROFILE, bearer, store


@pytest.fixture
def running(production) -> ProductionStack:
    """The stack, healthy before each test."""
    try:
        healthy = production.healthy()
    except OSError:
        healthy = False
    if not healthy:
        production.compose("up", "--detach", "--wait", timeout=600)
    return production


# --- containers and networks ----------------------------------------------------------------


def test_it_is_healthy_and_has_no_sample_tenants(running):
    health = running.ask("/api/v1/health/")
    assert health.status == 200, health.text
    assert health.json()["server"] == "gunicorn"
    assert "checks" not in health.json(), "anybody may ask"
    within = running.compose("exec", "-T", "web", "bin/healthy", "stack").stdout
    assert json.loads(within)["checks"]["database"]["status"] == "ok"
    assert "Test One" not in running.manage("list_tenants")


def test_the_deployment_checks_are_clean(running):
    ended = running.compose("run", "--rm", "-T", "--no-deps", "check")
    assert "no issues (0 silenced)" in ended.stdout + ended.stderr


def test_a_second_up_changes_nothing(running):
    before = running.containers(*SERVICES)
    running.compose("up", "--detach", "--wait", timeout=600)
    assert running.containers(*SERVICES) == before


@pytest.mark.parametrize("service", ["web", "worker"])
def test_our_processes_cannot_change_their_files(running, service):
    script = (
        'test "$(id -u)" = 1001; for place in /app/backend /opt/venv /data/static /; do '
        '! touch "$place/x" 2>/dev/null; done; grep -q "^CapEff:\\s*0*$" /proc/self/status; '
        'grep -q "^NoNewPrivs:\\s*1" /proc/self/status; touch /tmp/x /data/media/x'
    )
    running.compose("exec", "-T", service, "sh", "-ec", script)


@pytest.mark.parametrize("service", SERVICES)
def test_no_container_runs_as_root_or_may_become_it(running, service):
    status = running.compose("exec", "-T", service, "cat", "/proc/1/status").stdout
    assert re.search(r"^CapBnd:\s*0+$", status, re.M)
    host = inspected(running, service)["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert running.compose("exec", "-T", service, "id", "-u").stdout.strip() != "0"


def test_database_and_redis_are_published_nowhere(running):
    for service in ("db", "redis"):
        bindings = inspected(running, service)["NetworkSettings"]["Ports"]
        assert not [where for where in bindings.values() if where]
    code = "import socket; socket.create_connection(('db', 5432), 3)"
    ended = running.compose("exec", "-T", "proxy", "getent", "hosts", "db", check=False)
    assert ended.returncode != 0, "the proxy can find the database"
    running.compose("exec", "-T", "web", "python", "-c", code)


def test_the_image_is_small_and_holds_nothing_to_test_debug_or_build_with(running):
    image = f"{running.project}:production"
    size = int(running.run("docker", "image", "inspect", "-f", "{{.Size}}", image).stdout)
    assert size <= 300 * 1000 * 1000
    code = (
        "import importlib.metadata as m, boto3\n"
        "print(*[d.name.lower() for d in m.distributions()])\n"
        "for name in ('s3', 'ssm', 'sts', 'cognito-idp'):\n"
        "    boto3.client(name, region_name='eu-west-1')\n"
    )
    packages = set(running.compose("exec", "-T", "web", "python", "-c", code).stdout.split())
    assert not packages & {"pytest", "debugpy", "uv", "pip", "moto", "django-debug-toolbar", "ruff"}
    found = running.compose("exec", "-T", "web", "find", "/app", "-name", "test*.py")
    assert found.stdout == ""
    folders = set(running.compose("exec", "-T", "web", "ls", "/app/backend").stdout.split())
    assert {"core", "tenants", "users"} <= folders
    assert not folders & {"benchmarks", "demo", "development", "workbench"}


def test_a_start_compiles_nothing(running):
    """The image cannot be written to, so each start would compile it again."""
    code = (
        "import os, sys, celery.apps.worker, celery.bin.celery, core.wsgi, gunicorn.app.wsgiapp\n"
        "import core.gunicorn_worker, tenants.management.commands.release\n"
        "for name, module in list(sys.modules.items()):\n"
        "    cached = getattr(module, '__cached__', None)\n"
        "    if cached and not os.path.exists(cached): print(name)\n"
    )
    assert running.compose("exec", "-T", "web", "python", "-c", code).stdout == ""


def test_the_bill_of_materials_is_that_of_the_image(running):
    printed = running.dev("sbom", "--image", f"{running.project}:production", timeout=600).stdout
    document = json.loads(printed)
    names = {one["name"] for one in document["components"]}
    assert {"django", "gunicorn", "python", "libc6"} <= names
    assert "pytest" not in names
    django = next(one for one in document["components"] if one["name"] == "django")
    assert django["licenses"] == [
        {"license": {"acknowledgement": "declared", "id": "BSD-3-Clause"}}
    ]


def test_nothing_in_the_image_installs_or_builds(running):
    script = (
        "for python in /usr/local/bin/python3 /opt/venv/bin/python; do for module in"
        ' pip ensurepip setuptools uv wheel; do $python -c "import $module" 2>/dev/null'
        ' && echo "$python: $module"; done; done; for program in pip pip3 uv cc gcc make ld;'
        " do command -v $program; done; true"
    )
    assert running.compose("exec", "-T", "web", "sh", "-c", script).stdout == ""


# --- responses -------------------------------------------------------------------------------


def test_pages_redirect_to_tls_with_hsts(running):
    port = int(running.ports["PROXY_HTTP_PORT"])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/", headers={"Host": "test1.localhost"})
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Location")[:8]) == (301, "https://")
    connection.close()
    headers = running.ask("/").headers
    assert "max-age=31536000" in headers["strict-transport-security"]
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"


def test_cookies_are_for_tls_only(running):
    cookie = running.ask("/admin/login/").headers["set-cookie"]
    assert "Secure" in cookie


def test_only_the_proxy_can_mark_a_request_as_tls(running):
    code = (
        "import urllib.request as u\n"
        "r = u.Request('http://127.0.0.1:8000/', headers={'Host': 'test1.localhost', "
        "'X-Forwarded-Proto': 'https', 'X-Forwarded-For': '203.0.113.9'})\n"
        "class Stay(u.HTTPRedirectHandler):\n"
        "    def redirect_request(self, *a): return None\n"
        "try: print(u.build_opener(Stay).open(r).status)\n"
        "except u.HTTPError as e: print(e.code)\n"
    )
    ask = ("exec", "-T", "web", "python", "-c", code)
    assert running.compose(*ask).stdout.strip() == "200", "127.0.0.1 is a private network"
    narrowed = {"PROXY_NETWORKS": "192.0.2.0/24"}
    try:
        running.compose("up", "--detach", "--wait", "web", timeout=600, **narrowed)
        assert running.compose(*ask, **narrowed).stdout.strip() == "301"
    finally:
        running.compose("up", "--detach", "--wait", timeout=600)


@pytest.mark.parametrize("host", ["evil.example", "nosuch.localhost"])
def test_an_unknown_host_gets_no_details(running, host):
    answer = running.ask("/", host=host)
    assert answer.status in (400, 404)
    assert "test1" not in answer.text
    assert "test2" not in answer.text


@pytest.mark.parametrize("path", ["/nowhere/", "/api/v1/nowhere/"])
def test_an_error_page_shows_no_insides(running, path):
    answer = running.ask(path, X_Tenant="test2")
    assert answer.status == 404
    assert not re.search(r"Traceback|DEBUG|settings|test2|postgres", answer.text)


def test_static_files_are_hashed_compressed_and_kept(running):
    page = running.ask("/admin/login/").text
    (path, *_rest) = re.findall(r'href="(/static/[^"]+\.css)"', page)
    assert re.search(r"\.[0-9a-f]{12}\.css$", path)
    answer = running.ask(path, Accept_Encoding="identity")
    assert "immutable" in answer.headers["cache-control"]
    code = (
        "import urllib.request as u\n"
        "names = {'Accept-Encoding': 'gzip', 'Host': 'test1.localhost',"
        " 'X-Forwarded-Proto': 'https'}\n"
        f"request = u.Request('http://127.0.0.1:8000{path}', headers=names)\n"
        "print(u.urlopen(request).headers['Content-Encoding'])\n"
    )
    assert running.compose("exec", "-T", "web", "python", "-c", code).stdout.strip() == "gzip"


@contextlib.contextmanager
def showing(said: list[str], page):
    """The error of the block has what the browser said, and the page's text."""
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{said}\n{page.inner_text('body')}") from error


def test_the_pages_keep_their_own_security_policy_in_a_browser(running):
    """No page violates its content security policy: the browser's console stays empty."""
    code = (
        "from users.models import User\n"
        "from django_tenants.utils import schema_context\n"
        "with schema_context('test1'):\n"
        "    User.objects.filter(email='office@example.com').delete()\n"
        "    User.objects.create_superuser('office@example.com', 'a-long-password-1')\n"
    )
    running.compose("exec", "-T", "web", "python", "manage.py", "shell", "-v", "0", "-c", code)
    site = f"https://test1.localhost:{running.ports['PROXY_HTTPS_PORT']}"
    with chromium() as browser:
        page = browser.new_page(ignore_https_errors=True)
        watched = Watched(page)

        def read_the_api() -> None:
            page.goto(f"{site}/api/v1/docs/")
            watched.wait_for(".opblock")

        def log_in() -> None:
            page.context.clear_cookies()  # else the page of a second try is not the form
            page.goto(f"{site}/admin/login/?next=/admin/")
            page.fill("#id_username", "office@example.com")
            page.fill("#id_password", "a-long-password-1")
            page.click("input[type=submit]")
            watched.wait_for("#user-tools")

        watched.visit(f"{site}/")
        with showing(watched.said, page):
            watched.again_if_cut(read_the_api)
            watched.again_if_cut(log_in)
        for path in ("users/user/add/", "users/user/"):
            watched.visit(f"{site}/admin/{path}")
    assert watched.said == []
    assert watched.asked_elsewhere == []


def test_no_request_of_the_schema_makes_a_server_error(running):
    """A few examples for each operation, from outside, with no body and with invalid ones."""
    port = running.ports["PROXY_HTTPS_PORT"]
    ended = running.run(
        *(sys.executable, "-m", "schemathesis.cli", "run"),
        *("--header", f"Host:test1.localhost:{port}", "--tls-verify", "false", "--seed", "1"),
        *("--max-examples", "5", "--phases", "examples,fuzzing", "--checks", "not_a_server_error"),
        *("--request-timeout", "30", f"https://127.0.0.1:{port}/api/v1/schema/"),
        check=False,
        timeout=600,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    assert re.search(r"[1-9]\d* generated", said), said


# --- fairness -------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [1, 20_000], ids=["begins", "more than the proxy takes in"])
def test_slow_senders_do_not_delay_others(running, sent):
    port = int(running.ports["PROXY_HTTPS_PORT"])
    context = ssl._create_unverified_context()
    head = (
        f"POST /api/v1/auth/login/ HTTP/1.1\r\nHost: test1.localhost:{port}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n"
    )
    with contextlib.ExitStack() as opened:
        for _ in range(30):
            plain = opened.enter_context(socket.create_connection(("127.0.0.1", port), 30))
            slow = opened.enter_context(context.wrap_socket(plain, server_hostname="localhost"))
            slow.sendall(head.encode() + b" " * sent)
        assert [running.ask("/admin/login/").status for _ in range(10)] == [200] * 10
        if sent > 16 * 1024:  # more concurrent uploads than one source may have
            refused = slow.recv(4096)
            assert refused.startswith(b"HTTP/1.1 429 ")
            assert b"content-type: application/problem+json" in refused


def test_the_proxy_keeps_an_idle_connection_for_the_declared_time(running):
    """A load balancer in front of the proxy must close first."""
    connection = http.client.HTTPSConnection(
        "127.0.0.1",
        int(running.ports["PROXY_HTTPS_PORT"]),
        timeout=30,
        context=ssl._create_unverified_context(),
    )
    with contextlib.closing(connection):
        for pause in (11, 0):  # seconds; longer than the default
            connection.request("GET", "/api/v1/health/live/", headers={"Host": "test1.localhost"})
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            time.sleep(pause)  # what is tested


def profile_of(stack: ProductionStack, tenant: str) -> Callable[[], int]:
    """Return a request of an account of this tenant, which reads its row; it returns the status."""
    signed_in = bearer(stack, tenant)
    return lambda: stack.ask(PROFILE, host=f"{tenant}.localhost", **signed_in).status


@contextlib.contextmanager
def locked_accounts(stack: ProductionStack) -> Iterator[None]:
    """Lock the accounts of test1, so that their requests wait until the limit for locks."""
    lock = "BEGIN; LOCK TABLE test1.users_user IN ACCESS EXCLUSIVE MODE;"
    with subprocess.Popen(
        stack.command(*PSQL), cwd=stack.checkout, env=stack.environment(), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as holder:  # fmt: skip
        holder.stdin.write(f"{lock} SELECT 'held';\n")
        holder.stdin.flush()
        assert any("held" in line for line in holder.stdout)
        try:
            yield
        finally:
            holder.stdin.close()


def test_a_lock_of_one_tenant_does_not_affect_others(running):
    locked, free = profile_of(running, "test1"), profile_of(running, "test2")
    askers = [threading.Thread(target=locked) for _ in range(26)]
    with locked_accounts(running):
        for asker in askers:
            asker.start()
        others = [free() for _ in range(10)]
    for asker in askers:
        asker.join()
    assert others == [200] * 10
    eventually(lambda: locked() == 200)


def test_a_web_with_more_requests_than_threads_stays_in_service(running):
    """The requests come from another proxy, so that the queue is in web."""
    address = running.compose("port", "web", "8000").stdout.strip()
    headers = {"Host": "test1.localhost", "X-Forwarded-Proto": "https", **bearer(running)}
    free = profile_of(running, "test2")
    over = time.monotonic() + 15  # two probes, each with its timeout, and as long again

    def overload() -> None:
        while time.monotonic() < over:
            with contextlib.closing(http.client.HTTPConnection(address, timeout=60)) as web:
                web.request("GET", PROFILE, headers=headers)
                overloading[web.getresponse().status] += 1

    overloading: Counter[int] = Counter()
    others: Counter[int] = Counter()
    senders = [threading.Thread(target=overload) for _ in range(40)]
    with locked_accounts(running):
        for sender in senders:
            sender.start()
        while time.monotonic() < over:
            others[free()] += 1
        for sender in senders:
            sender.join()
    assert set(overloading) == {503}, "no request waited for the lock"
    assert set(others) == {200}


# --- secrets --------------------------------------------------------------------------------


def test_no_secret_is_in_a_log(running):
    running.ask("/api/v1/health/")
    logs = running.compose("logs", "--no-color").stdout
    assert logs
    assert not [secret for secret in running.secrets() if secret in logs]


def test_no_secret_is_in_the_image(running):
    image = f"{running.project}:production"
    about = running.run("docker", "image", "inspect", image).stdout
    about += running.run("docker", "history", "--no-trunc", image).stdout
    assert not [secret for secret in running.secrets() if secret in about]
    saved = subprocess.run(["docker", "save", image], capture_output=True, check=True).stdout
    secrets = [secret.encode() for secret in running.secrets()]
    looked_at = 0
    with tarfile.open(fileobj=BytesIO(saved)) as archive:
        layers = [one for one in archive if one.isfile() and one.size > 1024]
        for layer in layers:
            content = archive.extractfile(layer).read()
            assert not [secret for secret in secrets if secret in content], layer.name
            looked_at += 1
    assert looked_at > 3


def test_secrets_are_written_once_and_for_their_owner_alone(running):
    file = running.checkout / ENVIRONMENT_FILE
    assert file.stat().st_mode & 0o077 == 0
    assert len(set(running.secrets())) == 5
    again = running.dev("secrets", check=False)
    assert again.returncode == 1
    assert "exists" in again.stderr


def test_what_is_missing_or_weak_is_told_all_at_once(running, tmp_path):
    empty = tmp_path / "empty"
    empty.write_text(
        f"COMPOSE_PROJECT_NAME={running.project}-refused\nBACKEND_IMAGE={running.project}:production\n"
        "SECRET_KEY=short\nALLOWED_HOSTS=*\nAPP_PASSWORD=app\n"
    )
    command = ("docker", "compose", "--env-file", str(empty), "-f", "docker-compose.prod.yml")
    run = running.run(
        *command, "run", "--rm", "-T", "--no-deps", "check", check=False,
        COMPOSE_PROJECT_NAME=f"{running.project}-refused",
    )  # fmt: skip
    running.run(*command, "down", "--volumes", COMPOSE_PROJECT_NAME=f"{running.project}-refused")
    assert run.returncode == 1
    for name in ("POSTGRES_PASSWORD", "APP_OWNER_PASSWORD", "REDIS_PASSWORD", "EMAIL_URL"):
        assert f"{name} is not set" in run.stderr
    for weak in (
        "SECRET_KEY is shorter",
        "ALLOWED_HOSTS answers to any name",
        "APP_PASSWORD has a guessable",
    ):
        assert weak in run.stderr
    assert "Traceback" not in run.stderr


# --- recovery -------------------------------------------------------------------------------


def test_a_killed_web_comes_back_by_itself(running):
    pid = inspected(running, "web")["State"]["Pid"]
    ended = running.run("kill", "-9", str(pid), check=False)
    if ended.returncode != 0:
        pytest.skip("only root may kill a container's process: restart: always is not shown here")
    eventually(running.healthy, within=60)
    assert inspected(running, "web")["RestartCount"] >= 1


def test_it_recovers_from_a_restart_of_the_machine(running):
    def use(running) -> None:
        assert profile_of(running, "test1")() == 200
        assert store(running) == "hello"

    with recovers(running, use=use):
        restart_machine(running)


@pytest.mark.parametrize("service", ["db", "redis"])
def test_an_outage_is_answered_at_once_and_ends_by_itself(running, service):
    running.compose("pause", service)
    try:
        # The previous response is cached for two seconds.
        eventually(lambda: running.ask("/api/v1/health/").status == 503, within=20)
        live = running.ask("/api/v1/health/live/")
    finally:
        running.compose("unpause", service)
    assert live.status == 200
    eventually(running.healthy, within=60)
    # Docker checks only every ten seconds; dependents would still see it as unhealthy.
    eventually(lambda: inspected(running, service)["State"]["Health"]["Status"] == "healthy")


def test_rolling_fails_no_request_and_leaves_nothing_to_do(running):
    fixed = free_ports("WEB_PORT")
    running.compose("up", "--detach", "--wait", "web", timeout=600, **fixed)
    refused = running.dev("roll", check=False, timeout=600, **fixed)
    assert f"web is published on port {fixed['WEB_PORT']}" in refused.stderr
    assert "set WEB_PORT=0 in " in refused.stderr
    # From here on it is 0, as the message says.
    before = running.containers(*SERVICES)
    profile = profile_of(running, "test1")
    seen: Counter = Counter()
    end = threading.Event()

    def ask_on() -> None:
        while not end.is_set():
            try:
                seen[profile()] += 1
            except OSError as error:
                seen[type(error).__name__] += 1

    askers = [threading.Thread(target=ask_on) for _ in range(4)]
    for asker in askers:
        asker.start()
    try:
        running.dev("roll", timeout=600)
    finally:
        end.set()
        for asker in askers:
            asker.join()
    assert seen.keys() == {200}, seen
    after = running.containers(*SERVICES)
    assert {name for name in SERVICES if before[name] != after[name]} == {"web", "worker"}
    running.compose("up", "--detach", "--wait", timeout=600)
    assert running.containers(*SERVICES) == after


def test_rolling_onto_an_image_that_cannot_start_keeps_the_old(running):
    before = running.containers(*SERVICES)
    ended = running.dev("roll", check=False, timeout=600, BACKEND_IMAGE="redis:7-alpine")
    assert ended.returncode == 1
    assert running.healthy()
    assert {name: running.containers()[name] for name in ("web", "worker")} == {
        name: before[name] for name in ("web", "worker")
    }


def test_a_release_is_rehearsed_beside_the_stack_that_serves(running, tmp_path):
    """The image to be rolled has one more migration than the running web."""
    before = running.containers(*SERVICES)
    listed = running.checkout.glob("backend/users/migrations/0*.py")
    (tmp_path / "0099_rehearsed.py").write_text(
        "from django.db import migrations, models\n"
        "class Migration(migrations.Migration):\n"
        f"    dependencies = [('users', '{max(path.stem for path in listed)}')]\n"
        "    operations = [migrations.RenameField('user', 'first_name', 'given_name')]\n"
    )
    (tmp_path / "Dockerfile").write_text(
        f"FROM {running.project}:production\nCOPY *.py /app/backend/users/migrations/\n"
    )
    image = f"{running.project}:rehearsed"
    running.run("docker", "build", "--quiet", "--tag", image, str(tmp_path))
    try:
        command = ("release", "--rehearse", "--production", "--json")
        ended = running.dev(*command, check=False, timeout=600, BACKEND_IMAGE=image)
    finally:
        running.run("docker", "rmi", "--force", image, check=False)
    assert ended.returncode == 1, ended.stderr
    found = json.loads(ended.stdout)
    assert [one["schema"] for one in found["schemas"]] == ["public", "test1", "test2"]
    [unsafe] = found["unsafe"]
    assert unsafe["migration"] == "users.0099_rehearsed"
    assert "users.User: column users_user.first_name does not exist" in unsafe["what"]
    assert running.containers(*SERVICES) == before
    query = "SELECT count(*) FROM pg_database WHERE datname LIKE '%rehearsal'"
    assert running.sql(query) == "0"


def test_nothing_listens_beyond_loopback(running):
    published = running.compose("ps", "--format", "{{.Ports}}").stdout
    assert "0.0.0.0" not in published
    assert "[::]" not in published
    with socket.create_connection(("127.0.0.1", int(running.ports["PROXY_HTTPS_PORT"])), 5):
        pass


# --- a single tenant -------------------------------------------------------------------------


def test_a_single_tenant_is_made_by_the_release_and_is_at_every_host(running):
    single = {"SINGLE_TENANT": "acme_2"}
    try:
        running.compose("up", "--detach", "--wait", timeout=600, **single)
        for host in ("localhost", "test1.localhost", "operations.localhost"):
            page = running.ask("/", host=host, X_Tenant="test1")
            assert (page.status, "Acme 2" in page.text) == (200, True)
        assert running.ask("/choose-tenant/").status == 404
        owner = "SELECT relowner::regrole FROM pg_class WHERE oid = 'acme_2.users_user'::regclass"
        assert running.sql(owner) == "tenant_acme_2"
    finally:
        running.compose("up", "--detach", "--wait", timeout=600)
        running.manage("drop_tenant", "acme_2", "--yes", "--no-export")


# --- backup ---------------------------------------------------------------------------------

KEEP = """
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django_tenants.utils import schema_context
from users.models import User
with schema_context("test1"):
    User.objects.create_user("kept@example.com", "a-long-password-1")
    print(default_storage.save("to keep.txt", ContentFile(b"kept")))
"""
READ = """
from django.core.files.storage import default_storage
from django_tenants.utils import schema_context
with schema_context("test1"):
    print(default_storage.open("{name}").read().decode())
"""
# Owner and grants of each schema and table, and the memberships of each role.
RIGHTS = """
SELECT nspname, nspowner::regrole, ARRAY(SELECT unnest(nspacl)::text ORDER BY 1)
FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)'
UNION ALL
SELECT oid::regclass::text, relowner::regrole, ARRAY(SELECT unnest(relacl)::text ORDER BY 1)
FROM pg_class WHERE relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
UNION ALL
SELECT roleid::regrole::text, grantor::regrole, ARRAY[member::regrole::text,
       admin_option::text, inherit_option::text, set_option::text]
FROM pg_auth_members WHERE roleid::regrole::text LIKE 'tenant_%'
ORDER BY 1, 2, 3
"""


def test_a_backup_can_lock_the_tables_of_a_thousand_tenants(running):
    locks = running.sql(
        "SELECT setting::int * current_setting('max_connections')::int FROM pg_settings"
        " WHERE name = 'max_locks_per_transaction'"
    )
    tables = running.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'test1'")
    assert int(locks) > 1000 * int(tables) > 0


def test_a_backup_is_restored_on_new_volumes_with_new_passwords(running, tmp_path):
    name = running.python(KEEP)
    running.manage("suspend_tenant", "test2")
    exported = running.manage("export_tenant", "test1").split()[-1]
    tenants, owned = running.manage("list_tenants"), running.sql(RIGHTS)
    kept = tmp_path / "kept"
    running.dev("backup", str(kept), timeout=600)
    assert [path.stat().st_mode & 0o077 for path in (kept, *kept.iterdir())] == [0] * 4

    refused = running.dev("restore", str(kept), check=False)
    assert refused.returncode == 1
    assert "the database is not new" in refused.stderr
    assert "the volumes of files are not new" in refused.stderr
    (command,) = set(re.findall(r"restore again: (.+)", refused.stderr))

    environment = running.checkout / ENVIRONMENT_FILE
    text = environment.read_text()
    changed, passwords = re.subn("(?<=PASSWORD=')", "another-", text)
    assert passwords == 4
    environment.write_text(changed)
    running.run("bash", "-c", command)
    running.dev("restore", str(kept), timeout=600)
    running.compose("up", "--detach", "--wait", timeout=600)

    assert (running.manage("list_tenants"), running.sql(RIGHTS)) == (tenants, owned)
    account = json.dumps({"email": "kept@example.com", "password": "a-long-password-1"})
    pair = running.ask("/api/v1/auth/login/", body=account, Content_Type="application/json")
    assert pair.status == 200, pair.text
    assert running.python(READ.format(name=name)) == "kept"
    running.compose("run", "--rm", "-T", "--no-deps", "migrate", "test", "-s", exported)
    assert running.ask("/", host="test2.localhost").status == 403
    running.manage("resume_tenant", "test2")
    eventually(lambda: running.ask("/", host="test2.localhost").status == 200)

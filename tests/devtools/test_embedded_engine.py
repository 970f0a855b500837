"""The commands without Docker: real PostgreSQL, real Valkey, the real application."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from embedded_checkout import EmbeddedCheckout
from emulated_aws import AWS_STATE, fetched
from front_door import another_application, read_until, single_spaced
from misfits import misfit

from devtools import environment, ports, processes
from devtools.commands import shapes
from devtools.readiness import wait_until
from devtools.supervision.client import WATCH

pytestmark = pytest.mark.stack

SERVICES = ["db", "redis", "localstack", "migrate", "web", "worker"]

# Doctor's checks that ask the running stack, or its supervisor.
STACK_CHECKS = ("ports", "volume", "orphans", "services", "packages", "migrations", "emulators")

SEND = """
import json
from core.celery import echo
print(json.dumps([echo.delay(str(number)).id for number in range({count})]))
"""
COUNT = """
import json, time
from celery.result import AsyncResult
from core.celery import app
ids = {ids}
end = time.monotonic() + 120
while True:
    done = sum(AsyncResult(id, app=app).ready() for id in ids)
    if done >= len(ids) or time.monotonic() > end:
        break
    time.sleep(0.2)
print(json.dumps(done))
"""


@pytest.fixture
def up(embedded):
    """The stack, healthy and under Gunicorn before each test."""
    if not (embedded.healthy() and embedded.server() == "gunicorn"):
        embedded.up()
    return embedded


@pytest.fixture(scope="module")
def survived(embedded):
    """Write a word into a table, and read it."""
    embedded.up()
    embedded.sql("CREATE TABLE public.survived (word text)")

    def written(word: str) -> bool:
        return embedded.sql(f"SELECT count(*) FROM public.survived WHERE word = '{word}'") == "1"

    def write(word: str) -> Callable[[], bool]:
        embedded.sql(f"INSERT INTO public.survived VALUES ('{word}')")
        return lambda: written(word)

    yield write
    embedded.up()
    embedded.sql("DROP TABLE public.survived")


@pytest.fixture
def checkout(venv, tmp_path):
    """A separate checkout for a test that needs a fresh one."""
    made = EmbeddedCheckout.make(tmp_path / "own", venv)
    yield made
    made.clean()


@pytest.fixture(scope="module")
def spare(venv, tmp_path_factory):
    """A second checkout, whose ports and folder the tests change."""
    made = EmbeddedCheckout.make(tmp_path_factory.mktemp("spare") / "own", venv)
    yield made
    made.clean()


def _alive(pids: dict[str, int]) -> list[str]:
    """The processes in `pids` that still run."""
    return [
        name
        for name, pid in pids.items()
        if pid and psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    ]


# The commands


def test_up_shows_each_service_and_a_second_one_changes_nothing(embedded):
    stack = embedded
    stack.dev("down")
    first = stack.up()
    assert "engine: embedded (DEV_ENGINE)" in first
    for service in ("db", "redis", "web", "worker"):
        assert any(line.split()[1:3] == [service, "healthy"] for line in first.splitlines())
    assert "migrate completed" in single_spaced(first)
    assert f"http://test2.localhost:{stack.port('web')}/" in first
    before = stack.pids()
    assert "already up, nothing changed" in stack.up()
    assert stack.pids() == before


def test_nothing_listens_beyond_this_machine(up):
    listening = subprocess.run(["ss", "-ltnH"], capture_output=True, text=True, check=True).stdout
    for service in ("web", "db", "redis", "localstack"):
        addresses = re.findall(rf"(\S+):{up.port(service)}\s", listening)
        assert addresses == ["127.0.0.1"]


def test_status_has_the_shape_of_every_engine(up):
    found = json.loads(up.dev("status", "--json").stdout)
    assert misfit(found, shapes.STATUS) == ""
    assert (found["engine"], found["state"], found["server"]) == ("embedded", "up", "gunicorn")
    assert [service["name"] for service in found["services"]] == SERVICES
    assert {*found["tenants"]} == {"test1", "test2"}


def test_the_database_has_the_collation_and_access_rules_of_the_other_engine(up):
    locale = "SELECT datlocprovider, datlocale FROM pg_database WHERE datname = current_database()"
    assert up.sql(locale) == "b|C.UTF-8"
    assert up.sql("SELECT rolname FROM pg_roles WHERE rolname LIKE 'app%' ORDER BY 1") == (
        "app\napp_owner"
    )
    assert up.sql("SHOW server_version_num") >= "170000"
    assert up.sql("SHOW fsync") == "on"
    assert (up.root / ".dev/data/postgres.pass").stat().st_mode & 0o777 == 0o600


def test_other_users_of_the_machine_reach_neither_the_superuser_nor_the_logs(up):
    rules = (
        "SELECT type, database, user_name, auth_method FROM pg_hba_file_rules ORDER BY line_number"
    )
    assert up.sql(rules).splitlines() == [
        "local|{all}|{all}|scram-sha-256",
        "host|{all}|{postgres}|reject",
        "host|{all}|{all}|scram-sha-256",
    ]
    socket = up.sql("SHOW unix_socket_directories")
    assert Path(socket).stat().st_mode & 0o077 == 0
    assert {(up.root / ".dev" / name).stat().st_mode & 0o077 for name in ("logs", "run")} == {0}
    assert "postgresql://app_owner@localhost" in up.dev("status").stdout


def test_web_is_not_the_databases_owner_and_manage_is(up):
    code = "from django.conf import settings; print(settings.DATABASES['default']['USER'])"
    assert up.dev("shell", "-c", code).stdout.split()[-1] == "app"
    assert up.dev("manage", "shell", "-c", code).stdout.split()[-1] == "app_owner"


def test_an_account_gets_the_password_of_the_shell(up, monkeypatch):
    monkeypatch.setitem(up.variables, "DJANGO_SUPERUSER_PASSWORD", "correct horse battery")
    account = ("manage", "createsuperuser", "--noinput", "--email", "shell@example.com")
    up.must(*account, "--tenant", "test1")
    code = "from users.models import User; u = User.objects.get(email='shell@example.com')\n"
    code += "print(u.check_password('correct horse battery')); u.delete()"
    assert up.dev("shell", "--tenant", "test1", "-c", code).stdout.split()[-1] == "True"


def test_exec_has_the_environment_of_the_service(up):
    print_user = 'echo "$DATABASE_URL" | cut -d@ -f1'
    assert up.dev("exec", "worker", "sh", "-c", print_user).stdout == "postgres://app\n"
    tables = up.dev("exec", "db", "psql", "-Atc", "SELECT count(*) FROM tenant_config")
    assert int(tables.stdout) >= 2, tables.stderr
    assert up.dev("exec", "web", "sh", "-c", "exit 3").returncode == 3
    assert "migrate runs once" in up.dev("exec", "migrate", "true").stderr


def test_serve_replaces_the_server_and_nothing_else(up):
    before = up.pids()
    assert "runserver serves after" in up.dev("serve", "runserver").stdout
    assert {name for name, pid in up.pids().items() if pid != before[name]} == {"web"}
    before = up.pids()
    assert json.loads(up.dev("status", "--json").stdout)["reload"] is True
    assert "is already running" in up.dev("serve", "runserver").stdout
    assert "served by gunicorn" in up.up()
    assert {name for name, pid in up.pids().items() if pid != before[name]} == {"web"}


def test_a_restart_keeps_the_chosen_server_and_leaves_the_others_alone(up):
    up.dev("serve", "runserver")
    before = up.pids()
    assert "restarted in" in up.dev("restart", "web").stdout
    assert {name for name, pid in up.pids().items() if pid != before[name]} == {"web"}
    assert up.server() == "runserver"
    up.up()


def test_serve_debug_returns_when_an_editor_can_attach(up):
    """Under the others, breakpoints are hit: test_embedded_debugging.py."""
    port = up.variables["WEB_DEBUG_PORT"]
    served = up.must("serve", "runserver", "--debug")
    assert f"attach an editor to localhost:{port}" in served
    assert ports.listens(int(port))
    wait_until(up.healthy, 60, "not healthy under the debugger")
    shown = json.loads(up.dev("status", "--json").stdout)["debuggers"]
    expected = {"listening": True, "attached": False}
    assert shown == {"web": {"address": f"127.0.0.1:{port}", **expected}}
    with socket.create_connection(("127.0.0.1", port)):
        assert "an editor is attached" in up.dev("status").stdout
    up.up()
    assert not ports.listens(int(port))


def test_a_debuggers_port_that_is_taken_is_named(up, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setitem(up.variables, "WEB_DEBUG_PORT", str(port))
        for command in (("serve", "gunicorn", "--debug"), ("up", "--debug")):
            done = up.dev(*command)
            assert done.returncode == 1
            assert f"port {port} for the debugger of web is taken by " in done.stderr
            assert "choose another port: WEB_DEBUG_PORT=... in .env" in done.stderr
    assert up.healthy()


def test_a_server_that_crashes_at_its_start_is_named_with_its_last_words(up):
    settings = up.root / "backend" / "core" / "settings" / "local.py"
    sound = settings.read_text()
    settings.write_text(sound + "raise ValueError('the broken line')\n")
    try:
        for server in ("runserver", "gunicorn"):
            done = up.dev("serve", server)
            assert done.returncode == 1
            assert "the broken line" in done.stdout
            assert "error: web: crashed" in done.stderr
    finally:
        settings.write_text(sound)
    wait_until(up.healthy, 60, "it did not come back")


def test_logs_have_the_services_name_before_each_line(up):
    done = up.dev("logs", "--tail", "1", "db", "worker")
    assert [line.split(" ")[0] for line in done.stdout.splitlines()] == ["db", "worker"]
    with up.start("logs", "-f", "db") as following:
        read_until(following, "ready to accept connections")
        up.dev("psql", "-c", "SELECT no_such_thing")
        read_until(following, "no_such_thing")
        following.send_signal(signal.SIGINT)
        following.communicate(timeout=60)
    assert "there is no service 'wbe'" in up.dev("logs", "wbe").stderr


def test_the_tests_arguments_and_exit_status_are_passed_through(up):
    up.must("test", "-q", "core/tests/test_liveness.py")
    assert up.dev("test", "-q", "core/tests/nosuch.py").returncode == 4


def test_ctrl_c_in_tests_is_an_interrupt_and_not_a_failure(up):
    waiting = "def test_waiting():\n    print('waiting', flush=True)\n    time.sleep(60)\n"
    file = up.write("backend/core/tests/test_waiting.py", f"import time\n\n\n{waiting}")
    # Like Ctrl-C in a terminal: every process of the group receives it.
    with up.start("test", "-s", "core/tests/test_waiting.py", process_group=0) as child:
        read_until(child, "waiting")
        os.killpg(child.pid, signal.SIGINT)
        output, errors = child.communicate(timeout=60)
    file.unlink()
    assert child.returncode == 130, output + errors
    assert output.endswith("\ninterrupted\n")
    assert "tests failed" not in output


def test_doctor_invents_no_fault_on_a_busy_machine(up):
    """Ten runs, five at a time: more than this machine has processors."""
    with ThreadPoolExecutor(5) as pool:
        runs = list(pool.map(lambda _: up.dev("doctor", "--json", *STACK_CHECKS), range(10)))
    checks = [one for run in runs for one in json.loads(run.stdout)["checks"]]
    assert [one for one in checks if one["state"] == "wrong"] == []
    assert {one["name"] for one in checks if one["state"] == "ok"} == {*STACK_CHECKS}
    assert {run.returncode for run in runs} == {0}


def test_down_stops_in_order_and_the_data_stays(up, survived):
    kept = survived("down")
    assert up.dev("down").returncode == 0
    assert not up.places.sockets.exists()
    log = (up.root / ".dev" / "logs" / "supervisor.log").read_text()
    stopped = [name for name in re.findall(r"stopped: (\w+)", log) if name != WATCH]
    assert set(stopped[-5:-3]) == {"web", "worker"}
    assert set(stopped[-3:]) == {"localstack", "redis", "db"}
    database = (up.root / ".dev" / "logs" / "db.log").read_text()
    assert database.rstrip().endswith("database system is shut down")
    down = up.dev("status", "--json")
    assert (down.returncode, json.loads(down.stdout)["state"]) == (0, "down")
    assert "nothing was running" in up.dev("down").stdout
    up.up()
    assert kept()


# Ports


def test_taken_ports_are_replaced_and_remembered(spare):
    compose = spare.root / "docker-compose.yml"
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        compose.write_text(compose.read_text().replace("WEB_PORT:-8000", f"WEB_PORT:-{taken}"))
        tests = spare.must("test", "--collect-only", "-q", "core/tests/test_liveness.py")
        first = tests + spare.up()
        moved = spare.port("web")
        assert moved > taken
        assert f"web gets port {moved} (WEB_PORT): {taken} is taken by " in first
        assert f"http://localhost:{moved}/" in first
    assert "nothing changed" in spare.up()  # remembered, though the first port is free again
    assert spare.port("web") == moved

    with socket.create_server(("127.0.0.1", 0)) as server:
        chosen = str(server.getsockname()[1])
        spare.variables["WEB_PORT"] = chosen
        done = spare.dev("up")
        del spare.variables["WEB_PORT"]
    assert done.returncode == 1
    assert f"error: port {chosen} for web (WEB_PORT) is taken by " in done.stderr


def test_a_port_that_is_taken_during_the_start_is_replaced(spare):
    spare.up()
    port = spare.port("web")
    spare.dev("down")
    with spare.start("up") as child:
        read_until(child, "db healthy")  # web starts after the release
        with socket.create_server(("127.0.0.1", port)):
            output, errors = child.communicate(timeout=120)
    assert child.returncode == 0, output + errors
    assert f"took port {port} (WEB_PORT) in the meantime" in errors
    assert spare.port("web") != port


def test_another_checkout_on_the_port_of_web_is_not_reported(up):
    record = up.root / ".dev" / "embedded.json"
    kept = json.loads(record.read_text())
    try:
        with another_application() as port:
            record.write_text(json.dumps({**kept, "web": port, "redis": port}))
            found = json.loads(up.dev("status", "--json").stdout)
            tests = up.dev("test", "--environment")
    finally:
        record.write_text(json.dumps(kept))
    assert (found["state"], found["health"], found["server"]) == ("failing", None, None)
    assert "web" not in found["addresses"]
    assert "db" in found["addresses"]
    assert f"redis does not listen on port {port}" in tests.stderr


def test_up_says_which_models_have_changes_without_a_migration(up):
    models = up.root / "backend/users/models.py"
    kept = models.read_text()
    change = '    email = EmailAddressField("e-mail address"'
    assert change in kept
    try:
        models.write_text(
            kept.replace(change, f"    shoe_size = models.IntegerField(null=True)\n{change}")
        )
        assert "models have changes without a migration: users" in up.dev("up").stderr
        found = up.dev("doctor", "migrations")
    finally:
        models.write_text(kept)
    assert "./dev makemigrations" in found.stdout + found.stderr
    assert "migration: users" not in up.dev("up").stderr


# AWS


def _stored(up) -> list[str]:
    """URL and content of a file that was just stored for the second tenant."""
    return up.python(
        "import json, os, urllib.request\n"
        "from django.core.files.base import ContentFile\n"
        "from django.core.files.storage import default_storage as files\n"
        "from django_tenants.utils import schema_context\n"
        "with schema_context('test2'):\n"
        "    url = files.url(files.save('a.txt', ContentFile(b'hello')))\n"
        "print(json.dumps([url, urllib.request.urlopen(url).read().decode()]))"
    )


def test_one_process_is_all_of_aws_and_keeps_files_for_browsers(up):
    stored = _stored(up)
    bucket = f"http://localhost:{up.port('localstack')}/homeport-local"
    assert re.match(rf"{bucket}/test2/[0-9a-f-]{{36}}/a", stored[0])
    assert stored[1] == "hello"
    assert up.dev("logs", "--tail", "1", "cognito").stdout.startswith("localstack")
    assert '"event": "seeded"' in up.dev("logs", "cognito").stdout


def test_a_killed_aws_emulator_has_its_bucket_and_files_again(up):
    url, content = _stored(up)
    before = up.pids()
    os.kill(before["localstack"], signal.SIGKILL)
    wait_until(lambda: up.pids()["localstack"] not in (0, before["localstack"]), 60, "no new one")
    wait_until(lambda: _fetched_again(url) == content, 120, "nothing filled it")
    wait_until(up.healthy, 60, "not healthy again")
    assert up.pids()["web"] == before["web"]


def _fetched_again(url: str) -> str:
    """What a URL answers; empty if nothing answers yet."""
    try:
        return fetched(url).text
    except OSError:
        return ""


def test_a_restart_of_everything_ends_healthy_with_all_of_its_data(up):
    before, used = up.pids(), up.dev("shell", "-c", AWS_STATE).stdout.splitlines()[-1]
    up.must("restart")
    assert up.healthy()
    assert all(pid != before[name] for name, pid in up.pids().items() if pid)
    assert _stored(up)[1] == "hello"
    assert up.dev("shell", "-c", AWS_STATE).stdout.splitlines()[-1] == used


# Faults


@pytest.mark.parametrize("service", ["db", "redis", "worker", "web"])
def test_a_killed_process_comes_back_without_loss(up, service, survived):
    if service == "redis":
        up.supervisor.stop({"worker": 30})  # so that queued tasks are kept
    ids = up.python(SEND.format(count=100))
    kept = survived(service)
    before = up.pids()
    os.kill(before[service], signal.SIGKILL)
    if service == "redis":
        wait_until(lambda: up.pids()["redis"] not in (0, before["redis"]), 60, "redis")
        up.up()
    wait_until(lambda: up.pids()[service] not in (0, before[service]), 60, f"no new {service}")
    wait_until(up.healthy, 120, "not healthy again")
    assert kept()
    assert up.python(COUNT.format(ids=ids)) == len(ids)
    others = {"db", "redis", "web", "worker"} - {service} - ({"worker"} & {*before})
    assert {name: up.pids()[name] for name in others} == {name: before[name] for name in others}


def test_only_orphans_of_a_killed_supervisor_are_stopped(up, survived):
    mark = processes.marks(up.root.parent, "web")  # of another checkout
    with subprocess.Popen(["sleep", "3600"], env={**os.environ, **mark}) as stranger:
        kept = survived("supervisor")
        before = up.pids()
        os.kill(up.supervisor_pid, signal.SIGKILL)
        wait_until(lambda: not up.supervisor.answers, 60, "the supervisor lives")
        done = up.dev("status")
        assert done.returncode == 1
        assert "no supervisor" in done.stdout
        shown = up.up()
        assert "the supervisor was killed" in shown
        assert "stopped: web, worker, localstack, redis, db" in shown
        assert not _alive(before)
        assert stranger.poll() is None
        stranger.kill()
    assert up.healthy()
    assert kept()
    log = (up.root / ".dev" / "logs" / "db.log").read_text()
    assert "database system was shut down at" in log.rpartition("starting PostgreSQL")[2]


def test_down_stops_orphans_of_a_killed_supervisor(up):
    before = up.pids()
    os.kill(up.supervisor_pid, signal.SIGKILL)
    wait_until(lambda: not up.supervisor.answers, 60, "the supervisor lives")
    assert "stopped: web, worker, localstack, redis, db" in up.dev("down").stdout
    assert not _alive(before)


def test_a_lock_file_of_a_dead_server_is_removed(up):
    up.dev("down")
    lock = up.root / ".dev" / "data" / "postgres" / "postmaster.pid"
    # This process is not a server: its process id was reused.
    lock.write_text(f"{os.getpid()}\n{lock.parent}\n1700000000\n5432\n\n\n 1 2\nready\n")
    assert "db healthy" in single_spaced(up.up())


def test_the_second_of_two_concurrent_commands_waits(up):
    up.dev("down")
    with up.start("up") as first:
        read_until(first, "localstack starting")
        first.send_signal(signal.SIGSTOP)  # so that it is at work until the second one says so
        with up.start("up") as second:
            read_until(second, "which is at work here")
            first.send_signal(signal.SIGCONT)
            output, errors = second.communicate(timeout=300)
        first.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 0), errors
    assert "already up, nothing changed" in output


def test_an_interrupted_up_is_continued_by_the_next(checkout):
    # No service that may be healthy before its start is printed, as the worker on a quick machine.
    for moment in ("creating the database", "migrate running", "localstack starting"):
        if moment == "localstack starting":
            checkout.dev("down")  # it may have been quicker than the interrupt before
        with checkout.start("up") as child:
            read_until(child, moment)
            child.send_signal(signal.SIGINT)
            _, errors = child.communicate(timeout=60)
        assert child.returncode == 130
        assert "Traceback" not in errors
    checkout.up()  # shows nothing of those that became healthy meanwhile
    assert checkout.healthy()


def test_a_service_that_fails_is_named_with_its_last_words(up):
    up.write(".env", "LOG_LEVEL=LOUD\n")
    try:
        done = up.dev("up")
    finally:
        (up.root / ".env").unlink()
    assert done.returncode == 1
    assert "LOG_LEVEL is not one of DEBUG" in done.stdout
    assert "error: migrate: failed" in done.stderr
    assert "./dev logs migrate" in done.stderr
    up.up()


# Copied and moved checkouts


def test_a_copy_of_a_running_checkout_starts_with_separate_data_and_ports(up, tmp_path):
    up.sql("CREATE TABLE public.of_the_first ()")
    running = up.pids()
    shutil.copytree(up.root, tmp_path / "copy", symlinks=True)
    copy = EmbeddedCheckout(tmp_path / "copy", dict(up.variables))
    try:
        # What needs the database starts it.
        started = copy.dev("manage", "version")
        assert started.returncode == 0, started.stderr
        assert f"a copy of {up.root}" in started.stdout + started.stderr
        assert copy.sql("SELECT to_regclass('public.of_the_first') IS NULL") == "t"
        services = ("web", "db", "redis")
        assert {*map(copy.port, services)}.isdisjoint(map(up.port, services))
    finally:
        copy.clean()
    assert up.pids() == running
    assert up.healthy()
    up.sql("DROP TABLE public.of_the_first")


def test_a_stack_that_was_up_while_its_folder_was_moved_starts_with_its_data(spare):
    spare.up()
    spare.sql("CREATE TABLE public.kept ()")
    before = spare.pids()
    used = {name: spare.port(name) for name in ("web", "db", "redis", "localstack")}
    old = spare.root
    spare.root = old.rename(old.with_name("renamed"))
    shown = spare.dev("status")
    assert shown.returncode == 1
    assert f"moved from {old}" in shown.stderr
    assert "stopped: web, worker, localstack, redis, db" in spare.up()
    assert not _alive(before)
    assert spare.sql("SELECT to_regclass('public.kept') IS NULL") == "f"
    assert {name: spare.port(name) for name in used} == used
    assert not spare.dev("status").stderr


def test_files_deleted_under_a_running_stack_are_reported_and_up_restarts(spare):
    spare.up()
    before = spare.pids()
    used = {name: spare.port(name) for name in ("web", "db", "redis", "localstack")}
    shutil.rmtree(spare.root / ".dev")
    venv = (spare.root / ".venv").rename(spare.root / "venv")
    shown = spare.dev("status")
    assert shown.returncode == 1
    assert "deleted while the stack was up: .dev, .venv" in shown.stderr
    assert "db" in shown.stdout
    venv.rename(spare.root / ".venv")
    assert "deleted while the stack was up: .dev" in spare.up()
    assert not _alive(before)
    assert {name: spare.port(name) for name in used} == used
    assert spare.healthy()


# Users and permissions


only_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


@only_root
@pytest.mark.parametrize("namespaces", [True, False])
def test_root_starts_the_database_in_a_checkout_that_is_closed_to_others(
    checkout, namespaces, tmp_path
):
    assert tmp_path.stat().st_mode & 0o077 == 0  # like /root
    if not namespaces:
        # As in a sandbox that forbids them.
        fake = checkout.write("fake/unshare", "#!/bin/sh\nexit 1\n", mode=0o755)
        checkout.variables["PATH"] = f"{fake.parent}:{checkout.variables['PATH']}"
    start_database = ("manage", "version")
    assert checkout.dev(*start_database).returncode == 0
    owner = Path(f"/proc/{checkout.pids()['db']}").stat().st_uid
    assert owner == (0 if namespaces else 65534)
    checkout.sql("CREATE TABLE public.kept (word text)")
    checkout.dev("down")
    if not namespaces:
        # The same data with the other method.
        checkout.variables["PATH"] = checkout.variables["PATH"].partition(":")[2]
        assert checkout.dev(*start_database).returncode == 0
        assert checkout.sql("SELECT count(*) FROM public.kept") == "0"
    assert checkout.dev("down", "--volumes", "--yes").returncode == 0
    assert not (checkout.places.outside / "postgres").exists()
    checkout.clean()
    assert not checkout.places.outside.exists()


# A new machine

# The system programs that the set-up and the stack may use, without a compiler.
SYSTEM = ("cat", "dirname", "env", "grep", "ps", "sh", "test", "true")
SYSTEM_PYTHON = "/usr/bin/python3"  # executable by every user
UNPRIVILEGED = 65534


@pytest.fixture
def as_ordinary_user():
    """A prefix that runs a command as an ordinary user."""
    if os.getuid() != 0:
        return []
    prefix = [
        shutil.which("setpriv"),
        f"--reuid={UNPRIVILEGED}",
        f"--regid={UNPRIVILEGED}",
        "--clear-groups",
    ]
    check = "import sys, ensurepip; sys.exit(sys.version_info < (3, 11))"
    if subprocess.run([*prefix, SYSTEM_PYTHON, "-c", check], check=False).returncode:
        pytest.skip(f"{SYSTEM_PYTHON} cannot make a .venv for another user")
    return prefix


@pytest.fixture
def fresh():
    """An ordinary user's checkout without a `.venv`, in a directory that all users can enter."""
    place = Path(tempfile.mkdtemp(dir="/var/tmp"))
    place.chmod(0o755)
    made = EmbeddedCheckout.make(place / "my checkout", venv=None)
    programs = place / "bin"
    programs.mkdir()
    for name in SYSTEM:
        (programs / name).symlink_to(shutil.which(name))
    (programs / "python3").symlink_to(SYSTEM_PYTHON if os.getuid() == 0 else sys.executable)
    made.variables |= {"PATH": str(programs), "HOME": str(place)}
    if os.getuid() == 0:
        for path in [place, *place.rglob("*")]:
            os.chown(path, UNPRIVILEGED, UNPRIVILEGED, follow_symlinks=False)
    yield made
    shutil.rmtree(place)


def test_an_ordinary_user_brings_up_a_fresh_clone_without_a_compiler(fresh, as_ordinary_user):
    def dev(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*as_ordinary_user, str(fresh.root / "dev"), *arguments],
            cwd=fresh.root,
            env=fresh.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(*arguments: str) -> str:
        with dev(*arguments) as child:
            output, errors = child.communicate(timeout=300)
        assert child.returncode == 0, output + errors
        return output

    assert shutil.which("cc", path=fresh.variables["PATH"]) is None
    try:
        with dev("up") as interrupted:
            read_until(interrupted, "installing requirements/")
            interrupted.send_signal(signal.SIGINT)
            _, errors = interrupted.communicate(timeout=60)
        assert interrupted.returncode == 130, errors
        first = finish("up")
        assert "installing requirements/" in first
        assert "worker healthy" in single_spaced(first)
        packages = next((fresh.root / ".venv" / "lib").glob("python3*/site-packages"))
        assert not {path.name for path in packages.iterdir()} & {"playwright", "schemathesis"}
        assert _megabytes(fresh.root / ".venv") <= 350
        before = (fresh.root / ".venv" / "installed").read_text()
        lock = fresh.root / environment.REQUIREMENTS
        lock.write_text(lock.read_text() + "# changed, as after a pull\n")
        assert "installing requirements/" in finish("up")
        assert (fresh.root / ".venv" / "installed").read_text() != before
    finally:
        finish("clean", "--yes")


def _megabytes(directory: Path) -> float:
    return sum(path.lstat().st_size for path in directory.rglob("*")) / 1e6


def test_passwords_that_change_reach_the_roles_of_a_database_with_data(up):
    """Passwords with characters that are special in URLs, shells, SQL and .pgpass."""
    changed = 'p@s/s#w:rd%41?&x +"{}" $HOME \\\\'
    names = ("POSTGRES_PASSWORD", "APP_PASSWORD", "APP_OWNER_PASSWORD")
    dotenv = "".join(f"{name}='{changed.format(name)}'\n" for name in names)
    ports = {"DB_PORT": up.port("db"), "REDIS_PORT": up.port("redis"), "WEB_PORT": up.port("web")}
    dotenv += "".join(f"{name}={port}\n" for name, port in ports.items())
    (up.root / ".env").write_text(dotenv)
    try:
        up.up()
        assert up.healthy()
        assert up.dev("psql", "-Atc", "SELECT current_user").stdout == "postgres\n"
        assert up.dev("manage", "list_tenants").returncode == 0
    finally:
        (up.root / ".env").unlink()
        up.up()


CHANGE_PASSWORD = """
import redis
from django.conf import settings
redis.Redis.from_url(settings.CACHES["default"]["LOCATION"]).config_set("requirepass", "another")
print(1)
"""


DELETE_BUCKET = """
from django.conf import settings
from cloud.clients import client
s3, bucket = client("s3"), settings.AWS_STORAGE_BUCKET_NAME
for one in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
    s3.delete_object(Bucket=bucket, Key=one["Key"])
s3.delete_bucket(Bucket=bucket)
print(1)
"""
ADD_UNKNOWN_MIGRATION = "".join(
    f"INSERT INTO {schema}.django_migrations (app, name, applied)"
    " VALUES ('users', '0099_x', now());"
    for schema in ("public", "test1", "test2")
)


@pytest.mark.parametrize(
    ("make", "finding", "remedy"),
    [
        (lambda up: up.supervisor.stop({"redis": 30}), "redis: ", "restart redis"),
        (lambda up: up.python(DELETE_BUCKET), "files: ", "restart localstack"),
        (lambda up: up.sql("ALTER ROLE app PASSWORD 'x'"), "authenticat", "restart db"),
        (lambda up: up.python(CHANGE_PASSWORD), "uthenticat", "restart redis"),
        (lambda up: up.sql(ADD_UNKNOWN_MIGRATION), "0099_x", "manage migrate users --prune"),
    ],
    ids=["no Redis", "no bucket", "a role's password", "Redis' password", "an unknown migration"],
)
def test_what_doctor_says_repairs_the_stack(up, make, finding, remedy):
    check = "services" if remedy.startswith("restart") else "migrations"
    with ports.Claims() as claims:
        claims.hold(up.port("redis"))  # while it does not listen, another start would take it
        make(up)
        found = wait_until(lambda: _fault(up, check), 60, "the fault is not found")
        generic = remedy.replace("users", "APP")
        assert finding in found
        assert f"./dev {generic}" in found
        up.must(*remedy.split())
    wait_until(lambda: not up.dev("doctor", check).returncode, 60, "the fault is still there")


def _fault(stack: EmbeddedCheckout, check: str) -> str:
    """What a check of doctor finds and tells to do; empty if all is well."""
    done = stack.dev("doctor", check)
    return done.stdout if done.returncode else ""


MIGRATION = """
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("users", "{before}")]
"""


def _add_migration(checkout: EmbeddedCheckout) -> tuple[Path, str]:
    """Add a migration of `users` that changes nothing; return its file and the one before it."""
    *_, before = sorted((checkout.root / "backend/users/migrations").glob("[0-9]*.py"))
    text = MIGRATION.format(before=before.stem)
    return checkout.write("backend/users/migrations/0099_nothing.py", text), before.stem


def test_a_web_that_is_older_than_a_migration_says_what_loads_it(up):
    added, before = _add_migration(up)
    try:
        assert up.dev("migrate").returncode == 0
        found = wait_until(lambda: _fault(up, "migrations"), 60, "the fault is not found")
        assert "this process is older than users.0099_nothing" in found
        assert "-> ./dev restart web worker\n" in found
        assert up.dev("restart", "web", "worker").returncode == 0
        assert up.dev("doctor", "migrations").returncode == 0
    finally:
        up.dev("manage", "migrate", "users", before)
        added.unlink()
        up.dev("restart", "web", "worker")


def test_a_database_that_is_ahead_of_a_branch_has_three_ways_back(up):
    def ahead() -> bool:
        return "this code lacks: users.0099_nothing" in up.dev("doctor", "migrations").stdout

    def typed(command: str) -> None:
        variables = {**up.variables, "GIT_CONFIG_GLOBAL": "/dev/null"}
        done = subprocess.run(
            ["sh", "-c", command], cwd=up.root, env=variables, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr

    typed("./dev snapshot save before")
    typed("git switch --quiet --create other")
    _, before = _add_migration(up)
    up.commit("Add")
    typed("./dev migrate && git switch --quiet main")
    wait_until(ahead, 60, "the fault is not found")

    typed("./dev snapshot restore before")
    wait_until(lambda: not ahead(), 60, "restoring did not help")

    typed("git switch --quiet other && ./dev migrate && git switch --quiet main")
    wait_until(ahead, 60, "the fault is not found")
    typed(f"git switch other && ./dev manage migrate users {before} && git switch -")
    wait_until(lambda: not ahead(), 60, "migrating back did not help")

    beside = EmbeddedCheckout(up.root.with_name(f"{up.root.name}-other"), up.variables)
    try:
        typed("./dev worktree add other")
        assert beside.dev("doctor", "migrations").returncode == 0
        assert beside.sql("SELECT count(*) FROM django_migrations WHERE name = '0099_nothing'")
        assert not ahead()
    finally:
        beside.clean()
        for name in ("before", "previous"):
            up.dev("snapshot", "delete", name, "--yes")


def test_env_shows_what_web_sees_and_what_the_next_start_would_change(up):
    def value(name):
        (found,) = json.loads(up.dev("env", name, "--json").stdout)["variables"]
        return found

    database = value("DATABASE_URL")
    assert database["value"] == f"postgres://app@127.0.0.1:{up.port('db')}/homeport"
    assert database["source"].startswith("docker-compose.yml:")
    assert value("WEB_CONCURRENCY")["source"] == "./dev"
    assert value("WEB_PORT")["value"] == str(up.port("web"))
    assert up.dev("serve", "runserver").returncode == 0
    try:
        assert value("SERVER")["value"] == "runserver"
        assert value("SERVER")["note"] == "./dev up would set gunicorn"
    finally:
        up.dev("serve", "gunicorn")

"""The stack for its users: one command, and everything answers."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from misfits import misfit
from running_stack import eventually

from devtools.commands import shapes

FIRST_FIELDS = {"timestamp", "level", "event", "logger"}
VIEW = "backend/core/views.py"


def test_one_command_from_nothing_ends_with_everything_healthy(stack):
    printed = stack.first_up.stdout

    assert "healthy" in printed
    assert stack.url("/").replace("127.0.0.1", "localhost") in printed
    states = json.loads(stack.dev("status", "--json").stdout)
    assert states["health"]["status"] == "ok"


def test_a_command_leaves_the_next_up_nothing_to_do(running):
    before = running.containers()
    running.dev("manage", "check")
    running.dev("up")
    assert running.containers() == before


def test_both_tenants_answer(running):
    assert "Test One" in running.get("/", X_Tenant="test1").text
    assert "Test Two" in running.get("/", X_Tenant="test2").text
    assert "Test One" in running.get("/").text
    assert running.get("/", X_Tenant="nosuch").status == 404


def test_tenants_answer_at_their_own_names(running):
    port = running.url().rpartition(":")[2].strip("/")
    assert "Test Two" in running.get("/", Host=f"test2.localhost:{port}").text


def test_the_init_script_made_both_tenants_and_a_login_that_is_no_superuser(running):
    query = "SELECT string_agg(schema_name, ' ' ORDER BY 1) FROM tenant_config"
    assert running.dev("psql", "-Atc", query).stdout.strip() == "test1 test2"

    code = "from django.db import connection as c; k = c.cursor(); "
    code += (
        "k.execute('SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user'); "
    )
    code += "print(*k.fetchone())"
    assert running.python(code) == "app False"


def test_processes_are_not_root(running):
    for service in ("web", "worker"):
        assert running.compose("exec", "-T", service, "id", "-u").stdout.strip() != "0"


def test_gunicorn_is_the_default(running):
    assert running.health()["server"] == "gunicorn"


def test_a_task_goes_through_the_worker_in_its_tenant_and_with_its_context(running):
    code = (
        "import structlog\n"
        "from core.celery import echo\n"
        "from django_tenants.utils import schema_context\n"
        "structlog.contextvars.bind_contextvars(request_id='from-the-test')\n"
        "with schema_context('test2'):\n"
        "    print(echo.delay('hello').get(timeout=60))\n"
    )
    assert running.python(code).endswith("{'message': 'hello', 'tenant': 'test2'}")

    def entries():
        return [e for e in running.log_entries("worker") if e.get("request_id") == "from-the-test"]

    started = eventually(entries)[0]
    assert started["tenant"] == "test2"
    assert started["task_id"]


def test_every_log_line_is_json_of_one_shape(running):
    running.get("/")
    for entry in running.log_entries("migrate", "web", "worker"):
        assert entry.keys() >= FIRST_FIELDS, entry


def test_the_worker_says_what_it_listens_to_and_that_it_reached_the_database(running):
    events = {entry["event"]: entry for entry in running.log_entries("worker")}
    assert events["listening"]["queues"] == ["default"]
    assert "database reached" in events


def test_a_second_up_changes_nothing(running):
    before = running.containers()
    printed = running.dev("up").stdout

    assert "nothing changed" in printed
    assert running.containers() == before


def test_plain_compose_up_agrees_that_all_is_well(running):
    running.compose("up", "--detach", "--wait")


def test_a_view_edited_under_runserver_shows_at_once_and_under_the_others_does_not(running):
    others = ("db", "redis", "worker")
    before = running.containers(*others)
    view = running.checkout / VIEW
    original = view.read_text()
    try:
        running.dev("serve", "runserver")
        assert running.health()["server"] == "runserver"
        edited = original.replace("name = tenant.name", 'name = "First edit of " + tenant.name')
        assert edited != original
        view.write_text(edited)
        eventually(lambda: "First edit of Test One" in running.get("/").text)

        for server in ("asgi", "gunicorn"):
            view.write_text(edited)
            running.dev("serve", server)
            assert running.health()["server"] == server
            assert "First edit of Test One" in running.get("/").text
            view.write_text(edited.replace("First edit", "Second edit"))
            answers = {running.get("/").text for _ in range(20)}
            assert not any("Second edit" in answer for answer in answers)
    finally:
        view.write_text(original)
        running.compose("restart", "web")
    assert running.containers(*others) == before


def test_a_dependency_that_hangs_is_named_and_the_others_still_answer(running):
    assert running.get("/api/v1/health/").status == 200
    running.compose("pause", "db")
    try:
        answer = running.get("/api/v1/health/", timeout=30)
    finally:
        running.compose("unpause", "db")

    assert answer.status == 503
    assert set(answer.json()["down"]) == {"code", "database", "migrations", "unknown_migrations"}
    assert answer.json()["checks"]["cache"]["status"] == "ok"
    eventually(lambda: running.get("/api/v1/health/").status == 200)


def test_a_stopped_worker_is_named_and_comes_back(running):
    running.compose("stop", "worker")
    assert running.health()["down"] == ["worker"]
    running.dev("restart", "worker")
    eventually(lambda: running.health()["status"] == "ok")


def test_a_killed_worker_is_restarted(running):
    running.compose("kill", "worker")
    # Compose respects a kill from outside as the user's wish; the stack restarts it.
    running.dev("up")
    eventually(lambda: running.health()["status"] == "ok")


def test_data_and_queued_tasks_survive_down_and_up(running):
    code = (
        "from users.models import User\n"
        "from django_tenants.utils import schema_context\n"
        "with schema_context('test1'):\n"
        "    User.objects.filter(email='kept@example.com').delete()\n"
        "    User.objects.create_user('kept@example.com')\n"
    )
    running.python(code)
    running.compose("stop", "worker")
    running.python("from core.celery import echo; print(echo.delay('kept').id)")

    running.dev("down")
    left = running.run("docker", "ps", "-aq", "--filter", f"name={running.project}").stdout
    assert left == ""
    networks = running.run("docker", "network", "ls", "-q", "--filter", f"name={running.project}")
    assert networks.stdout == ""

    running.dev("up")
    found = running.python(
        "from users.models import User\n"
        "from django_tenants.utils import schema_context\n"
        "with schema_context('test1'):\n"
        "    print(User.objects.filter(email='kept@example.com').count())\n"
    )
    assert found == "1"
    eventually(lambda: [e for e in running.log_entries("worker") if e["event"] == "task_succeeded"])


def test_a_failed_task_is_listed_and_sent_again(running):
    of_none = "echo.apply_async(['hello'], headers={'_schema_name': 'gone'})"
    code = f"from core.celery import echo; print({of_none}.id)"
    sent = running.python(code).splitlines()[-1]

    def failed() -> list[str]:
        found = json.loads(running.dev("tasks", "--json").stdout)
        assert misfit(found, shapes.TASKS["tasks"]) == ""
        return [one["id"] for one in found["failed"]]

    eventually(lambda: sent in failed())
    one = json.loads(running.dev("tasks", sent, "--json").stdout)
    assert misfit(one, shapes.TASKS["tasks ID"]) == ""
    assert (one["arguments"], "LookupError" in one["traceback"]) == ("'hello'", True)
    assert "add --yes" in running.dev("tasks", "--send", sent, check=False).stderr
    [again] = json.loads(running.dev("tasks", "--send", sent, "--yes", "--json").stdout)["done"]
    eventually(lambda: again in failed())
    assert sent not in failed()
    running.dev("tasks", "--forget", again, "--yes")


def test_schedules_are_sent_by_every_worker_each_time_once(running):
    code = (
        "from core.celery import beat\nfrom core.celery.broker import broker\n"
        "name = 'users.remove_expired_log_ins'\n"
        "broker().hset(beat.LAST, name, '2026-01-01T00:00:00+00:00')"
    )
    before = len(_sent(running))
    running.compose("stop", "worker")
    running.python(code)
    try:  # a worker looks as soon as it starts
        running.compose("up", "--detach", "--scale", "worker=3", "--wait", "worker")
        eventually(lambda: len(_sent(running)) > before)
        assert len(_sent(running)) == before + 1
    finally:
        running.compose("up", "--detach", "--scale", "worker=1", "--wait", "worker")


def _sent(running) -> list[str]:
    said = running.compose("logs", "--no-log-prefix", "worker").stdout
    return [line for line in said.splitlines() if '"schedule sent"' in line and "log_ins" in line]


def test_three_releases_at_once_all_succeed(running):
    running.dev("psql", "-qc", "UPDATE tenant_config SET migrations_stamp = ''")
    script = "bin/release & bin/release & bin/release & wait -n; a=$?; wait -n; b=$?; wait -n; "
    script += "exit $((a + b + $?))"
    running.compose("run", "--rm", "-T", "--entrypoint", "bash", "migrate", "-c", script)
    assert running.health()["status"] == "ok"


def test_the_backends_tests_run_with_plain_compose(running):
    plain = running.compose("run", "--rm", "-T", "test", "-q", "core/tests/test_env.py")
    assert " passed" in plain.stdout


def test_env_shows_what_web_sees_and_what_the_next_start_would_change(running):
    def value(name):
        answered = running.dev("env", name, "--json").stdout
        (found,) = json.loads(answered)["variables"]
        return found

    assert value("DATABASE_URL")["value"] == "postgres://app@db:5432/homeport"
    assert value("DATABASE_URL")["source"].startswith("docker-compose.yml:")
    assert value("WEB_PORT")["value"] == running.ports["WEB_PORT"]
    running.dev("serve", "runserver")
    assert value("SERVER")["value"] == "runserver"
    assert value("SERVER")["note"] == "./dev up would set gunicorn"


@pytest.fixture
def not_installed(running, tmp_path):
    """The stack's checkout without the `.venv` that an earlier test may have created."""
    installed = running.checkout / ".venv"
    aside = tmp_path / "venv"
    if installed.exists():
        installed.rename(aside)
    yield running
    if aside.exists():
        aside.rename(installed)


def test_read_only_commands_run_in_the_image_and_install_nothing(not_installed, tmp_path):
    # Only the Python that runs ./dev is available.
    (tmp_path / "python3").symlink_to(Path(sys.executable).resolve())
    for program in ("docker", "env"):
        (tmp_path / program).symlink_to(shutil.which(program))
    asking = ("env --check", "parity", "export ecs", "reference --check", "test --environment")
    for command in asking:
        last = not_installed.dev(*command.split(), PATH=str(tmp_path))
    # Every warning is an error in the backend's tests, and WhiteNoise warns without its directory.
    assert Path(json.loads(last.stdout)["STATIC_ROOT"]).is_dir()
    assert not (not_installed.checkout / ".venv").exists()

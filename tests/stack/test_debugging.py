"""Breakpoints in a dev container of `devcontainer up`, with launch.json's configurations.

One dev container for the whole module; every test restores the code.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shlex
import subprocess
import zipfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from documentation import blocks
from emulated_aws import use_aws
from restarts import recovers, restart_machine
from running_stack import eventually, free_ports
from workspace import FOLDER, MINE, asked, in_background, last_json, opened, outside_editors

from devtools.debug_client import Editor

PAGE_OF_DEBUGGING = Path(__file__).parents[2] / "docs" / "debug.md"
COMMANDS = [
    command for block in blocks(PAGE_OF_DEBUGGING.read_text()) for command in block.commands
]
VIEW = "backend/core/views.py"
NOWHERE = "/api/nowhere/"  # handled by that view
ANSWER = 'return problem(404, f"There is nothing at {request.path}.")'
TASK = "backend/core/celery/application.py"
RESULT = 'return {"message": message, "tenant": connection.schema_name}'
PAGE = "backend/tenants/templates/tenants/choose.html"
# Followed forks of the root process: the server; Gunicorn also has two workers.
PROCESSES = {"runserver (reload)": 1, "Gunicorn": 3, "Gunicorn (ASGI)": 3}
SERVERS = list(PROCESSES)


@pytest.fixture(scope="module")
def workspace():
    with opened(uid=1000) as workspace:
        yield workspace


@contextlib.contextmanager
def debugging(workspace, name):
    """An editor that started an entry and is attached to the server's processes."""
    with workspace.editor(name) as editor:
        editor.followed(PROCESSES[name])
        serves(workspace)
        yield editor


@pytest.fixture(params=SERVERS)
def server(workspace, request):
    with debugging(workspace, request.param) as editor:
        yield editor


@contextlib.contextmanager
def edited(workspace, path, old, new, editor=None):
    """Edit a file like an editor, and restore it at the end.

    With `editor`: wait each time until it has attached to the restarted processes.
    """
    file = workspace.checkout / path
    before = file.read_text()
    assert old in before
    _save(file, before.replace(old, new), editor)
    try:
        yield
    finally:
        _save(file, before, editor)


def _save(file, text, editor):
    known = len(editor.sessions) if editor else 0
    file.write_text(text)
    if editor:
        editor.followed(PROCESSES.get(editor.configuration["name"], 1), after=known)


def line_of(path: str, text: str) -> int:
    lines = (Path(__file__).parents[2] / path).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


# The dev container


def test_the_dev_container_comes_up_and_the_server_answers(workspace):
    said = last_json(workspace.first_up.stdout)
    assert said["outcome"] == "success"
    assert (said["remoteUser"], said["remoteWorkspaceFolder"]) == ("django", FOLDER)
    assert workspace.get("/").status == 200  # web only; the worker may take longer
    assert eventually(lambda: workspace.health()["status"] == "ok", within=180)
    assert workspace.health()["server"] == "gunicorn"


def test_the_sidecars_run_beside_it(workspace):
    declared = workspace.compose("config", "--services").stdout.split()
    running = workspace.containers().keys()
    assert set(declared) - running <= {"image", "migrate"}  # these run once


# https://modelcontextprotocol.io/specification/2025-06-18/basic/lifecycle
ME = {"name": "test", "version": "1"}
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": ME}
MESSAGES = (
    {"id": 1, "method": "initialize", "params": HELLO},
    {"method": "notifications/initialized"},
    {"id": 2, "method": "tools/call", "params": {"name": "status", "arguments": {}}},
)


def test_the_server_for_assistants_runs_in_it(workspace):
    workspace.inside("./dev", "mcp", "--install", timeout=300)
    container = workspace.containers("web")["web"]
    command = ["docker", "exec", "--interactive", "--workdir", FOLDER, container, "./dev", "mcp"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        for message in MESSAGES:
            print(json.dumps({"jsonrpc": "2.0", **message}), file=server.stdin, flush=True)
        hello, answer = (json.loads(server.stdout.readline()) for _ in range(2))
        server.stdin.close()
    assert hello["id"] == 1
    assert json.loads(answer["result"]["content"][0]["text"])["engine"] == "devcontainer"


def test_the_tests_run_in_it(workspace):
    ran = workspace.devcontainer("exec", "./dev", "test", "core/tests/test_health.py", timeout=300)
    assert re.search(r"\d+ passed", ran.stdout), ran.stdout


def test_the_database_is_kept_and_put_back_in_it(workspace):
    workspace.inside("./dev", "snapshot", "save", "inside")
    assert "cache was emptied" in workspace.inside("./dev", "snapshot", "restore", "inside").stdout
    for name in ("inside", "previous"):
        workspace.inside("./dev", "snapshot", "delete", name, "--yes")


MIGRATION = """
from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [("users", "{before}")]
    operations = [migrations.AddField("user", "nick", models.CharField(max_length=9, null=True))]
"""


def test_a_release_is_rehearsed_in_it(workspace):
    author = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    workspace.inside("git", *author, "commit", "--quiet", "--no-verify", "--message", "Before")
    migrations = workspace.checkout / "backend/users/migrations"
    before = max(path.stem for path in migrations.glob("0*.py"))
    added = migrations / "0099_nick.py"
    added.write_text(MIGRATION.format(before=before))
    try:
        found = json.loads(workspace.inside("./dev", "release", "--rehearse", "--json").stdout)
    finally:
        added.unlink()
    workspace.inside("./dev", "up")  # until the worker, which each edit restarts, is heard again
    assert found["safe"]
    assert [one["migrations"] for one in found["schemas"]] == [["users.0099_nick"]] * 3


def test_doctor_finds_nothing_wrong_in_it(workspace):
    assert " wrong" not in workspace.inside("./dev", "doctor").stdout


def test_the_programs_for_a_terminal_are_installed(workspace):
    for command in ("git status", "psql --version", "redis-cli --version", "less --version"):
        ran = workspace.devcontainer("exec", *command.split())
        assert ran.returncode == 0, command
    server = workspace.inside("./dev", "psql", "-Atc", "SHOW server_version").stdout
    assert server.split(".")[0] in workspace.inside("pg_dump", "--version").stdout
    assert workspace.inside("gpg", "--version").stdout
    assert workspace.inside("bash", "-ic", "type _completion_loader", check=False).stdout


def test_the_commands_of_the_page_about_debugging_run(workspace):
    shown = [command for command in COMMANDS if command.startswith("devcontainer ")]
    assert any(" up " in command for command in shown)
    for command in shown:
        workspace.run(*shlex.split(command))


def test_a_package_that_is_locked_later_is_installed_without_a_rebuild(workspace):
    before = workspace.containers("web", "worker")
    with locked(workspace, "leftpad", "1.0"):
        assert missing_packages(workspace) == ["leftpad 1.0"]
        with edited(workspace, TASK, "import os\n", "import os\n\nimport leftpad\n"):
            said = "not installed here: leftpad 1.0; install it: ./dev up"
            eventually(lambda: said in workspace.compose("logs", "worker").stdout, within=180)
            # On a busy machine the worker may start after the command's timeout.
            up = workspace.inside("./dev", "up", check=False).stdout
            assert "installing requirements/test.txt: leftpad 1.0" in up
            imported = ("exec", "-T", "worker", "python", "-c", "import leftpad")
            eventually(
                lambda: workspace.compose(*imported, check=False).returncode == 0, within=180
            )
            eventually(lambda: workspace.health()["status"] == "ok", within=180)
            assert echo(workspace) == "hello"
        assert missing_packages(workspace) == []
    assert workspace.containers("web", "worker") == before


def missing_packages(workspace):
    # The exit status also depends on whether the worker runs already.
    status = workspace.inside("./dev", "status", "--json", check=False)
    return json.loads(status.stdout)["missing_packages"]


@contextlib.contextmanager
def locked(workspace, name, version):
    """Add an empty package to the lock of the image, from a wheel in the checkout."""
    wheel = workspace.checkout / "wheels" / f"{name}-{version}-py3-none-any.whl"
    wheel.parent.mkdir()
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", "")
        described = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        archive.writestr(f"{about}/METADATA", described)
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        listed = (f"{name}.py", *(f"{about}/{file}" for file in ("METADATA", "WHEEL", "RECORD")))
        archive.writestr(f"{about}/RECORD", "".join(f"{path},,\n" for path in listed))
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (workspace.checkout / "uv.toml").write_text('find-links = ["/app/wheels"]\n')
    first = "amqp=="
    with edited(
        workspace,
        "requirements/test.txt",
        first,
        f"{name}=={version} --hash=sha256:{digest}\n{first}",
    ):
        yield


def test_files_belong_to_the_user_from_every_writer(workspace):
    assert whoever_writes_files_belong_to_the_user(workspace)
    for service in ("web", "worker"):
        assert uid_in(workspace, service) == workspace.uid


# Breakpoints


def test_a_breakpoint_is_hit_before_and_after_edits_without_attaching_again(workspace, server):
    server.break_at(VIEW, line_of(VIEW, ANSWER))
    passes_the_breakpoint(workspace, server, "There is nothing at")
    for words in ("Once edited", "Twice edited"):
        new = ANSWER.replace("There is nothing at", words)
        with edited(workspace, VIEW, ANSWER, new, server):
            serves(workspace)
            passes_the_breakpoint(workspace, server, words)


def test_a_breakpoint_is_hit_in_gunicorn_whichever_worker_answers(workspace):
    with debugging(workspace, "Gunicorn") as editor:
        assert workspace.health()["server"] == "gunicorn"
        editor.break_at(VIEW, line_of(VIEW, ANSWER))
        processes = set()
        for _ in range(200):  # the kernel chooses which of them accepts a connection
            stop, answer = stops_at_the_answer(workspace, editor)
            processes.add(stop.evaluate("__import__('os').getpid()"))
            stop.resume()
            assert answer.result(120).status == 404
            if len(processes) == 2:
                break
        assert len(processes) == 2


def test_a_breakpoint_is_hit_in_the_worker_before_and_after_an_edit(workspace):
    with workspace.editor("Attach to worker") as editor:
        editor.followed(1)
        editor.break_at(TASK, line_of(TASK, RESULT))
        assert passes_the_worker(workspace, editor) == "hello"
        new = RESULT.replace("message,", "message.upper(),")
        with edited(workspace, TASK, RESULT, new, editor):
            assert passes_the_worker(workspace, editor) == "HELLO"


def test_one_entry_starts_both_debuggers_and_attaches_to_them(workspace):
    workspace.task("serve gunicorn")
    with ExitStack() as attached:
        web, worker = map(attached.enter_context, workspace.editors("Web and worker"))
        web.followed(PROCESSES["Gunicorn"])
        stops_in_both(workspace, web, worker)


def test_a_paused_task_outlives_an_edit(workspace):
    with workspace.editor("Attach to worker") as editor:
        editor.followed(1)
        editor.break_at(TASK, line_of(TASK, RESULT))
        result = in_background(echo, workspace)
        stop = editor.stopped()
        with edited(workspace, TASK, RESULT, RESULT.replace("message,", "message.upper(),")):
            assert stop.evaluate("message") == "'hello'"
            known = len(editor.sessions)
            stop.resume()
            assert "hello" in result.result(120)
            editor.followed(1, after=known)
            known = len(editor.sessions)
        editor.followed(1, after=known)


def test_others_are_served_and_health_is_green_while_one_request_is_paused(workspace, server):
    server.break_at(VIEW, line_of(VIEW, ANSWER))
    stop, answer = stops_at_the_answer(workspace, server)
    for _ in range(8):
        assert workspace.get("/api/v1/health/", timeout=30).json()["status"] == "ok"
    assert not answer.done()
    stop.resume()
    assert answer.result(120).status == 404


def test_a_request_may_be_paused_for_longer_than_production_allows(workspace):
    allowed = "else 60\n"
    with edited(workspace, "backend/gunicorn.conf.py", allowed, "else 2\n"):
        workspace.task("serve gunicorn")
        with debugging(workspace, "Gunicorn") as editor:
            editor.break_at(VIEW, line_of(VIEW, ANSWER))
            stop, answer = stops_at_the_answer(workspace, editor)
            with pytest.raises(TimeoutError):
                answer.result(5)  # what is tested
            stop.resume()
            assert answer.result(120).status == 404


def test_a_breakpoint_in_a_template_is_hit(workspace, server):
    server.break_at(PAGE, line_of(PAGE, "{{"))
    page = asked(workspace, "/choose-tenant/")
    stop = server.stopped()
    assert (stop.path, stop.line) == (f"{FOLDER}/{PAGE}", line_of(PAGE, "{{"))
    server.break_at(PAGE)
    stop.resume()
    assert page.result(120).status == 200


def test_after_a_syntax_error_and_its_repair_the_breakpoint_is_hit(workspace):
    with debugging(workspace, "runserver (reload)") as editor:
        editor.break_at(VIEW, line_of(VIEW, ANSWER))
        before = workspace.containers("web")
        with edited(workspace, VIEW, ANSWER, "return problem(404, f"):
            eventually(lambda: fails(workspace), within=180)
            known = len(editor.sessions)
        editor.followed(1, after=known)
        serves(workspace)
        passes_the_breakpoint(workspace, editor, "There is nothing at")
        assert workspace.containers("web") == before


def test_an_editor_that_vanished_leaves_a_server_that_another_can_attach_to(workspace, server):
    server.break_at(VIEW, line_of(VIEW, ANSWER))
    _stop, answer = stops_at_the_answer(workspace, server)
    server.vanish()
    assert answer.result(120).status == 404  # it was released
    name = server.configuration["name"]
    with debugging(workspace, name) as another:
        another.break_at(VIEW, line_of(VIEW, ANSWER))
        passes_the_breakpoint(workspace, another, "There is nothing at")


def test_the_current_test_file_is_debugged(workspace):
    path, code = "backend/core/tests/test_liveness.py", "assert "
    with workspace.launched("Test file", file=f"{FOLDER}/{path}") as editor:
        editor.break_at(path, line_of(path, code))
        stop = editor.stopped(120)
        assert stop.function.startswith("test_")
        editor.break_at(path)
        stop.resume()


def test_a_management_command_is_debugged(workspace):
    path, code = "backend/tenants/command_line.py", "execute_from_command_line("
    with workspace.launched("Management command", **{"input:command": "check"}) as editor:
        editor.break_at(path, line_of(path, code))
        stop = editor.stopped()
        assert "'check'" in stop.evaluate("arguments")
        stop.resume()


# Replacing the server in the same container


def test_switching_the_server_touches_no_container(workspace):
    before = workspace.containers()
    for server in ("runserver", "asgi", "gunicorn"):
        workspace.task(f"serve {server}")
        assert workspace.health()["server"] == server
        assert workspace.containers() == before


def test_a_killed_server_comes_back_and_the_container_lives_on(workspace):
    workspace.task("serve gunicorn")
    before = started(workspace)
    workspace.inside("pkill", "--signal", "KILL", "--oldest", "--full", "core.start web")
    serves(workspace)
    assert started(workspace) == before


def started(workspace) -> str:
    container = workspace.containers("web")["web"]
    return workspace.run(
        "docker", "inspect", "--format", "{{.Id}} {{.State.StartedAt}}", container
    ).stdout


def test_the_dev_container_opens_again_after_a_restart_of_the_machine(workspace):
    with recovers(workspace, use=use_aws):
        restart_machine(workspace)
        workspace.devcontainer("up")
        assert workspace.healthy()  # the restart ends with `./dev up`, which waits for this
    web = workspace.containers("web")["web"]
    assert MINE in workspace.run("docker", "inspect", web).stdout


# Other users and folders


def test_a_second_clone_of_another_user_runs_beside_it(workspace):
    # As if the ids were unknown at the build: the dev container CLI then changes the user id in
    # the image of web only.
    with opened(uid=1234, env="APP_UID=1001\nAPP_GID=1001\n") as second:
        assert second.project != workspace.project
        assert eventually(lambda: second.health()["status"] == "ok", within=180)
        assert whoever_writes_files_belong_to_the_user(second)
        assert workspace.get("/").status == 200


def test_an_editor_outside_the_containers_debugs_through_published_ports(stack):
    stack.ports.update(free_ports("WEB_DEBUG_PORT", "WORKER_DEBUG_PORT"))
    try:
        with ExitStack() as attached:
            web, worker = map(attached.enter_context, outside_editors(stack, "Web and worker"))
            web.followed(PROCESSES["Gunicorn"])
            stops_in_both(stack, web, worker)
        [runserver] = outside_editors(stack, "runserver (reload)")
        with runserver:
            runserver.followed(1)
            runserver.break_at(PAGE, line_of(PAGE, "{{"))
            page = asked(stack, "/choose-tenant/")
            stop = runserver.stopped()
            assert stop.path == str(stack.checkout / PAGE)
            runserver.break_at(PAGE)
            stop.resume()
            assert page.result(120).status == 200
    finally:
        stack.dev("up")


def test_a_migration_that_fails_does_not_lock_out_the_editor(workspace):
    """The last test, because it recreates the containers."""
    broken = workspace.checkout / "backend/users/migrations/9999_broken.py"
    broken.write_text("this is no Python\n")
    try:
        before = workspace.containers("web")
        workspace.devcontainer("up", "--remove-existing-container", check=False)
        ended = workspace.compose("ps", "--all", "--format", "{{.ExitCode}}", "migrate").stdout
        assert ended.strip() != "0"
        assert workspace.containers("web") != before
        assert workspace.inside("./dev", "--help").returncode == 0
    finally:
        broken.unlink()
    workspace.devcontainer("up")
    serves(workspace)


# Helpers


def serves(workspace):
    return eventually(lambda: workspace.get("/api/v1/health/live/").status == 200, within=180)


def fails(workspace) -> bool:
    try:
        return workspace.get("/api/v1/health/live/").status >= 500
    except OSError:
        return True


def stops_in_both(stack, web: Editor, worker: Editor) -> None:
    """Pause in a view with one editor, and in a task with the other."""
    web.break_at(VIEW, line_of(VIEW, ANSWER))
    passes_the_breakpoint(stack, web, "There is nothing at")
    worker.followed(1)
    worker.break_at(TASK, line_of(TASK, RESULT))
    assert passes_the_worker(stack, worker) == "hello"


def stops_at_the_answer(stack, editor: Editor):
    """Request the view and pause there, in the file that the editor has open."""
    answer = asked(stack, NOWHERE)
    stop = editor.stopped()
    assert (stop.path, stop.line) == (f"{editor.folder}/{VIEW}", line_of(VIEW, ANSWER))
    assert NOWHERE in stop.evaluate("request.path")
    return stop, answer


def passes_the_breakpoint(workspace, editor: Editor, words: str) -> None:
    """Pause at the view's response and continue; the response has these words."""
    stop, answer = stops_at_the_answer(workspace, editor)
    stop.resume()
    assert words in answer.result(120).text


def uid_in(workspace, service: str) -> int:
    return int(workspace.compose("exec", "-T", service, "id", "-u").stdout)


def whoever_writes_files_belong_to_the_user(workspace) -> bool:
    """In the checkout by a terminal or the server; on the volumes by web and worker."""
    assert uid_in(workspace, "web") == workspace.uid
    file = workspace.checkout / "from-a-terminal"
    workspace.devcontainer("exec", "touch", file.name)
    for service in ("web", "worker"):
        script = "touch /data/media/written && rm /data/media/written"
        workspace.compose("exec", "-T", service, "sh", "-c", script)
    owner = file.stat().st_uid
    file.unlink()
    return owner == workspace.uid


def echo(workspace) -> str:
    """Queue a task in web's shell and wait for its result."""
    code = (
        "from core.celery import echo\n"
        "from django_tenants.utils import schema_context\n"
        "with schema_context('test1'):\n"
        "    print(echo.delay('hello').get(timeout=120)['message'])\n"
    )
    return workspace.python(code).splitlines()[-1]


def passes_the_worker(workspace, editor: Editor) -> str:
    """Pause in the task and continue; return its result."""
    result = in_background(echo, workspace)
    stop = editor.stopped()
    assert stop.line == line_of(TASK, RESULT)
    assert stop.evaluate("message") == "'hello'"
    stop.resume()
    return result.result(120)

"""The command line of each process, for what the environment asks for."""

import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core import garbage, start
from core.env.validation import read
from development import packages

BACKEND = Path(__file__).resolve().parents[2]
RELOAD = ["-m", "development.reload"]
GUNICORN = ["-m", "gunicorn", "core.wsgi"]
RUNSERVER = ["manage.py", "runserver", "--noreload", "--socket"]
WORKER = ["-m", "celery", "--quiet", "--app", "core", "worker"]
WORKER += ["--without-gossip", "--without-mingle", "--concurrency", "3"]
DEBUGGER = ["-X", "frozen_modules=off", "development/debugger.py", "--listen"]


@pytest.fixture
def started(monkeypatch):
    """Collect the arguments of Python that `start` goes on with."""
    lines = []
    monkeypatch.setattr(packages, "start", lambda: None)
    monkeypatch.setattr(garbage, "look_seldom", lambda: None)
    # Not as this process remembers it.
    monkeypatch.setattr("core.env.process.own", lambda *names: read(os.environ, names))
    monkeypatch.setattr(start, "become", lines.append)
    monkeypatch.setattr(os, "execve", lambda program, command, environment: lines.append(command))
    for name in ("DEBUGPY_PORT", "DEBUGPY_HOST", "RELOAD", "SERVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WEB_BIND", "127.0.0.1:8000")
    monkeypatch.setenv("WORKER_CONCURRENCY", "3")
    return lines


@pytest.mark.parametrize(
    ("arguments", "variables", "line"),
    [
        ("web", {}, GUNICORN),
        ("web 7", {}, [*GUNICORN, "--bind", "fd://7"]),
        (
            "web",
            {"RELOAD": "true"},
            [*RELOAD, "--listen", "127.0.0.1:8000", *GUNICORN, "--bind", "fd://{}"],
        ),
        (
            "web 7",
            {"SERVER": "runserver"},
            [*RELOAD, "--listen", "fd://7", *RUNSERVER, "{}", "127.0.0.1:8000"],
        ),
        ("worker", {}, WORKER),
        ("worker", {"RELOAD": "true"}, [*RELOAD, *WORKER]),
        (
            "worker",
            {"DEBUGPY_PORT": "5679"},
            [sys.executable, *DEBUGGER, "127.0.0.1:5679", *WORKER, "--pool", "threads"],
        ),
        ("release", {}, ["manage.py", "release"]),
        ("process false manage.py check", {}, ["manage.py", "check"]),
        ("process true manage.py check", {}, [*RELOAD, "manage.py", "check"]),
    ],
)
def test_a_process_is_started_as_the_environment_says(
    started, monkeypatch, arguments, variables, line
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    start.main(arguments.split())
    assert started[0] == line  # a real exec would not come back to go on


@pytest.mark.parametrize(
    ("arguments", "variable", "said"),
    [
        (["worker"], ("WORKER_CONCURRENCY", "many"), "WORKER_CONCURRENCY"),
        (["beat"], ("RELOAD", "false"), "core.start web"),
    ],
)
def test_what_cannot_be_started_says_why(started, monkeypatch, arguments, variable, said, capsys):
    monkeypatch.setenv(*variable)
    with pytest.raises(SystemExit) as ended:
        start.main(arguments)
    assert said in f"{capsys.readouterr().err}{ended.value}"
    assert started == []


def test_a_file_and_a_module_run_as_python_would_run_them(monkeypatch, tmp_path, capsys):
    (tmp_path / "program.py").write_text("import sys; print(__name__, sys.argv[1:])")
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.syspath_prepend(str(tmp_path))
    start.become([str(tmp_path / "program.py"), "a"])
    start.become(["-m", "program", "b"])
    assert capsys.readouterr().out.splitlines() == ["__main__ ['a']", "__main__ ['b']"]


def test_a_starting_worker_removes_the_heartbeat_of_a_killed_one(started, tmp_path, monkeypatch):
    file = tmp_path / "heartbeat"
    file.write_text("1.0")
    monkeypatch.setattr("core.liveness.heartbeat_file", lambda: file)
    start.main(["worker"])
    assert not file.exists()


def test_what_is_loaded_early_reads_no_settings():
    code = "import importlib, core.start as start; [*map(importlib.import_module, start.LIBRARIES)]"
    variables = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=BACKEND, env=variables)


def said_by(tmp_path: Path, code: str) -> str:
    """Return what a program of this code prints."""
    program = tmp_path / "program.py"
    program.write_text(code)
    command = [sys.executable, "-m", "core.start", "process", "false", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=BACKEND)
    return done.stdout


def test_a_process_ends_without_a_look_for_garbage(tmp_path):
    said = said_by(
        tmp_path,
        "class Collected:\n"
        "    def __del__(self):\n"
        "        print('collected')\n"
        "one = Collected()\n"
        "one.itself = one\n"
        "del one\n"
        "print('end')\n",
    )
    assert said == "end\n"


def test_a_process_looks_for_garbage_only_among_what_is_made_after_its_start(tmp_path):
    said = said_by(
        tmp_path,
        "import gc, django\n"
        "django.setup()\n"
        "looks = sum(one['collections'] for one in gc.get_stats())\n"
        "print(looks, gc.get_freeze_count() > 50_000, *gc.get_threshold())\n",
    )
    looks, is_left_out, *usual = said.split()
    assert int(looks) < 150  # among the few objects since; else 400, the last ones among all
    assert is_left_out == "True"
    assert tuple(map(int, usual)) == gc.get_threshold()

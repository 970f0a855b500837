"""`./dev` starts from any directory, with old Pythons too, and has a help."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest
from front_door import ROOT

from devtools import VERSION, cli
from devtools.commands import COMMANDS
from devtools.engines import NAMES
from devtools.engines.choice import ENGINES

SOURCES = [ROOT / "dev", *sorted((ROOT / "devtools").rglob("*.py"))]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_is_python_3_9(path):
    ast.parse(path.read_text(), feature_version=(3, 9))


def test_the_launcher_can_be_parsed_by_old_pythons():
    ast.parse((ROOT / "dev").read_text(), feature_version=(3, 4))


def test_an_old_python_is_refused_in_one_line(workspace):
    code = "import runpy, sys; sys.version_info = (3, 8, 1); runpy.run_path('dev')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=workspace.root, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "needs Python 3.9 or newer" in done.stderr
    assert done.stderr.count("\n") == 1


def test_it_runs_from_another_directory(workspace, tmp_path):
    assert workspace.dev("help", cwd=tmp_path).returncode == 0


def test_it_runs_through_a_link(workspace, tmp_path):
    link = tmp_path / "dev-link"
    link.symlink_to(workspace.root / "dev")
    done = subprocess.run([link, "help"], env=workspace.variables, capture_output=True, text=True)
    assert done.returncode == 0
    assert "./dev" in done.stdout


@pytest.mark.parametrize("arguments", [(), ("help",), ("--help",), ("-h",)])
def test_the_overview_names_every_command(workspace, arguments):
    done = workspace.dev(*arguments)
    assert done.returncode == 0
    for name in COMMANDS:
        assert f"  {name} " in done.stdout
    assert done.stdout.index("The stack\n") < done.stdout.index("Inside it\n")
    assert done.stdout.index("Inside it\n") < done.stdout.index("Environment\n")


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_with_an_example(workspace, name):
    done = workspace.dev(name, "--help")
    assert done.returncode == 0
    assert f"usage: ./dev {name}" in done.stdout
    assert "examples:\n  " in done.stdout
    assert workspace.dev("help", name).stdout == done.stdout


@pytest.mark.parametrize(
    ("typed", "meant"), [("logz", "logs"), ("statsu", "status"), ("ups", "up")]
)
def test_an_unknown_command_gets_a_suggestion(workspace, typed, meant):
    done = workspace.dev(typed)
    assert done.returncode == 2
    assert f"there is no command '{typed}'" in done.stderr
    assert f"did you mean {meant}?" in done.stderr


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ps", "./dev status"),
        ("stop", "./dev down"),
        ("start", "./dev up"),
        ("build", "./dev up --build"),
        ("run", "./dev exec"),
        ("pull", "./dev up"),
    ],
)
def test_a_command_of_compose_names_its_replacement(workspace, typed, meant):
    for arguments in ((typed,), ("help", typed)):
        done = workspace.dev(*arguments)
        assert done.returncode == 2
        assert f"there is no command '{typed}'\n  {meant}" in done.stderr


def test_no_command_is_explained_as_one_of_compose_that_is_missing():
    assert not cli._OF_COMPOSE.keys() & {*COMMANDS, "help"}


def test_the_version_is_that_of_the_checkout(workspace):
    assert "of an unknown commit" in workspace.dev("--version").stdout
    save = "git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x"
    subprocess.run(["sh", "-c", save], cwd=workspace.root, check=True)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=workspace.root, capture_output=True, text=True
    ).stdout.strip()
    assert workspace.dev("--version").stdout.startswith(f"./dev {VERSION}, commit {commit}")


@pytest.mark.parametrize("arguments", [("up", "-d"), ("up", "--build"), ("down", "-v")])
def test_options_of_compose_are_understood(workspace, arguments):
    assert workspace.dev(*arguments, "--engine", "none").stderr.startswith(
        "error: there is no engine 'none'"
    )


def test_an_unknown_option_names_the_help(workspace):
    done = workspace.dev("up", "--bild")
    assert done.returncode == 2
    assert "--bild" in done.stderr
    assert "./dev up --help" in done.stderr


@pytest.mark.parametrize("where", ["option", "variable", "dotenv"])
def test_an_unknown_engine_gets_a_suggestion(workspace, where):
    if where == "variable":
        workspace.variables["DEV_ENGINE"] = "compos"
    if where == "dotenv":
        workspace.write(".env", "DEV_ENGINE=compos\n")
    done = workspace.dev(*(["--engine", "compos"] if where == "option" else []), "status")
    assert done.returncode == 2
    assert "did you mean compose?" in done.stderr


def test_a_reader_that_leaves_early_causes_no_traceback(workspace):
    done = subprocess.run(
        ["sh", "-c", "./dev help | true"],
        cwd=workspace.root,
        env=workspace.variables,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""


def test_an_internal_error_is_reported_as_one(workspace):
    workspace.write(
        "devtools/nearest.py",
        "def nearest(*_):\n    raise KeyError('gone')\nmust_be_known = nearest\n",
    )
    done = workspace.dev("nosuch")
    assert done.returncode == 1
    assert "error: internal error: KeyError" in done.stderr


def test_the_engines_have_the_names_that_are_shown():
    assert tuple(ENGINES) == NAMES


def test_a_start_imports_nothing_that_only_some_commands_need():
    # ./dev writes no bytecode, so every imported module is compiled at every start.
    code = "import sys, devtools.cli; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    rooms = {name.split(".")[1] for name in done.stdout.split() if name.startswith("devtools.")}
    assert {"cli", "commands"} <= rooms
    assert not rooms & {"contract", "doctor", "ecs", "embedded", "snapshots"}
    assert not {"http.client", "ssl", "devtools.engines.compose"} & {*done.stdout.split()}


def test_a_folder_with_a_commands_file_adds_its_commands(workspace):
    workspace.write("shop/__init__.py", "")
    workspace.write(
        "shop/commands.py",
        """
from devtools.commands.registry import group

command = group("Of the shop", "./dev greet")


def older_options(parser):
    parser.add_argument("--name", default="you")


@command("greet", "say hello", "./dev greet", options=older_options)
def greet(run):
    run.terminal.say(f"hello, {run.options.name}")
    return 0
""",
    )
    assert workspace.dev("greet", "--name", "Ann").stdout == "hello, Ann\n"
    assert "Of the shop" in workspace.dev("help").stdout

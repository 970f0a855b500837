"""The answers of `./dev COMMAND --json` have the shapes of docs/reference.md."""

from __future__ import annotations

import json
import shutil
from argparse import Namespace
from types import SimpleNamespace

import pytest
from front_door import ROOT, Workspace
from misfits import misfit

from devtools import environment
from devtools.checkout import Checkout
from devtools.commands import COMMANDS, quality, shapes
from devtools.commands.registry import Run
from devtools.terminal import Terminal

# They hand the terminal to another program, or print a document or a script themselves.
WITHOUT = {
    *("manage", "migrate", "makemigrations", "shell", "psql", "exec"),
    *("completion", "mcp", "sbom"),
    "bench",  # proof: line
}


def answer(workspace: Workspace, *words: str) -> tuple[int, object]:
    done = workspace.dev(*words, "--json")
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def checkout(workspace) -> Workspace:
    """A checkout with everything that is compared, but no stack."""
    for name in ("backend", "requirements", "init-scripts", "docs", "tests", ".devcontainer"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, workspace.root / name, ignore=ignored)
    for file in ROOT.glob("docker-compose*.yml"):
        shutil.copy(file, workspace.root)
    shutil.copy(ROOT / ".env.example", workspace.root)
    workspace.variables["DEV_ENGINE"] = "embedded"
    return workspace


def test_every_command_that_answers_takes_json():
    assert {name for name, one in COMMANDS.items() if one.answer is None} == WITHOUT


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("status", ""),
        ("doctor line-endings python", ""),
        ("env", "env"),
        ("env --check", "env --check"),
        ("parity", ""),
        ("reference --check", ""),
        ("export ecs --image backend:1", ""),
        ("verify --list", "verify --list"),
        ("test --workspace tests/one/test_one.py", ""),
    ],
    ids=str,
)
def test_an_answer_has_its_shape(checkout, venv, words, key):
    (checkout.root / ".venv").symlink_to(venv)
    checkout.write("tests/one/test_one.py", "def test_one():\n    pass\n")
    _status, found = answer(checkout, *words.split())
    shape = COMMANDS[words.split()[0]].answer
    assert misfit(found, shape[key] if key else shape) == ""


def test_help_lists_the_commands(workspace):
    status, found = answer(workspace, "help")
    assert (status, misfit(found, shapes.HELP)) == (0, "")
    assert [one["name"] for one in found] == list(COMMANDS)


def test_a_command_that_cannot_work_answers_with_the_problems(workspace):
    status, found = answer(workspace, "restore", "nowhere")
    assert (status, misfit(found, shapes.PROBLEMS)) == (1, "")
    assert found["problems"][0]["what"] in workspace.dev("restore", "nowhere").stderr


def test_a_failing_test_is_named_with_file_and_line(checkout, venv):
    (checkout.root / ".venv").symlink_to(venv)
    checkout.write("tests/one/test_one.py", "def test_one():\n    assert 1 == 2, 'unequal'\n")
    status, found = answer(checkout, "test", "--workspace", "tests/one/test_one.py")
    [failure] = found["failures"]
    assert (status, found["status"], found["counts"]) == (1, 1, {"failed": 1})
    assert failure["file"].endswith("test_one.py")
    assert (failure["line"], "unequal" in failure["message"]) == (2, True)


def test_the_environment_of_tests_is_json_also_if_packages_are_installed_first(monkeypatch, capsys):
    engine = SimpleNamespace(test_environment=lambda: {"TEST_RUN": "1"})
    monkeypatch.setattr(Run, "engine", engine)
    monkeypatch.setattr(environment, "installed", lambda _: "yes")
    monkeypatch.setattr(environment, "ensure", lambda _, terminal, __: terminal.say("installing"))
    options = Namespace(environment=True)
    quality.test(Run(Checkout(ROOT), Terminal(), "", options, []))
    said = capsys.readouterr()
    assert (json.loads(said.out), said.err) == ({"TEST_RUN": "1"}, "installing\n")


def test_without_results_the_answer_has_the_output(checkout, venv):
    (checkout.root / ".venv").symlink_to(venv)
    status, found = answer(checkout, "test", "--workspace", "-p", "nowhere")
    assert (status, found["failures"]) == (4, [])
    assert "Error importing plugin" in found["output"]


def test_a_question_is_refused_and_the_option_named(workspace):
    workspace.write(".dev/data/x", "")
    status, found = answer(workspace, "clean", "--engine", "embedded")
    assert status == 1
    assert "--yes" in found["problems"][0]["remedy"]


@pytest.mark.parametrize(
    ("value", "shape", "said"),
    [
        ({"a": 1}, {"a": "number"}, ""),
        ({"a": True}, {"a": "number"}, "answer.a: not number"),
        ({}, {"a?": "text"}, ""),
        ({}, {"a": "text"}, "answer: no a"),
        ({"b": 1}, {"<name>": "number"}, ""),
        ({"a": "x", "b": "x"}, {"a": "text", "<name>": "number"}, "answer.b: not number"),
        ({"b": 1}, {"a?": "number"}, "answer: unknown b"),
        ([1, "x"], ["number"], "answer[1]: not number"),
        ("up", "up|down", ""),
        ("elsewhere", "up|down", "answer: not up|down"),
        (None, {"a": "text"}, ""),
    ],
)
def test_a_misfit_is_named(value, shape, said):
    assert misfit(value, shape) == said

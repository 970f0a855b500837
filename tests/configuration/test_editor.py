"""Everything that the editor's and the dev container's files name exists and agrees."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from compose_files import CHECKOUT
from editor_files import EditorFiles, complaints
from front_door import own_hooks

from devtools.checkout import Checkout
from devtools.docker.project import Project

FILES = EditorFiles.read()
COMMANDS = [task["command"] for task in FILES.own_tasks]
DEV_COMMANDS = [
    *COMMANDS,
    *(FILES.devcontainer[hook] for hook in ("postStartCommand",)),
    *(
        " ".join(["./dev", *(one["args"] if isinstance(one["args"], list) else [one["args"]])])
        for one in FILES.configurations
        if one.get("program", "").endswith("/dev")
    ),
]


def test_the_files_have_no_problems():
    assert complaints(FILES) == []


def test_a_team_may_add_entries_tasks_and_settings():
    files = FILES.copy()
    files.launch["configurations"] += [
        {"name": "Pages", "type": "chrome", "request": "launch", "url": "http://localhost:8000"},
        {"name": "Ours", "type": "debugpy", "request": "attach", "connect": {"port": 5999}},
    ]
    files.tasks["tasks"] += [
        {"type": "npm", "script": "watch"},
        {
            "label": "Invoices",
            "type": "shell",
            "command": "./dev test invoices",
            "icon": {"id": "beaker"},
            "problemMatcher": [],
        },
    ]
    files.settings["editor.rulers"] = [100]
    files.extensions["recommendations"].append("esbenp.prettier-vscode")
    files.devcontainer["features"] = {"ghcr.io/devcontainers/features/node:1": {}}
    files.devcontainer["forwardPorts"] += [3000, "mail:8025"]
    files.devcontainer["portsAttributes"]["mail:8025"] = {"label": "mail"}
    files.devcontainer["postCreateCommand"] = {"assets": "npm ci", "hooks": ["git", "status"]}
    files.local["mail"] = {"image": "axllent/mailpit:v1"}
    assert complaints(files) == []


@pytest.mark.parametrize("command", DEV_COMMANDS)
def test_every_command_is_one_of_dev_and_knows_its_options(command):
    program, name, *words = command.split()
    assert program == "./dev"
    helped = subprocess.run(
        [sys.executable, "dev", name, "--help"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert helped.returncode == 0, helped.stderr
    for option in (word for word in words if word.startswith("--") and word != "--"):
        assert option in helped.stdout, command


# Problem matchers, compared with real output.


def matched(label: str, output: str) -> list[dict[str, str]]:
    """Return the matches of a task's matchers in the output: file, line, message and others."""
    found = []
    for matcher in FILES.tasks_by_label[label]["problemMatcher"]:
        pattern = matcher["pattern"]
        parts = pattern if isinstance(pattern, list) else [pattern]
        lines = output.splitlines()
        for at in range(len(lines) - len(parts) + 1):
            here = zip(parts, lines[at : at + len(parts)], strict=True)
            matches = [re.search(part["regexp"], line) for part, line in here]
            if all(matches):
                groups = [
                    {name: match[number] for name, number in part.items() if name != "regexp"}
                    for part, match in zip(parts, matches, strict=True)
                ]
                found.append(functools.reduce(lambda a, b: a | b, groups))
    return found


def test_a_failed_test_is_clickable(tmp_path):
    (tmp_path / "test_it.py").write_text("def test_it():\n    x = 1\n    assert x == 2\n")
    ran = _run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", directory=tmp_path)
    (problem,) = matched("test", ran)
    assert (problem["file"], problem["line"]) == ("test_it.py", "3")
    assert problem["message"] == "AssertionError"


def test_what_ruff_finds_is_clickable(tmp_path):
    own_hooks(tmp_path / ".pre-commit-config.yaml")
    (tmp_path / "bad.py").write_text("import os\n\n\ndef f():\n    return undefined\n")
    _run("git", "init", "--quiet", directory=tmp_path)
    _run("git", "add", ".", directory=tmp_path)
    ran = _run(
        *(sys.executable, "-m", "pre_commit", "run", "ruff-check", "--all-files"),
        directory=tmp_path,
    )
    problems = [(one["code"], one["file"], one["line"]) for one in matched("lint", ran)]
    assert ("F401", "bad.py", "1") in problems, ran
    assert ("F821", "bad.py", "5") in problems, ran


def test_a_traceback_is_clickable(tmp_path):
    (tmp_path / "it.py").write_text("def fail():\n    raise ValueError('x')\n\n\nfail()\n")
    ran = _run(sys.executable, "it.py", directory=tmp_path)
    lines = [(Path(one["file"]).name, one["line"]) for one in matched("migrate", ran)]
    assert lines == [("it.py", "5"), ("it.py", "2")]


def _run(*command: str, directory: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "PYTEST"))}
    ended = subprocess.run(
        command,
        cwd=directory,
        env={**environment, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.stdout + ended.stderr


# .devcontainer/initialize


@pytest.mark.parametrize(
    "before", ["", "APP_UID=7\n", "export APP_UID = 7\n", "WEB_PORT=1", "WEB_PORT=1\n"]
)
def test_user_ids_are_written_once_and_other_lines_are_kept(tmp_path, before):
    environment = initialize(tmp_path, before, uid=1234)
    assert initialize(tmp_path, environment, uid=1234) == environment
    kept = before.splitlines()
    new = {"APP_UID=1234", "APP_GID=1234"} - ({"APP_UID=1234"} if "APP_UID" in before else set())
    assert sorted(environment.splitlines()) == sorted({*kept, *new})


def test_the_ids_of_root_are_not_written(tmp_path):
    assert initialize(tmp_path, "", uid=0) == ""


def test_a_missing_override_file_is_created(tmp_path):
    initialize(tmp_path, "", uid=0)
    override = tmp_path / "docker-compose.override.yml"
    assert override.read_text() == "services: {}\n"
    override.write_text("services: {web: {}}\n")
    initialize(tmp_path, "", uid=0)
    assert override.read_text() == "services: {web: {}}\n"


def test_a_folder_without_latin_letters_gets_the_project_name_that_dev_gives_it(tmp_path):
    root = tmp_path / "проект"
    root.mkdir()
    shutil.copy(CHECKOUT / "docker-compose.yml", root)
    name = Project(Checkout(root, {})).environment["COMPOSE_PROJECT_NAME"]
    assert initialize(root, "", uid=0) == f"COMPOSE_PROJECT_NAME={name}\n"
    assert initialize(root, "COMPOSE_PROJECT_NAME=mine\n", uid=0) == "COMPOSE_PROJECT_NAME=mine\n"


@pytest.mark.parametrize("relative", [False, True])
def test_the_history_of_a_work_tree_is_mounted_where_its_file_names_it(tmp_path, relative):
    main, tree = tmp_path / "the shop", tmp_path / "tree"
    _repository(main)
    _run("git", "worktree", "add", "--quiet", "-b", "topic", str(tree), directory=main)
    inside = f"{main}/.git"
    if relative:  # as git writes it with worktree.useRelativePaths
        (tree / ".git").write_text("gitdir: ../the shop/.git/worktrees/tree\n")
        inside = "/the shop/.git"

    written = f"GIT_HISTORY={main}/.git\nGIT_HISTORY_INSIDE={inside}\n"
    assert initialize(tree, "", uid=0) == written
    assert initialize(main, "", uid=0) == ""


@pytest.mark.parametrize("folder", ["shop", "libs/the shop"])
def test_the_history_of_a_submodule_leads_to_the_checkout_in_the_container(tmp_path, folder):
    _repository(tmp_path / "first")
    _repository(tmp_path / "around")
    add = ("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../first", folder)
    _run("git", *add, directory=tmp_path / "around")
    root, history = tmp_path / "around" / folder, tmp_path / "around/.git/modules" / folder
    written = dict(line.split("=", 1) for line in initialize(root, "", uid=0).splitlines())

    assert written["GIT_HISTORY"] == str(history)
    inside = written["GIT_HISTORY_INSIDE"]
    source, target = written["GIT_SUBMODULE"].split(":")
    assert (root / source).read_text() == f"gitdir: {inside}\n"
    assert target == "/app/.git"
    place = root / Path(inside).relative_to("/app")
    assert place.is_dir()
    worktree = _run("git", "config", "core.worktree", directory=root).strip()
    assert Path(os.path.normpath(place / worktree)).readlink() == Path("/app")


def test_a_web_of_dev_up_is_removed_because_the_editor_would_open_it_as_it_is(tmp_path):
    files = {"plain": "/x/docker-compose.yml", "editors": "/x/.devcontainer/docker-compose.yml"}
    docker = tmp_path / "programs" / "docker"
    docker.parent.mkdir()
    docker.write_text(
        "#!/bin/sh\ncase $1 in ps) echo plain editors;;\n"
        f"rm) echo $3 >>'{tmp_path}/removed';;\n"
        f"inspect) [ $4 = plain ] && echo {files['plain']} || echo {files['editors']};;\nesac\n"
    )
    docker.chmod(0o755)
    initialize(tmp_path, "", uid=0)
    assert (tmp_path / "removed").read_text() == "plain\n"


def _repository(root: Path) -> None:
    who = ("-c", "user.name=Test", "-c", "user.email=test@localhost")
    _run("git", "init", "--quiet", str(root), directory=root.parent)
    commit = ("commit", "--quiet", "--allow-empty", "--message", "Begin")
    _run("git", *who, *commit, directory=root)


def initialize(directory: Path, before: str, uid: int) -> str:
    """Run the script in a checkout with this .env, as this user; return the new .env."""
    (directory / ".devcontainer").mkdir(exist_ok=True)
    script = directory / ".devcontainer" / "initialize"
    shutil.copy(CHECKOUT / ".devcontainer" / "initialize", script)
    (directory / ".env").write_text(before)
    programs = directory / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "id").write_text(f"#!/bin/sh\necho {uid}\n")
    (programs / "id").chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    subprocess.run(["sh", script], check=True, env={**os.environ, "PATH": path})
    return (directory / ".env").read_text()

"""Remedies that are shell commands: make the fault, type what the message says, and it is gone."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import tempfile
from pathlib import Path

import pytest
from faults import Fault, program, remedied, repository, run
from front_door import ROOT, Workspace

from devtools import identity


def of_another_owner(workspace: Workspace) -> None:
    repository(workspace)
    # What git does with a checkout of another user: https://git-scm.com/docs/git-config#safe.directory
    workspace.variables |= {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1", "HOME": str(workspace.root)}


def another_hook(workspace: Workspace) -> None:
    repository(workspace)
    workspace.write(".git/hooks/pre-commit", "#!/bin/sh\nexit 0\n", mode=0o755)


def missing_extension(workspace: Workspace) -> None:
    workspace.write(".vscode/extensions.json", '{"recommendations": ["a.b"]}')
    program(
        workspace,
        "code",
        '[ "$1" != --install-extension ] || echo "$2" >> extensions\n'
        "cat extensions 2>/dev/null || true",
    )


def data_of_a_deleted_checkout(workspace: Workspace) -> None:
    path = identity.outside(f"test-{os.getpid()}")
    path.mkdir()
    record = {"id": "test", "root": "/gone", "copied_from": "", "inode": 1}
    (path / identity.FILE).write_text(json.dumps(record))


FAULTS = {
    "line endings": Fault(
        lambda here: here.write("backend/bin/web", "#!/bin/sh\r\nexit\r\n", mode=0o755),
        "--engine compose up",
        "backend/bin/web has Windows line endings",
        "./dev doctor --fix line-endings",
    ),
    "unreadable": Fault(
        lambda here: here.write("init-scripts/postgres/01.sql", "SELECT 1;", mode=0o600),
        "--engine compose up",
        "init-scripts is not readable by other users",
        "chmod -R o+rX init-scripts",
    ),
    "not executable": Fault(
        lambda here: here.write("backend/bin/web", "#!/bin/sh\n", mode=0o644),
        "doctor permissions",
        "backend/bin/web is not executable",
        "chmod +x backend/bin/web",
    ),
    "venv without its Python": Fault(
        lambda here: here.write(".venv/installed", "some state"),
        "doctor python",
        "the Python of .venv does not start",
        "rm -r .venv",
    ),
    "data of a deleted checkout": Fault(
        data_of_a_deleted_checkout,
        "--engine embedded doctor orphans",
        "the database of a checkout that is no longer in /gone",
        f"rm -r {identity.outside(f'test-{os.getpid()}')}",
    ),
    "end of .env": Fault(
        lambda here: here.write(".env", "A=1"),
        "doctor environment-file",
        ".env does not end with a newline",
        "echo >> .env",
    ),
    ".env is no file": Fault(
        lambda here: (here.root / ".env").mkdir(),
        "--engine compose up",
        ".env cannot be read",
        "mv .env .env.old",
    ),
    ".env is no text": Fault(
        lambda here: here.write(".env", b"WEB_PORT=\xff\n"),
        "--engine compose up",
        ".env, line 1: not UTF-8 text",
        "cp .env.example .env",
    ),
    "secrets exist": Fault(
        lambda here: here.write(".env.production", "SECRET_KEY=old\n"),
        "secrets --domain shop.example",
        ".env.production exists",
        "mv .env.production .env.production.old",
    ),
    "no repository": Fault(
        lambda here: None,
        "lint --install",
        "the hooks cannot be installed",
        "git init",
    ),
    "repository of another owner": Fault(
        of_another_owner,
        "lint --install",
        "git trusts no checkout of another user",
        "git config --global --add safe.directory '{root}'",
    ),
    "another hook": Fault(
        another_hook,
        "lint --install",
        ".git/hooks/pre-commit is another hook",
        "rm '{root}/.git/hooks/pre-commit'",
    ),
    "another hook that is kept": Fault(
        another_hook,
        "lint --install",
        ".git/hooks/pre-commit is another hook",
        "call `./dev lint --staged` in it",
        typed="echo 'exec ./dev lint --staged' > .git/hooks/pre-commit",
    ),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_what_the_message_says_removes_the_fault(workspace, fake_docker, fault):
    fake_docker("echo 'no daemon' >&2; exit 1")
    for name in (".env.example", "docker-compose.prod.yml"):
        shutil.copy(ROOT / name, workspace.root)
    workspace.write("docker-compose.yml", "services: {}\n")
    remedied(workspace, fault)


def test_files_of_root_are_given_back():
    if os.getuid() != 0:
        pytest.skip("only root can make files that another user cannot change")
    user = "65534"
    as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:  # every user can enter it
        Path(directory).chmod(0o755)
        workspace = Workspace.copied_to(Path(directory) / "a checkout")
        run(workspace, f"chown -R {user}:{user} .")
        workspace.write("made by root", "")
        workspace.variables |= {"PATH": "/usr/bin:/bin", "HOME": directory}

        def doctor() -> str:
            command = [*as_user, "./dev", "doctor", "ownership"]
            return run(workspace, f"{shlex.join(command)} || true")

        assert "you do not own made by root" in doctor()
        (remedy,) = re.findall("-> (sudo chown .+)", doctor())
        program(workspace, "sudo", 'exec "$@"')
        program(workspace, "id", f"echo {user}")  # as the user's shell says
        run(workspace, remedy)
        assert "you own every file" in doctor()

"""Remedies that are shell commands: make the fault, type what the message says, and it is gone."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from front_door import ROOT, Workspace

OF_GIT = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.com",
}


@dataclass(frozen=True)
class Fault:
    """How to `make` a fault, the arguments of ./dev that report it, and the text and remedy."""

    make: Callable[[Workspace], object]
    arguments: str
    text: str
    remedy: str


def repository(workspace: Workspace) -> None:
    workspace.variables |= OF_GIT
    run(workspace, "git init --quiet && git add . && git commit --quiet --message=All")


def of_another_owner(workspace: Workspace) -> None:
    repository(workspace)
    # What git does with a checkout of another user: https://git-scm.com/docs/git-config#safe.directory
    workspace.variables |= {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1", "HOME": str(workspace.root)}


def another_hook(workspace: Workspace) -> None:
    repository(workspace)
    workspace.write(".git/hooks/pre-commit", "#!/bin/sh\nexit 0\n", mode=0o755)


def run(workspace: Workspace, command: str) -> None:
    ended = subprocess.run(
        ["sh", "-c", command],
        cwd=workspace.root,
        env=workspace.variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


FAULTS = {
    "line endings": Fault(
        lambda here: here.write("backend/bin/web", "#!/bin/sh\r\nexit\r\n", mode=0o755),
        "--engine compose up",
        "backend/bin/web has Windows line endings",
        r"sed -i 's/\r$//' backend/bin/web",
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
        "the commit hook cannot be installed",
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
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_what_the_message_says_removes_the_fault(workspace, fake_docker, fault):
    fake_docker("echo 'no daemon' >&2; exit 1")
    shutil.copy(ROOT / ".env.example", workspace.root)
    workspace.write("docker-compose.yml", "services: {}\n")
    fault.make(workspace)
    remedy = fault.remedy.format(root=workspace.root)
    before = said(workspace, fault.arguments)
    assert fault.text in before
    assert remedy in before

    run(workspace, remedy)

    assert fault.text not in said(workspace, fault.arguments)


def said(workspace: Workspace, arguments: str) -> str:
    done = workspace.dev(*arguments.split())
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr

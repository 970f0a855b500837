"""Faults, and what their messages tell to do about them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from front_door import Workspace

_OF_GIT = {
    "GIT_AUTHOR_NAME": "A",
    "GIT_AUTHOR_EMAIL": "a@example.com",
    "GIT_COMMITTER_NAME": "A",
    "GIT_COMMITTER_EMAIL": "a@example.com",
}


@dataclass(frozen=True)
class Fault:
    """How to `make` a fault, the arguments of ./dev that report it, and the text and remedy.

    `typed` is what a person types if the remedy is no command.
    """

    make: Callable[[Workspace], object]
    arguments: str
    text: str
    remedy: str
    typed: str = ""


def remedied(workspace: Workspace, fault: Fault) -> None:
    """Make the fault, do what its message says, and check that it is gone."""
    fault.make(workspace)
    remedy = fault.remedy.format(root=workspace.root)
    before = said(workspace, fault.arguments)
    assert fault.text in before, before
    assert remedy in before, before

    run(workspace, fault.typed or remedy)

    after = said(workspace, fault.arguments)
    assert fault.text not in after, after


def said(workspace: Workspace, arguments: str) -> str:
    """What ./dev prints."""
    done = workspace.dev(*arguments.split())
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def run(workspace: Workspace, command: str) -> str:
    """Run a command of a shell, which must succeed; return its output."""
    ended = subprocess.run(
        ["sh", "-c", command],
        cwd=workspace.root,
        env=workspace.variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def program(workspace: Workspace, name: str, script: str) -> None:
    """Put a program first on PATH."""
    path = workspace.write(f"programs/{name}", f"#!/bin/sh\n{script}\n", mode=0o755)
    workspace.variables["PATH"] = f"{path.parent}:{workspace.variables['PATH']}"


def repository(workspace: Workspace) -> None:
    """Make the checkout a git repository with one commit."""
    workspace.variables |= _OF_GIT
    run(workspace, "git init --quiet && git add . && git commit --quiet --message=All")


def without(name: str) -> Callable[[Workspace], None]:
    """Delete a committed file, for git too."""

    def make(workspace: Workspace) -> None:
        run(workspace, f"git rm --quiet '{name}'")

    return make


def with_line(name: str, line: str) -> Callable[[Workspace], None]:
    """Append a line to a committed file, and stage it."""

    def make(workspace: Workspace) -> None:
        with (workspace.root / name).open("a") as file:
            file.write(f"{line}\n")
        run(workspace, f"git add '{name}'")

    return make

"""Runs every command of each page, in the page's order, exactly as written."""

from __future__ import annotations

import re
import subprocess

import pytest
from documentation import CHECKOUT, blocks, pages

# Commands that need special treatment without a user.
ENDLESS = {"./dev logs -f web worker"}  # stopped after the first line
ASKS_FIRST = {"./dev clean"}  # fails without a terminal to ask on
# CI runs all tests and all checks as separate steps; here it is enough that the command runs some.
SHORTENED = {"./dev test": "./dev test -k health", "./dev lint": "./dev lint ruff-check"}
# They take seconds and do the same after any page: one page is enough.
ONCE = {
    *("./dev doctor", "./dev env", "./dev parity", "./dev test -k health"),
    *("./dev manage seed_demo", "./dev makemigrations", "./dev serve runserver"),
    *("./dev env --check", "./dev reference", "./dev manage check", "./dev restart worker"),
}

# Its commands run inside the dev container; test_debugging.py runs them there.
ELSEWHERE = {"debug.md"}

# The name of the tenant in the pages of a product with a single one. The stack has the sample's.
SINGLE = re.search(r"\$\{SINGLE_TENANT-(\w*)\}", (CHECKOUT / "docker-compose.yml").read_text())[1]

WITH_COMMANDS = [
    page
    for page in pages()
    if page.name not in ELSEWHERE
    and any(not block.shown_only for block in blocks(page.read_text()))
]


@pytest.fixture
def repository(running):
    """The stack's checkout as a git repository, because `./dev lint` asks git for the files."""
    if not (running.checkout / ".git").exists():
        running.run("git", "init", "--quiet")
        running.run("git", "add", "--all")
    return running


@pytest.fixture(scope="module")
def done() -> set[str]:
    """The commands of ONCE that a page before has run."""
    return set()


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.name)
def test_every_command_of_the_page_runs(page, repository, done):
    port = repository.url().rpartition(":")[2].strip("/")
    for block in blocks(page.read_text()):
        for command in () if block.shown_only else block.commands:
            if command in ENDLESS:
                first_line_of(repository, command)
                continue
            here = SHORTENED.get(command, command).replace("localhost:8000", f"127.0.0.1:{port}")
            if SINGLE:
                here = re.sub(rf"(?<=[ @]){SINGLE}\b", "test1", here)
            if here in done:
                continue
            done |= ONCE & {here}
            ended = repository.run("bash", "-c", here, check=False, timeout=900)
            wanted = 1 if command in ASKS_FIRST else 0
            said = ended.stdout + ended.stderr
            assert ended.returncode == wanted, f"{command} ended {ended.returncode}\n{said}"
            assert "Traceback" not in said, command


def first_line_of(stack, command: str) -> None:
    with subprocess.Popen(
        ["bash", "-c", f"exec {command}"],
        cwd=stack.checkout,
        env=stack.environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline(), command
        process.terminate()

"""Every command that the README shows is run, in the README's order, as it stands there."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text()

# What a command needs to be run without a person: what stands in for what they would type.
ENDLESS = {"./dev logs -f web worker"}  # ended after its first line
ASKS_FIRST = {"./dev clean"}  # refuses to go on where nobody can answer


def commands(text: str) -> list[str]:
    """Return the commands of all console blocks, without their comments."""
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.M | re.S)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def mentioned(text: str) -> set[str]:
    """Return the NAME of every `./dev NAME`, in the text and in the blocks."""
    return set(
        re.findall(
            r"\./dev ([a-z]+)", "\n".join([*commands(text), *re.findall(r"`[^`\n]+`", text)])
        )
    )


@pytest.fixture
def repository(running):
    """The stack's checkout as a git repository, as a clone is; `./dev lint` asks git for files."""
    if not (running.checkout / ".git").exists():
        running.run("git", "init", "--quiet")
        running.run("git", "add", "--all")
    return running


def test_the_readme_shows_commands():
    assert {"./dev up", "./dev test", "./dev down"} <= set(commands(README))


def test_every_command_of_the_readme_runs(repository):
    port = repository.url().rpartition(":")[2].strip("/")
    for command in commands(README):
        if command in ENDLESS:
            first_line_of(repository, command)
            continue
        words = shlex.split(command.replace("localhost:8000", f"127.0.0.1:{port}"))
        ended = repository.run(*words, check=False, timeout=600)
        wanted = 1 if command in ASKS_FIRST else 0
        said = ended.stdout + ended.stderr
        assert ended.returncode == wanted, f"{command} ended {ended.returncode}\n{said}"
        assert "Traceback" not in said, command


def first_line_of(stack, command: str) -> None:
    with subprocess.Popen(
        shlex.split(command),
        cwd=stack.checkout,
        env=stack.environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline(), command
        process.terminate()


def test_every_command_that_is_named_exists(running):
    known = running.dev("--help").stdout
    for name in mentioned(README):
        assert re.search(rf"^  {name} ", known, re.M), name


def test_everything_the_readme_links_to_exists():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (Path(__file__).parents[2] / target).exists(), target

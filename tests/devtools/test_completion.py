"""The shells complete commands, options and names, and `./dev` suggests corrections."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import subprocess
import time

import pytest
from front_door import ROOT, Workspace

from devtools import completion
from devtools.commands import COMMANDS, GROUPS
from devtools.commands.parsers import parse

COMPOSE = """\
services:
  # a comment
  db:
    image: postgres
  web:
    depends_on:
      db:
  worker: {}

volumes:
  data:
"""


def _words(workspace: Workspace, *words: str) -> list[str]:
    done = workspace.dev("completion", "words", *words)
    assert done.returncode == 0, done.stderr
    return [line.split("\t")[0] for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["stat"], ["status"]),
        (["--engine", "em"], ["embedded"]),
        (["--engine", "compose", "stat"], ["status"]),
        (["--engine=em"], ["--engine=embedded"]),
        (["up", "--time"], ["--timeout"]),
        (["up", "--build", "--b"], []),
        (["serve", ""], ["runserver", "gunicorn", "asgi"]),
        (["serve", "runserver", ""], []),
        (["logs", "-f", "w"], ["web", "worker"]),
        (["logs", "--tail", "5", "db", "w"], ["web", "worker"]),
        (["logs", "--engine", "=", "com"], ["compose"]),
        (["snapshot", "restore", ""], ["before", "previous"]),
        (["doctor", "mem"], ["memory"]),
        (["help", "snap"], ["snapshot"]),
        (["manage", "mig"], []),
        (["nonsuch", ""], []),
        (["completion", "z"], ["zsh"]),
    ],
)
def test_completions(workspace, typed, offered):
    workspace.write("docker-compose.yml", COMPOSE)
    workspace.write(".dev/snapshots.json", '{"names": ["before", "previous"]}')
    assert _words(workspace, *typed) == offered


def test_every_command_can_be_completed(workspace):
    assert set(_words(workspace, "")) == {*COMMANDS, "help"}


def test_services_are_read_as_compose_reads_them():
    assert {"db", "redis", "web", "worker"} <= set(completion.services())


# The shells themselves


@pytest.fixture(params=completion.SCRIPTS)
def shell(request) -> str:
    if not shutil.which(request.param):
        pytest.skip(f"{request.param} is not installed here")
    return request.param


def _type(workspace: Workspace, command: list[str], *lines: bytes) -> str:
    """The output of a shell on a terminal when `lines` are typed into it."""
    process, terminal = pty.fork()
    if not process:
        os.chdir(workspace.root)
        variables = {**workspace.variables, "TERM": "xterm", "PS1": "$ ", "PROMPT": "$ "}
        os.execvpe(command[0], command, variables)
    written = b""

    def read(until: bytes) -> None:
        nonlocal written
        began, end = len(written), time.monotonic() + 60
        while until not in written[began:]:
            assert time.monotonic() < end, written.decode(errors="replace")
            if select.select([terminal], [], [], 1)[0]:
                written += os.read(terminal, 65536)

    try:
        read(b"$ ")
        for line in lines:
            # Printed when the shell has run the line: the sum does not occur in the input.
            os.write(terminal, line + b"\n")
            os.write(terminal, b"echo do$((0))ne\n")
            read(b"do0ne")
    finally:
        os.close(terminal)
        os.waitpid(process, 0)
    return written.decode(errors="replace")


@pytest.mark.parametrize(
    ("command", "set_up"),
    [
        ("bash --norc --noprofile -i", ""),
        ("zsh -f -i", "autoload -U compinit; compinit -u -D; "),
    ],
)
def test_a_shell_completes_what_is_typed(workspace, command, set_up):
    name, *options = command.split()
    if not shutil.which(name):
        pytest.skip(f"{name} is not installed here")
    source = f"{set_up}source <(./dev completion {name})".encode()
    said = _type(workspace, [name, *options], source, b"./dev hel\tserv\t")
    assert "usage: ./dev serve" in said


def test_fish_completes_what_is_typed(workspace):
    if not shutil.which("fish"):
        pytest.skip("fish is not installed here")
    asked = "./dev completion fish | source; complete -C './dev help serv'"
    done = subprocess.run(
        ["fish", "--no-config", "-c", asked],
        cwd=workspace.root,
        env=workspace.variables,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split("\t")[0] == "serve", done.stderr


def test_the_shell_can_read_its_script(workspace, shell):
    script = workspace.write("script", workspace.dev("completion", shell).stdout)
    done = subprocess.run([shell, "-n", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_another_projects_dev_is_not_run(tmp_path, shell):
    """TAB must not run another project's `dev`."""
    (tmp_path / "dev").write_text("#!/bin/sh\ntouch ran\n")
    (tmp_path / "dev").chmod(0o755)
    source = f"{shlex.quote(str(ROOT / 'dev'))} completion {shell}"
    asked = {
        "bash": f"source <({source}); COMP_WORDS=(./dev s); COMP_CWORD=1; _dev_completion",
        "zsh": f"compdef() {{ }}; source <({source}); words=(./dev s); CURRENT=2; _dev_completion",
        "fish": f"{source} | source; complete -C './dev s'",
    }[shell]
    subprocess.run([shell, "-c", asked], cwd=tmp_path, capture_output=True)
    assert not (tmp_path / "ran").exists()


# Suggestions


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["up", "--bild"], "did you mean --build?"),
        (["serve", "runservr"], "did you mean runserver?"),
        (["test", "--stak"], "did you mean --stack?"),
        (["test", "--worksapce", "-x"], "did you mean --workspace?"),
        (["snapshot", "resore", "x"], "did you mean restore?"),
        (["--engine", "embeded", "status"], "did you mean embedded?"),
        (["doctor", "prots"], "did you mean ports?"),
        (["completion", "bsh"], "did you mean bash?"),
    ],
)
def test_the_most_similar_word_is_suggested(workspace, typed, meant):
    done = workspace.dev(*typed)
    assert done.returncode == 2
    assert meant in done.stderr


def test_an_option_unlike_those_of_dev_is_passed_on():
    command = COMMANDS["test"]
    for option in ("--stepwise", "--last-failed", "-x", "--maxfail=1", "--pdb"):
        assert parse(command, [option])[1] == [option]
    # And any words after --.
    assert parse(command, ["--", "--stak"])[1] == ["--stak"]


def test_each_example_of_the_overview_can_be_typed():
    assert set(GROUPS) == {command.group for command in COMMANDS.values()}
    for example in (example for examples in GROUPS.values() for example in examples):
        front_door, name, *rest = shlex.split(example)
        assert front_door == "./dev"
        if name == "help":
            assert rest[0] in COMMANDS
        else:
            parse(COMMANDS[name], rest)

"""A dev container of `devcontainer up`, and an editor's debugger in it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO, Any

import launch
from running_stack import CHECKOUT, Stack, copy_checkout, eventually, free_ports
from web_client import Answer

from devtools.debug_client import Direct, Editor

sys.path.insert(0, str(CHECKOUT))

from devtools import devcontainer_cli
from devtools.checkout import Checkout
from devtools.terminal import Terminal

FOLDER = "/app"
# A label in the override file of the clone, which must stay in force.
MINE = "homeport.test.mine"


@dataclass
class Workspace(Stack):
    """A running dev container with its services. Commands run as the user who opened it."""

    home: Path = Path("/nowhere")

    @property
    def uid(self) -> int:
        return self.account.get("user", os.getuid())

    def environment(self) -> dict[str, str]:
        path = f"{self.home / 'programs'}:{os.environ['PATH']}"
        return {**super().environment(), "HOME": str(self.home), "PATH": path}

    def devcontainer(self, command: str, *arguments: str, **options: Any):
        """Run `devcontainer COMMAND --workspace-folder . ARGUMENTS`."""
        return self.run("devcontainer", command, "--workspace-folder", ".", *arguments, **options)

    def inside(self, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command in the workspace folder, like its terminal."""
        return self.compose("exec", "-T", "--workdir", FOLDER, "web", *command, **options)

    def task(self, label: str) -> subprocess.CompletedProcess[str]:
        """Run a task of tasks.json."""
        return self.inside("bash", "-c", launch.task(label))

    def editor(self, name: str) -> Editor:
        """An editor in the dev container that starts an entry of launch.json, after its task."""
        (editor,) = self.editors(name)
        return editor

    def editors(self, name: str) -> list[Editor]:
        """The same for each configuration of a compound."""
        commands, configurations = launch.entry(name)
        for command in commands:
            self.inside("bash", "-c", command)
        container = self.containers("web")["web"]
        variables = dict(line.partition("=")[::2] for line in self.inside("env").stdout.split("\n"))
        return [
            Editor(one, FOLDER, lambda host, port: Inside(container, host, port), variables)
            for one in configurations
        ]

    @contextlib.contextmanager
    def launched(self, name: str, **values: str) -> Iterator[Editor]:
        """An editor that starts a program with a configuration of launch.json and waits for it.

        VS Code starts it in a terminal, with the same debugger. `values` replace ${NAME}.
        """
        (configuration,) = launch.entry(name).configurations
        own = ("program", "module", "args", "cwd", "console")
        program = {key: configuration.pop(key, "") for key in own}
        args = program["args"]
        what = ["-m", program["module"]] if program["module"] else [program["program"]]
        words = [*what, *(args if isinstance(args, list) else args.split())]
        directory = program["cwd"] or FOLDER
        for key, value in {"workspaceFolder": FOLDER, **values}.items():
            words = [word.replace(f"${{{key}}}", value) for word in words]
            directory = directory.replace(f"${{{key}}}", value)
        where = {"host": "127.0.0.1", "port": 5690}
        container = self.containers("web")["web"]
        options = ("--listen", f"{where['host']}:{where['port']}", "--wait-for-client")
        debugger = ("python", f"{FOLDER}/backend/development/debugger.py")
        started = ["docker", "exec", "--workdir", directory, container, *debugger]
        with subprocess.Popen(
            [*started, *options, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            eventually(lambda: self.listens(where["port"]), within=180)
            with Editor(
                {**configuration, "request": "attach", "connect": where},
                FOLDER,
                lambda host, port: Inside(container, host, port),
            ) as editor:
                yield editor
            output = process.communicate(timeout=300)[0]
            assert process.returncode == 0, output

    def listens(self, port: int) -> bool:
        """Whether a port of the dev container is open, without a connection to debugpy."""
        line = f":{port:04X} 00000000:0000 0A"
        return not self.inside("grep", "--quiet", line, "/proc/net/tcp", check=False).returncode

    def remove(self) -> None:
        """Remove containers, volumes, images and files."""
        # Built from the stack's image for this folder and this user.
        image = self.run(
            "docker",
            "inspect",
            "--format",
            "{{.Config.Image}}",
            *self.containers("web").values(),
            check=False,
        )
        self.compose("down", "--volumes", "--remove-orphans", "--rmi", "local", check=False)
        self.dev("clean", "--yes", check=False)
        self.run("docker", "image", "rm", *image.stdout.split(), check=False)
        shutil.rmtree(self.home.parent)


def outside_editors(stack: Stack, name: str) -> list[Editor]:
    """Editors on this machine that start an entry of launch.json, after its task.

    They use the ports that docker-compose.debug.yml publishes. The configurations have the default
    ports; the test's stack uses others.
    """
    moved = {
        5678: int(stack.ports["WEB_DEBUG_PORT"]),
        5679: int(stack.ports["WORKER_DEBUG_PORT"]),
    }
    commands, configurations = launch.entry(name)
    for command in commands:
        stack.run("bash", "-c", command)
    return [
        Editor(one, str(stack.checkout), lambda host, port: Direct(host, moved[port]))
        for one in configurations
    ]


@contextlib.contextmanager
def opened(uid: int | None = None, env: str = "") -> Iterator[Workspace]:
    """A separate clone with its dev container started; as another user if the tests run as root.

    Args:
        uid: that user's id; it needs no account.
        env: the initial contents of .env.

    Raises DevError with install instructions if the reference CLI cannot run.
    """
    program = devcontainer_cli.ensure(Checkout(CHECKOUT), Terminal())
    # Not below pytest's directory, which other users cannot enter.
    base = Path(tempfile.mkdtemp(prefix="homeport-workspace-"))
    base.chmod(0o755)
    account = other_account(uid) if uid is not None and os.getuid() == 0 else {}
    checkout = base / "home port"
    checkout.mkdir()
    copy_checkout(checkout)
    (checkout / ".env").write_text(env)
    override = checkout / "docker-compose.override.yml"
    override.write_text(f"services: {{web: {{labels: [{MINE}]}}}}\n")
    home = base / "home"
    shutil.copytree(program.parents[2], home / "cli", symlinks=True)
    (home / "programs").mkdir()
    (home / "programs" / "devcontainer").symlink_to(home / "cli/node_modules/.bin/devcontainer")
    if account:
        _name_of_nobody(home / "programs" / "id", uid)
    workspace = Workspace(
        checkout,
        f"homeport-workspace-{os.getpid()}-{uid or os.getuid()}",
        free_ports(*port_variables()),
        account=account,
        home=home,
    )
    if account:
        subprocess.run(["chown", "-R", f"{uid}:{uid}", base], check=True)
    workspace.run("git", "init", "--quiet")
    workspace.run("git", "add", "--all")
    try:
        workspace.first_up = workspace.devcontainer("up", timeout=900)
        yield workspace
    finally:
        workspace.remove()


def _name_of_nobody(program: Path, uid: int) -> None:
    """Fake the account that this machine may lack: the CLI asks for its name."""
    program.write_text(
        f'#!/bin/sh\n[ "$*" != "-u -n" ] || exec echo user{uid}\nexec {shutil.which("id")} "$@"\n'
    )
    program.chmod(0o755)


def other_account(uid: int) -> dict[str, Any]:
    """A user with this id and access to the Docker daemon, as arguments for subprocess."""
    daemon = Path("/var/run/docker.sock").stat().st_gid
    return {"user": uid, "group": uid, "extra_groups": [daemon], "umask": 0o022}


def port_variables() -> list[str]:
    """Every variable of the Compose files that sets a port on this machine."""
    text = "".join(path.read_text() for path in CHECKOUT.glob("docker-compose*.yml"))
    return sorted(set(re.findall(r"\$\{(\w+_PORT):", text)))


def last_json(output: str) -> dict[str, Any]:
    """Return the last line, the CLI's output for programs."""
    return json.loads(output.strip().splitlines()[-1])


def in_background(work, *arguments: Any) -> Future:
    """Run the work in a daemon thread."""
    future: Future = Future()

    def run() -> None:
        try:
            future.set_result(work(*arguments))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future


def asked(stack: Stack, path: str) -> Future[Answer]:
    """Request a page from web that a breakpoint may hold."""
    return in_background(lambda: stack.get(path, timeout=120))


class Inside:
    """A connection from inside a container, where the editor of a dev container runs."""

    def __init__(self, container: str, host: str, port: int) -> None:
        self._process = subprocess.Popen(
            ["docker", "exec", "-i", container, "python", "-c", RELAY, host, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.reader: IO[bytes] = self._process.stdout
        self.writer: IO[bytes] = self._process.stdin

    def cut(self) -> None:
        # The relay gets the end of its input, and exits.
        with contextlib.suppress(OSError, ValueError):
            self.writer.close()

    def close(self) -> None:
        self.cut()
        self.reader.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


RELAY = """
import os, socket, sys, threading
port = socket.create_connection((sys.argv[1], int(sys.argv[2])))
def down():
    with open(1, "wb", 0) as out:
        while data := port.recv(65536):
            out.write(data)
    os._exit(0)
threading.Thread(target=down, daemon=True).start()
while data := os.read(0, 65536):
    port.sendall(data)
"""

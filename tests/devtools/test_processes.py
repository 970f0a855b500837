"""What is known of other processes: by /proc, and on macOS by `ps` and `lsof`.

The macOS answers are written after the manual pages, in the format of a Mac; no Mac ran them here.
Where `lsof` and `ps` of this machine can give the answer, they are asked, too.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools import ports, processes

# PID, field letter before each: `lsof -F p` prints the file's descriptor, too.
LSOF_LISTEN = "p501\nf12\n"
LSOF_CWD = "p501\nfcwd\nn/private/tmp/home port/.dev/data/db\n"
PS_COMMAND = """
    1 /sbin/launchd
  501 /opt/homebrew/bin/postgres -D data DEV_CHECKOUT=/Users/ann/home port DEV_SERVICE=db HOME=/
  502 python bin/web DEV_CHECKOUT=/Users/ann/home port DEV_SERVICE=web
  503 python bin/web DEV_CHECKOUT=/Users/ann/home port 2 DEV_SERVICE=web
"""
PARENTS = {501: 500, 500: 1, 1: 0}


@pytest.fixture
def mac(tmp_path, monkeypatch) -> Path:
    """Answer like a Mac: without /proc, by programs that print what was recorded."""
    parents = " ".join(f"{child}) echo {parent};;" for child, parent in PARENTS.items())
    _program(
        tmp_path / "lsof",
        f'case "$*" in\n'
        f"  '-nP -iTCP:5432 -sTCP:LISTEN -F p') printf '{LSOF_LISTEN}';;\n"
        f"  '-nP -iTCP:5432 -sTCP:ESTABLISHED -F p') printf 'p501\\nf14\\np77\\nf3\\n';;\n"
        f"  '-a -p 501 -d cwd -F n') printf '{LSOF_CWD}';;\n"
        "  *) exit 1;;\nesac",
    )
    (tmp_path / "listing").write_text(PS_COMMAND)
    _program(
        tmp_path / "ps",
        f'case "$*" in\n'
        f"  '-axEww -o pid=,command=') cat '{tmp_path}/listing';;\n"
        f"  *ppid=) case $2 in {parents} esac;;\n"
        "  '-p 501 -o comm=') echo /opt/homebrew/bin/postgres;;\n"
        "  '-p 501 -o rss=') echo '  2048';;\n"
        "  *) exit 1;;\nesac",
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(processes, "PROC", tmp_path / "none")
    return tmp_path


def _program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_a_mac_tells_who_uses_a_port(mac, monkeypatch):
    monkeypatch.setattr(ports, "is_free", lambda *_: False)
    assert ports.holder(5432) == "postgres (process 501)"
    assert ports.held_by(500, 5432)
    assert not ports.held_by(499, 5432)
    assert ports.listens(5432)
    assert ports.connected(5432)
    assert not ports.held_by(500, 5433)
    assert not ports.connected(5433)


def test_a_mac_tells_which_processes_a_checkout_started(mac):
    mark = {"DEV_CHECKOUT": "/Users/ann/home port"}
    assert processes.marked({**mark, "DEV_SERVICE": "db"}) == [501]
    assert processes.marked({**mark, "DEV_SERVICE": "web"}) == [502]
    assert processes.directory(501) == Path("/private/tmp/home port/.dev/data/db")
    assert processes.directory(502) is None
    assert processes.memory(501) == 2 << 20


def test_without_proc_and_lsof_nothing_is_guessed(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "PROC", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert processes.listening(5432) is None
    assert processes.listens(5432) is None
    assert processes.connected(5432) is None
    assert processes.directory(os.getpid()) is None
    monkeypatch.setattr(ports, "is_free", lambda *_: False)
    assert ports.holder(5432) == "another program"


@pytest.fixture
def server() -> Iterator[tuple[int, int]]:
    """A listening process with a connection: its id and its port."""
    script = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', 0));"
        "print(s.getsockname()[1], flush=True); c = s.accept(); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd="/usr", text=True, **pipes) as child:
        port = int(child.stdout.readline())
        with socket.create_connection(("127.0.0.1", port)):
            yield child.pid, port
            child.stdin.close()


@pytest.mark.parametrize("by", ["proc", "programs"])
def test_this_machine_tells_the_same_by_proc_and_by_programs(server, by, tmp_path, monkeypatch):
    if by == "programs":
        if not (shutil.which("lsof") and shutil.which("ps")):
            pytest.skip("this machine has no lsof or ps")
        monkeypatch.setattr(processes, "PROC", tmp_path)
    process, port = server
    assert processes.listening(port) == [process]
    assert processes.listens(port)
    assert processes.connected(port)
    assert processes.name(process).startswith("python")
    assert list(processes.ancestry(process))[:2] == [process, os.getpid()]
    assert processes.directory(process) == Path("/usr")
    assert processes.memory(process) > 1 << 20
    assert {process, os.getpid()} <= processes.with_descendants([os.getpid()])
    assert processes.with_descendants([process]) == {process}

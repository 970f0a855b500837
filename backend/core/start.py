"""Become one of this project's processes: bin/web, bin/worker and bin/release start here.

    python -m core.start web [FD]   # the server that SERVER names, on the socket FD or WEB_BIND
    python -m core.start worker
    python -m core.start release
    python -m core.start process RELOAD ARGUMENT...   # `python ARGUMENT...`, as the others run

The Python that reads the contract is the one that goes on: each further one would cost a start its
imports again. Only a debugger takes another, because it needs options of the interpreter.
"""

from __future__ import annotations

import importlib
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from core import garbage

# What web and worker load without settings, and what reads these.
LIBRARIES = (
    "botocore.session",
    "celery.app",
    "django.core.wsgi",
    "jwt",
    "psycopg",
    "redis",
    "structlog",
)


def web(socket: str = "") -> None:
    """Serve the socket behind the file descriptor `socket`, which outlives the server."""
    env = _own("RELOAD", "SERVER", "WEB_BIND")
    server, bind = env["SERVER"], env["WEB_BIND"]
    # Always: that is what it is for. Its own reloader is slower, and misses edits.
    reload = env["RELOAD"] or server == "runserver"
    listen = []
    if reload:
        listen = ["--listen", f"fd://{socket}" if socket else bind]
        socket = "{}"
    if server == "runserver":
        command = ["manage.py", "runserver", "--noreload", "--socket", socket, bind]
    else:
        application = "core.asgi" if server == "asgi" else "core.wsgi"
        command = ["-m", "gunicorn", application, *(["--bind", f"fd://{socket}"] if socket else [])]
    run(reload, [*listen, *command], LIBRARIES)


def worker() -> None:
    """Run Celery's worker."""
    env = _own("DEBUGPY_PORT", "RELOAD", "WORKER_CONCURRENCY")
    from core.liveness import heartbeat_file  # not at the top, for the reason of _own

    heartbeat_file().unlink(missing_ok=True)  # of a killed worker: this one is not ready yet
    command = ["--quiet", "--app", "core", "worker", "--without-gossip", "--without-mingle"]
    command += ["--concurrency", str(env["WORKER_CONCURRENCY"])]
    if env["DEBUGPY_PORT"]:
        # Threads, which need no other process than the debugged one. They know no time limits.
        command += ["--pool", "threads"]
    run(env["RELOAD"], ["-m", "celery", *command], LIBRARIES)


def release() -> None:
    """Bring the database up to this code."""
    become(["manage.py", "release"])


def process(reload: str, *arguments: str) -> None:
    """Run `arguments` of Python, restarted after each edit if `reload` is true."""
    run(reload == "true", list(arguments))


def run(reload: bool, arguments: list[str], libraries: Sequence[str] = ()) -> None:
    """Become `python ARGUMENT...`, restarted after edits or debugged where that is asked for.

    `libraries` are loaded while the store may still be filled, if this process will use them.
    """
    from core.env import wait_for_store  # not at the top, for the reason of _own

    env = _own("DEBUGPY_HOST", "DEBUGPY_PORT")
    for name in () if reload or env["DEBUGPY_PORT"] else libraries:
        importlib.import_module(name)
    wait_for_store()
    if reload:
        arguments = ["-m", "development.reload", *arguments]
    if env["DEBUGPY_PORT"]:
        _debug(f"{env['DEBUGPY_HOST']}:{env['DEBUGPY_PORT']}", arguments)
    become(arguments)


def become(arguments: list[str]) -> None:
    """Run what `python ARGUMENT...` would, a module or a file, in this process."""
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(str(Path(arguments[0]).resolve()), run_name="__main__")


def _debug(address: str, arguments: list[str]) -> NoReturn:
    # Else, on Python 3.12 and newer, one paused thread holds up all others.
    environment = {**os.environ, "PYDEVD_USE_SYS_MONITORING": "0"}
    # A debugger does not see into the frozen modules of Python 3.11 and newer. It is outermost, so
    # that it follows forked processes.
    options = ["-X", "frozen_modules=off", "development/debugger.py", "--listen", address]
    command = [sys.executable, *options, *arguments]
    os.execve(command[0], command, environment)  # noqa: S606  # a shell is not needed


def _own(*names: str) -> Mapping[str, Any]:
    # Not before packages are installed: it imports one.
    from core.env import environment_or_exit

    return environment_or_exit(*names)


def main(arguments: list[str]) -> None:
    """Become the process that the first argument names."""
    garbage.look_seldom()
    # Production's image has no development/; RELOAD and DEBUGPY_PORT are refused there.
    if Path("development").is_dir():
        # By its name: core imports no application.
        importlib.import_module("development.packages").start()
    processes = {"web": web, "worker": worker, "release": release, "process": process}
    if not arguments or arguments[0] not in processes:
        sys.exit(__doc__)
    processes[arguments[0]](*arguments[1:])  # type: ignore[operator]


if __name__ == "__main__":
    main(sys.argv[1:])

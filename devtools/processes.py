"""The processes of this machine: their parents and environments, and the ports that they use.

Linux shows them in /proc, macOS by `ps` and `lsof`. This is the only file that asks either. What a
machine does not show is None, or an empty result, and no guess.

A supervised server runs it alone, with the standard library, to end its predecessor's orphans:
children that outlived it, and the debugger's adapter, which runs in a separate session and keeps
its port while an editor is connected.

    processes.py NAME=VALUE...

kills the processes with these variables in their environment.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

PROC = Path("/proc")

_TURN = 0.01  # seconds between two polls

# https://docs.kernel.org/networking/proc_net_tcp.html
_LISTENING, _ESTABLISHED = "0A", "01"
_STATES = {_LISTENING: "LISTEN", _ESTABLISHED: "ESTABLISHED"}


# The variables that identify the processes that a checkout started, even after their supervisor
# is gone, and the service that they belong to.
MARK = "DEV_CHECKOUT"
MARK_SERVICE = "DEV_SERVICE"


def marks(checkout: Path, service: str = "") -> dict[str, str]:
    """The marks of the processes of `checkout`, or of one `service`."""
    return {MARK: str(checkout), **({MARK_SERVICE: service} if service else {})}


def command_to_end(wanted: Mapping[str, str], python: Path) -> list[str]:
    """The command that does `end`, for a server that the supervisor restarts."""
    given = [f"{name}={value}" for name, value in wanted.items()]
    return [str(python), "-ISB", __file__, *given]


def end(wanted: Mapping[str, str]) -> None:
    """Kill all processes with the variables `wanted`, and wait until they are gone."""
    while found := marked(wanted):
        for number in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        time.sleep(_TURN)


def stop(wanted: Mapping[str, str], first: int, within: float) -> bool:
    """Send the signal `first` to the topmost processes with the variables `wanted`, and kill those
    that remain after `within` seconds. Returns whether there were any."""
    found = marked(wanted)
    for number in found:
        # The topmost one stops the others: a signalled pool process would drop its task.
        if _parent(number) not in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, first)
    deadline = time.monotonic() + within
    while marked(wanted) and time.monotonic() < deadline:
        time.sleep(_TURN)
    end(wanted)
    return bool(found)


def marked(wanted: Mapping[str, str]) -> list[int]:
    """The processes with the variables `wanted` in their environment, except this one."""
    texts = [f"{name}={value}" for name, value in wanted.items()]
    found = _marked_in_proc(texts) if _in_proc() else _marked_by_ps(texts)
    return [number for number in found if number != os.getpid()]


def listening(port: int) -> list[int] | None:
    """This user's processes that listen on `port`; None if this machine does not tell."""
    if _in_proc():
        sockets = _sockets(port, _LISTENING, table())
        every = (int(path.name) for path in PROC.glob("[0-9]*")) if sockets else ()
        return [process for process in every if _has(process, sockets)]
    return _using(port, _LISTENING)


def listens_below(ancestor: int, port: int) -> bool | None:
    """Whether the process `ancestor`, or a descendant, listens on `port`; else as `listening`."""
    if not _in_proc():
        found = listening(port)
        return None if found is None else any(ancestor in ancestry(one) for one in found)
    # Most listen themselves, and the open files of all processes take long to read.
    sockets = _sockets(port, _LISTENING, table())
    return bool(sockets) and (
        _has(ancestor, sockets)
        or any(_has(process, sockets) for process in with_descendants([ancestor]))
    )


def listens(port: int, among: str | None = None) -> bool | None:
    """Whether a process listens on `port`; None if this machine does not tell.

    `among` is the `table` of another network namespace.
    """
    return _used(port, _LISTENING, among)


def connected(port: int, among: str | None = None) -> bool | None:
    """Whether a client is connected to the server on `port`; else as `listens`."""
    return _used(port, _ESTABLISHED, among)


def table() -> str:
    """The kernel's tables of connections of this network namespace; empty if it has none."""
    return "".join(_read(PROC / "net" / name) for name in ("tcp", "tcp6"))


def name(process: int) -> str:
    """The name of a process's program; empty if it has ended."""
    if _in_proc():
        return _read(PROC / str(process) / "comm").strip()
    return os.path.basename(_ps("comm", process))  # noqa: PTH119 - `ps` prints a name or a path


def ancestry(process: int) -> Iterator[int]:
    """The ids of a process and of its ancestors."""
    while process:
        yield process
        process = _parent(process)


def with_descendants(found: Iterable[int]) -> set[int]:
    """The processes `found` and all below them, whose environment may be another or hidden."""
    parents = dict(_parents())
    kept = set(found)
    while more := {one for one, parent in parents.items() if parent in kept} - kept:
        kept |= more
    return kept


def directory(process: int) -> Path | None:
    """The working directory of a process; None if it has ended, or is another user's."""
    if _in_proc():
        with contextlib.suppress(OSError):
            return (PROC / str(process) / "cwd").readlink()
        return None
    fields = _lsof("-a", "-p", str(process), "-d", "cwd", "-F", "n") or []
    return next((Path(field[1:]) for field in fields if field.startswith("n")), None)


def memory(process: int) -> int:
    """The memory of a process in bytes; of pages that several use, its share.

    Without /proc, such pages are counted in full for each.
    """
    if not _in_proc():
        return int(_ps("rss", process) or 0) << 10
    rows = _read(PROC / str(process) / "smaps_rollup").splitlines()
    return next((int(row.split()[1]) << 10 for row in rows if row[:4] == "Pss:"), 0)


def _parent(process: int) -> int:
    """The id of a process's parent; 0 if it has none, or has ended."""
    return _parent_in_proc(process) if _in_proc() else int(_ps("ppid", process) or 0)


# By /proc


def _in_proc() -> bool:
    return (PROC / "self").exists()


def _marked_in_proc(texts: list[str]) -> Iterator[int]:
    variables = set(map(os.fsencode, texts))
    for process in PROC.glob("[0-9]*"):
        # Gone, or another user's; the environment of a zombie cannot be read.
        with contextlib.suppress(OSError):
            if variables <= set((process / "environ").read_bytes().split(b"\0")):
                yield int(process.name)


def _parent_in_proc(process: int) -> int:
    # The second field is a name in brackets, with arbitrary characters.
    fields = _read(PROC / str(process) / "stat").rpartition(")")[2].split()
    return int(fields[1]) if fields else 0


def _parents() -> Iterator[tuple[int, int]]:
    if _in_proc():
        for path in PROC.glob("[0-9]*"):
            yield int(path.name), _parent_in_proc(int(path.name))
    else:
        for line in (_output("ps", "-axo", "pid=,ppid=") or "").splitlines():
            process, parent = line.split()
            yield int(process), int(parent)


def _sockets(port: int, state: str, among: str) -> set[str]:
    """The sockets of `port` in a state, in the format of a process's open files."""
    # Each table begins with a header.
    rows = [line.split() for line in among.splitlines() if line.lstrip()[:1].isdigit()]
    return {
        f"socket:[{row[9]}]"
        for row in rows
        if row[3] == state and int(row[1].rpartition(":")[2], 16) == port
    }


def _has(process: int, sockets: set[str]) -> bool:
    """Whether a process has any of `sockets` open."""
    try:
        return any(_target(file) in sockets for file in (PROC / str(process) / "fd").iterdir())
    except OSError:  # gone, or another user's
        return False


def _target(file: Path) -> str:
    try:
        return str(file.readlink())
    except FileNotFoundError:  # closed just now
        return ""


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


# By ps and lsof


def _marked_by_ps(texts: list[str]) -> Iterator[int]:
    # -E adds the environment to the command, on macOS and for this user's processes.
    for line in (_output("ps", "-axEww", "-o", "pid=,command=") or "").splitlines():
        number, _, words = line.strip().partition(" ")
        # A value may have blanks: it ends where the next variable begins.
        if all(re.search(rf" {re.escape(text)}(?= [A-Za-z_]\w*=|$)", words) for text in texts):
            yield int(number)


def _ps(column: str, process: int) -> str:
    return (_output("ps", "-p", str(process), "-o", f"{column}=") or "").strip()


def _used(port: int, state: str, among: str | None) -> bool | None:
    if among is not None or _in_proc():
        return bool(_sockets(port, state, table() if among is None else among))
    found = _using(port, state)
    return None if found is None else bool(found)


def _using(port: int, state: str) -> list[int] | None:
    fields = _lsof("-nP", f"-iTCP:{port}", f"-sTCP:{_STATES[state]}", "-F", "p")
    if fields is None:
        return None
    return [int(field[1:]) for field in fields if field.startswith("p")]


def _lsof(*options: str) -> list[str] | None:
    """The fields that `lsof -F` prints; it fails if it finds nothing. None without lsof."""
    output = _output("lsof", *options)
    return None if output is None else output.splitlines()


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace")


if __name__ == "__main__":
    end(dict(argument.split("=", 1) for argument in sys.argv[1:]))

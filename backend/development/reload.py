"""Restart a program after every edit, quickly and without missing one.

    python -m development.reload --listen 127.0.0.1:8000 manage.py runserver --noreload --socket {}
    python -m development.reload --listen 127.0.0.1:8000 -m gunicorn core.wsgi --bind fd://{}
    python -m development.reload -m celery --app core worker

This process imports what the program took from outside the project (Django, the packages), once:
while nothing else is to be done, or as it starts, if an earlier one has learned what that is. Every
start of the program is a fork of it, which has the project's own modules left to import. What the
files looked like is noted before each fork: an edit at any later moment, even while they are
imported, differs from that and restarts it.

With --listen this process holds the socket that the program serves (its own, or one that it was
given as fd://N); {} stands for its file descriptor. A request that comes between two starts waits
and is not refused. A program whose request is paused at a breakpoint does not end: then the next
one starts beside it.

A program that an edit has broken is started again after the next edit; one that fails later, at
once. This process ends with the program only if the very first start fails, so that a caller that
waits for the program sees the failure; under a debugger it stays, because an editor may be
attached. It also ends when other packages must be installed, because it has imported the old ones.
bin/process starts it if RELOAD is set.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.util
import logging
import math
import os
import re
import select
import signal
import socket
import sys
import time
import warnings
from collections.abc import Iterator
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
)
from pathlib import Path
from types import FrameType
from typing import NoReturn

from core.start import become
from development import packages

POLL_INTERVAL = 0.1  # seconds between two scans of the files, or
SHARE = 50  # times the processor time of one scan, if that is longer: at most 2 % of a processor,
MAX_PAUSE = 1  # but never more seconds than this: then a scan is so long that the share is higher
QUIET = 1  # seconds without an import after which the program counts as started
OVERLAP_AFTER = 2  # seconds that a program has to end before the next one starts beside it
MIN_UPTIME = 5  # seconds a program must have run for its end not to be one at the start
RETRY_INTERVAL = 2  # seconds until a program that may succeed without an edit is tried again

# Folders without code of the project, beside the hidden ones and virtual environments.
SKIPPED = {"__pycache__", "node_modules"}

# What tells one content of a file from another: time of change in nanoseconds, and size.
State = tuple[int, int]
Snapshot = dict[str, State]


def snapshot(directory: str) -> Snapshot:
    """Return the state of each Python file below `directory`."""
    return dict(_scan(directory))


def differs(directory: str, files: Snapshot) -> bool:
    """Return whether the files below `directory` are others than `files`, or in another state."""
    count = 0
    for path, state in _scan(directory):
        if files.get(path) != state:
            return True
        count += 1
    return count != len(files)


def pause_after(processor_time: float) -> float:
    """Return the seconds until the next scan, after one that took `processor_time` seconds.

    Not after how long it took: a slow disk or a busy machine would delay the next scan as well.
    """
    return min(max(POLL_INTERVAL, SHARE * processor_time), MAX_PAUSE)


def _scan(directory: str) -> Iterator[tuple[str, State]]:
    """Yield each Python file with its state.

    What cannot be read (a link that leads nowhere, another user's folder, a file that vanishes
    meanwhile) is passed over by itself, and is found once it can be read.
    """
    left = [directory]
    linked: set[str] = set()
    while left:
        folder = left.pop()
        entries = _entries(folder)
        if folder != directory and any(entry.name == "pyvenv.cfg" for entry in entries):
            continue  # a virtual environment
        for entry in entries:
            if entry.name.startswith(".") or entry.name in SKIPPED:
                continue
            with contextlib.suppress(OSError):
                if entry.name.endswith(".py"):
                    stat = entry.stat()
                    yield entry.path, (stat.st_mtime_ns, stat.st_size)
                elif entry.is_dir() and not _walked(entry, directory, linked):
                    left.append(entry.path)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return list(entries)
    return []


def _walked(entry: os.DirEntry[str], directory: str, linked: set[str]) -> bool:
    """Return whether `entry` is a link to what is walked anyway; note in `linked` where it leads.

    So no circle of links is followed for ever.
    """
    if not entry.is_symlink():
        return False
    target = os.path.realpath(entry.path)
    root = os.path.realpath(directory)
    if target in linked or os.path.commonpath([target, root]) in (target, root):
        return True
    linked.add(target)
    return False


class Reloader:
    """Runs one program at a time, each in a fork of this process."""

    def __init__(
        self, directory: str, memory: Path, *, patient: bool, overlapping: bool = False
    ) -> None:
        """With `patient` even a first start that fails is followed by an edit.

        With `overlapping` a start does not wait for the end of the one before.
        """
        self.directory = directory
        self.overlapping = overlapping
        self.leaving: list[int] = []
        self.preload = Preload(directory, memory)
        self.worked = patient
        self.child = 0
        self.ending = False
        self.asked = packages.asked()
        self.outdated = False

    def run(self) -> int | None:
        """Return None in each child, which is to be the program; else the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        while True:
            files = snapshot(self.directory)
            began = time.monotonic()
            imports = self._fork()
            if imports is None:
                return None
            with imports:
                status = self._follow(imports, files)
            if self.ending:
                return 0
            # The edited program had started, or the error is being fixed.
            self.worked |= status is None or time.monotonic() - began >= MIN_UPTIME
            if status is None:
                self._stop()
            elif status == 0 or not self.worked:
                return status
            elif time.monotonic() - began < MIN_UPTIME:
                passing = status == os.EX_TEMPFAIL  # such as after a restart of the machine
                when = "in a moment" if passing else "after an edit"
                _say(f"ended with exit status {status}; it starts again {when}")
                if missing := packages.differences():
                    _say(packages.sentence(missing))
                self._await_edit(files, RETRY_INTERVAL if passing else math.inf)
            if self.ending:
                return 0
            if self.outdated:
                _say("it ends: other packages are installed before it is started again")
                return 0

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.ending = True
        if self.child:
            os.kill(self.child, signal.SIGTERM)

    def _fork(self) -> Imports | None:
        """Return what the child will say that it imports; None in the child."""
        reading, writing = os.pipe()
        gc.freeze()  # a collection of what is loaded would copy the memory that both share
        # The child must not take a signal for its parent's before it has its own handlers.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        try:
            with warnings.catch_warnings():
                # A debugger has threads, and knows about forks.
                warnings.simplefilter("ignore", DeprecationWarning)
                self.child = os.fork()
            if self.child:
                os.close(writing)
                return Imports(reading)
            os.close(reading)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, _leave)
            sys.meta_path.insert(0, Announcer(writing))
            return None
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})

    def _follow(self, imports: Imports, files: Snapshot) -> int | None:
        """Return the program's exit status once it has ended, or None when a file has changed."""
        while True:
            began = time.thread_time()
            if self._changed(files):
                return None
            pause = pause_after(time.thread_time() - began)
            if (status := self._ended()) is not None:
                return status
            names = imports.read(pause)
            self.preload.learn(names)
            if time.monotonic() - imports.last > QUIET:
                self.preload.work(POLL_INTERVAL)

    def _await_edit(self, files: Snapshot, seconds: float) -> None:
        """Wait for an edit, `seconds` at most."""
        end = time.monotonic() + seconds
        while not self.ending and time.monotonic() < end:
            began = time.thread_time()
            if self._changed(files):
                return
            time.sleep(pause_after(time.thread_time() - began))

    def _changed(self, files: Snapshot) -> bool:
        """Return whether the program must be started again."""
        if self.asked != packages.asked():
            self.asked = packages.asked()
            self.outdated = bool(packages.differences())
        return self.outdated or differs(self.directory, files)

    def _ended(self) -> int | None:
        self.leaving = [pid for pid in self.leaving if not os.waitpid(pid, os.WNOHANG)[0]]
        with contextlib.suppress(ChildProcessError):
            pid, status = os.waitpid(self.child, os.WNOHANG)
            if pid:
                self.child = 0
                return os.waitstatus_to_exitcode(status)
        return None

    def _stop(self) -> None:
        """Tell the program to end, which takes as long as it is paused at a breakpoint."""
        os.kill(self.child, signal.SIGTERM)
        end = time.monotonic() + (OVERLAP_AFTER if self.overlapping else math.inf)
        while self._ended() is None and self.child:
            if time.monotonic() >= end:
                self.leaving.append(self.child)
                break
            time.sleep(0.01)
        self.child = 0


class Announcer:
    """A finder that finds nothing: it tells the parent which modules are asked for.

    https://docs.python.org/3/library/sys.html#sys.meta_path
    """

    def __init__(self, writing: int) -> None:
        self._writing = writing
        os.set_blocking(writing, False)

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        with contextlib.suppress(OSError):  # one that is missed is imported later, that is all
            os.write(self._writing, f"{name}\n".encode())


class Imports:
    """The names of modules that a child announces."""

    def __init__(self, reading: int) -> None:
        self._reading = reading
        self._rest = b""
        self.last = time.monotonic()

    def __enter__(self) -> Imports:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._reading)

    def read(self, timeout: float) -> list[str]:
        """Return what was announced, after `timeout` seconds at most."""
        if self._reading not in select.select([self._reading], [], [], timeout)[0]:
            return []
        *names, self._rest = (self._rest + os.read(self._reading, 65536)).split(b"\n")
        if names:
            self.last = time.monotonic()
        else:
            time.sleep(timeout)  # no more writes
        return [name.decode() for name in names]


class Preload:
    """What this process imports, so that its forks have it.

    `memory` is a file with the names that an earlier process of the same program learned. With it
    the first fork has them, too: it starts as fast, and shares their memory.
    """

    def __init__(self, directory: str, memory: Path) -> None:
        self._directory = directory
        self._memory = memory
        self._left: dict[str, None] = {}
        self._tried: dict[str, None] = {}
        with contextlib.suppress(OSError):
            self.learn(memory.read_text().splitlines())
        self.work(math.inf)

    def learn(self, names: list[str]) -> None:
        """Have `names` imported, but for those of the project."""
        self._left |= {name: None for name in names if name not in self._tried}
        self._tried |= dict.fromkeys(names)

    def work(self, seconds: float) -> None:
        """Import for that long, or until all is done."""
        if not self._left:
            return
        end = time.monotonic() + seconds
        with _without_settings():
            while self._left and time.monotonic() < end:
                name = next(iter(self._left))
                del self._left[name]
                if not self._of_the_project(name):
                    # What needs settings, or is not there, is left to the program.
                    with contextlib.suppress(Exception):
                        importlib.import_module(name)
        if not self._left:
            self._remember()

    def _remember(self) -> None:
        found = [name for name in self._tried if name in sys.modules]
        with contextlib.suppress(OSError):  # the next start is slower, that is all
            self._memory.write_text("\n".join(found))

    def _of_the_project(self, name: str) -> bool:
        with contextlib.suppress(ImportError, ValueError):
            spec = importlib.util.find_spec(name.partition(".")[0])
            places = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
            return any(str(place).startswith(self._directory) for place in places)
        return False


@contextlib.contextmanager
def _without_settings() -> Iterator[None]:
    # With them Django would import the project, whose modules must be new in each child.
    module = os.environ.pop("DJANGO_SETTINGS_MODULE", None)
    try:
        yield
    finally:
        if module is not None:
            os.environ["DJANGO_SETTINGS_MODULE"] = module


def _leave(number: int, frame: FrameType | None) -> None:
    # Until the program sets its own handler. At once: a debugger takes a second to go.
    os._exit(0)


def _become(arguments: list[str]) -> None:
    """Run the program as `python ARGUMENT...` would."""
    sys.dont_write_bytecode = True
    sys.path_hooks.insert(0, _find_source)
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()
    for name, module in list(sys.modules.items()):
        if name != "__main__" and str(getattr(module, "__file__", "")).startswith(str(Path.cwd())):
            del sys.modules[name]
    become(arguments)


class Source(SourceFileLoader):
    """Compiles each module itself.

    Compiled files, which another process may have written, tell an edit by whole seconds and size.
    """

    def path_stats(self, path: str) -> NoReturn:
        """Refuse what compiled files are compared with: without it none is read."""
        raise OSError


def _find_source(path: str) -> FileFinder:
    """Find the project's modules in a folder: https://docs.python.org/3/library/sys.html#sys.path_hooks"""
    if not path.startswith(str(Path.cwd())) or not Path(path).is_dir():
        raise ImportError
    return FileFinder(path, (ExtensionFileLoader, EXTENSION_SUFFIXES), (Source, SOURCE_SUFFIXES))


def _say(text: str) -> None:
    print(f"reload: {text}", file=sys.stderr, flush=True)


def _listening(address: str) -> socket.socket:
    """Return a listening socket at HOST:PORT, or the one behind the file descriptor of fd://N."""
    if address.startswith("fd://"):
        return socket.socket(fileno=int(address.removeprefix("fd://")))
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host.strip("[]"), int(port)), family=family, backlog=2048)


def _become_and_leave(arguments: list[str]) -> NoReturn:
    """Run the program, and end without the interpreter's finalisation.

    Under a debugger that takes seconds in each process, also in those that the program forks.
    """
    status: object = 0
    try:
        _become(arguments)
    except SystemExit as end:
        status = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    if isinstance(status, str):
        print(status, file=sys.stderr)
    _leave_now(status if isinstance(status, int) else int(status is not None))


def _leave_now(status: int) -> NoReturn:
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # the reader is gone
            stream.flush()
    os._exit(status)


def main(arguments: list[str]) -> None:
    """Run the program and, in the first process, follow its edits."""
    listener = None
    if arguments[0] == "--listen":
        listener = _listening(arguments[1])
        arguments = [word.replace("{}", str(listener.fileno())) for word in arguments[2:]]
    debugged = bool(os.environ.get("DEBUGPY_PORT"))
    program = re.sub(r"\W+", "-", " ".join(arguments[:2]))  # "manage.py runserver", "-m celery"
    memory = Path.cwd().parent / ".dev" / f"imports-{program}"
    overlapping = listener is not None
    reloader = Reloader(str(Path.cwd()), memory, patient=debugged, overlapping=overlapping)
    status = reloader.run()
    if debugged and status is not None:
        _leave_now(status)
    elif debugged:
        _become_and_leave(arguments)
    elif status is not None:
        sys.exit(status)
    else:
        _become(arguments)


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(__doc__)
    main(sys.argv[1:])

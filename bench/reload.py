"""From a saved edit to the new answer, by the project's reloader and by Django's.

Both run the same server in the same copy of the checkout, in turns, so that the ratio holds on a
machine under load as well.
"""

from __future__ import annotations

import contextlib
import http.client
import operator
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Callable, NamedTuple

from devtools import ports, readiness
from devtools.checkout import Checkout
from devtools.errors import DevError
from devtools.process import background
from devtools.services import WEB
from devtools.terminal import Terminal

from .copy import Copy, free_port, page
from .measure import Measure

OWN, DJANGO = "this reloader", "Django's"
# The command of each; {} is the address. bin/web always uses the project's reloader.
RELOADERS = {OWN: ["bin/web"], DJANGO: ["bin/process", "false", "manage.py", "runserver", "{}"]}
PLAIN, DEBUGGER, EDITOR = "", ", debugger", ", editor attached"
MANY, SLOW = ", 48,000 files beside the code", ", 1 ms for each call to the disk"
GUNICORN = ", Gunicorn, editor attached"
MODES = (PLAIN, MANY, SLOW, DEBUGGER, EDITOR, GUNICORN)


class Goal(NamedTuple):
    """The most that the median of a mode should be, compared with that of the mode `other`."""

    title: str
    unit: str
    at_most: float
    other: str
    compare: Callable[[float, float], float]


# Measured without Django's reloader: it has no Gunicorn, and may show no edit with many files.
ALONE = {
    MANY: Goal("beyond plain", "s", 2, PLAIN, operator.sub),
    SLOW: Goal("beyond plain", "s", 2, PLAIN, operator.sub),
    GUNICORN: Goal("over runserver", "x", 2, EDITOR, operator.truediv),
}
_FOLDERS, _FILES = 12_000, 4

EDITS = 5  # timed edits in each turn
HASTY = 20  # edits in each turn that come at any moment
REST = 3  # seconds before a timed edit, as between two of a person
HASTE = 1.5  # most seconds between a new answer and a hasty edit
GIVE_UP = 12  # seconds after which an edit counts as lost
_TURN = 0.005
_PATH = "/api/v1/health/live/"
_HEADER = "X-Edit"

# Appended to the copy's core/wsgi.py: every answer then says which edit it is of.
_TELLING = f"""

from core.edited import NUMBER

_application = application


def application(environ, start_response):
    def start(status, headers, *rest):
        return start_response(status, [*headers, ("{_HEADER}", str(NUMBER))], *rest)

    return _application(environ, start)
"""


def measure(checkout: Checkout, terminal: Terminal, rounds: int) -> list[Measure]:
    """Measure `rounds` turns of each reloader, plain and under a debugger."""
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    lost: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as directory:
        copy = Copy(checkout, Path(directory), {})
        copy.share(checkout, terminal)
        wsgi = copy.checkout.root / "backend" / "core" / "wsgi.py"
        wsgi.write_text(wsgi.read_text() + _TELLING)
        edits = _Edits(wsgi.with_name("edited.py"))
        with copy.up():
            for number in range(1, rounds + 1):
                for mode in MODES:
                    for name in (OWN,) if mode in ALONE else RELOADERS:
                        with (
                            terminal.step(f"round {number}: {name}{mode}"),
                            _surroundings(copy, mode) as variables,
                            _server(copy, terminal, name, mode, edits, variables),
                        ):
                            times[name, mode] += edits.timed(EDITS)
                            if mode == PLAIN:
                                lost[name].append(edits.hasty(HASTY))
    measures = []
    for mode in MODES:
        own, django = times[OWN, mode], times[DJANGO, mode]
        measures.append(Measure(f"edit to answer{mode}, {OWN}", "s", None, own))
        if mode in ALONE:
            goal = ALONE[mode]
            found = goal.compare(statistics.median(own), statistics.median(times[OWN, goal.other]))
            title = f"edit to answer{mode}, {goal.title}"
            measures.append(Measure(title, goal.unit, goal.at_most, [found]))
        else:
            measures.append(Measure(f"edit to answer{mode}, {DJANGO}", "s", None, django))
            ratio = statistics.median(own) / statistics.median(django)
            measures.append(Measure(f"edit to answer{mode}, ratio", "x", 0.6, [ratio]))
    for name, budget in ((OWN, 0), (DJANGO, None)):
        title = f"lost of {rounds * HASTY} hasty edits, {name}"
        measures.append(Measure(title, "", budget, [sum(lost[name])]))
    return measures


class _Edits:
    """Saves numbered edits into `file` and asks the server on `port` which one it serves."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._number = 0
        self.port = 0
        self.save()

    def save(self) -> None:
        """Write the next edit: as long as the one before, so that no size tells them apart."""
        self._number += 1
        self._file.write_text(f"NUMBER = {self._number:06}".replace(" 0", " 1", 1) + "\n")

    def seen(self) -> bool:
        """Whether the server answers as last edited."""
        expected = int(self._file.read_text().split()[-1])
        with contextlib.suppress(OSError, http.client.HTTPException):
            return page(self.port, _PATH).getheader(_HEADER) == str(expected)
        return False

    def timed(self, count: int) -> list[float]:
        """Seconds from each of `count` edits to its answer."""
        found = []
        for _ in range(count):
            time.sleep(REST)
            began = time.monotonic()
            self.save()
            if not self._arrives():
                raise DevError("an edit did not show", "./dev bench reload   measures again")
            found.append(time.monotonic() - began)
        return found

    def hasty(self, count: int) -> int:
        """How many of `count` edits, each shortly after the answer to the last, never show."""
        missed = 0
        for _ in range(count):
            time.sleep(random.uniform(0, HASTE))  # noqa: S311
            self.save()
            if not self._arrives():
                missed += 1
                self.save()
                self._arrives()
        return missed

    def _arrives(self) -> bool:
        end = time.monotonic() + GIVE_UP
        while not self.seen():
            if time.monotonic() > end:
                return False
            time.sleep(_TURN)
        return True


# Python runs it at each start that finds it. Modules are imported as quickly as before: only what
# looks at files by `os` waits.
_SLOW_DISK = """
import os, time

_stat, _scandir = os.stat, os.scandir


def stat(*arguments, **options):
    time.sleep(0.001)
    return _stat(*arguments, **options)


class Entry:
    def __init__(self, entry):
        self.name, self.path, self._entry = entry.name, entry.path, entry
        self.inode, self.is_dir, self.is_file = entry.inode, entry.is_dir, entry.is_file
        self.is_symlink = entry.is_symlink

    def __fspath__(self):
        return self.path

    def stat(self, **options):
        time.sleep(0.001)
        return self._entry.stat(**options)


class Entries:
    def __init__(self, entries):
        self._entries, self.close = entries, entries.close

    def __iter__(self):
        return map(Entry, self._entries)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def scandir(path="."):
    time.sleep(0.001)
    return Entries(_scandir(path))


os.stat, os.scandir = stat, scandir
"""


@contextlib.contextmanager
def _surroundings(copy: Copy, mode: str) -> Iterator[dict[str, str]]:
    """What `mode` has beside the server; variables that it needs for that."""
    with tempfile.TemporaryDirectory(dir=copy.checkout.root / "backend") as directory:
        if mode == MANY:
            for folder in range(_FOLDERS):
                place = Path(directory) / str(folder)
                place.mkdir()
                for file in range(_FILES):
                    (place / f"{file}.js").touch()
        if mode == SLOW:
            (Path(directory) / "sitecustomize.py").write_text(_SLOW_DISK)
        yield {"PYTHONPATH": directory} if mode == SLOW else {}


@contextlib.contextmanager
def _server(
    copy: Copy,
    terminal: Terminal,
    name: str,
    mode: str,
    edits: _Edits,
    given: Mapping[str, str],
) -> Iterator[None]:
    edits.port = free_port()
    debug_port = free_port() if mode in (DEBUGGER, EDITOR, GUNICORN) else None
    variables = {**copy.variables_of(WEB, terminal), **given}
    variables["DEBUGPY_PORT"] = str(debug_port or "")
    address = f"{ports.LOOPBACK}:{edits.port}"
    server = "gunicorn" if mode == GUNICORN else "runserver"
    variables |= {"SERVER": server, "WEB_BIND": address, "RELOAD": "true"}
    command = [word.format(address) for word in RELOADERS[name]]
    backend = copy.checkout.root / "backend"
    with background(command, directory=backend, environment=variables):
        editor = None
        if debug_port and mode != DEBUGGER:
            # The other parts work without the tests.
            from devtools.debug_client import Direct, Editor

            readiness.wait_until(lambda: ports.listens(debug_port), 30, "no debugger listens")
            where = {"host": ports.LOOPBACK, "port": debug_port}
            editor = Editor({"connect": where, "justMyCode": True, "subProcess": True}, "", Direct)
            editor.attach(editor.configuration)
        readiness.wait_until(edits.seen, 60, "the server did not answer")
        yield
        if editor:
            editor.vanish()

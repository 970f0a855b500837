"""A program under development.reload restarts after every edit: real processes and files."""

import os
import py_compile
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.tests.waiting import wait_until
from development.reload import MAX_PAUSE, QUIET, Reloader, differs, snapshot

BACKEND = Path(__file__).parents[2]

# Says which edit it is of and whether a module from outside was there when it began.
PROGRAM = """
import os, sys, time
known = "wave" in sys.modules
import wave
import edited
print(edited.NUMBER, os.getpid(), known, flush=True)
time.sleep(600)
"""


class Program:
    """A program in a temporary directory, and its output."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.output = place / "output"
        self.edit(100)
        (place / "program.py").write_text(PROGRAM)

    def start(self, *arguments: str, **variables: str) -> None:
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "development.reload", *(arguments or ["program.py"])],
                cwd=self.place,
                env={**os.environ, "PYTHONPATH": str(BACKEND), **variables},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def edit(self, number: int) -> None:
        self.write(f"NUMBER = {number}\n")

    def write(self, text: str) -> None:
        (self.place / "edited.py").write_text(text)

    def said(self) -> list[list[str]]:
        return [line.split() for line in self.output.read_text().splitlines()]

    def numbers(self) -> list[str]:
        return [words[0] for words in self.said() if len(words) == 3]

    def shows(self, number: int) -> list[str]:
        """Return the words of the start that shows this edit, once there is one."""
        wait_until(lambda: self.numbers()[-1:] == [str(number)])
        return self.said()[-1]


@pytest.fixture
def program(tmp_path):
    made = Program(tmp_path)
    made.start()
    yield made
    made.process.terminate()
    assert made.process.wait(timeout=60) == 0


def test_an_edit_restarts_the_program(program):
    first = program.shows(100)
    program.edit(200)
    second = program.shows(200)
    assert second[1] != first[1]


def test_no_edit_is_lost_however_soon_it_follows(program):
    for number in range(101, 131):
        program.shows(number - 1)
        # Between nothing and long after the files were read; all of the same size.
        time.sleep((number % 10) / 200)
        program.edit(number)
    program.shows(130)


def test_an_edit_of_the_same_second_as_a_compiled_file_shows(program):
    program.shows(100)
    # As another process leaves it, which imported what was there for a moment.
    program.edit(101)
    py_compile.compile(str(program.place / "edited.py"))
    times = (program.place / "edited.py").stat()
    program.edit(102)
    os.utime(program.place / "edited.py", ns=(times.st_atime_ns, times.st_mtime_ns + 1))
    program.shows(102)


def test_an_edit_while_the_project_is_imported_is_not_lost(program):
    program.shows(100)
    program.write("import time\ntime.sleep(0.5)\nNUMBER = 101\n")
    time.sleep(0.2)
    program.edit(102)
    program.shows(102)


def test_what_is_not_of_the_project_is_imported_once(program):
    assert program.shows(100)[2] == "False"

    def known() -> bool:
        time.sleep(2 * QUIET)  # it is imported while nothing else is to be done
        number = int(program.numbers()[-1]) + 1
        program.edit(number)
        return program.shows(number)[2] == "True"

    wait_until(known, within=60)


def test_the_next_process_has_it_at_its_first_start(tmp_path):
    (tmp_path / ".dev").mkdir()
    (tmp_path / "backend").mkdir()
    program = Program(tmp_path / "backend")

    def known() -> str:
        program.start()
        try:
            known = program.shows(100)[2]
            wait_until((tmp_path / ".dev" / "imports-program-py").is_file)
            return known
        finally:
            program.process.terminate()
            program.process.wait(timeout=60)

    assert [known(), known()] == ["False", "True"]
    (tmp_path / ".dev" / "imports-program-py").write_text("no_such_package\nwave")
    assert known() == "True"


def test_a_broken_program_waits_for_the_mended_file(program):
    program.shows(100)
    program.write("NUMBER = (\n")
    wait_until(lambda: "it starts again after an edit" in program.output.read_text())
    assert "SyntaxError" in program.output.read_text()
    program.edit(101)
    program.shows(101)


def test_a_program_that_fails_at_its_very_first_start_is_reported(tmp_path):
    program = Program(tmp_path)
    program.write("raise SystemExit(7)\n")
    program.start()
    assert program.process.wait(timeout=60) == 7


def test_under_a_debugger_even_that_waits_for_the_mended_file(tmp_path):
    program = Program(tmp_path)
    program.write("raise SystemExit(7)\n")
    program.start(DEBUGPY_PORT="5678")
    wait_until(lambda: "it starts again after an edit" in program.output.read_text())
    program.edit(101)
    program.shows(101)
    program.process.terminate()
    assert program.process.wait(timeout=60) == 0


def test_a_program_that_may_succeed_without_an_edit_is_tried_again(tmp_path):
    """As when the emulator of its parameters starts later, after a restart of the machine."""
    program = Program(tmp_path)
    program.write(
        "import os, pathlib\n"
        "tried = pathlib.Path(__file__).with_name('tried')\n"
        "if not tried.exists():\n    tried.touch()\n    raise SystemExit(os.EX_TEMPFAIL)\n"
        "NUMBER = 100\n"
    )
    program.start(DEBUGPY_PORT="5678")
    program.shows(100)
    assert "it starts again in a moment" in program.output.read_text()
    program.process.terminate()
    assert program.process.wait(timeout=60) == 0


def test_a_program_that_is_done_is_not_run_again(tmp_path):
    (tmp_path / "program.py").write_text("print('done')\n")
    program = Program(tmp_path)
    (tmp_path / "program.py").write_text("print('done')\n")
    program.start()
    assert program.process.wait(timeout=60) == 0
    assert program.output.read_text() == "done\n"


@pytest.fixture
def unlocked(tmp_path):
    """A program of a checkout whose lock has a package that is not installed."""
    place = tmp_path / "backend"
    for folder, names in (
        ("development", ("__init__", "packages", "reload")),
        ("core", ("garbage", "start")),
    ):
        (place / folder).mkdir(parents=True)
        for name in names:
            shutil.copy(BACKEND / folder / f"{name}.py", place / folder)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "test.txt").write_text("leftpad==1.2\n")
    program = Program(place)
    program.start(PYTHONPATH="")
    yield program
    program.process.kill()
    program.process.wait()


def test_a_program_that_fails_is_told_which_packages_are_not_installed(unlocked):
    unlocked.shows(100)
    unlocked.write("import leftpad\n")
    wait_until(lambda: "not installed here: leftpad 1.2" in unlocked.output.read_text())


@pytest.mark.parametrize("fails", [False, True])
def test_it_ends_when_packages_are_to_be_installed(unlocked, fails):
    unlocked.shows(100)
    if fails:
        unlocked.write("import leftpad\n")
        wait_until(lambda: "it starts again after an edit" in unlocked.output.read_text())
    note = unlocked.place.parent / ".dev" / "packages"
    note.parent.mkdir()
    note.write_text("asked")
    assert unlocked.process.wait(timeout=60) == 0


def test_the_program_ends_with_the_process_around_it(program):
    pid = int(program.shows(100)[1])
    program.process.send_signal(signal.SIGTERM)
    assert program.process.wait(timeout=60) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_new_and_removed_files_are_edits_and_other_files_are_not(tmp_path):
    (tmp_path / "one.py").write_text("")
    before = snapshot(str(tmp_path))
    (tmp_path / "notes.md").write_text("")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "one.py").write_text("")
    assert snapshot(str(tmp_path)) == before
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "two.py").write_text("")
    assert snapshot(str(tmp_path)) != before
    (tmp_path / "sub" / "two.py").unlink()
    assert snapshot(str(tmp_path)) == before


def write(path: Path, text: str = "") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_what_cannot_be_read_hides_nothing_else(tmp_path, monkeypatch):
    files = {write(tmp_path / f"package{n}" / f"{m}.py") for n in range(4) for m in range(8)}
    for number in range(4):
        # A link that leads nowhere, as a file that vanishes; Emacs's lock; another user's folder.
        (tmp_path / f"package{number}" / "gone.py").symlink_to("nowhere.py")
        (tmp_path / f"package{number}" / ".#0.py").symlink_to("me@host.1:2")
        write(tmp_path / f"package{number}" / "closed" / "secret.py")
    scandir = os.scandir

    def refuse(folder: str):
        if folder.endswith("closed"):
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert set(snapshot(str(tmp_path))) == files


def test_an_emacs_lock_is_no_edit(tmp_path):
    write(tmp_path / "manage.py")
    before = snapshot(str(tmp_path))
    (tmp_path / ".#manage.py").symlink_to("me@host.1:2")
    assert not differs(str(tmp_path), before)


def test_linked_and_private_packages_are_watched(tmp_path):
    backend, elsewhere = tmp_path / "backend", tmp_path / "elsewhere"
    own = write(backend / "_private" / "one.py")
    write(elsewhere / "linked" / "two.py")
    (backend / "linked").symlink_to(elsewhere / "linked")
    assert set(snapshot(str(backend))) == {own, str(backend / "linked" / "two.py")}
    before = snapshot(str(backend))
    write(elsewhere / "linked" / "two.py", "edited = True")
    assert differs(str(backend), before)


def test_a_circle_of_links_ends(tmp_path):
    backend, elsewhere = tmp_path / "backend", tmp_path / "elsewhere"
    own = write(backend / "app" / "one.py")
    write(elsewhere / "two.py")
    for number, (link, target) in enumerate(
        [(backend, elsewhere), (elsewhere, elsewhere), (backend, tmp_path), (backend, backend)]
    ):
        (link / f"link{number}").symlink_to(target)
    assert set(snapshot(str(backend))) == {own, str(backend / "link0" / "two.py")}


def test_what_is_no_code_of_the_project_is_not_watched(tmp_path):
    own = write(tmp_path / "app" / "one.py")
    write(tmp_path / "node_modules" / "node-gyp" / "gyp.py")
    write(tmp_path / ".tox" / "two.py")
    write(tmp_path / "env" / "pyvenv.cfg")
    write(tmp_path / "env" / "lib" / "three.py")
    assert set(snapshot(str(tmp_path))) == {own}


def test_a_slow_disk_does_not_delay_the_next_scan(tmp_path, monkeypatch):
    for number in range(100):
        write(tmp_path / f"package{number}" / "module.py")
    scandir = os.scandir

    def slow(folder: str):
        time.sleep(0.001)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", slow)
    pauses = []

    class Quiet:
        last = time.monotonic()

        def read(self, pause: float) -> list[str]:
            pauses.append(pause)
            write(tmp_path / "package0" / "module.py", "edited = True")
            return []

    reloader = Reloader(str(tmp_path), tmp_path / "imports", patient=True)
    assert reloader._follow(Quiet(), snapshot(str(tmp_path))) is None
    assert max(pauses) <= MAX_PAUSE


# Serves the socket that it is given; at a signal it ends the request that it has, in its own time.
SERVER = """
import http.server, os, signal, socket, sys, threading, time
import edited
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        while "slow" in self.path and not os.path.exists("go on"):
            time.sleep(0.01)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(edited.NUMBER).encode())
    def log_message(self, *arguments):
        pass
server = http.server.ThreadingHTTPServer(("", 0), Handler, bind_and_activate=False)
server.socket = socket.socket(fileno=int(sys.argv[1]))
server.daemon_threads = False
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
"""


def test_a_socket_outlives_the_program_and_an_edit_waits_for_no_request(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    program = Program(tmp_path)
    (tmp_path / "program.py").write_text(SERVER)
    program.start("--listen", f"127.0.0.1:{port}", "program.py", "{}")

    def ask(path: str = "/") -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
            return answer.read().decode()

    with ThreadPoolExecutor() as pool:
        wait_until(lambda: _listens(port))
        assert ask() == "100"
        slow = pool.submit(ask, "/slow/")
        for number in (101, 102):
            program.edit(number)
            wait_until(lambda number=number: ask() == str(number))  # none is refused
        assert not slow.done()
        (tmp_path / "go on").touch()
        assert slow.result(30) == "100"
    program.process.terminate()
    assert program.process.wait(timeout=60) == 0


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

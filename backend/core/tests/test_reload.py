"""A program under core.reload runs anew after every edit: real processes and files."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.reload import snapshot

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
    """A program in a directory of its own, and what it has said."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.output = place / "output"
        self.edit(100)
        (place / "program.py").write_text(PROGRAM)

    def start(self) -> None:
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "core.reload", "program.py"],
                cwd=self.place,
                env={**os.environ, "PYTHONPATH": str(BACKEND)},
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
    assert made.process.wait(timeout=20) == 0


def wait_until(holds, within: float = 30) -> None:
    end = time.monotonic() + within
    while not holds():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.01)


def test_an_edit_runs_the_program_anew(program):
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


def test_an_edit_while_the_project_is_imported_is_not_lost(program):
    program.shows(100)
    program.write("import time\ntime.sleep(0.5)\nNUMBER = 101\n")
    time.sleep(0.2)
    program.edit(102)
    program.shows(102)


def test_what_is_not_of_the_project_is_imported_once(program):
    assert program.shows(100)[2] == "False"

    def known() -> bool:
        number = int(program.numbers()[-1]) + 1
        program.edit(number)
        return program.shows(number)[2] == "True"

    wait_until(known)


def test_a_broken_program_waits_for_the_mended_file(program):
    program.shows(100)
    program.write("NUMBER = (\n")
    wait_until(lambda: "it starts again after an edit" in program.output.read_text())
    assert "SyntaxError" in program.output.read_text()
    program.edit(101)
    program.shows(101)


def test_a_broken_program_at_the_start_does_too(tmp_path):
    program = Program(tmp_path)
    program.write("raise ValueError\n")
    program.start()
    wait_until(lambda: "it starts again after an edit" in program.output.read_text())
    program.edit(101)
    program.shows(101)
    program.process.terminate()
    assert program.process.wait(timeout=20) == 0


def test_a_program_that_is_done_is_not_run_again(tmp_path):
    (tmp_path / "program.py").write_text("print('done')\n")
    program = Program(tmp_path)
    (tmp_path / "program.py").write_text("print('done')\n")
    program.start()
    assert program.process.wait(timeout=20) == 0
    assert program.output.read_text() == "done\n"


def test_the_program_ends_with_the_process_around_it(program):
    pid = int(program.shows(100)[1])
    program.process.send_signal(signal.SIGTERM)
    assert program.process.wait(timeout=20) == 0
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

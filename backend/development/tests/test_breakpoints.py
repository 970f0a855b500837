"""`breakpoint()` stops under a debugger, opens pdb in a terminal, and fails nothing elsewhere."""

import os
import socket
import subprocess
import sys
from pathlib import Path

BACKEND = Path(__file__).parents[2]
CALL = """
import sys
{before}
from development import breakpoints
breakpoints.install()
breakpoint()
print("went on")
"""


def call(before: str = "", **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", CALL.format(before=before)],
        cwd=BACKEND,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def test_without_a_debugger_it_goes_on_and_says_how_to_get_one():
    done = call()
    assert done.returncode == 0, done.stderr
    assert "went on" in done.stdout
    assert "./dev up --debug" in done.stdout
    assert "<string>:6" in done.stdout


def test_the_hook_of_a_debugger_stays():
    assert call("sys.breakpointhook = lambda: print('stopped')").stdout.split() == [
        "stopped", "went", "on",
    ]  # fmt: skip


def test_what_the_environment_names_is_called():
    assert call(PYTHONBREAKPOINT="builtins.exit").stdout == ""


def test_in_a_terminal_it_stays_pdb():
    done = call("sys.stdin.isatty = lambda: True")
    assert done.returncode != 0
    assert "(Pdb)" in done.stdout  # it has started, and met the end of its input


def debugged(code: str) -> subprocess.CompletedProcess:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return subprocess.run(
        [BACKEND / "bin/process", "false", "-c", code],
        env={**os.environ, "DEBUGPY_PORT": str(port)},
        cwd=BACKEND,
        capture_output=True,
        text=True,
    )


def test_a_debugged_process_starts_without_a_warning():
    done = debugged("print('ran')")
    assert (done.stdout, done.stderr) == ("ran\n", "")


TRACED = """
import os, sys, threading
def look(): print(sys.gettrace(), flush=True)
def look_everywhere():
    look()
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
look_everywhere()
if os.fork() == 0:
    look_everywhere()
    os._exit(0)
os.wait()
"""


def test_nothing_is_traced_before_an_editor_attaches():
    """stack/test_debugging.py attaches, also to threads that run already."""
    assert debugged(TRACED).stdout.split() == ["None"] * 4

"""The facts that a checkout remembers, and the lock that lets one command work at a time."""

from __future__ import annotations

import io
import subprocess
import sys

from front_door import ROOT

from devtools.checkout import Checkout
from devtools.terminal import Terminal

HOLD = """
import sys
sys.path.insert(0, {root!r})
from pathlib import Path
from devtools.checkout import Checkout
from devtools.terminal import Terminal
with Checkout(Path({checkout!r}), {{}}).lock(Terminal(), "up"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_facts_are_remembered_until_they_are_forgotten(tmp_path):
    checkout = Checkout(tmp_path, {})
    checkout.remember("images", {"web": 1})
    assert checkout.recall("images") == {"web": 1}
    checkout.forget("images")
    checkout.forget("images")
    assert checkout.recall("images") == {}


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    code = (
        "import sys; from pathlib import Path; from devtools.checkout import Checkout\n"
        "root = Path(sys.argv[1])\n"
        "for _ in range(500): Checkout(root, {}).write(root / 'facts.json', '{}')"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    writers = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["facts.json"]


def test_recalling_creates_no_file(tmp_path):
    assert Checkout(tmp_path, {}).recall("images") == {}
    assert list(tmp_path.iterdir()) == []


def test_the_environment_wins_over_dotenv(tmp_path):
    (tmp_path / ".env").write_text("A=file\nB=file\n")
    checkout = Checkout(tmp_path, {"A": "process", "B": ""})
    assert (checkout.chosen("A"), checkout.where_chosen("A")) == ("process", "the environment")
    assert (checkout.chosen("B"), checkout.where_chosen("B")) == ("file", ".env")
    assert checkout.set_to("B") == ""  # like Compose's interpolation


def test_a_second_command_prints_that_it_waits_and_then_runs(tmp_path):
    code = HOLD.format(root=str(ROOT), checkout=str(tmp_path))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with (
        subprocess.Popen([sys.executable, "-c", code], **pipes) as first,
        subprocess.Popen([sys.executable, "-c", "input()\n" + code], **pipes) as second,
    ):
        assert first.stdout.readline() == "held\n"
        second.stdin.write("go\n")
        second.stdin.flush()
        waiting = second.stdout.readline()
        assert f"`./dev up` (process {first.pid}), which is at work here" in waiting
        first.communicate("done\n")
        assert second.stdout.readline() == "held\n"
        second.communicate("done\n")
    assert (first.returncode, second.returncode) == (0, 0)


def test_a_lock_is_free_when_its_holder_was_killed(tmp_path):
    code = HOLD.format(root=str(ROOT), checkout=str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout.readline() == "held\n"
        first.kill()
    out = io.StringIO()
    with Checkout(tmp_path, {}).lock(Terminal(out, out, {}), "down"):
        assert out.getvalue() == ""


def test_a_copy_has_what_a_clone_has_and_what_is_not_committed(tmp_path):
    here = tmp_path / "here"
    for name in (
        ".git/HEAD",
        ".env",
        ".dev/state.json",
        ".venv/pyvenv.cfg",
        "new.py",
        ".env.example",
    ):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("")
    (here / "link").symlink_to("nowhere")
    copy = Checkout(here, {}).copy(tmp_path / "there", {"PATH": "/bin"})
    assert {path.name for path in copy.root.iterdir()} == {"new.py", ".env.example", "link"}
    assert copy.variables == {"PATH": "/bin"}

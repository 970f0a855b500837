"""The checkout's `.venv`: created with a suitable Python, only from the locks."""

from __future__ import annotations

import py_compile
import re
import sys
from pathlib import Path

import pytest
from front_door import ROOT

from devtools import environment, locking
from devtools.checkout import Checkout
from devtools.environment import _uv
from devtools.errors import DevError
from devtools.terminal import Terminal


def test_uv_is_installed_in_the_locked_version_with_its_hashes():
    version, entry = _uv(Checkout(ROOT, {}))
    first, *hashes = entry.splitlines()
    assert first == f"uv=={version} \\"
    assert hashes
    assert all(re.fullmatch(r" +--hash=sha256:[0-9a-f]{64}( \\)?", line) for line in hashes)
    assert not hashes[-1].endswith("\\")


@pytest.mark.parametrize(("lock", "what"), [(None, "cannot be read"), ("", "does not lock uv")])
def test_an_invalid_lock_is_reported(tmp_path, lock, what):
    if lock is not None:
        (tmp_path / "requirements").mkdir()
        (tmp_path / environment.REQUIREMENTS).write_text(lock)
    with pytest.raises(DevError, match=what):
        _uv(Checkout(tmp_path, {}))


def test_a_machine_without_a_suitable_python_gets_instructions(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "MINIMUM", (9, 1))
    with pytest.raises(DevError, match=r"needs Python 9\.1 or newer; found only: /"):
        environment.find_python(Checkout(tmp_path, {"PATH": ""}))


def test_the_pip_of_another_python_is_loaded_once_for_a_venv(tmp_path):
    runner = tmp_path / "pip" / "__pip-runner__.py"
    runner.parent.mkdir()
    (tmp_path / "pip" / "__init__.py").touch()
    runner.touch()
    checkout = Checkout(tmp_path, {"PATH": "", "PYTHONPATH": str(tmp_path)})
    found = environment._pip(checkout, Terminal().step("installing uv"))
    assert found == [str(environment.python(checkout)), str(runner)]


@pytest.fixture
def venv(tmp_path) -> Checkout:
    """A checkout whose `.venv` was installed from another lock and lacks one package."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "backend").mkdir()
    (tmp_path / environment.REQUIREMENTS).write_text("leftpad==1.2\n")
    checkout = Checkout(tmp_path, {})
    python = environment.python(checkout)
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho leftpad 1.2; exit 3\n")
    python.chmod(0o755)
    (tmp_path / ".venv" / "installed").write_text("of another lock")
    return checkout


def test_bytecode_of_the_same_files_is_linked_from_other_work_trees(venv, monkeypatch, tmp_path):
    theirs, own = tmp_path / "other" / ".venv", tmp_path / ".venv"
    monkeypatch.setattr(environment, "_homes_beside", lambda _: [theirs])
    packages = "lib/python3.13/site-packages/leftpad"
    for home in (theirs, own):
        home.joinpath(packages).mkdir(parents=True)
    for name in ("same", "changed", "absent"):
        source = theirs / packages / f"{name}.py"
        source.write_text("WIDTH = 1\n")
        py_compile.compile(str(source), str(_compiled(source)))
    (own / packages / "same.py").hardlink_to(theirs / packages / "same.py")
    (own / packages / "changed.py").write_text("WIDTH = 12\n")

    environment._share_bytecode(venv)
    environment._share_bytecode(venv)  # once more: it is there
    linked = list(own.rglob("*.pyc"))
    assert linked == [_compiled(own / packages / "same.py")]
    assert linked[0].samefile(_compiled(theirs / packages / "same.py"))


def _compiled(source: Path) -> Path:
    return source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc"


def test_a_dev_container_has_packages_of_a_tool_in_the_checkout(venv, monkeypatch):
    assert environment._beside(venv, environment.PROTOCOL) == venv.root / ".venv" / "mcp"
    monkeypatch.setattr(environment, "inside", lambda _: True)
    version = sys.implementation.cache_tag
    assert environment._beside(venv, environment.PROTOCOL) == venv.root / f".dev/mcp-{version}"


def test_packages_that_venv_lacks_are_found(venv):
    assert environment.missing(venv) == ["leftpad 1.2"]


def test_a_broken_venv_reports_no_missing_packages(venv):
    environment.python(venv).write_text("#!/bin/sh\necho Traceback; exit 1\n")
    assert environment.missing(venv) == []


def test_a_step_names_a_few_packages():
    names = [f"package{number} 1" for number in range(7)]
    assert environment.added(names[:2]) == ": package0 1, package1 1"
    assert environment.added(names).endswith("package4 1, and 2 more")
    assert environment.added([]) == ""


@pytest.fixture
def installing(venv, monkeypatch) -> list[list[str]]:
    """The locks of each installation into a `.venv` that has uv; none is made."""
    made: list[list[str]] = []
    for lock in (environment.LOCK_OF_IMAGE, environment.LOCK_OF_ALL):
        (venv.root / lock).write_text("")
    monkeypatch.setattr(environment, "_uv_ready", lambda checkout, _: environment.python(checkout))
    monkeypatch.setattr(
        environment,
        "_do",
        lambda _checkout, _step, command, _what: made.append(
            [word for word in command if word.startswith("requirements/")]
        ),
    )
    return made


def test_a_command_adds_what_it_needs_and_a_start_keeps_it(venv, installing, capsys):
    start, tests, everything = environment.STACK, environment.CHECKS, environment.TOOLS
    environment.ensure(venv, Terminal(), start)
    before = environment.installed(venv)
    environment.ensure(venv, Terminal(), tests)
    assert (
        "installing requirements/test.txt into .venv for tests and checks" in capsys.readouterr()[0]
    )
    for needed in (start, tests, everything, tests, start):
        environment.ensure(venv, Terminal(), needed)
    assert installing == [
        ["requirements/embedded.txt"],
        ["requirements/embedded.txt", "requirements/test.txt"],
        ["requirements/tools.txt"],
    ]
    assert environment.installed(venv) == before, "web and worker need not restart"


def test_what_was_added_follows_its_lock(venv, installing):
    environment.ensure(venv, Terminal(), environment.CHECKS)
    (venv.root / environment.LOCK_OF_ALL).write_text("changed")
    assert environment.as_locked(venv)
    (venv.root / environment.LOCK_OF_IMAGE).write_text("changed")
    assert not environment.as_locked(venv)
    environment.ensure(venv, Terminal())
    assert installing == [["requirements/embedded.txt", "requirements/test.txt"]] * 2


def test_an_interrupted_addition_is_repeated_by_any_command(venv, installing, monkeypatch):
    with monkeypatch.context() as interrupted:
        interrupted.setattr(environment, "_do", lambda *_: _interrupt())
        with pytest.raises(KeyboardInterrupt):
            environment.ensure(venv, Terminal(), environment.CHECKS)
    environment.ensure(venv, Terminal())
    assert installing == [["requirements/embedded.txt", "requirements/test.txt"]]


def _interrupt() -> None:
    raise KeyboardInterrupt


def test_other_locks_take_their_versions_from_that_of_everything(venv, monkeypatch):
    directory = venv.root / locking.DIRECTORY
    for name in ("base", "tools"):
        (directory / f"{name}.in").write_text("leftpad\n")
        (directory / f"{name}.txt").write_text("leftpad==1\n")
    asked = []

    def resolve(checkout, python, source, upgrade) -> None:
        lock = source.with_suffix(".txt")
        asked.append((source.name, upgrade, lock.read_text()))
        if upgrade:
            lock.write_text("leftpad==2\n")

    monkeypatch.setattr(locking, "_compile", resolve)
    locking.write(venv, environment.python(venv), Terminal(), upgrade=True)
    assert asked == [("tools.in", True, "leftpad==1\n"), ("base.in", False, "leftpad==2\n")]
    assert (directory / "base.txt").read_text() == "leftpad==2\n"


@pytest.mark.parametrize(("lock", "changed"), [("leftpad==1.2\n", False), ("", True)])
def test_a_changed_lock_is_distinguished_from_an_unchanged_one(venv, monkeypatch, lock, changed):
    directory = venv.root / locking.DIRECTORY
    (directory / "embedded.in").write_text("leftpad\n")

    def resolve(checkout, python, source, upgrade) -> None:
        source.with_suffix(".txt").write_text(lock)

    monkeypatch.setattr(locking, "_compile", resolve)
    assert bool(locking.write(venv, environment.python(venv), Terminal())) is changed

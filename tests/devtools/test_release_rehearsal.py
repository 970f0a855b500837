"""`./dev release --rehearse` on a real database: it finds the code before, and changes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from embedded_checkout import EmbeddedCheckout
from misfits import misfit

from devtools.commands import shapes
from devtools.readiness import wait_until

MIGRATION = """
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("users", "{before}")]
    operations = [migrations.AddField("user", "nick", models.CharField({options}))]
"""
DATABASES = "SELECT datname FROM pg_database WHERE datname LIKE '%rehearsal'"
COLUMN = "SELECT FROM pg_attribute WHERE attname = 'nick'"

pytestmark = pytest.mark.stack


@pytest.fixture
def stack(venv, tmp_path):
    """A released database, a repository with one commit, and no web."""
    checkout = EmbeddedCheckout.make(tmp_path / "checkout", venv)
    checkout.commit("The code before")
    assert checkout.dev("migrate").returncode == 0
    yield checkout
    checkout.clean()


def test_the_release_is_rehearsed_on_a_copy(stack):
    migrations = stack.root / "backend" / "users" / "migrations"
    before = max(path.stem for path in migrations.glob("0*.py"))
    added = migrations / "0099_nick.py"
    added.write_text(MIGRATION.format(before=before, options='max_length=9, default=""'))
    stack.commit("Add a migration")
    (stack.root / "later").touch()
    stack.commit("Change something else")

    # A killed run leaves its copy, which the next one removes.
    command = [sys.executable, "dev", "release", "--rehearse"]
    with subprocess.Popen(command, cwd=stack.root, env=stack.variables) as killed:
        wait_until(lambda: stack.sql(DATABASES), 60, "no copy was made")
        os.kill(killed.pid, signal.SIGKILL)

    done = stack.dev("release", "--rehearse", "--json")
    assert done.returncode == 1, done.stderr
    assert "The code before" in done.stderr
    found = json.loads(done.stdout)
    assert misfit(found, shapes.REHEARSAL) == ""
    assert [one["schema"] for one in found["schemas"]] == ["public", "test1", "test2"]
    assert [one["migrations"] for one in found["schemas"]] == [["users.0099_nick"]] * 3
    [unsafe] = found["unsafe"]
    assert "an INSERT lacks nick" in unsafe["what"]
    assert (stack.sql(DATABASES), stack.sql(COLUMN)) == ("", "")
    assert not (stack.root / ".dev" / "rehearsal").exists()

    refused = stack.dev("release", "--rehearse", "--old", "HEAD", "--json")
    [problem] = json.loads(refused.stdout)["problems"]
    assert "pending migrations, too: users.0099_nick" in problem["what"]
    assert "--old COMMIT" in problem["remedy"]

    added.write_text(MIGRATION.format(before=before, options="max_length=9, null=True"))
    safe = stack.dev("release", "--rehearse")
    assert (safe.returncode, "safe to release" in safe.stdout) == (0, True), safe.stderr

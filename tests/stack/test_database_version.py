"""Data of an older major version of PostgreSQL is taken along by `./dev upgrade-db`."""

from __future__ import annotations

import os
import re
import subprocess
import time

import pytest
from running_stack import Stack, copy_checkout, eventually, free_ports

OLD, UP_TO_17, SINCE_18 = "postgres:17-alpine", "/var/lib/postgresql/data", "/var/lib/postgresql"
TENANT = """
CREATE ROLE tenant_old;
CREATE SCHEMA old AUTHORIZATION tenant_old;
CREATE TABLE old.kept (id serial PRIMARY KEY, word text, at timestamptz, facts jsonb, cost numeric);
INSERT INTO old.kept (word, at, facts, cost)
SELECT 'wörd ' || n, to_timestamp(n), json_build_object('n', n), n / 7.0
FROM generate_series(1, 9000) n;
ALTER TABLE old.kept OWNER TO tenant_old;
"""
WORDS = "SELECT count(*), sum(cost), max(word), nextval('old.kept_id_seq') > 9000 FROM old.kept"


class Versions(Stack):
    """A stack whose database is of either version, in development or in production."""

    def declare(self, image: str, directory: str) -> None:
        for name in ("docker-compose.yml", "docker-compose.prod.yml"):
            file = self.checkout / name
            text = re.sub(r"postgres:\d+-alpine", image, file.read_text())
            file.write_text(re.sub(r"postgres_data:\S+", f"postgres_data:{directory}", text))

    def db(self, *command: str, **options) -> subprocess.CompletedProcess[str]:
        return self.compose(*self.files, *command, **options)

    def psql(self, statement: str) -> str:
        command = ("psql", "-XAtU", "postgres", "-d", "homeport", "-c", statement)
        return self.db("exec", "-T", "db", *command).stdout.strip()

    def upgrade(self, *options: str, **more) -> subprocess.CompletedProcess[str]:
        return self.dev("upgrade-db", *self.options, *options, **more)


@pytest.fixture(params=["development", "production"])
def stack(request, tmp_path):
    if subprocess.run(["docker", "image", "inspect", OLD], capture_output=True).returncode:
        pytest.skip(f"the image {OLD} is not on this machine")
    checkout = tmp_path / "checkout"
    checkout.mkdir(mode=0o755)
    copy_checkout(checkout)
    made = Versions(checkout, f"homeport-old-{os.getpid()}", free_ports("DB_PORT"))
    made.files, made.options = (), ()
    if request.param == "production":
        made.dev("secrets")
        made.files = ("--env-file", ".env.production", "-f", "docker-compose.prod.yml")
        made.options = ("--production",)
    made.declare(OLD, UP_TO_17)
    made.db("up", "--detach", "--wait", "db")
    made.psql(TENANT)
    made.db("down")
    made.declare("postgres:18-alpine", SINCE_18)
    yield made
    made.db("down", "--volumes", check=False)
    for volume in ("", "-kept"):
        name = f"{made.project}_postgres_data{volume}"
        made.run("docker", "volume", "rm", "--force", name, check=False)


def test_the_data_of_an_older_version_is_taken_along_and_back(stack):
    refused = stack.db("up", "--detach", "--wait", "db", check=False)
    assert refused.returncode != 0
    assert "the data is of another version of PostgreSQL: ./dev upgrade-db" in (
        stack.db("logs", "db").stdout
    )
    assert "stop the stack" in stack.upgrade(check=False).stderr
    stack.db("down")

    done = stack.upgrade().stdout
    assert "PostgreSQL 17 to 18: every table is equal" in done
    assert re.search(r"^  old: 1 tables, 9000 rows$", done, re.M)
    assert "nothing to do" in stack.upgrade().stdout
    stack.db("up", "--detach", "--wait", "db")
    assert stack.psql(WORDS).endswith("|wörd 999|t")
    assert stack.psql("SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'old'") == (
        "tenant_old"
    )
    assert stack.psql("SHOW server_version_num")[:2] == "18"
    stack.psql("INSERT INTO old.kept (word) VALUES ('only after the upgrade')")
    stack.db("down")

    assert "of PostgreSQL 17 again" in stack.upgrade("--back", "--yes").stdout
    stack.declare(OLD, UP_TO_17)
    stack.db("up", "--detach", "--wait", "db")
    assert stack.psql(WORDS).endswith("|wörd 999|t")
    assert stack.psql("SHOW server_version_num")[:2] == "17"


@pytest.mark.parametrize("stack", ["development"], indirect=True)
def test_an_interrupted_upgrade_loses_nothing_and_is_begun_again(stack):
    new = f"{stack.project}_postgres_data-new"
    with subprocess.Popen(
        ["./dev", "upgrade-db", *stack.options], cwd=stack.checkout, env=stack.environment()
    ) as killed:
        # The old data has been removed from its place by now.
        eventually(lambda: _runs(stack, new), within=120)
        killed.kill()
    stack.run("docker", "kill", new, check=False)
    stack.run("docker", "kill", new.replace("-new", "-old"), check=False)

    refused = stack.db("up", "--detach", "--wait", "db", check=False)
    assert refused.returncode != 0, "an empty database was served"
    stack.db("down")
    assert "is the only copy" in stack.upgrade("--forget", "--yes", check=False).stderr
    assert re.search(r"^  old: 1 tables, 9000 rows$", stack.upgrade().stdout, re.M)
    assert "was deleted" in stack.upgrade("--forget", "--yes").stdout
    assert "nothing is kept" in stack.upgrade("--back", "--yes", check=False).stderr


def _runs(stack: Stack, container: str) -> bool:
    ended = stack.run("docker", "inspect", "-f", "{{.State.Running}}", container, check=False)
    time.sleep(0.05)
    return ended.stdout.strip() == "true"

"""Snapshots of a real database: saving, restoring, refusing; failures lose no data."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request

import pytest
from embedded_checkout import EmbeddedCheckout
from front_door import ROOT

from devtools import snapshots
from devtools.checkout import Checkout
from devtools.engines.embedded import EmbeddedEngine
from devtools.errors import DevError, UsageError
from devtools.readiness import wait_until
from devtools.snapshots import PREVIOUS, Snapshots
from devtools.terminal import Terminal

pytestmark = pytest.mark.stack


@pytest.fixture
def up(embedded):
    """The running stack, with its two sample tenants and no snapshot."""
    stack = embedded
    if not stack.healthy():
        stack.up()
    yield stack
    for name in _names(stack):
        _dev(stack, "snapshot", "delete", name, "--yes")
    for tenant in _tenants(stack) - {"test1", "test2"}:
        _dev(stack, "manage", "drop_tenant", tenant, "--yes", "--no-export")


def _dev(stack, *arguments: str) -> str:
    done = stack.dev(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def _listed(stack) -> list[dict]:
    return json.loads(stack.dev("snapshot", "list", "--json").stdout)


def _names(stack) -> list[str]:
    return [one["name"] for one in _listed(stack)]


def _tenants(stack) -> set[str]:
    return set(stack.sql("SELECT schema_name FROM tenant_config").split())


def _reads(stack, tenant: str) -> bool:
    """Whether web reads the tenant's tables: it refuses an account that is not there."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{stack.port('web')}/api/v1/auth/login/",
        data=json.dumps({"email": "nobody@example.com", "password": "x"}).encode(),
        headers={"X-Tenant": tenant, "Content-Type": "application/json"},
    )
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=30)
    with error.value:
        return error.value.code == 401


def _snapshots(stack) -> Snapshots:
    checkout = Checkout(stack.root, stack.variables)
    return Snapshots(EmbeddedEngine(checkout, Terminal()), checkout)


def test_a_restore_brings_back_the_snapshot_and_keeps_the_old_database(up):
    _dev(up, "snapshot", "save", "before")
    _dev(up, "manage", "create_tenant", "third")
    assert _reads(up, "third")

    said = _dev(up, "snapshot", "restore", "before")
    assert "to go back: ./dev snapshot restore previous" in said
    assert _tenants(up) == {"test1", "test2"}
    assert up.healthy()
    assert _reads(up, "test1")

    _dev(up, "snapshot", "restore", "previous")
    assert _tenants(up) == {"test1", "test2", "third"}
    assert _reads(up, "third")


def test_a_tenant_dropped_after_the_snapshot_works_again(up):
    _dev(up, "manage", "create_tenant", "third")
    _dev(up, "snapshot", "save", "three")
    _dev(up, "manage", "drop_tenant", "third", "--yes", "--no-export")
    _dev(up, "snapshot", "restore", "three")
    assert _reads(up, "third")
    # The application may switch to the tenant's role, and owns nothing itself.
    assert up.sql("SELECT pg_has_role('app', 'tenant_third', 'SET')") == "t"


def test_the_list_says_what_a_snapshot_is(up):
    _dev(up, "snapshot", "save", "one")
    (one,) = _listed(up)
    assert (one["name"], one["branch"], one["tenants"]) == ("one", "main", ["test1", "test2"])
    assert one["bytes"] > 5e6
    assert one["migrations_lacking"] == one["migrations_added"] == []
    line = up.dev("snapshot", "list").stdout.splitlines()[1]
    assert re.fullmatch(r"one +\d+ MB +\d{4}-\d\d-\d\d \d\d:\d\d +main +2 +all +as now", line)


def test_the_list_compares_migrations_with_the_current_database(up):
    _dev(up, "snapshot", "save", "older")
    up.sql("INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0009_x', now())")
    try:
        (older,) = _listed(up)
        assert older["migrations_lacking"] == ["shop.0009_x"]
        assert "1 fewer" in up.dev("snapshot", "list").stdout
    finally:
        up.sql("DELETE FROM django_migrations WHERE app = 'shop'")


def test_pending_migrations_of_the_restored_database_are_reported(up):
    up.sql("UPDATE tenant_config SET migrations_stamp = '' WHERE schema_name = 'test2'")
    _dev(up, "snapshot", "save", "behind")
    _dev(up, "migrate")
    done = up.dev("snapshot", "restore", "behind")
    assert done.returncode == 0
    assert "warning: " in done.stderr
    assert "migrations are pending in test2" in done.stderr
    assert "./dev migrate" in done.stderr
    _dev(up, "migrate")
    assert up.healthy()


def test_a_restore_empties_the_cache(up):
    put = "from django.core.cache import cache; cache.set('key', 'old', None); print('null')"
    get = "import json; from django.core.cache import cache; print(json.dumps(cache.get('key')))"
    _dev(up, "snapshot", "save", "one")
    up.python(put)
    assert up.python(get) == "old"
    _dev(up, "snapshot", "restore", "one")
    assert up.python(get) is None


ADDRESS = "ann@customers.example"
PERSON = f"""
from django.contrib.admin.models import CHANGE, LogEntry
from users.models import User
ann = User.objects.create_user({ADDRESS!r}, "a password", first_name="Ann", last_name="Lee")
User.objects.create_user("bo@customers.example", first_name="Bo")
LogEntry.objects.create(user=ann, object_repr=str(ann), action_flag=CHANGE, change_message="of Ann")
"""


@pytest.fixture
def people(up):
    """The stack with two persons in one tenant, and their addresses in a materialized view."""
    _dev(up, "manage", "shell", "--tenant", "test1", "-c", PERSON)
    up.sql("CREATE MATERIALIZED VIEW test1.addresses AS SELECT email FROM test1.users_user")
    up.sql("ANALYZE test1.users_user")
    yield up
    up.sql("DROP MATERIALIZED VIEW test1.addresses; DELETE FROM test1.django_admin_log")
    up.sql("DELETE FROM test1.users_user WHERE email LIKE '%customers.example'")


def test_a_masked_snapshot_has_no_personal_data_and_the_same_shape(people):
    _dev(people, "snapshot", "save", "shown", "--masked")
    (one,) = _listed(people)
    assert one["masked"]
    # Nothing was masked here.
    assert people.sql(f"SELECT count(*) FROM test1.users_user WHERE email = '{ADDRESS}'") == "1"
    _dev(people, "snapshot", "restore", "shown")
    try:
        rows = "SELECT email, first_name, last_name, password FROM test1.users_user"
        found = [line.split("|") for line in people.sql(f"{rows} ORDER BY id").splitlines()]
        assert len({email for email, *_ in found}) == len(found) >= 2
        for email, _, _, password in found:
            assert re.fullmatch(r"masked-[0-9a-f]{16}@example\.invalid", email)
            assert re.fullmatch("![0-9a-f]{32}|", password)
        names = [(first, last) for _, first, last, _ in found[-2:]]
        assert re.fullmatch("Name [0-9a-f]{16}", names[0][0])
        assert names[0][0] != names[1][0]
        assert names[1][1] == ""
        log = people.sql("SELECT object_repr, change_message FROM test1.django_admin_log")
        assert log == "xxx@xxxxxxxxx.xxxxxxx|"
        assert "customers" not in people.sql("SELECT string_agg(email, ' ') FROM test1.addresses")
        # Neither has what the planner keeps of a column's values.
        kept = "SELECT count(*) FROM pg_stats WHERE {}::text LIKE '%customers%'"
        assert people.sql(kept.format("histogram_bounds")) == "0"
        assert people.sql(kept.format("most_common_vals")) == "0"
    finally:
        _dev(people, "snapshot", "restore", "previous")
    # It can be used by the application again, which a masked copy cannot while it is made.
    assert people.sql("SELECT min(datconnlimit) FROM pg_database WHERE datallowconn") == "-1"


def test_a_table_that_no_model_describes_prevents_a_masked_snapshot(up):
    up.sql("CREATE TABLE test2.imported (address text)")
    up.sql("ALTER TABLE test1.users_user ADD COLUMN nickname text")
    try:
        refused = up.dev("snapshot", "save", "shown", "--masked")
        assert refused.returncode == 1
        assert "test1.users_user.nickname, test2.imported" in refused.stderr
        assert "docs/data.md" in refused.stderr
        assert _names(up) == []
    finally:
        up.sql("DROP TABLE test2.imported; ALTER TABLE test1.users_user DROP COLUMN nickname")


def test_a_name_is_not_overwritten_unless_that_is_asked_for(up):
    _dev(up, "snapshot", "save", "one")
    refused = up.dev("snapshot", "save", "one")
    assert refused.returncode == 1
    assert "--replace" in refused.stderr
    _dev(up, "manage", "create_tenant", "third")
    _dev(up, "snapshot", "save", "one", "--replace")
    (one,) = _listed(up)
    assert one["tenants"] == ["test1", "test2", "third"]


@pytest.mark.parametrize("name", ["Upper", "with space", "@new", "-x", "a" * 41, 'quo"te'])
def test_invalid_names_are_refused(name, tmp_path):
    checkout = Checkout(tmp_path, {})
    with pytest.raises(UsageError, match="is not a valid snapshot name"):
        Snapshots(EmbeddedEngine(checkout, Terminal()), checkout).save(name)


def test_an_unknown_name_gets_a_suggestion(up):
    _dev(up, "snapshot", "save", "before-merge")
    for action in ("restore", "delete"):
        done = up.dev("snapshot", action, "before-merg")
        assert done.returncode == 1
        assert "did you mean before-merge?" in done.stderr


def test_another_major_version_is_refused(up):
    _dev(up, "snapshot", "save", "old")
    facts = json.dumps({"postgres": 17, "saved": "2025-01-01T00:00:00+00:00"})
    up.sql(f"COMMENT ON DATABASE \"homeport@old\" IS '{facts}'")
    done = up.dev("snapshot", "restore", "old")
    assert done.returncode == 1
    assert "was saved by PostgreSQL 17 and cannot be restored in 18" in done.stderr
    assert _names(up) == ["old"]  # nothing was renamed


def test_deleting_asks_first(up):
    _dev(up, "snapshot", "save", "one")
    done = up.dev("snapshot", "delete", "one")
    assert done.returncode == 1
    assert "--yes" in done.stderr
    assert _names(up) == ["one"]


def test_a_restore_that_fails_at_the_last_moment_changes_nothing(up):
    class Failing(Snapshots):
        def _label(self, name):
            return [*super()._label(name), "SELECT 1 / 0"]

    _dev(up, "snapshot", "save", "before")
    _dev(up, "manage", "create_tenant", "third")
    failing = _snapshots(up)
    failing.__class__ = Failing
    with pytest.raises(DevError, match="division by zero"):
        failing.restore("before")
    assert _tenants(up) == {"test1", "test2", "third"}
    assert _names(up) == ["before"]
    assert "@@" not in up.sql("SELECT string_agg(datname, ' ') FROM pg_database")
    assert _reads(up, "third")


def test_an_interrupted_copy_is_not_a_snapshot_and_blocks_nothing(up):
    up.sql('CREATE DATABASE "homeport@@new"')
    up.sql('CREATE DATABASE "homeport@@old"')
    assert _names(up) == []
    _dev(up, "snapshot", "save", "one")
    assert "@@" not in up.sql("SELECT string_agg(datname, ' ') FROM pg_database")


def test_a_release_under_way_is_waited_for(up, monkeypatch):
    monkeypatch.setattr(snapshots, "_PATIENCE", 1)
    number = snapshots.RELEASE_LOCK
    lock = f"SELECT pg_advisory_lock({number}), pg_sleep(60)"
    holder = up.start("psql", "--dbname", "postgres", "-c", lock)
    held = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {number}"
    try:
        wait_until(lambda: up.sql(held) == "1", 30, "the lock was not taken")
        with pytest.raises(DevError, match="a release has been at work"):
            _snapshots(up).save("one")
    finally:
        up.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        holder.communicate(timeout=30)
    assert _names(up) == []


def test_releases_and_snapshots_use_the_same_lock():
    code = (ROOT / "backend" / "tenants" / "locks.py").read_text()
    (number,) = re.findall(r"^LOCK = (\w+)", code, re.M)
    assert int(number, 16) == snapshots.RELEASE_LOCK


def test_without_a_database_it_says_so(venv, tmp_path):
    down = EmbeddedCheckout.make(tmp_path / "down", venv)
    done = down.dev("snapshot", "list")
    assert done.returncode == 1
    assert "./dev up" in done.stderr
    assert PREVIOUS not in done.stdout

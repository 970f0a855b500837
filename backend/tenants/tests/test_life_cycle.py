"""A tenant is made, listed, suspended, exported and dropped by one command each."""

import json
import re
import zipfile

import pytest
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import OperationalError, ProgrammingError, connection, transaction
from django_tenants.utils import schema_context, schema_exists, tenant_context
from psycopg.errors import DeadlockDetected

from tenants import archive, services
from tenants.locks import LOCK_PAUSE
from tenants.migration import stamp
from tenants.models import Domain, Tenant
from tenants.resolution import CACHE_SECONDS
from users.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("alone", "empty_cache")]


@pytest.fixture(autouse=True)
def _own_directories(settings, tmp_path):
    settings.EXPORT_ROOT = str(tmp_path / "exports")
    settings.MEDIA_ROOT = str(tmp_path / "media")


@pytest.fixture(autouse=True)
def waited(monkeypatch):
    """Collect the pauses, in seconds, instead of waiting."""
    seconds = []
    monkeypatch.setattr("time.sleep", seconds.append)
    return seconds


@pytest.fixture
def said(capsys):
    """Return a function that runs a command and returns what it printed."""

    def run(*command, **options):
        capsys.readouterr()
        call_command(*command, **options)
        return capsys.readouterr().out

    return run


def role_exists(name):
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [name])
        return cursor.fetchone() is not None


# --- create -------------------------------------------------------------------------------


def test_a_third_tenant_is_one_command_away(client, said, settings):
    settings.ALLOWED_HOSTS = ["third.example.com", "third.localhost"]
    assert "created third" in said("create_tenant", "third", domains=["third.example.com"])

    assert Tenant.objects.get(schema_name="third").migrations_stamp == stamp()
    for host in ("third.localhost", "third.example.com"):
        assert client.get("/", headers={"host": host}).context["schema"] == "third"


def test_creating_a_tenant_again_says_that_it_exists(said):
    said("create_tenant", "third", "--name", "The Third")
    assert "third exists" in said("create_tenant", "third")
    assert Tenant.objects.get(schema_name="third").name == "The Third"


def test_creating_a_tenant_again_gives_it_what_it_lacks(said):
    Tenant.objects.create(schema_name="third", name="Third")
    assert "third exists" in said("create_tenant", "third", domains=["third.example.com"])
    assert schema_exists("third")
    assert Domain.objects.get().domain == "third.example.com"


@pytest.mark.parametrize("name", ["public", "pg_x", "Third", "a-b", "x" * 57, "third\n"])
def test_an_impossible_name_is_explained(name):
    with pytest.raises(CommandError, match="begins with a letter"):
        call_command("create_tenant", name)


@pytest.mark.parametrize("host", ["https://x.example", "x.example:80", "X.example", "a b", "x."])
def test_an_impossible_domain_is_explained_and_nothing_is_made(host):
    with pytest.raises(CommandError, match="is not a host name"):
        call_command("create_tenant", "third", domains=[host])
    assert not Tenant.objects.filter(schema_name="third").exists()


def test_a_domain_of_another_tenant_is_refused(said):
    said("create_tenant", "third", domains=["x.example"])
    with pytest.raises(CommandError, match="already exists"):
        call_command("create_tenant", "fourth", domains=["x.example"])


# --- list, suspend, resume ----------------------------------------------------------------


def test_the_list_shows_state_domains_release_and_size(said):
    Tenant.objects.create(schema_name="third", name="Third")
    call_command("create_tenant", "fourth", domains=["x.example"])
    said("suspend_tenant", "test2")

    heading, *rows = said("list_tenants").splitlines()
    rows = {row.split()[0]: row for row in rows}
    assert heading.split()[:5] == ["NAME", "TITLE", "STATE", "RELEASED", "SIZE"]
    assert list(rows) == ["fourth", "test1", "test2", "third"]
    assert "active" in rows["test1"]
    assert re.search(r"\d [KM]B", rows["test1"])
    assert "suspended" in rows["test2"]
    assert " no " in rows["third"]
    assert "fourth.localhost, x.example" in rows["fourth"]


def test_a_tenant_of_older_code_is_listed_as_behind(said):
    Tenant.objects.filter(schema_name="test1").update(migrations_stamp="older")
    assert "behind" in said("list_tenants")


def test_a_suspended_tenant_is_refused_until_it_is_resumed(client, said):
    assert "is suspended, everywhere within" in said("suspend_tenant", "test2")
    assert "already" in said("suspend_tenant", "test2")
    assert client.get("/", headers={"host": "test2.localhost"}).status_code == 403

    said("resume_tenant", "test2")
    assert client.get("/", headers={"host": "test2.localhost"}).status_code == 200


@pytest.mark.parametrize("command", ["suspend_tenant", "resume_tenant", "export_tenant"])
def test_an_unknown_tenant_is_answered_with_those_there_are(command):
    with pytest.raises(CommandError, match="there is no tenant 'nosuch'; there are: test1, test2"):
        call_command(command, "nosuch")


# --- drop ---------------------------------------------------------------------------------


@pytest.fixture
def third(said):
    """A tenant with a row, a file, a domain and a cache entry."""
    said("create_tenant", "third", "--name", "The Third", domains=["third.example.com"])
    with schema_context("third"):
        User.objects.create_user("ann@example.com", first_name="Änn\t\\N")
        cache.set("cart", "ann's")
        default_storage.save("invoices/1.txt", ContentFile(b"one"))
    connection.check_constraints()  # the test's transaction would leave that to its end
    return "third"


def test_a_dropped_tenant_leaves_nothing_behind(third, said, client):
    with schema_context("test1"):
        cache.set("cart", "bob's")
    gone = Tenant.objects.get(schema_name=third)
    said("drop_tenant", third, "--yes")

    assert not schema_exists(third)
    assert not role_exists("tenant_third")
    assert not Domain.objects.exists()
    assert client.get("/", headers={"host": "third.localhost"}).status_code == 404
    with tenant_context(gone):
        assert cache.get("cart") is None
        assert not default_storage.exists("invoices/1.txt")
    with schema_context("test1"):
        assert cache.get("cart") == "bob's"


def test_a_drop_waits_until_every_process_has_noticed(third, said, waited):
    said("drop_tenant", third, "--yes")
    assert waited == [CACHE_SECONDS]


def test_a_drop_in_a_deadlock_with_a_request_is_tried_again(third, said, waited, monkeypatch):
    drop, tries = services.drop_schema, []

    def in_a_deadlock(tenant):
        tries.append(tenant)
        if len(tries) == 1:
            raise OperationalError from DeadlockDetected()
        return drop(tenant)

    monkeypatch.setattr(services, "drop_schema", in_a_deadlock)
    said("drop_tenant", third, "--yes", "--no-export")
    assert not schema_exists(third)
    assert waited == [LOCK_PAUSE]


def test_what_was_dropped_comes_back_from_its_archive(third, said):
    path = said("drop_tenant", third, "--yes").split("archive: ")[1].strip()
    said("create_tenant", "fourth", "--from", path)

    with schema_context("fourth"):
        assert User.objects.get().first_name == "Änn\t\\N"
        with default_storage.open("invoices/1.txt") as file:
            assert file.read() == b"one"
        # Identities go on where they were.
        assert User.objects.create_user("bob@example.com").pk == User.objects.first().pk + 1


def test_an_archive_of_other_migrations_is_refused_before_anything_is_made(
    third, said, monkeypatch
):
    path = said("export_tenant", third).split("exported to ")[1].strip()
    monkeypatch.setattr(archive, "stamp", lambda: "of other code")
    with pytest.raises(CommandError, match="other migrations"):
        call_command("create_tenant", "fourth", "--from", path)
    assert not Tenant.objects.filter(schema_name="fourth").exists()


SQL_AS_A_NAME = (
    '"users_user"; RESET ROLE; CREATE TABLE public.loot AS SELECT * FROM test2.users_user; '
    'TRUNCATE "users_user"'
)


def set_key(key, value):
    """Return a change of a manifest."""
    return lambda manifest: manifest.update({key: value})


def set_columns(table, columns):
    """Return a change of a manifest."""
    return lambda manifest: manifest["tables"].update({table: columns})


@pytest.fixture
def wrong(third, said, tmp_path):
    """Return a function that makes an archive with another manifest, or with other members."""
    path = said("export_tenant", third).split("exported to ")[1].strip()

    def make(change=lambda manifest: None, **members):
        with zipfile.ZipFile(path) as right:
            contents = {name: right.read(name) for name in right.namelist()}
        manifest = json.loads(contents["tenant.json"])
        contents["tenant.json"] = json.dumps(change(manifest) or manifest)
        for name in [name for name, content in members.items() if content is None]:
            del contents[name], members[name]
        with zipfile.ZipFile(tmp_path / "wrong.zip", "w") as archive:
            for name, content in (contents | members).items():
                archive.writestr(name, content)
        return str(tmp_path / "wrong.zip")

    return make


def refuse(path, reason):
    with pytest.raises(CommandError, match=reason) as caught:
        call_command("create_tenant", "fourth", "--from", path)
    assert "Nothing was made." in str(caught.value)
    assert not Tenant.objects.filter(schema_name="fourth").exists()
    assert not schema_exists("fourth")
    assert not role_exists("tenant_fourth")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda manifest: [manifest], "tenant.json: it is not an object"),
        (lambda manifest: manifest.pop("migrations") and None, "`migrations` is not a text"),
        (set_key("tables", ["users_user"]), "`tables` is not an object"),
        (set_key("tables", {}), "no rows of tables: .*'users_user'"),
        (set_columns("users_user", "id"), "the columns of 'users_user' are not a list of names"),
        (set_columns("users_user", ["id"]), "other columns in tables: 'users_user'"),
        (set_columns("loot", ["id"]), "tables that no installed application has: 'loot'"),
        (set_columns(SQL_AS_A_NAME, ["id"]), "tables that no installed application has: .*RESET"),
        (set_columns("users_user", [SQL_AS_A_NAME]), "other columns in tables: 'users_user'"),
    ],
)
def test_an_archive_with_a_wrong_manifest_is_refused(wrong, change, reason):
    refuse(wrong(change), reason)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('public.loot')")
        assert cursor.fetchone() == (None,)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"tables/users_user": None}, "cannot be loaded: .*tables/users_user"),
        ({"tables/users_user": b"1\n"}, "cannot be loaded: missing data for column"),
        ({"tables/notes_note": b"1\ta\tb\t\\N\t\t2026-01-31\t999\n"}, "cannot be loaded: "),
        ({"files/../../test1/x": b"x"}, "cannot be loaded: .*test1"),
    ],
)
def test_an_archive_with_wrong_members_is_refused(wrong, members, reason):
    refuse(wrong(**members), reason)


@pytest.mark.parametrize("content", [b"dear", None])
def test_a_file_that_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "letter.zip"
    if content:
        path.write_bytes(content)
    refuse(str(path), "is no archive of a tenant")


def test_an_archive_that_is_no_tenants_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("x", "x")
    refuse(str(tmp_path / "x.zip"), "is no archive of a tenant .*tenant.json")


def test_a_tenant_is_suspended_until_its_archive_is_loaded(third, said, monkeypatch):
    path = said("export_tenant", third).split("exported to ")[1].strip()
    seen = []
    restore = services.restore

    def spy(tenant, *arguments):
        seen.append(Tenant.objects.get(pk=tenant.pk).is_active)
        restore(tenant, *arguments)

    monkeypatch.setattr(services, "restore", spy)
    said("create_tenant", "fourth", "--from", path)
    assert seen == [False]
    assert Tenant.objects.get(schema_name="fourth").is_active


def test_a_schema_of_somebody_else_is_kept_when_an_archive_cannot_be_loaded(third, said):
    path = said("export_tenant", third).split("exported to ")[1].strip()
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA fourth")
    with pytest.raises(CommandError, match="not released: fourth"):
        call_command("create_tenant", "fourth", "--from", path)
    assert schema_exists("fourth")
    assert not Tenant.objects.filter(schema_name="fourth").exists()


def test_nothing_is_dropped_when_the_export_fails(third, settings, tmp_path):
    (tmp_path / "file").touch()
    settings.EXPORT_ROOT = str(tmp_path / "file")
    with pytest.raises(CommandError):
        call_command("drop_tenant", third, "--yes")
    assert schema_exists(third)
    assert Tenant.objects.get(schema_name=third).is_active is False


@pytest.mark.parametrize(("answer", "stays"), [("third", False), ("yes", True), ("", True)])
def test_dropping_asks_for_the_name(third, monkeypatch, answer, stays):
    monkeypatch.setattr("builtins.input", lambda prompt: answer)
    if stays:
        with pytest.raises(CommandError, match="nothing was dropped"):
            call_command("drop_tenant", third)
    else:
        call_command("drop_tenant", third)
    assert schema_exists(third) is stays


def test_dropping_where_nobody_can_be_asked_says_what_to_add(third, monkeypatch):
    def closed(prompt):
        raise EOFError

    monkeypatch.setattr("builtins.input", closed)
    with pytest.raises(CommandError, match="--yes"):
        call_command("drop_tenant", third)


def test_a_tenant_that_was_never_released_can_be_dropped(said):
    Tenant.objects.create(schema_name="third", name="Third")
    assert "dropped third" in said("drop_tenant", "third", "--yes")


def test_a_request_cannot_drop_what_the_command_drops(third, test1):
    with pytest.raises(ProgrammingError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA third CASCADE")

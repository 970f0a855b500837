"""A user of test1 reaches nothing of test2, on any path.

Logged in as web and worker are, over connections that stay open, with rows that are committed.
Both tenants have an account with the same id, address and password hash.
"""

import inspect
import re
import threading
from pathlib import Path

import psycopg
import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.hashers import make_password
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import (
    DataError,
    InternalError,
    OperationalError,
    ProgrammingError,
    connection,
    transaction,
)
from django.test import AsyncClient, Client
from django_tenants.utils import schema_context

from core.celery import SENDER, app, echo
from tenants.operators import OPERATORS_ROLE, Operators
from tenants.resolution import forget
from tenants.tests import faulty_site
from tenants.tests.faulty_site import whereabouts
from tenants.tests.logins import APPLICATION, POOL, of_a_session
from users.models import User
from users.tokens import AccessToken

pytestmark = [
    pytest.mark.usefixtures("as_app", "empty_cache", "accounts"),
    pytest.mark.urls("tenants.tests.faulty_site"),
]

EMAIL = "root@example.com"
PASSWORD = "correct horse battery staple"


@pytest.fixture
def accounts(as_app):
    """The same superuser in both tenants and among the operators; only the first name differs."""
    hashed = make_password(PASSWORD)
    for tenant in (Operators(), "test1", "test2"):
        enter = connection.set_tenant if isinstance(tenant, Operators) else connection.set_schema
        enter(tenant)
        User.objects.create(
            pk=1_000_000,
            email=EMAIL,
            password=hashed,
            first_name=connection.schema_name,
            is_staff=True,
            is_superuser=True,
        )
    connection.set_schema_to_public()


class ASGIClient(AsyncClient):
    def _base_scope(self, **request):
        scope = super()._base_scope(**request)
        # Without Django's own host beside that of the test.
        return scope | {"headers": list(dict(scope["headers"]).items())}


@async_to_sync
async def awaited(answer):
    """Return an answer of ASGI, with its content as one of WSGI has it."""
    answer = await answer
    if answer.streaming:
        answer.streaming_content = [chunk async for chunk in answer.streaming_content]
    return answer


@pytest.fixture(params=[Client, ASGIClient], ids=["wsgi", "asgi"])
def at(request):
    """Return a function that asks for a path at a tenant's host; failures are answers, too."""
    client = request.param(raise_request_exception=False)

    def ask(tenant, path, method="get", **kwargs):
        headers = {"host": f"{tenant}.localhost"}
        answer = getattr(client, method)(path, headers=headers, **kwargs)
        return awaited(answer) if inspect.iscoroutine(answer) else answer

    ask.client = client
    return ask


def refused(statement: str) -> bool:
    with (
        pytest.raises(ProgrammingError, match=r"permission denied|must be (owner|superuser)"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    return True


# --- SQL ----------------------------------------------------------------------------------


def test_the_suite_is_logged_in_as_the_application():
    with connection.cursor() as cursor:
        cursor.execute("SELECT session_user, rolsuper FROM pg_roles WHERE rolname = session_user")
        assert cursor.fetchone() == ("app", False)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM test2.users_user",
        "SELECT count(*) FROM test2.users_user",
        "INSERT INTO test2.users_user (email) VALUES ('x')",
        "UPDATE test2.users_user SET first_name = ''",
        "DELETE FROM test2.users_user",
        "TRUNCATE test2.users_user",
        "COPY test2.users_user TO STDOUT",
        "SELECT nextval('test2.users_user_id_seq')",
        "CREATE TABLE test2.mine (id int)",
        "CREATE VIEW mine AS SELECT * FROM test2.users_user",
        "DROP SCHEMA test2 CASCADE",
        "ALTER SCHEMA test2 OWNER TO tenant_test1",
        "GRANT USAGE ON SCHEMA test2 TO tenant_test1",
        "GRANT tenant_test2 TO tenant_test1",
        "SELECT * FROM public.users_user",
        "SELECT * FROM public.tenant_config",
        "UPDATE public.tenant_config SET is_active = false",
        "CREATE TABLE public.mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "ALTER ROLE tenant_test1 SUPERUSER",
        "SELECT * FROM pg_authid",
        "COPY (SELECT 1) TO PROGRAM 'cat'",
        "SELECT pg_read_file('/etc/passwd')",
    ],
)
def test_in_a_tenant_sql_reaches_nothing_else(statement):
    with schema_context("test1"):
        assert refused(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM test1.users_user",
        "SELECT * FROM users_user",
        "SELECT * FROM public.django_admin_log",
        "INSERT INTO tenant_config (schema_name, name) VALUES ('x', 'x')",
        "UPDATE tenant_config SET is_active = false",
        "DELETE FROM tenant_config",
        "DELETE FROM tenant_domain",
        "DELETE FROM django_migrations",
        "DROP TABLE tenant_config",
        "CREATE TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "SET ROLE app_owner",
    ],
)
def test_without_a_tenant_the_application_may_only_read_the_list_of_tenants(statement):
    assert refused(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM test1.users_user",
        "UPDATE tenant_config SET schema_name = 'x'",
        "UPDATE tenant_config SET migrations_stamp = ''",
        "DELETE FROM tenant_config",
        "DELETE FROM django_migrations",
        "CREATE TABLE mine (id int)",
    ],
)
def test_the_operators_role_is_no_owner(statement):
    connection.set_tenant(Operators())
    assert refused(statement)


def test_a_table_that_the_tenant_lacks_is_not_found_in_public():
    with (
        schema_context("test1"),
        pytest.raises(ProgrammingError, match="does not exist"),
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT * FROM tenant_config")


def test_a_tenant_without_a_role_cannot_be_entered():
    with schema_context("nosuch"), pytest.raises(DataError, match="no tenant 'nosuch'"):
        whereabouts()


def test_no_name_breaks_out_of_the_statement_that_enters_it():
    name = "test1', false), set_config('role', 'tenant_test2"
    with schema_context(name), pytest.raises(Exception, match=r"Invalid string|does not exist"):
        whereabouts()


def test_a_login_of_its_own_has_no_rights_in_a_tenant():
    params = connection.get_connection_params() | APPLICATION
    with (
        psycopg.connect(**params, autocommit=True) as own,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        own.execute("SELECT * FROM test1.users_user")


def test_who_may_run_any_sql_is_not_stopped():
    """The limit of the design, as docs/tenants.md states it: roles stop mistakes, not intent.

    Within a transaction, that is: the next one begins with the tenant's role.
    """
    with schema_context("test1"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('role', 'tenant_test2', false)")
        cursor.execute("SELECT first_name FROM test2.users_user")
        assert cursor.fetchall() == [("test2",)]


# --- connections --------------------------------------------------------------------------


@pytest.mark.parametrize("fallback", [APPLICATION["password"], "neither", ""])
def test_the_other_password_is_tried_if_the_first_is_refused(fallback):
    """What `./dev rotate APP_PASSWORD` relies on."""
    other = connection.copy()
    other.settings_dict.update(PASSWORD="refused", PASSWORD_FALLBACK=fallback)
    if fallback == APPLICATION["password"]:
        other.ensure_connection()
        other.close()
    else:
        with pytest.raises(OperationalError, match="authentication failed"):
            other.ensure_connection()


def is_at(tenant):
    place = whereabouts()
    return (place["role"], place["users"]) == (f"tenant_{tenant}", [tenant])


def divide_by_zero():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1/0")


def test_nested_contexts_return_to_where_they_came_from():
    with schema_context("test1"):
        with schema_context("test2"):
            assert is_at("test2")
            with schema_context("test1"):
                assert is_at("test1")
            assert is_at("test2")
        assert is_at("test1")


def test_an_exception_in_a_nested_context_returns_to_where_it_came_from():
    with schema_context("test1"):
        with pytest.raises(DataError), schema_context("test2"):
            divide_by_zero()
        assert is_at("test1")


def test_a_savepoint_that_rolls_back_reverts_the_role_and_it_is_taken_again():
    with schema_context("test1"), transaction.atomic():
        assert is_at("test1")
        savepoint = transaction.savepoint()
        with schema_context("test2"):
            assert is_at("test2")
            transaction.savepoint_rollback(savepoint)
            assert is_at("test2")
        assert is_at("test1")


def test_a_transaction_that_rolls_back_reverts_the_role_and_it_is_taken_again():
    with schema_context("test1"):
        with transaction.atomic():
            with schema_context("test2"):
                assert is_at("test2")
            transaction.set_rollback(True)
        assert is_at("test1")


def test_a_failed_statement_does_not_leave_the_tenant_unset():
    with pytest.raises(DataError), transaction.atomic(), schema_context("test1"):
        divide_by_zero()
    with schema_context("test2"):
        assert is_at("test2")


def test_entering_a_tenant_in_a_failed_transaction_takes_hold_after_it():
    with schema_context("test1"):
        with transaction.atomic():
            with pytest.raises(DataError):
                divide_by_zero()
            connection.set_schema("test2")
            with pytest.raises(InternalError, match="aborted"):
                divide_by_zero()
            transaction.set_rollback(True)
        assert is_at("test2")


def test_a_connection_that_was_lost_and_made_again_is_in_the_tenant():
    with schema_context("test1"):
        assert is_at("test1")
        connection.close()
        assert is_at("test1")


def test_a_server_side_cursor_is_in_the_tenant():
    with schema_context("test1"):
        assert [user.first_name for user in User.objects.iterator(chunk_size=1)] == ["test1"]


def test_threads_keep_to_their_tenants():
    wrong = []
    barrier = threading.Barrier(8)

    def work(number):
        try:
            barrier.wait(30)
            for turn in range(25):
                tenant = f"test{(number + turn) % 2 + 1}"
                with schema_context(tenant):
                    if not is_at(tenant):
                        wrong.append((number, turn))
        except Exception as error:
            wrong.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- requests -----------------------------------------------------------------------------

ENDINGS = ["/here/", "/breaks/", "/breaks-in-transaction/", "/enters-another-tenant/", "/nosuch/"]
ENDINGS += ["/asynchronous/", "/asynchronously-enters-another-tenant/"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_next_request_on_the_same_connection_is_in_its_own_tenant(at, ending):
    before = at("test1", "/here/").json()
    at("test1", ending)
    after = at("test2", "/here/").json()

    assert (after["role"], after["users"]) == ("tenant_test2", ["test2"])
    # A pool gives any of its own.
    assert POOL or after["pid"] == before["pid"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_after_a_request_the_connection_is_in_no_tenant(at, ending):
    at("test1", ending)
    with pytest.raises(ProgrammingError, match="permission denied"):
        whereabouts()


@pytest.mark.parametrize("sql", ["RESET ROLE", "SET ROLE tenant_test2", "SET search_path = test2"])
def test_what_raw_sql_sets_ends_with_its_request(at, sql):
    at("test1", "/raw/", query_params={"sql": sql})
    assert at("test1", "/here/").json()["users"] == ["test1"]


@pytest.mark.parametrize("left_open", [True, False])
def test_what_a_request_leaves_in_the_session_ends_with_it(at, monkeypatch, left_open):
    if not left_open:
        monkeypatch.setattr(faulty_site, "STATE", faulty_site.STATE[:-1])
    assert at("test1", "/leaves-state/").status_code == 200
    assert at("test2", "/finds-state/").json() == {"found": []}
    assert at("test2", "/here/").json()["users"] == ["test2"]


def test_a_reset_is_not_undone_by_the_transaction_it_precedes(at, monkeypatch):
    monkeypatch.setattr(faulty_site, "STATE", faulty_site.STATE[:-1])
    at("test1", "/leaves-state/")
    at("test2", "/breaks-in-transaction/")
    assert at("test2", "/finds-state/").json() == {"found": []}


def test_being_checked_entering_and_resetting_cost_one_message(at, tmp_path):
    at("test1", "/")  # now the tenant is remembered
    with (tmp_path / "messages").open("w+") as file:
        connection.connection.pgconn.trace(file.fileno())
        at("test1", "/finds-state/")
        connection.connection.pgconn.untrace()
        file.seek(0)
        sent = [line for line in file if line.split("\t")[1:2] == ["F"]]
    entry, _of_the_view = sent
    assert "CLOSE ALL" in entry


@of_a_session
def test_state_lasts_as_long_as_its_request():
    with schema_context("test1"), connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE mine AS SELECT 1")
        with schema_context("test2"):
            assert is_at("test2")
        cursor.execute("SELECT * FROM mine")
        assert cursor.fetchall() == [(1,)]


@pytest.mark.parametrize("end", ["ROLLBACK", "COMMIT"])
def test_a_raw_transaction_cannot_bring_back_another_tenants_role(end):
    with schema_context("test1"), connection.cursor() as cursor:
        cursor.execute("BEGIN")
        with schema_context("test2"):
            cursor.execute("SELECT 1")
            cursor.execute(end)
            cursor.execute("SELECT current_user")
            assert cursor.fetchone() == ("tenant_test2",)
            assert is_at("test2")
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == ("tenant_test1",)


@pytest.mark.parametrize(
    ("at", "path"),
    [(Client, "/stream/"), (ASGIClient, "/stream-asynchronously/")],
    indirect=["at"],
)
def test_a_streamed_response_is_read_in_its_tenant_to_the_end(at, path):
    chunks = b"".join(at("test1", path).streaming_content)
    assert chunks == b"test1\n" * 3


@pytest.mark.parametrize("at", [Client], indirect=True)
def test_a_stream_read_after_another_request_began_does_not_read_the_others_rows(at):
    first = at("test1", "/stream/").streaming_content
    assert next(first) == b"test1\n"
    second = at("test2", "/stream/")
    second.close()
    with pytest.raises(ProgrammingError, match="permission denied"):
        list(first)


def test_all_that_an_async_view_starts_is_in_its_tenant(at):
    for tenant in ("test1", "test2", "test1"):
        assert at(tenant, "/asynchronous/").json() == {
            "roles": [f"tenant_{tenant}"] * 4,
            "users": [[tenant]] * 4,
            "cached": tenant,
            "content type": True,
        }


def test_an_async_view_returns_from_another_tenant(at):
    assert at("test1", "/asynchronously-enters-another-tenant/").json() == {
        "inside": ["test2"], "outside": ["test1"], "beside": ["test1"]
    }  # fmt: skip


def test_a_thread_of_a_request_has_no_tenant_unless_it_is_given(at):
    assert at("test1", "/thread/").status_code == 500
    assert at("test1", "/thread/", query_params={"wrapped": 1}).json() == {"users": ["test1"]}


# --- sessions and admin -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("home", "other"), [("test1", "test2"), ("test1", "public"), ("public", "test1")]
)
def test_an_admin_session_is_worth_nothing_elsewhere_although_password_hashes_are_equal(
    at, home, other
):
    form = {"username": EMAIL, "password": PASSWORD}
    assert at(home, "/admin/login/?next=/admin/", "post", data=form).status_code == 302
    session = at.client.cookies["sessionid"].value
    assert at(home, "/admin/").status_code == 200

    at.client.cookies["sessionid"] = session
    assert at(other, "/admin/").status_code == 302
    # The stranger's session was not ended, either.
    at.client.cookies["sessionid"] = session
    assert at(home, "/admin/").status_code == 200


def test_session_cookies_are_for_one_host_only(settings):
    assert settings.SESSION_COOKIE_DOMAIN is None
    assert settings.CSRF_COOKIE_DOMAIN is None


def test_the_operators_admin_works_with_the_applications_rights(at):
    at("public", "/admin/login/", "post", data={"username": EMAIL, "password": PASSWORD})
    domains = {"domains-TOTAL_FORMS": 1, "domains-INITIAL_FORMS": 0}
    form = {"schema_name": "third", "name": "Third", "is_active": "on", **domains}
    added = at(
        "public",
        "/admin/tenants/tenant/add/",
        "post",
        data=form | {"domains-0-domain": "third.example.com", "domains-0-is_primary": "on"},
    )
    assert added.status_code == 302

    page = at("public", "/admin/tenants/tenant/?q=third").content.decode()
    address = re.search(r"/admin/tenants/tenant/\d+/change/", page)[0]
    changed = {"name": "Renamed", **domains, "domains-TOTAL_FORMS": 0}
    answer = at("public", address, "post", data=changed)
    assert answer.status_code == 302
    page = at("public", "/admin/tenants/tenant/?q=third").content.decode()
    assert "Renamed" in page
    assert at("third", "/").status_code == 403

    account = {"email": "new@example.com", "password1": PASSWORD, "password2": PASSWORD}
    answer = at(
        "public", "/admin/users/user/add/", "post", data=account | {"usable_password": "true"}
    )
    assert answer.status_code == 302


# --- tokens -------------------------------------------------------------------------------


@pytest.fixture
def tokens(at):
    """Return a function that logs in at a tenant and returns its pair of tokens."""

    def log_in(tenant):
        answer = at(tenant, "/api/auth/login/", "post", data={"email": EMAIL, "password": PASSWORD})
        assert answer.status_code == 200, answer.content
        return answer.json()

    return log_in


def me(tenant, token):
    return Client(headers={"host": f"{tenant}.localhost", "authorization": f"Bearer {token}"}).get(
        "/me/"
    )


@pytest.mark.parametrize("prefix", ["/api/auth", "/api/v1/auth"])
def test_a_token_works_where_it_was_given(at, tokens, prefix):
    pair = tokens("test1")
    assert me("test1", pair["access"]).json() == {"name": "test1"}
    new = at("test1", f"{prefix}/token/refresh/", "post", data={"refresh": pair["refresh"]})
    assert me("test1", new.json()["access"]).json() == {"name": "test1"}


@pytest.mark.parametrize("other", ["test2", "public"])
def test_an_access_token_is_refused_at_another_tenant(tokens, other):
    assert me(other, tokens("test1")["access"]).status_code == 401


@pytest.mark.parametrize("other", ["test2", "public"])
def test_a_refresh_token_is_refused_at_another_tenant_and_not_used_up(at, tokens, other):
    refresh = {"refresh": tokens("test1")["refresh"]}
    assert at(other, "/api/auth/token/refresh/", "post", data=refresh).status_code == 401
    assert at("test1", "/api/auth/token/refresh/", "post", data=refresh).status_code == 200


def test_a_refresh_token_is_good_for_one_use(at, tokens):
    refresh = {"refresh": tokens("test1")["refresh"]}
    assert at("test1", "/api/auth/token/refresh/", "post", data=refresh).status_code == 200
    assert at("test1", "/api/auth/token/refresh/", "post", data=refresh).status_code == 401


@pytest.mark.parametrize("claim", [None, "", "TEST1", "test2", ["test1"]])
def test_a_token_with_another_claim_or_none_is_refused(claim):
    with schema_context("test1"):
        token = AccessToken.for_user(User.objects.get())
    token["tenant"] = claim
    if claim is None:
        del token.payload["tenant"]
    assert me("test1", str(token)).status_code == 401


# --- identity -----------------------------------------------------------------------------


def test_nothing_of_a_dropped_tenant_is_good_at_the_next_of_its_name(
    at, tokens, another_of_the_same_name
):
    pair = tokens("test1")
    at("test1", "/admin/login/", "post", data={"username": EMAIL, "password": PASSWORD})
    session = at.client.cookies["sessionid"].value
    with schema_context("test1"):
        cache.set("cart", "of the first")
        headers = {"_schema_name": "test1", SENDER: connection.tenant_identity}
        folder = default_storage.location
    assert echo.apply(args=["hello"], headers=headers).successful()
    another_of_the_same_name("test1")
    # A process that remembers the first tenant does not take the second for it.
    assert me("test1", pair["access"]).status_code in {401, 404}

    forget()
    assert me("test1", pair["access"]).status_code == 401
    refreshed = at("test1", "/api/auth/token/refresh/", "post", data={"refresh": pair["refresh"]})
    assert refreshed.status_code == 401
    at.client.cookies["sessionid"] = session
    assert at("test1", "/admin/").status_code == 302
    with schema_context("test1"):
        assert cache.get("cart") is None
        assert default_storage.location != folder
    assert isinstance(echo.apply(args=["hello"], headers=headers).result, LookupError)


def test_a_remembered_tenant_is_not_taken_for_the_next_of_its_name(at, another_of_the_same_name):
    assert at("test1", "/here/").status_code == 200
    another_of_the_same_name("test1")
    assert at("test1", "/here/").status_code == 404
    assert at("test1", "/here/").status_code == 200  # found again


def test_nothing_of_an_account_is_good_for_the_next_of_its_id(at, tokens):
    pair = tokens("test1")
    at("test1", "/admin/login/", "post", data={"username": EMAIL, "password": PASSWORD})
    session = at.client.cookies["sessionid"].value
    with schema_context("test1"):
        account = User.objects.get()
        password, pk = account.password, account.pk
        account.delete()
        User.objects.create(pk=pk, email=EMAIL, password=password, is_staff=True, is_superuser=True)
    assert me("test1", pair["access"]).status_code == 401
    refreshed = at("test1", "/api/auth/token/refresh/", "post", data={"refresh": pair["refresh"]})
    assert refreshed.status_code == 401
    at.client.cookies["sessionid"] = session
    assert at("test1", "/admin/").status_code == 302


def test_a_task_of_a_thread_returns_to_the_tenant_of_that_thread():
    """A task that is run in place must not leave the caller in another thread's tenant."""
    inside, outside = threading.Barrier(2, timeout=30), threading.Barrier(2, timeout=30)
    places = {}

    @app.task(name="tests.meets")
    def meet():
        inside.wait()

    def work(tenant):
        try:
            with schema_context(tenant):
                meet.apply(headers={"_schema_name": "test1" if tenant == "test2" else "test2"})
                outside.wait()
                places[tenant] = connection.schema_name
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[f"test{n}"]) for n in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert places == {"test1": "test1", "test2": "test2"}


def test_threads_do_not_share_what_is_remembered_of_content_types(other_content_types):
    ids = {}
    for tenant in ("test1", "test2"):
        with schema_context(tenant):
            ids[tenant] = ContentType.objects.get(app_label="users", model="user").pk
    assert ids["test1"] != ids["test2"]
    entered, remembered = threading.Barrier(2, timeout=30), threading.Barrier(2, timeout=30)
    seen = {}

    def work(tenant):
        try:
            with schema_context(tenant):
                entered.wait()
                if tenant == "test1":
                    ContentType.objects.get_for_model(User)
                remembered.wait()
                seen[tenant] = ContentType.objects.get_for_model(User).pk
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[tenant]) for tenant in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ids


# --- cache, files, logs -------------------------------------------------------------------


def test_cache_entries_do_not_cross():
    with schema_context("test1"):
        cache.set("cart", "of test1")
        cache.set_many({"a": 1})
        cache.incr("a")
    for other in ("test2", "public"):
        with schema_context(other):
            assert cache.get("cart") is None
            assert cache.get_many(["cart", "a"]) == {}
            assert not cache.delete("cart")
    with schema_context("test1"):
        assert cache.get("cart") == "of test1"


@pytest.mark.parametrize(
    "path", ["../../test2/secret.txt", "x/../../test2/secret.txt", "/etc/passwd", "../test1x/a"]
)
def test_files_of_another_tenant_cannot_be_named(settings, tmp_path, path):
    settings.MEDIA_ROOT = str(tmp_path)
    with schema_context("test2"):
        default_storage.save("secret.txt", ContentFile(b"secret"))
        theirs = Path(default_storage.path("secret.txt"))
    with schema_context("test1"):
        assert not default_storage.exists("secret.txt")
        for attempt in (default_storage.open, default_storage.exists, default_storage.delete):
            with pytest.raises(SuspiciousFileOperation):
                attempt(path)
        with pytest.raises(SuspiciousFileOperation):
            default_storage.save(path, ContentFile(b"mine"))
    assert theirs.read_bytes() == b"secret"


def test_files_have_an_address_of_their_tenant():
    for name in ("test1", "test2"):
        with schema_context(name):
            folder = f"{name}/{connection.tenant_identity}"
            assert default_storage.url("a.txt") == f"/media/{folder}/a.txt"


@pytest.mark.parametrize("path", ["/here/", "/breaks/"])
def test_log_lines_of_a_request_carry_its_tenant(at, caplog, path):
    for tenant in ("test1", "test2"):
        caplog.clear()
        at(tenant, path)
        lines = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
        assert [line["tenant"] for line in lines] == [tenant]


def test_the_operators_role_is_taken_on_their_host_only(at):
    assert at("public", "/here/").json()["role"] == OPERATORS_ROLE
    with schema_context("public"), connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        assert cursor.fetchone() == (APPLICATION["user"],)

"""A token of the pool signs in at the tenant that it names, and nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from django.contrib.auth.models import Group
from django.db import connection
from django_tenants.utils import schema_context

from cloud.cognito import Identity, log_in
from cloud.tests.conftest import CLIENT, PASSWORD, POOL, make_access_token, make_token
from users.models import CognitoIdentity, LogIn, User
from users.services import account_of
from users.tokens import AccessToken, RefreshToken

BACKEND = Path(__file__).parents[2]
PROFILE = "/api/auth/profile/"

pytestmark = pytest.mark.usefixtures("accepting_cognito")


@pytest.fixture
def ask(site, key_server):
    """Return a function that asks for the profile with a token, at test1 or at another host."""

    def asked(token: str, host: str = "test1.localhost"):
        headers = {"HTTP_AUTHORIZATION": f"Bearer {token}", "HTTP_HOST": host}
        return site.get(PROFILE, **headers)

    return asked


def problem_of(response, status: int) -> str:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    return response.json()["detail"]


# --- with tokens of the emulator ----------------------------------------------------------


@pytest.fixture
def moto_site(moto_pool, accepting_cognito, site):
    """As `site`, with the pool of the emulator."""
    return site


def test_a_person_of_the_pool_uses_the_api_of_her_tenant_and_of_no_other(moto_site, moto_pool):
    token = moto_pool.log_in("ann@example.com")["IdToken"]
    header = {"HTTP_AUTHORIZATION": f"Bearer {token}"}

    there = moto_site.get(PROFILE, **header)
    elsewhere = moto_site.get(PROFILE, **header, HTTP_HOST="test2.localhost")

    assert there.json()["email"] == "ann@example.com"
    assert "not one of this tenant" in problem_of(elsewhere, 401)
    assert elsewhere["WWW-Authenticate"] == 'Bearer realm="api"'


def test_the_emulators_access_tokens_name_no_tenant_and_are_refused(moto_site, moto_pool):
    token = moto_pool.log_in("ann@example.com")["AccessToken"]

    answer = moto_site.get(PROFILE, HTTP_AUTHORIZATION=f"Bearer {token}")

    assert "not one of this tenant" in problem_of(answer, 401)


def test_a_token_to_try_is_one_call_away(moto_site, moto_pool, monkeypatch):
    contract = {"COGNITO_APP_CLIENT_ID": moto_pool.client}
    monkeypatch.setattr("cloud.cognito.environment", lambda: contract)

    token = log_in("ann@example.com", PASSWORD)

    assert moto_site.get(PROFILE, HTTP_AUTHORIZATION=f"Bearer {token}").status_code == 200
    with pytest.raises(ClientError, match="NotAuthorized"):
        log_in("ann@example.com", "wrong")
    contract["COGNITO_APP_CLIENT_ID"] = ""
    with pytest.raises(LookupError, match="COGNITO_APP_CLIENT_ID is not set"):
        log_in("ann@example.com", PASSWORD)


# --- side by side with local tokens -------------------------------------------------------


def test_a_local_token_is_accepted_beside_cognitos(ask, ann):
    assert ask(str(AccessToken.for_user(ann))).json()["email"] == "ann@example.com"


def test_a_local_token_that_claims_to_be_of_the_pool_is_judged_as_one(ask, ann):
    token = AccessToken.for_user(ann)
    token["iss"] = f"https://cognito-idp.eu-west-1.amazonaws.com/{POOL}"

    assert "not signed with RS256" in problem_of(ask(str(token)), 401)


def test_a_token_of_the_pool_that_claims_nothing_is_refused_by_the_local_class(ask):
    problem_of(ask(make_token(without=("iss",))), 401)


@pytest.mark.parametrize(
    "token", ["nonsense", "a b", "..", "ä" * 9, make_token(padding="x" * 9000)]
)
def test_a_malformed_token_is_answered_401(ask, token):
    problem_of(ask(token), 401)


def test_an_expired_token_says_so(ask):
    assert ask(make_token(exp=1)).json()["detail"] == "The token is not valid: it has expired."


def test_keys_that_cannot_be_had_are_answered_503_with_a_remedy_in_the_log(ask, key_server, caplog):
    key_server.status = 500

    answer = ask(make_token())

    assert "Try again" in problem_of(answer, 503)
    assert answer["Retry-After"] == "5"
    assert key_server.url in caplog.text
    assert "./dev status" in caplog.text


def test_a_token_is_worth_nothing_at_the_operators_host(ask):
    answer = ask(make_token(**{"custom:tenant": "public"}), host="public.localhost")

    assert "not one of this tenant" in problem_of(answer, 401)


# --- accounts -----------------------------------------------------------------------------


def test_the_first_sign_in_makes_an_account_and_the_next_finds_it(ask):
    first = ask(make_token(given_name="Cleo")).json()
    second = ask(make_token(email="moved@example.com")).json()

    assert first["first_name"] == "Cleo"
    assert second == first
    user = User.objects.get(email="cleo@example.com")
    assert not user.has_usable_password()
    assert not user.is_staff
    assert not user.is_superuser


def test_an_access_token_with_a_tenant_finds_the_account_and_makes_none(ask):
    assert "id token" in problem_of(ask(make_access_token()), 401)
    assert not User.objects.exists()

    ask(make_token())
    assert ask(make_access_token()).json()["email"] == "cleo@example.com"


@pytest.mark.parametrize(
    "changes",
    [{"email_verified": False}, {"email": ""}, {"email": "x" * 250 + "@example.com"}],
    ids=str,
)
def test_no_account_is_made_for_an_address_that_is_not_verified_or_none(ask, changes):
    problem_of(ask(make_token(**changes)), 401)
    assert not User.objects.exists()


def test_an_account_with_the_address_is_taken_over_from_whoever_registered_it(ask):
    squatter = User.objects.create_user("Cleo@example.com", "a long enough password")
    refresh = RefreshToken.for_user(squatter)

    assert ask(make_token()).json()["id"] == squatter.pk
    squatter.refresh_from_db()
    assert not squatter.has_usable_password()
    assert not LogIn.objects.filter(refresh_token=refresh["jti"]).exists()


def test_a_person_recreated_in_the_pool_keeps_the_account(ask):
    before = ask(make_token()).json()

    assert ask(make_token(sub="someone-new")).json() == before
    assert CognitoIdentity.objects.get().subject == "someone-new"


@pytest.mark.parametrize("right", ["is_staff", "is_superuser"])
def test_an_account_of_the_staff_is_linked_by_hand_only(ask, right):
    boss = User.objects.create_user("cleo@example.com", "a long password", **{right: True})

    assert "staff" in problem_of(ask(make_token()), 401)
    boss.refresh_from_db()
    assert boss.has_usable_password()

    CognitoIdentity.objects.create(user=boss, subject="11111111-2222-3333-4444-555555555555")
    assert ask(make_token()).json()["id"] == boss.pk


def test_an_account_that_is_not_active_is_refused(ask):
    ask(make_token())
    User.objects.update(is_active=False)

    assert "not active" in problem_of(ask(make_token()), 401)


def test_groups_are_those_of_the_newest_token_as_far_as_django_has_them(ask):
    Group.objects.create(name="packers")
    Group.objects.create(name="drivers")

    def groups_after(iat_offset: int, *names: str) -> set[str]:
        now = 1_700_000_000 + iat_offset
        assert ask(make_token(iat=now, **{"cognito:groups": names})).status_code == 200
        return set(User.objects.get().groups.values_list("name", flat=True))

    assert groups_after(0, "packers", "admins") == {"packers"}
    assert groups_after(10, "drivers") == {"drivers"}
    assert groups_after(5, "packers") == {"drivers"}, "an older token gives nothing back"
    assert groups_after(20) == set()
    assert set(Group.objects.values_list("name", flat=True)) == {"packers", "drivers"}


def test_no_group_makes_a_superuser(ask):
    Group.objects.create(name="superuser")
    ask(make_token(**{"cognito:groups": ["admin", "staff", "superuser"]}))

    assert not User.objects.filter(is_superuser=True).exists()
    assert not User.objects.filter(is_staff=True).exists()


def test_a_known_person_costs_one_query(ask, django_assert_num_queries):
    token = make_token()
    ask(token)

    with django_assert_num_queries(1):
        ask(token)


def test_two_first_requests_at_once_make_one_account(as_app, django_db_blocker):
    """Each has its own connection, as in a server."""
    identity = Identity("a-subject", "test1", frozenset(), "two@example.com", "", "", 1_700_000_000)
    start, results = threading.Barrier(4), []

    def sign_in() -> None:
        try:
            with schema_context("test1"):
                connection.ensure_connection()
                start.wait(10)
                results.append(account_of(identity).pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=sign_in) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(results) == 4
    assert len(set(results)) == 1


# --- the switch ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "classes"),
    [
        ({}, ["LocalAuthentication"]),
        (
            {
                "API_TOKENS": "local,cognito",
                "COGNITO_USER_POOL_ID": POOL,
                "COGNITO_APP_CLIENT_ID": CLIENT,
            },
            ["CognitoAuthentication", "LocalAuthentication"],
        ),
    ],
    ids=["off", "on"],
)
def test_the_contract_switches_it_on_and_the_schema_says_so(variables, classes):
    script = (
        "import django; django.setup()\n"
        "from rest_framework.settings import api_settings\n"
        "from drf_spectacular.generators import SchemaGenerator\n"
        "print(*[c.__name__ for c in api_settings.DEFAULT_AUTHENTICATION_CLASSES])\n"
        "schema = SchemaGenerator().get_schema(public=True)\n"
        "profile = schema['paths']['/api/v1/auth/profile/']['get']\n"
        "print('cognitoAuth' in schema['components']['securitySchemes'])\n"
        "print({'cognitoAuth': []} in profile['security'], '503' in profile['responses'])\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script],
        cwd=BACKEND,
        env=os.environ | {"API_TOKENS": ""} | variables,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    found, *rest = ended.stdout.splitlines()
    assert found.split() == classes
    is_on = str(len(classes) == 2)
    assert rest == [is_on, f"{is_on} {is_on}"]

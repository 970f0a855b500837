"""Registering and logging in do not reveal who has an account."""

from datetime import timedelta

import jwt
import pytest
from django.core import mail
from django.db import ProgrammingError, connection
from django.utils import timezone
from django_tenants.utils import schema_context
from rest_framework.settings import api_settings

from cloud.cognito import LEEWAY
from users import services
from users.models import LogIn, User
from users.tasks import remove_expired_log_ins, send_notice
from users.throttling import AccountThrottle, ClientThrottle, StrangersThrottle
from users.tokens import AccessToken, RefreshToken

pytestmark = pytest.mark.django_db

REGISTER, LOGIN, LOGOUT, REFRESH, PROFILE = (
    f"/api/auth/{path}/" for path in ("register", "login", "logout", "token/refresh", "profile")
)
PASSWORD = "correct horse battery staple"


@pytest.fixture
def post(site, django_capture_on_commit_callbacks, monkeypatch):
    """Return a function that posts JSON, and runs the tasks that are sent."""
    monkeypatch.setattr(send_notice, "delay", lambda *args: send_notice.apply(args))

    def send(path, headers=None, **values):
        with django_capture_on_commit_callbacks(execute=True):
            return site.post(path, values, "json", headers=headers)

    return send


# --- register -----------------------------------------------------------------------------


def test_a_new_account_can_log_in(post):
    response = post(REGISTER, email="new@example.com", password=PASSWORD, first_name="New")

    assert response.status_code == 201
    assert response.json() == {"email": "new@example.com", "first_name": "New", "last_name": ""}
    assert post(LOGIN, email="new@example.com", password=PASSWORD).status_code == 200
    assert "ready" in mail.outbox[0].body


@pytest.mark.parametrize("email", ["ann@example.com", "ANN@example.com", "ann@EXAMPLE.com"])
def test_a_known_address_gets_the_same_answer_and_a_notice(post, ann, email):
    known = post(REGISTER, email=email, password="another password 1")
    unknown = post(REGISTER, email="new@example.com", password="another password 1")

    assert known.status_code == unknown.status_code == 201
    assert known.json() == unknown.json() | {"email": "ann@example.com"}
    assert known.headers.keys() == unknown.headers.keys()
    assert "has an account already" in mail.outbox[0].body
    assert User.objects.filter(email=email).count() == 1
    assert post(LOGIN, email="ann@example.com", password=PASSWORD).status_code == 200


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short", "too short"),
        ("password123", "too common"),
        ("8245790163", "entirely numeric"),
        ("someone-new", "too similar"),
        ("", "blank"),
        (None, "null"),
        ("x" * 129, "no more than 128"),
        ("a\0bcdefghijk", "Null characters"),
    ],
)
def test_a_weak_password_is_explained(post, password, reason):
    response = post(REGISTER, email="someone-new@example.com", password=password)

    assert response.status_code == 400
    assert reason in str(response.json()["errors"]["password"])
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "email", ["", "ann", "a@b", "a b@example.com", "x" * 250 + "@e.com", 7, {}]
)
def test_what_is_no_address_is_refused(post, email):
    assert post(REGISTER, email=email, password=PASSWORD).status_code == 400


def test_nobody_registers_as_staff(post):
    post(REGISTER, email="new@example.com", password=PASSWORD, is_staff=True, is_superuser=True)
    assert User.objects.filter(is_staff=False, is_superuser=False).count() == 1


def test_the_spelling_that_somebody_registered_with_logs_in(post):
    credentials = {"email": "Dora@Example.COM", "password": PASSWORD}

    assert post(REGISTER, **credentials).status_code == 201
    assert post(LOGIN, **credentials).status_code == 200
    assert post(LOGIN, email="dora@example.com", password=PASSWORD).status_code == 200


# --- log in -------------------------------------------------------------------------------


def test_wrong_password_unknown_address_and_inactive_account_look_alike(post, ann, bob):
    bob.is_active = False
    bob.save()
    answers = [
        post(LOGIN, email="ann@example.com", password="wrong"),
        post(LOGIN, email="nobody@example.com", password=PASSWORD),
        post(LOGIN, email="bob@example.com", password=PASSWORD),
    ]

    assert {answer.status_code for answer in answers} == {401}
    documents = [{**answer.json(), "request_id": ""} for answer in answers]
    assert documents[0] == documents[1] == documents[2]
    assert answers[0]["Content-Type"] == "application/problem+json"


def test_a_refresh_token_is_good_for_one_use(post, ann):
    pair = post(LOGIN, email="ann@example.com", password=PASSWORD).json()
    renewed = post(REFRESH, refresh=pair["refresh"])

    assert renewed.status_code == 200
    assert renewed.json().keys() == {"access", "refresh"}
    assert post(REFRESH, refresh=pair["refresh"]).status_code == 401


def test_using_a_refresh_token_twice_ends_its_log_in_alone(post, ann, caplog):
    pair = post(LOGIN, email="ann@example.com", password=PASSWORD).json()
    elsewhere = post(LOGIN, email="ann@example.com", password=PASSWORD).json()
    renewed = post(REFRESH, refresh=pair["refresh"]).json()

    assert post(REFRESH, refresh=pair["refresh"]).status_code == 401
    assert "used twice" in caplog.text
    assert post(REFRESH, refresh=renewed["refresh"]).status_code == 401
    assert post(REFRESH, refresh=elsewhere["refresh"]).status_code == 200


def works(site, access: str) -> bool:
    headers = {"authorization": f"Bearer {access}"}
    return site.get(PROFILE, headers=headers).status_code == 200


@pytest.mark.parametrize("everywhere", [False, True])
def test_logging_out_ends_the_tokens_of_this_device_or_of_all(site, post, ann, bob, everywhere):
    here, there = (post(LOGIN, email="ann@example.com", password=PASSWORD).json() for _ in range(2))
    other = post(LOGIN, email="bob@example.com", password=PASSWORD).json()
    headers = {"authorization": f"Bearer {here['access']}"}
    done = post(LOGOUT, headers, everywhere=everywhere)

    assert (done.status_code, done.content) == (204, b"")
    assert not works(site, here["access"])
    assert post(REFRESH, refresh=here["refresh"]).status_code == 401
    assert works(site, there["access"]) is not everywhere
    assert works(site, other["access"])
    assert post(LOGOUT, headers).status_code == 401


def change_password(user):
    user.set_password("another long password")
    user.save()


def deactivate(user):
    user.is_active = False
    user.save()
    user.is_active = True  # later; what had ended stays ended
    user.save()


@pytest.mark.parametrize("end", [change_password, deactivate, User.delete])
def test_what_changes_who_may_log_in_ends_all_tokens(site, post, ann, end):
    pair = post(LOGIN, email="ann@example.com", password=PASSWORD).json()
    assert works(site, pair["access"])
    end(ann)

    assert not works(site, pair["access"])
    refused = post(REFRESH, refresh=pair["refresh"])
    assert refused.status_code == 401
    assert refused["Content-Type"] == "application/problem+json"


def test_another_change_of_the_account_ends_no_log_in(site, post, ann):
    pair = post(LOGIN, email="ann@example.com", password=PASSWORD).json()
    ann.first_name = "Anna"
    ann.save()
    assert works(site, pair["access"])


def test_expired_log_ins_are_removed(post, ann):
    for _ in range(2):
        post(LOGIN, email="ann@example.com", password=PASSWORD)
    old = LogIn.objects.first()
    LogIn.objects.filter(pk=old.pk).update(expires_at=timezone.now() - timedelta(seconds=1))

    assert remove_expired_log_ins.apply().get() == 1
    assert LogIn.objects.exclude(pk=old.pk).count() == LogIn.objects.count() == 1


def test_a_broken_tenant_does_not_keep_the_expired_log_ins_of_the_others(post, ann, monkeypatch):
    remove, tried = services._remove_expired, []

    def broken_in_one():
        tried.append(connection.schema_name)
        if connection.schema_name == "test1":
            raise ProgrammingError('relation "users_login" does not exist')
        return remove()

    monkeypatch.setattr(services, "_remove_expired", broken_in_one)
    with pytest.raises(ProgrammingError):
        remove_expired_log_ins.apply().get()
    assert tried == ["public", "test1", "test2"]


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "x" * 10_000, 7, None, "a\0b"])
def test_a_bad_refresh_token_is_refused(post, token):
    response = post(REFRESH, refresh=token)
    assert response.status_code in (400, 401)
    assert response["Content-Type"] == "application/problem+json"


# --- throttling ---------------------------------------------------------------------------


@pytest.mark.parametrize("email", ["ann@example.com", "nobody@example.com"])
def test_guessing_at_one_account_is_stopped_whether_it_exists_or_not(post, ann, email):
    answers = [post(LOGIN, email=email, password="wrong") for _ in range(11)]

    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert int(answers[-1]["Retry-After"]) > 0
    assert answers[-1]["Content-Type"] == "application/problem+json"
    assert post(LOGIN, email=email.upper(), password=PASSWORD).status_code == 429


def test_strangers_cannot_lock_the_owner_out(post, ann, monkeypatch):
    monkeypatch.setattr(api_settings, "NUM_PROXIES", 1)
    monkeypatch.setattr(StrangersThrottle, "THROTTLE_RATES", {"strangers": "3/min"})

    def log_in(client, password):
        headers = {"x-forwarded-for": client}
        return post(LOGIN, headers, email=ann.email, password=password).status_code

    assert log_in("10.0.0.1", PASSWORD) == 200  # the first one counts, too
    strangers = [log_in(f"10.0.1.{n}", "wrong") for n in range(3)]

    assert strangers == [401, 401, 429]
    assert log_in("10.0.0.1", PASSWORD) == 200
    assert log_in("10.0.2.1", PASSWORD) == 429  # from elsewhere the owner waits a minute


def test_one_client_alone_does_not_use_up_what_all_strangers_may_try(post, ann, monkeypatch):
    monkeypatch.setattr(api_settings, "NUM_PROXIES", 1)
    monkeypatch.setattr(
        AccountThrottle, "THROTTLE_RATES", {"account": "2/min", "strangers": "3/min"}
    )
    addresses = [f"2001:db8::{n}" for n in range(5)]
    answers = [
        post(LOGIN, {"x-forwarded-for": address}, email=ann.email, password="wrong").status_code
        for address in addresses
    ]

    assert answers == [401, 401, 429, 429, 429]
    elsewhere = {"x-forwarded-for": "2001:db8:1::1"}
    assert post(LOGIN, elsewhere, email=ann.email, password=PASSWORD).status_code == 200


def test_a_client_that_tries_many_accounts_is_stopped(post, monkeypatch):
    monkeypatch.setattr(ClientThrottle, "THROTTLE_RATES", {"client": "3/min"})
    answers = [post(LOGIN, email=f"{n}@example.com", password="x").status_code for n in range(4)]
    assert answers == [401, 401, 401, 429]


def test_a_header_anyone_may_write_does_not_make_another_client(site, monkeypatch):
    monkeypatch.setattr(ClientThrottle, "THROTTLE_RATES", {"client": "1/min"})
    answers = [
        site.post(
            LOGIN,
            {"email": f"{n}@example.com", "password": "x"},
            "json",
            headers={"x-forwarded-for": f"10.0.0.{n}"},
        )
        for n in range(2)
    ]
    assert answers[-1].status_code == 429


def test_behind_a_proxy_clients_are_told_apart(site, monkeypatch):
    monkeypatch.setattr(api_settings, "NUM_PROXIES", 1)
    monkeypatch.setattr(ClientThrottle, "THROTTLE_RATES", {"client": "1/min"})
    answers = [
        site.post(
            LOGIN,
            {"email": f"{n}@example.com", "password": "x"},
            "json",
            headers={"x-forwarded-for": f"forged, 10.0.0.{n}"},
        ).status_code
        for n in (1, 2, 1)
    ]
    assert answers == [401, 401, 429]


def test_guessing_in_the_admin_is_stopped_and_counts_with_the_api(site, post, ann):
    def try_admin(**more):
        fields = {"username": ann.email, "password": "wrong", "next": "/admin/", **more}
        return site.post("/admin/login/", fields).content.decode()

    assert all("Tried too often" not in try_admin() for _ in range(9))
    assert post(LOGIN, email=ann.email, password="wrong").status_code == 401
    # Another name beside the one that is tried changes nothing.
    assert "Tried too often" in try_admin(email="other@example.com")
    assert post(LOGIN, email=ann.email, password=PASSWORD).status_code == 429


def test_a_tenants_log_ins_are_counted_apart(site, monkeypatch):
    monkeypatch.setattr(
        AccountThrottle, "THROTTLE_RATES", {"account": "1/min", "strangers": "9/min"}
    )
    credentials = {"email": "ann@example.com", "password": "x"}

    answers = [
        site.post(LOGIN, credentials, "json", headers={"host": f"{tenant}.localhost"}).status_code
        for tenant in ("test1", "test1", "test2")
    ]
    assert answers == [401, 429, 401]


# --- profile, tokens ----------------------------------------------------------------------


def test_an_account_shows_and_changes_its_own_names(as_ann, ann):
    response = as_ann.patch(PROFILE, {"first_name": "Ann", "is_staff": True, "email": "x"}, "json")

    assert response.json()["first_name"] == "Ann"
    ann.refresh_from_db()
    assert (ann.first_name, ann.email, ann.is_staff) == ("Ann", "ann@example.com", False)


def expired(user):
    token = AccessToken.for_user(user)
    token.set_exp(lifetime=-timedelta(seconds=LEEWAY + 1))
    return token


def of_tomorrow(user):
    token = AccessToken.for_user(user)
    token.set_iat(at_time=timezone.now() + timedelta(seconds=LEEWAY + 10))
    return token


def of_another_tenant(user):
    with schema_context("test2"):
        return AccessToken.for_user(User.objects.create_user(user.email))


def of_the_deleted(user):
    token = AccessToken.for_user(user)
    user.delete()
    return token


def of_older_code(user):
    token = AccessToken.for_user(user)
    del token["log_in"]
    return token


def of_no_log_in(user):
    token = AccessToken.for_user(user)
    token["log_in"] = "1"
    return token


def of_the_inactive(user):
    token = AccessToken.for_user(user)
    user.is_active = False
    user.save()
    return token


def unsigned(user):
    header, payload, _signature = str(AccessToken.for_user(user)).split(".")
    return f"{header}.{payload}."


@pytest.mark.parametrize(
    "forge",
    [
        expired,
        of_tomorrow,
        of_another_tenant,
        of_the_deleted,
        of_older_code,
        of_no_log_in,
        of_the_inactive,
        unsigned,
    ],
)
def test_a_token_that_is_not_good_is_refused(site, ann, forge):
    site.credentials(HTTP_AUTHORIZATION=f"Bearer {forge(ann)}")
    response = site.get(PROFILE)

    assert response.status_code == 401
    assert response["Content-Type"] == "application/problem+json"
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("word", ["Bearer", "bearer", "BEARER"])
def test_the_word_before_a_token_may_be_in_either_case(site, ann, word):
    site.credentials(HTTP_AUTHORIZATION=f"{word} {AccessToken.for_user(ann)}")
    assert site.get(PROFILE).status_code == 200

    site.credentials(HTTP_AUTHORIZATION=f"{word} no-token")
    assert "not valid" in site.get(PROFILE).json()["detail"]


def test_a_token_of_a_web_whose_clock_is_a_little_ahead_is_good(site, ann):
    token = AccessToken.for_user(ann)
    token.set_iat(at_time=timezone.now() + timedelta(seconds=LEEWAY / 2))
    site.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    assert site.get(PROFILE).status_code == 200


def signed_with(key, token):
    return jwt.encode(token.payload, key, algorithm="HS256")


def test_tokens_of_an_earlier_key_are_good_until_it_is_forgotten(site, post, ann, settings):
    """What `./dev rotate SECRET_KEY` relies on: no log-in ends."""
    earlier = "an-earlier-key-0123456789-0123456789-0123456789-0123456789"
    refresh = RefreshToken.for_user(ann)
    site.credentials(HTTP_AUTHORIZATION=f"Bearer {signed_with(earlier, refresh.access_token)}")
    assert site.get(PROFILE).status_code == 401

    settings.SECRET_KEY_FALLBACKS = ["x" * 50, earlier]
    assert site.get(PROFILE).status_code == 200
    site.credentials()
    assert post(REFRESH, refresh=signed_with(earlier, refresh)).status_code == 200


def test_a_session_of_an_earlier_key_is_good_until_it_is_forgotten(office, settings):
    earlier, settings.SECRET_KEY = settings.SECRET_KEY, "x" * 50
    settings.SECRET_KEY_FALLBACKS = [earlier]
    assert [office.get("/admin/").status_code for _ in range(2)] == [200, 200]

    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "y" * 50, []
    assert office.get("/admin/").status_code == 302


def test_an_expired_or_foreign_token_of_an_earlier_key_is_refused(site, ann, settings):
    earlier = "an-earlier-key-0123456789-0123456789-0123456789-0123456789"
    settings.SECRET_KEY_FALLBACKS = [earlier]
    for key, token in ((earlier, expired(ann)), ("y" * 50, AccessToken.for_user(ann))):
        site.credentials(HTTP_AUTHORIZATION=f"Bearer {signed_with(key, token)}")
        assert site.get(PROFILE).status_code == 401


@pytest.mark.parametrize("header", ["Bearer", "Bearer a b", "Bearer ü", "Basic YTpi", "x" * 5000])
def test_a_bad_header_is_refused(site, header):
    site.credentials(HTTP_AUTHORIZATION=header)
    assert site.get(PROFILE).status_code == 401

"""A token of the pool is accepted; every other token is refused."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from cloud import cognito
from cloud.cognito import InvalidToken, KeysUnavailable, UserPool, issuer_claimed
from cloud.tests.conftest import (
    CLIENT,
    ISSUER,
    POOL,
    REGION,
    add_moto_client,
    as_emulated,
    jwk,
    make_access_token,
    make_moto_pool,
    make_token,
    rsa_key,
)


def refusal(pool: UserPool, token: str) -> str:
    with pytest.raises(InvalidToken) as caught:
        pool.verify(token)
    return str(caught.value)


def unsigned(header: dict, claims: dict | None = None, signature: bytes = b"x") -> str:
    """Return a token put together by hand: what no library would make."""
    parts = (
        json.dumps(header).encode(),
        json.dumps(claims or {"iss": ISSUER}).encode(),
        signature,
    )
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


# --- what is believed ---------------------------------------------------------------------


def test_an_id_token_tells_who_it_is(pool):
    groups = {"cognito:groups": ["packers", "drivers"]}
    identity = pool.verify(make_token(given_name="Cleo", family_name="Ray", **groups))

    assert identity.subject == "11111111-2222-3333-4444-555555555555"
    assert identity.tenant == "test1"
    assert identity.groups == {"packers", "drivers"}
    assert identity.email == "cleo@example.com"
    assert (identity.first_name, identity.last_name) == ("Cleo", "Ray")


def test_an_access_token_is_one_of_its_client_though_it_has_no_audience(pool):
    identity = pool.verify(make_access_token())

    assert identity.tenant == "test1"
    assert identity.email == ""


@pytest.mark.parametrize(
    ("said", "counts"),
    [(True, True), ("true", True), (False, False), ("false", False), (None, False), (1.5, False)],
)
def test_an_address_counts_when_the_pool_has_verified_it(pool, said, counts):
    assert bool(pool.verify(make_token(email_verified=said)).email) is counts


def test_a_token_without_groups_tenant_and_names_is_one_all_the_same(pool):
    identity = pool.verify(make_token(without=("custom:tenant", "email", "email_verified")))

    assert identity.tenant == identity.email == identity.first_name == ""
    assert identity.groups == frozenset()


@pytest.mark.parametrize("late", [20, -20])
def test_clocks_may_differ_by_a_little(pool, late):
    now = int(time.time())

    assert pool.verify(make_token(exp=now + late if late < 0 else now + 3600, iat=now + late))


# --- what is not --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": 1_000_000_000}, "expired"),
        ({"iss": ISSUER.replace("Ab1", "Zz9")}, "issuer"),
        ({"iss": ISSUER.replace("https", "http")}, "issuer"),
        ({"aud": "another-client"}, "another client"),
        ({"aud": [CLIENT, "another-client"]}, "another client"),
        ({"token_use": "access"}, "another client"),
        ({"token_use": "refresh"}, "neither"),
        ({"token_use": ["id"]}, "neither"),
        ({"sub": 7}, "Subject"),
        ({"exp": "never"}, "Expiration"),
        ({"cognito:groups": "admins"}, "groups"),
        ({"custom:tenant": ["test1"]}, "custom:tenant"),
        ({"email": {"a": 1}}, "email"),
        ({"given_name": "a\0b"}, "given_name"),
    ],
    ids=str,
)
def test_a_signed_token_with_a_wrong_claim_is_refused(pool, changes, reason):
    assert reason in refusal(pool, make_token(**changes))


@pytest.mark.parametrize(
    ("claim", "late", "reason"),
    [("exp", -60, "expired"), ("nbf", 600, "not valid yet"), ("iat", 600, "not valid yet")],
)
def test_a_token_out_of_its_time_is_refused(pool, claim, late, reason):
    assert reason in refusal(pool, make_token(**{claim: int(time.time()) + late}))


@pytest.mark.parametrize("claim", ["exp", "iat", "iss", "sub", "token_use", "aud"])
def test_a_token_without_a_claim_is_refused(pool, claim):
    assert refusal(pool, make_token(without=(claim,)))


def test_an_access_token_of_another_client_is_refused(pool):
    assert "another client" in refusal(pool, make_access_token(client_id="another"))


def test_an_access_token_does_not_pass_for_an_id_token(pool):
    assert "another client" in refusal(pool, make_access_token(token_use="id"))


def test_a_changed_token_is_refused(pool):
    header, _claims, signature = make_token().split(".")
    _header, claims, _signature = make_token(**{"custom:tenant": "test2"}).split(".")

    assert "ignature" in refusal(pool, f"{header}.{claims}.{signature}")
    assert "ignature" in refusal(pool, make_token()[:-8] + "AAAAAAAA")


def test_a_token_signed_with_another_key_under_a_known_id_is_refused(pool):
    assert "ignature" in refusal(pool, make_token(key=2, key_id="first"))


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "HS256", "RS512", "ES256", "", None, ["RS256"]]
)
def test_no_algorithm_but_cognitos_is_heard(pool, key_server, algorithm):
    assert refusal(pool, unsigned({"alg": algorithm, "kid": "first"}))
    assert key_server.asked == 0, "nothing was worth asking for a key"


def test_the_public_key_is_no_shared_secret(pool):
    public = rsa_key(1).public_key()
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    claims = jwt.decode(make_token(), options={"verify_signature": False})
    header = {"alg": "HS256", "typ": "JWT", "kid": "first"}
    signing_input = unsigned(header, claims).rpartition(".")[0].encode()
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(
        signing_input, pem
    )
    forged = unsigned(header, claims, signature)

    assert "RS256" in refusal(pool, forged)


@pytest.mark.parametrize(
    "token",
    [
        "",
        "...",
        "a.b",
        "not a token",
        "ä.ö.ü",
        unsigned({}),
        unsigned({"alg": "RS256"}),
        unsigned({"alg": "RS256", "kid": 7}),
        unsigned({"alg": "RS256", "kid": "first"}),
        unsigned({"alg": "RS256", "kid": "first", "jwk": jwk("first", 2)}),
        base64.urlsafe_b64encode(b"[" * 3000).decode() + ".e30.e30",
        make_token() + "." + make_token(),
    ],
    ids=lambda token: token[:20],
)
def test_what_is_no_token_is_refused(pool, token):
    assert refusal(pool, token)
    assert issuer_claimed(token) in ("", ISSUER)


def test_brackets_in_brackets_break_nothing(pool):
    deep = base64.urlsafe_b64encode(b"[" * 3000).rstrip(b"=").decode()
    header = unsigned({"alg": "RS256", "kid": "first"}).partition(".")[0]

    assert issuer_claimed(f"{header}.{deep}.e30") == ""
    assert refusal(pool, f"{header}.{deep}.e30")


def test_a_huge_token_is_not_even_looked_at(pool, key_server):
    huge = make_token(padding="x" * 10_000)

    assert "longer than" in refusal(pool, huge)
    assert issuer_claimed(huge) == ""
    assert key_server.asked == 0


# --- published keys -----------------------------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    """The monotonic clock, moved by hand."""

    class Clock:
        now = 1_000_000.0

        def monotonic(self) -> float:
            return self.now

    moved = Clock()
    monkeypatch.setattr(cognito, "time", moved)
    return moved


def test_keys_are_fetched_once_for_many_tokens(pool, key_server):
    for _ in range(20):
        pool.verify(make_token())

    assert key_server.asked == 1


def test_keys_are_where_the_emulator_is_and_the_issuer_is_aws(monkeypatch):
    as_emulated(monkeypatch, "http://localstack:4566")
    assert UserPool(POOL, CLIENT).keys.url == (
        f"http://localstack:4566/{POOL}/.well-known/jwks.json"
    )

    monkeypatch.setenv("AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER", "http://cognito:5000/")
    pool = UserPool(POOL, CLIENT)
    assert pool.keys.url == f"http://cognito:5000/{POOL}/.well-known/jwks.json"
    assert pool.issuer == ISSUER


def test_after_a_rotation_the_new_key_is_believed_and_the_old_one_no_more(pool, key_server, clock):
    pool.verify(make_token())
    key_server.publish(second=2)
    clock.now += 31

    assert pool.verify(make_token(key=2, key_id="second"))
    assert "unknown key" in refusal(pool, make_token())
    assert key_server.asked == 2


def test_a_key_taken_back_is_noticed_within_the_hour(pool, key_server, clock):
    pool.verify(make_token())
    key_server.publish(second=2)
    clock.now += 3601

    assert "unknown key" in refusal(pool, make_token())


def test_invented_key_ids_do_not_make_us_ask_again_and_again(pool, key_server, clock):
    pool.verify(make_token())
    clock.now += 31

    for number in range(50):
        assert "unknown key" in refusal(pool, make_token(key_id=f"invented-{number}"))

    assert key_server.asked == 2


def test_keys_of_another_kind_are_passed_over(pool, key_server):
    key_server.publish(first=1)
    key_server.document["keys"] += [
        {"kty": "EC", "kid": "curve", "crv": "P-256", "x": "AA", "y": "AA"},
        {**jwk("encrypting", 2), "use": "enc"},
    ]

    assert pool.verify(make_token())
    assert "unknown key" in refusal(pool, make_token(key=2, key_id="encrypting"))


@pytest.mark.parametrize(
    "document",
    [[], {}, {"keys": []}, {"keys": [{"kty": "RSA", "kid": "first"}]}, {"keys": 7}, "x" * 70_000],
    ids=lambda document: str(document)[:30],
)
def test_an_answer_that_holds_no_keys_means_unavailable_and_not_invalid(pool, key_server, document):
    key_server.document = document

    with pytest.raises(KeysUnavailable):
        pool.verify(make_token())


def test_an_error_of_the_server_means_unavailable(pool, key_server):
    key_server.status = 500

    with pytest.raises(KeysUnavailable, match=r"jwks\.json"):
        pool.verify(make_token())


def test_a_server_that_is_down_is_asked_again_only_after_a_pause(pool, key_server, clock):
    key_server.status = 500
    for _ in range(20):
        with pytest.raises(KeysUnavailable):
            pool.verify(make_token())
    assert key_server.asked == 1

    key_server.status = 200
    clock.now += 6
    assert pool.verify(make_token())


def test_known_keys_outlive_an_outage_of_a_day_and_not_more(pool, key_server, clock):
    pool.verify(make_token())
    key_server.status = 500

    clock.now += 23 * 3600
    assert pool.verify(make_token())
    clock.now += 2 * 3600
    with pytest.raises(KeysUnavailable):
        pool.verify(make_token())


@pytest.mark.usefixtures("refused")
def test_nobody_listening_is_unavailable():
    with pytest.raises(KeysUnavailable):
        UserPool(POOL, CLIENT).verify(make_token())


def test_a_server_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(cognito, "FETCH_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        as_emulated(monkeypatch, f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(KeysUnavailable):
            UserPool(POOL, CLIENT).verify(make_token())


def test_a_server_that_answers_drop_by_drop_is_given_up(monkeypatch):
    monkeypatch.setattr(cognito, "FETCH_TIMEOUT", 0.3)
    stop = threading.Event()

    def drip() -> None:
        connection, _address = listening.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
            while not stop.wait(0.05):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        as_emulated(monkeypatch, f"http://127.0.0.1:{listening.getsockname()[1]}")
        thread = threading.Thread(target=drip)
        thread.start()
        with pytest.raises(KeysUnavailable):
            UserPool(POOL, CLIENT).verify(make_token())
        stop.set()
        thread.join()


def test_a_known_key_does_not_wait_while_another_thread_fetches(pool, key_server, clock):
    pool.verify(make_token())
    key_server.answers.clear()
    clock.now += 3601  # so that the known key would be looked after, too
    asking = threading.Thread(target=refusal, args=(pool, make_token(key_id="invented")))
    asking.start()
    while key_server.asked < 2:
        time.sleep(0.01)

    assert pool.verify(make_token())

    key_server.answers.set()
    asking.join()


def test_many_threads_share_one_fetch(pool, key_server):
    key_server.answers.clear()
    threads = [threading.Thread(target=pool.verify, args=(make_token(),)) for _ in range(8)]
    for thread in threads:
        thread.start()
    key_server.answers.set()
    for thread in threads:
        thread.join()

    assert key_server.asked == 1


# --- tokens that an emulator has made -----------------------------------------------------


@pytest.fixture
def accepted(moto_pool) -> UserPool:
    return UserPool(moto_pool.id, moto_pool.client)


def test_who_logs_in_by_password_gets_tokens_that_are_believed(accepted, moto_pool):
    tokens = moto_pool.log_in("ann@example.com")

    identity = accepted.verify(tokens["IdToken"])
    assert identity.email == "ann@example.com"
    assert identity.tenant == "test1"
    assert identity.groups == {"packers"}
    assert accepted.verify(tokens["AccessToken"]).subject == identity.subject
    assert issuer_claimed(tokens["IdToken"]) == accepted.issuer


def test_a_token_of_another_pool_is_refused_though_the_key_is_the_same(accepted):
    other = make_moto_pool("second")

    assert "issuer" in refusal(accepted, other.log_in("ann@example.com")["IdToken"])


def test_a_token_of_another_client_is_refused(moto_pool):
    other = UserPool(moto_pool.id, add_moto_client(moto_pool.id))
    tokens = moto_pool.log_in("ann@example.com")

    assert "another client" in refusal(other, tokens["IdToken"])
    assert "another client" in refusal(other, tokens["AccessToken"])


def test_a_token_made_with_a_key_of_ones_own_is_refused(accepted, moto_pool):
    token = moto_pool.log_in("ann@example.com")["IdToken"]
    claims = jwt.decode(token, options={"verify_signature": False})
    key_id = jwt.get_unverified_header(token)["kid"]

    forged = jwt.encode(claims, rsa_key(1), "RS256", headers={"kid": key_id})

    assert "ignature" in refusal(accepted, forged)
    assert REGION in accepted.issuer

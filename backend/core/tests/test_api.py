"""Every refusal has one shape, wherever it comes from, and nothing secret is logged."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from core.env import read
from core.tests.test_env import PRODUCTION

pytestmark = pytest.mark.django_db

NOTES = "/api/notes/"


def is_problem(response, status):
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return True


# --- bodies -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"title": NaN}',
        b'{"title": 1e400}',
        b'{"title": "\\u0000"}',
        b'{"title": "\\ud800"}',
        b'{"title": ' + b"9" * 5000 + b"}",
        b"[" * 100_000,
        '{"title": "\N{PILE OF POO}"}'.encode(),
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_malformed_body_is_refused(as_ann, body):
    assert is_problem(as_ann.generic("POST", NOTES, body, "application/json"), 400)


def test_a_charset_that_is_none_changes_nothing(as_ann):
    body = as_ann.generic("POST", NOTES, b"{}", "application/json; charset=hex")
    assert is_problem(body, 400)


def test_a_body_of_another_type_is_refused(as_ann):
    assert is_problem(as_ann.generic("POST", NOTES, b"<x/>", "application/xml"), 415)


def test_huge_json_is_refused(as_ann, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    body = json.dumps({"title": "x" * 1000}).encode()
    assert is_problem(as_ann.generic("POST", NOTES, body, "application/json"), 413)


def test_a_body_beyond_the_limit_is_refused_unread(site, settings):
    settings.REQUEST_BODY_LIMIT = 1000
    assert is_problem(site.generic("POST", "/admin/login/", b"x" * 1001, "text/plain"), 413)


def test_a_damaged_form_is_refused(as_ann):
    form = as_ann.generic("POST", NOTES, b"--x\r\n", "multipart/form-data; boundary=")
    assert is_problem(form, 400)


@pytest.mark.parametrize(
    "disposition",
    [
        b'form-data; name="file"; filename="\xff\xfe.txt"',
        b"form-data; name=file; filename*=bogus''a.txt",
        b'form-data; name="file"; filename=".."',
        b'form-data; filename="a.txt"',
        b"",
    ],
)
@pytest.mark.parametrize("chunk", [7, 64 * 1024])
def test_a_form_of_which_a_part_would_vanish_is_refused(as_ann, disposition, chunk, monkeypatch):
    monkeypatch.setattr("django.core.files.uploadhandler.FileUploadHandler.chunk_size", chunk)
    fields = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\nText\r\n' % name
        for name in (b"title", b"text")
    )
    file = b"--x\r\nContent-Disposition: %s\r\n\r\nHello\r\n--x--\r\n" % disposition
    kind = "multipart/form-data; boundary=x"

    assert is_problem(as_ann.generic("POST", NOTES, fields + file, kind), 400)
    well = as_ann.generic("POST", NOTES, fields + b"--x--\r\n\r\nThe end.", kind)
    assert well.status_code == 201


def test_a_body_in_chunks_is_refused(as_ann):
    chunked = as_ann.generic(
        "POST", NOTES, b"", "application/json", headers={"transfer-encoding": "chunked"}
    )
    assert is_problem(chunked, 411)


def test_a_form_with_too_many_fields_is_refused(as_ann, settings):
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 2
    form = as_ann.post(NOTES, {f"f{n}": "x" for n in range(4)}, "multipart")
    assert is_problem(form, 400)


# --- addresses ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/api/",
        "/api/nosuch/",
        "/api/v1/nosuch",
        "/api/v2/notes/",
        "/api/notes/x/",
        "/api/notes/-1/",
        "/api/notes/99999999999999999999/",
        "/api/notes/%00/",
        "/api/%ff%fe/",
    ],
)
def test_what_does_not_exist_is_a_problem(as_ann, path):
    assert is_problem(as_ann.get(path), 404)


def test_a_reader_who_forgot_the_slash_is_sent_on_and_a_writer_is_told(as_ann):
    response = as_ann.get("/api/notes?page=1")
    assert (response.status_code, response["Location"]) == (301, "/api/notes/?page=1")

    refused = as_ann.post("/api/notes", {}, "json")
    assert is_problem(refused, 404)
    assert NOTES in refused.json()["detail"]


def test_another_method_is_refused(as_ann):
    assert is_problem(as_ann.delete(NOTES), 405)


def test_another_representation_is_refused(as_ann):
    assert is_problem(as_ann.get(NOTES, headers={"accept": "image/png"}), 406)


def test_names_lead_to_the_newest_version():
    assert reverse("note-list") == "/api/v1/notes/"


def test_the_operators_host_has_nothing_of_tenants(site):
    for path in (NOTES, f"{NOTES}1/"):
        assert is_problem(site.get(path, headers={"host": "public.localhost"}), 404)
    account = {"email": "new@example.com", "password": "correct horse battery staple"}
    refused = site.post("/api/auth/register/", account, headers={"host": "public.localhost"})
    assert is_problem(refused, 404)


def test_a_page_that_is_no_api_keeps_its_own_answer(site):
    assert site.get("/nosuch/")["Content-Type"].startswith("text/html")


# --- failures -----------------------------------------------------------------------------


def test_a_mistake_of_ours_is_a_problem_that_says_nothing_about_it(as_ann, monkeypatch):
    def broken(view):
        raise RuntimeError("the secret inside")

    monkeypatch.setattr("development.notes.services.notes_for", broken)
    response = as_ann.get(f"{NOTES}1/")

    assert is_problem(response, 500)
    assert "secret" not in response.content.decode()
    assert response["X-Request-ID"]


def test_a_form_of_another_site_is_refused_as_a_problem(site):
    client = Client(enforce_csrf_checks=True, headers={"host": "test1.localhost"})
    refused = client.post("/admin/login/", {"username": "x"})
    assert refused.status_code == 403
    assert refused["Content-Type"].startswith("text/html")


def test_a_bad_host_is_a_problem(site):
    assert is_problem(site.get(NOTES, headers={"host": "evil.example.com"}), 400)


def test_what_is_refused_is_logged_without_secrets(site, caplog):
    caplog.set_level("DEBUG")
    site.credentials(HTTP_AUTHORIZATION="Bearer eyJ.secret-token.x")
    site.post("/api/auth/login/", {"email": "ann@example.com", "password": "secret-word"}, "json")
    site.get(NOTES)

    assert "POST /api/auth/login/" in caplog.text
    assert f"GET {NOTES}" in caplog.text
    assert "secret" not in caplog.text


# --- browsers of other origins ------------------------------------------------------------


def preflight(client, origin):
    return client.options(
        NOTES,
        headers={
            "origin": origin,
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,idempotency-key",
        },
    )


def test_an_origin_of_the_contract_may_call_the_api(site):
    response = preflight(site, "http://localhost:5173")

    assert response["Access-Control-Allow-Origin"] == "http://localhost:5173"
    assert "idempotency-key" in response["Access-Control-Allow-Headers"]


def test_any_other_origin_may_not(site):
    assert "Access-Control-Allow-Origin" not in preflight(site, "https://evil.example.com").headers


def test_production_allows_no_origin_that_nobody_named():
    assert read(PRODUCTION)["CORS_ALLOWED_ORIGINS"] == []


# --- schema and pages ---------------------------------------------------------------------


def test_the_pages_ask_no_other_host(site):
    page = site.get("/api/v1/docs/").content.decode()

    assert "/static/drf_spectacular_sidecar/swagger-ui" in page
    assert "https://" not in page
    assert "//cdn" not in page


def test_the_schema_is_valid_and_nothing_in_it_is_guessed(tmp_path):
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "schema"))


def test_every_operation_is_described_with_an_example_and_its_errors(site):
    schema = (
        APIClient().get("/api/v1/schema/?format=json", headers={"host": "test1.localhost"}).json()
    )
    operations = {
        f"{method} {path}": operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }

    assert len(operations) >= 10
    lacking = {name: list(_lacking(name, operation)) for name, operation in operations.items()}
    assert {name: lacks for name, lacks in lacking.items() if lacks} == {}


def _lacking(name: str, operation: dict[str, Any]) -> Iterator[str]:
    """What to add to an operation of the API."""
    if not operation.get("description"):
        yield "a docstring of its method"
    successes = [r for s, r in operation["responses"].items() if s < "300"]
    for part in (*successes, operation.get("requestBody", {})):
        if "examples" not in part.get("content", {}).get("application/json", {"examples": {}}):
            yield "an OpenApiExample in `examples` of its @extend_schema"
    if operation.get("security") == [{"jwtAuth": []}] and "401" not in operation["responses"]:
        yield "the response 401"
    for status, response in operation["responses"].items():
        # Readiness says what is down in the shape in which it says what is up.
        is_error = status >= "400" and (name, status) != ("get /api/v1/health/", "503")
        if is_error and "application/problem+json" not in response["content"]:
            yield f"the response {status} as application/problem+json"


def test_the_toolbar_is_of_local_settings_only(settings):
    assert "debug_toolbar" not in settings.INSTALLED_APPS


def test_a_start_under_local_settings_does_not_search_for_geographic_libraries():
    code = (
        "import ctypes.util; ctypes.util.find_library = print\n"
        "import django; django.setup(); import core.urls"
    )
    started = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[2],
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "core.settings.local"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "gdal" not in started.stdout

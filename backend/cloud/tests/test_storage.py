"""Files in S3: those of one tenant, signed for browsers, and a clear answer when it is down."""

from __future__ import annotations

import pickle
import re
import socket
import time
import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.exceptions import SuspiciousOperation
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django_tenants.utils import schema_context, tenant_context

from cloud.tests.conftest import REGION, in_tenant, storage_of
from core.errors.problem_details import Unavailable
from tenants import archive
from tenants.models import Tenant


def fetched(url: str) -> tuple[int, bytes]:
    """Return status and body of an answer, also of an error."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


# --- keeping files ------------------------------------------------------------------------


def test_what_is_stored_comes_back(storage):
    name = storage.save("notes/1/Grüße & mehr.txt", ContentFile("Grüße".encode()))

    with storage.open(name) as file:
        assert file.read() == "Grüße".encode()
    assert storage.exists(name)
    assert storage.size(name) == 7
    assert storage.get_modified_time(name).tzinfo is not None
    storage.delete(name)
    assert not storage.exists(name)


def test_a_file_larger_than_memory_may_hold_comes_back(storage):
    content = bytes(range(256)) * 4096 * 12  # 12 MiB: sent in parts
    name = storage.save("large.bin", ContentFile(content))
    with storage.open(name) as file:
        assert file.read() == content


def test_a_second_file_of_a_name_replaces_nothing(storage):
    first = storage.save("mug.png", ContentFile(b"first"))
    second = storage.save("mug.png", ContentFile(b"second"))
    assert first != second
    with storage.open(first) as file:
        assert file.read() == b"first"


def test_a_file_that_is_not_there_is_not_found(storage):
    with pytest.raises(FileNotFoundError):
        storage.open("nothing.txt")
    with pytest.raises(FileNotFoundError):
        storage.size("nothing.txt")
    storage.delete("nothing.txt")


def test_directories_are_listed(storage):
    for name in ("a.txt", "notes/1/b.txt", "notes/2/c.txt"):
        storage.save(name, ContentFile(b"x"))
    assert storage.listdir("") == (["notes"], ["a.txt"])
    assert storage.listdir("notes") == (["1", "2"], [])


def test_a_storage_survives_pickling(storage):
    storage.save("a.txt", ContentFile(b"x"))
    assert storage.url("a.txt")
    assert pickle.loads(pickle.dumps(storage)).exists("a.txt")


# --- tenants ------------------------------------------------------------------------------


def test_each_tenant_has_a_prefix_of_its_own(storage, bucket):
    storage.save("a.txt", ContentFile(b"of test1"))
    kept = {f"test1/{connection.tenant_identity}/a.txt"}
    with in_tenant("test2"):
        assert not storage.exists("a.txt")
        assert storage.listdir("") == ([], [])
        storage.save("a.txt", ContentFile(b"of test2"))
        kept.add(f"test2/{connection.tenant_identity}/a.txt")
    assert {found.key for found in bucket.objects.all()} == kept


@pytest.mark.parametrize(
    "path",
    [
        *("../test2/secret.txt", "x/../../test2/secret.txt", "/test2/secret.txt", "/etc/passwd"),
        *("../test1x/a", "..\\test2\\secret.txt", "..", "notes/../.."),
    ],
)
def test_files_of_another_tenant_cannot_be_named(storage, bucket, path):
    bucket.put_object(Key="test2/secret.txt", Body=b"secret")
    for attempt in (storage.open, storage.exists, storage.delete, storage.url, storage.listdir):
        with pytest.raises(SuspiciousOperation):
            attempt(path)
    with pytest.raises(SuspiciousOperation):
        storage.save(path, ContentFile(b"mine"))
    assert [found.key for found in bucket.objects.all()] == ["test2/secret.txt"]


def test_all_files_of_a_tenant_are_deleted_and_nobody_elses(storage, bucket):
    for name in ("a.txt", "notes/1/b.txt"):
        storage.save(name, ContentFile(b"x"))
    bucket.put_object(Key="test10/a.txt", Body=b"of another")
    storage.delete_all()
    storage.delete_all()  # nothing is left to delete, which is no error
    assert [found.key for found in bucket.objects.all()] == ["test10/a.txt"]


@pytest.mark.django_db
def test_an_exported_tenant_takes_its_files_along(storage, default_in_s3, tmp_path):
    with schema_context("public"):
        tenant = Tenant.objects.get(schema_name="test1")
    with tenant_context(tenant):
        storages["default"].save("notes/1/a.txt", ContentFile(b"kept"))
    with schema_context("public"):
        archive.write(tenant, tmp_path / "test1.zip")
    with tenant_context(tenant):
        storage.delete_all()
    with schema_context("public"):
        archive.restore(tenant, tmp_path / "test1.zip")
    with tenant_context(tenant), storages["default"].open("notes/1/a.txt") as file:
        assert file.read() == b"kept"


# --- through the application --------------------------------------------------------------


@pytest.mark.django_db
def test_an_upload_goes_to_the_folder_of_its_tenant(as_ann, bucket, default_in_s3):
    sent = {"title": "Broken", "text": "See.", "file": SimpleUploadedFile("a.txt", b"x")}
    assert as_ann.post("/api/notes/", sent, "multipart").status_code == 201

    (kept,) = bucket.objects.all()
    folder = f"test1/{connection.tenant_identity}"
    assert re.fullmatch(rf"{folder}/notes/[0-9a-f]{{32}}\.txt", kept.key)


# --- signed addresses ---------------------------------------------------------------------


def test_a_signed_address_needs_nothing_else(storage):
    name = storage.save("Grüße.txt", ContentFile(b"hello"))
    disposition = 'attachment; filename="x.txt"'
    assert fetched(storage.url(name)) == (200, b"hello")
    assert fetched(storage.url(name, {"ResponseContentDisposition": disposition}))[0] == 200


def test_an_address_is_signed_for_the_public_host(bucket, storage, emulator):
    public = emulator.replace("127.0.0.1", "localhost").replace("//localstack", "//localhost")
    url = storage_of(bucket.name, public_endpoint_url="https://s3.example.com").url("a b.txt")

    assert url.startswith(f"https://s3.example.com/{bucket.name}/{storage.location}/a%20b.txt?")
    query = parse_qs(urlsplit(url).query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == ["900"]
    assert f"/{REGION}/s3/aws4_request" in query["X-Amz-Credential"][0]
    assert storage_of(bucket.name, public_endpoint_url=public).url("a").startswith(public)


@pytest.mark.parametrize("change", ["signature", "key", "host", "expiry"])
def test_an_address_that_was_changed_or_is_too_old_is_refused(storage, bucket, emulator, change):
    storage.save("a.txt", ContentFile(b"hello"))
    storage.save("b.txt", ContentFile(b"not for you"))
    url = storage.url("a.txt")
    if fetched(f"{emulator}/moto-api/")[0] == 200:
        pytest.skip("not applicable: moto accepts any signature; LocalStack is asked by --stack")
    changed = {
        "signature": lambda: re.sub(r"(X-Amz-Signature=)\w{4}", r"\g<1>0000", url),
        "key": lambda: url.replace("a.txt", "b.txt"),
        "host": lambda: (
            storage_of(bucket.name, public_endpoint_url="http://s3.example.com")
            .url("a.txt")
            .replace("http://s3.example.com", emulator)
        ),
        "expiry": lambda: _expired(storage),
    }
    assert fetched(url) == (200, b"hello")
    assert fetched(changed[change]())[0] == 403


def _expired(storage) -> str:
    """An address whose time is over: waited for, since its end is a part of the signature."""
    url = storage.url("a.txt", expire=1)
    deadline = time.monotonic() + 30
    while fetched(url)[0] == 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    return url


# --- faults -------------------------------------------------------------------------------


@pytest.fixture
def deaf() -> str:
    """The address of something that takes connections and never answers."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen(16)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


OPERATIONS = {
    "save": lambda storage: storage.save("a.txt", ContentFile(b"x")),
    "open": lambda storage: storage.open("a.txt"),
    "listdir": lambda storage: storage.listdir(""),
    "delete_all": lambda storage: storage.delete_all(),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_store_that_is_down_is_said_to_be(storage, operation, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(Unavailable, match="file store does not answer"):
        OPERATIONS[operation](storage_of("any"))


def test_a_store_that_hangs_is_given_up(storage, deaf, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", deaf)
    started = time.monotonic()
    with pytest.raises(Unavailable):
        storage_of("any").exists("a.txt")
    assert time.monotonic() - started < 30  # the limit after which Gunicorn kills a process


def test_a_missing_bucket_is_a_store_that_does_not_answer(storage):
    with pytest.raises(Unavailable):
        storage_of("homeport-nosuch").save("a.txt", ContentFile(b"x"))


@pytest.mark.django_db
def test_an_upload_without_a_store_is_answered_503_and_nothing_is_kept(
    as_ann, default_in_s3, monkeypatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    sent = {"title": "Broken", "text": "See.", "file": SimpleUploadedFile("a.txt", b"x")}
    answer = as_ann.post("/api/notes/", sent, "multipart")

    assert answer.status_code == 503
    assert answer["Content-Type"] == "application/problem+json"
    assert "file store does not answer" in answer.json()["detail"]
    assert as_ann.get("/api/notes/").json()["count"] == 0


# --- the cloud ----------------------------------------------------------------------------


def test_without_endpoints_and_keys_the_same_environment_is_the_cloud(emulator, monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    # What a task's role gives, so that nothing on this machine is looked for.
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ASIAROLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-role")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "short-lived")
    with in_tenant("test1"):
        storage = storage_of("shop-files", addressing_style="virtual")
        url = storage.url("a.txt")
        folder = storage.location

    assert storage.connection.meta.client.meta.endpoint_url == f"https://s3.{REGION}.amazonaws.com"
    assert url.startswith(f"https://shop-files.s3.{REGION}.amazonaws.com/{folder}/a.txt?")
    assert parse_qs(urlsplit(url).query)["X-Amz-Security-Token"] == ["short-lived"]

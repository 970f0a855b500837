"""A ticket is visible to its owner and to the staff only."""

import re
from io import BytesIO

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from PIL import Image

from tickets.attachments import MAX_BYTES
from tickets.models import Attachment, Ticket

pytestmark = pytest.mark.django_db

TICKETS = "/api/tickets/"


def picture(kind="PNG", size=(2, 2)) -> bytes:
    pixels = BytesIO()
    Image.new("RGB", size).save(pixels, kind)
    return pixels.getvalue()


def upload(client, *files, path=TICKETS):
    attachments = [SimpleUploadedFile(name, content, sent) for name, content, sent in files]
    form = {"subject": "Broken", "body": "See the file.", "attachments": attachments}
    return client.post(path, form, "multipart")


@pytest.fixture
def staff(site, bob):
    """A client of the staff's, apart from Ann's."""
    bob.is_staff = True
    bob.save()
    return type(site)(headers={"host": "test1.localhost"}).log_in(bob)


@pytest.fixture
def ticket(as_ann) -> dict:
    return as_ann.post(TICKETS, {"subject": "Broken", "body": "The mug."}, "json").json()


# --- the conversation ---------------------------------------------------------------------


def test_a_ticket_is_opened_with_its_first_message(as_ann, ticket):
    assert ticket["status"] == "open"
    assert [(m["author"], m["body"]) for m in ticket["messages"]] == [("customer", "The mug.")]
    assert as_ann.get(TICKETS).json()["results"][0]["id"] == ticket["id"]


def test_the_staff_answers_and_the_owner_asks_on(as_ann, staff, ticket):
    answers = f"{TICKETS}{ticket['id']}/answers/"

    answered = staff.post(answers, {"body": "A new one is coming."}, "json")
    assert (answered.status_code, answered.json()["status"]) == (201, "answered")
    asked = as_ann.post(answers, {"body": "When?"}, "json").json()
    assert asked["status"] == "open"
    assert [message["author"] for message in asked["messages"]] == ["customer", "staff", "customer"]


@pytest.mark.parametrize("client", ["as_ann", "staff"])
def test_owner_and_staff_may_close_it_and_nothing_is_added_then(request, client, staff, ticket):
    client = request.getfixturevalue(client)
    closed = client.post(f"{TICKETS}{ticket['id']}/close/")

    assert closed.json()["status"] == "closed"
    assert client.post(f"{TICKETS}{ticket['id']}/close/").status_code == 200
    late = client.post(f"{TICKETS}{ticket['id']}/answers/", {"body": "x"}, "json")
    assert late.status_code == 409


def test_the_staff_sees_everybodys_tickets(staff, ticket):
    assert staff.get(TICKETS).json()["count"] == 1
    assert staff.get(f"{TICKETS}{ticket['id']}/").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"), [("get", "{}/"), ("post", "{}/answers/"), ("post", "{}/close/")]
)
def test_another_users_ticket_is_not_found(as_bob, ticket, method, path):
    ask = getattr(as_bob, method)

    assert as_bob.get(TICKETS).json()["results"] == []
    answer = ask(f"{TICKETS}{path.format(ticket['id'])}", {"body": "x"}, format="json")
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"subject": "x"},
        {"subject": "", "body": "x"},
        {"subject": "x" * 201, "body": "x"},
        {"subject": "x", "body": "x" * 10_001},
        {"subject": "a\0b", "body": "x"},
        {"subject": ["x"], "body": {}},
        [],
        "text",
    ],
)
def test_a_ticket_needs_subject_and_body(as_ann, sent):
    assert as_ann.post(TICKETS, sent, "json").status_code == 400
    assert not Ticket.objects.exists()


def test_half_a_surrogate_pair_is_no_text(as_ann):
    sent = rb'{"subject": "x", "body": "\ud800"}'
    assert as_ann.generic("POST", TICKETS, sent, "application/json").status_code == 400


def test_a_detail_takes_the_same_queries_whatever_its_length(
    as_ann, ticket, django_assert_num_queries
):
    for _ in range(5):
        as_ann.post(f"{TICKETS}{ticket['id']}/answers/", {"body": "x"}, "json")
    with django_assert_num_queries(4):  # the user, the ticket, its messages, their files
        as_ann.get(f"{TICKETS}{ticket['id']}/")


# --- attachments --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "content_type"),
    [
        ("mug.png", picture(), "image/png"),
        ("MUG.JPG", picture("JPEG"), "image/jpeg"),
        ("bill.pdf", b"%PDF-1.7\n...", "application/pdf"),
        ("notes.txt", "Grüße".encode(), "text/plain"),
        ("table.csv", b"a,b\n1,2\n", "text/plain"),
    ],
)
def test_a_file_is_kept_and_sent_back_to_be_saved(as_ann, name, content, content_type):
    # What the sender says the type is does not count.
    ticket = upload(as_ann, (name, content, "application/x-anything")).json()
    (attachment,) = ticket["messages"][0]["attachments"]
    response = as_ann.get(attachment["url"])

    assert attachment["content_type"] == response["Content-Type"] == content_type
    assert attachment["size"] == len(content)
    assert response["Content-Disposition"] == f'attachment; filename="{name}"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert b"".join(response.streaming_content) == content


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("run.exe", b"MZ\x90\x00\x03", "Accepted are"),
        ("mug.png", b"MZ\x90\x00\x03", "Accepted are"),
        ("page.html", b"<script>alert(1)</script>", "does not say"),
        ("picture.svg", b"<svg onload='alert(1)'/>", "does not say"),
        ("mug.pdf", picture(), "does not say"),
        ("mug.png", picture()[:20], "Accepted are|damaged"),
        ("mug.png", picture()[:-12], "damaged"),
        ("nulls.txt", b"a\0b", "Accepted are"),
        ("latin.txt", "é".encode("latin-1"), "Accepted are"),
        ("empty.txt", b"", "empty"),
        ("nosuffix", b"text", "does not say"),
    ],
)
def test_a_file_that_is_not_what_may_be_attached_is_refused(as_ann, name, content, reason):
    response = upload(as_ann, (name, content, "image/png"))

    assert response.status_code == 400
    assert "attachments" in response.json()["errors"]
    assert re.search(reason, str(response.json()["errors"]))
    assert not Ticket.objects.exists()


def test_a_file_that_is_too_large_is_refused(as_ann):
    response = upload(as_ann, ("big.txt", b"x" * (MAX_BYTES + 1), "text/plain"))
    assert response.status_code == 400
    assert "bytes at most" in str(response.json()["errors"])


def test_a_csv_of_ten_megabytes_is_refused(as_ann):
    response = upload(as_ann, ("big.csv", b"a,b\n" * 2_500_000, "text/csv"))
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"


def test_more_files_than_a_message_holds_are_refused(as_ann):
    files = [(f"{number}.txt", b"x", "text/plain") for number in range(4)]
    assert upload(as_ann, *files).status_code == 400


@pytest.mark.parametrize("beside", [{}, {"attachments": ("kept.txt", b"x", "text/plain")}])
def test_a_file_under_another_name_is_refused(as_ann, beside):
    files = {name: SimpleUploadedFile(*file) for name, file in beside.items()}
    lost = SimpleUploadedFile("lost.txt", b"x")
    form = {"subject": "Help", "body": "Look", "files": lost, **files}
    response = as_ann.post(TICKETS, form, "multipart")

    assert response.status_code == 400
    assert response.json()["errors"] == {"files": ["Send files as `attachments`."]}
    assert not Ticket.objects.exists()


def test_a_picture_that_unpacks_to_a_huge_one_is_refused(as_ann, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3)
    assert upload(as_ann, ("bomb.png", picture(), "image/png")).status_code == 400


@pytest.mark.parametrize("name", ["../../etc/passwd.txt", "..\\..\\x.txt", "a/b.txt"])
def test_a_path_in_a_name_leads_nowhere(as_ann, media, name):
    upload(as_ann, (name, b"text", "text/plain"))
    kept = [path for path in media.rglob("*") if path.is_file()]

    assert len(kept) == 1
    tenant = media / "test1" / connection.tenant_identity
    assert kept[0].is_relative_to(tenant / "tickets")


def test_an_attachment_is_for_its_owner_and_the_staff(as_ann, site, as_bob, staff, bob):
    ticket = upload(as_ann, ("notes.txt", b"secret", "text/plain")).json()
    url = ticket["messages"][0]["attachments"][0]["url"]

    assert staff.get(url).status_code == 200
    bob.is_staff = False
    bob.save()
    assert as_bob.get(url).status_code == 404
    assert as_ann.get(url).status_code == 200
    as_ann.credentials()
    assert as_ann.get(url).status_code == 401


def test_an_attachment_the_storage_has_lost_is_not_found(as_ann):
    ticket = upload(as_ann, ("notes.txt", b"x", "text/plain")).json()
    default_storage.delete(Attachment.objects.get().file.name)
    assert as_ann.get(ticket["messages"][0]["attachments"][0]["url"]).status_code == 404


def files_of(ticket: int) -> list[str]:
    return default_storage.listdir(f"tickets/{ticket}")[1]


def test_a_file_goes_with_its_attachment(as_ann, django_capture_on_commit_callbacks):
    opened = upload(as_ann, ("a.png", picture(), "image/png")).json()
    assert len(files_of(opened["id"])) == 1
    with django_capture_on_commit_callbacks(execute=True):
        Attachment.objects.all().delete()
    assert files_of(opened["id"]) == []


def test_files_of_an_upload_that_fails_are_removed(as_ann, monkeypatch):
    save, stored = default_storage.save, []

    def fails_later(name, content, max_length=None):
        if stored:
            raise OSError("no room")
        stored.append(save(name, content, max_length))
        return stored[0]

    monkeypatch.setattr(type(default_storage._wrapped), "save", staticmethod(fails_later))
    one = ("a.png", picture(), "image/png")
    assert upload(as_ann, one, one).status_code >= 500
    assert not default_storage.exists(stored[0])
    assert Ticket.objects.count() == 0

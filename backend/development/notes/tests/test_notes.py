"""Users see their own, and the worker does its part."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from development.notes import services, tasks
from development.notes.models import Note
from development.notes.tests.factories import make_note

pytestmark = pytest.mark.django_db

ADDRESS = "/api/v1/notes/"
SENT = {"title": "A title", "text": "Three short words"}


def test_users_see_their_own_alone(as_ann, as_bob, ann):
    note = make_note(ann)

    rows = as_ann.get(ADDRESS).json()["results"]
    assert [row["id"] for row in rows] == [note.pk]
    assert as_ann.get(f"{ADDRESS}{note.pk}/").json() == rows[0]
    assert as_bob.get(ADDRESS).json()["results"] == []
    assert as_bob.get(f"{ADDRESS}{note.pk}/").status_code == 404


def test_nobody_sees_any_without_logging_in(site):
    assert site.get(ADDRESS).status_code == 401


def test_what_is_incomplete_is_refused(as_ann):
    assert as_ann.post(ADDRESS, {"title": "A title"}, "json").status_code == 400
    assert not Note.objects.exists()


def test_a_file_is_kept_with_it(as_ann):
    sent = SENT | {"file": SimpleUploadedFile("a.txt", b"Hello")}

    assert as_ann.post(ADDRESS, sent, "multipart").status_code == 201
    with Note.objects.get().file.open() as file:
        assert file.read() == b"Hello"


def test_the_words_are_counted_by_a_task_after_the_commit(
    as_ann, monkeypatch, django_capture_on_commit_callbacks
):
    queued = []
    monkeypatch.setattr(services, "send_task", lambda *sent: queued.append(sent))
    with django_capture_on_commit_callbacks(execute=True):
        made = as_ann.post(ADDRESS, SENT, "json").json()

    assert (made["words"], queued) == (None, [(services.COUNT_WORDS, made["id"])])
    tasks.count_words(made["id"])
    assert Note.objects.get().words == 3


def test_what_was_not_counted_is_queued(ann, monkeypatch):
    queued = []
    monkeypatch.setattr(services, "send_task", lambda *sent: queued.append(sent))
    make_note(ann, words=2)
    note = make_note(ann)
    tasks.count_missing_words()

    assert queued == [(services.COUNT_WORDS, note.pk)]


def test_it_is_looked_for_in_every_active_tenant_by_schedule(settings):
    assert "tenant_schemas" not in settings.CELERY_BEAT_SCHEDULE[services.COUNT_MISSING_WORDS]

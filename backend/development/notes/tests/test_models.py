"""Tests start in the tenant test1: those of Django's TestCase, and functions."""

import pytest
from django.db import connection
from django.test import TestCase

from development.notes.models import Note
from development.notes.tests.factories import make_note
from users.models import User


class NoteTest(TestCase):
    @classmethod
    def setUpTestData(cls):
        user = User.objects.create_user("ann@example.com")
        cls.note = make_note(user)

    def test_it_is_shown_by_its_title(self):
        assert Note.objects.get() == self.note
        assert str(self.note) == self.note.title

    def test_each_test_starts_with_the_data_of_the_class(self):
        assert connection.schema_name == "test1"
        assert Note.objects.count() == 1


@pytest.mark.django_db
def test_a_function_starts_with_no_data():
    assert connection.schema_name == "test1"
    assert not Note.objects.exists()

"""Accounts are known by their e-mail address."""

import pytest
from django.db import IntegrityError, connection, transaction

from users.models import User

pytestmark = pytest.mark.usefixtures("test1")


def test_an_account_is_made_with_an_address_and_a_password():
    user = User.objects.create_user(email=" Ann@EXAMPLE.com", password="secret words")

    assert user.email == "ann@example.com"
    assert user.check_password("secret words")
    assert not user.is_staff


def test_an_account_without_a_password_cannot_log_in():
    assert not User.objects.create_user(email="ann@example.com").has_usable_password()


def test_an_account_needs_an_address():
    with pytest.raises(ValueError, match="needs an e-mail address"):
        User.objects.create_user(email="")


def test_an_address_is_taken_once():
    User.objects.create_user(email="ann@example.com")
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.create_user(email="ann@example.com")


@pytest.mark.parametrize("spelling", ["Ann@Example.COM", " ann@example.com "])
def test_one_spelling_of_an_address_is_stored_and_found(spelling):
    user = User(email=spelling)
    user.save()

    assert user.email == "ann@example.com"
    assert User.objects.get(email=spelling) == User.objects.get_by_natural_key(spelling) == user
    assert not User.objects.filter(email=None).exists()


def test_the_database_refuses_another_spelling():
    User.objects.create_user(email="ann@example.com")
    with (
        pytest.raises(IntegrityError, match="users_email_lower_case"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("UPDATE users_user SET email = 'Ann@example.com'")


def test_a_superuser_may_enter_the_admin():
    user = User.objects.create_superuser(email="root@example.com", password="x")
    assert user.is_staff
    assert user.is_superuser

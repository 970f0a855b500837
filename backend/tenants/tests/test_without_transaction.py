"""A test without a transaction, as an application may have one, leaves the tenants as they were."""

from django.db import connection
from django.test import TransactionTestCase
from django_tenants.utils import schema_context

from tenants.models import Tenant
from users.models import User


def test_rows_are_removed_and_tenants_stay(django_db_setup, django_db_blocker):
    class Writes(TransactionTestCase):
        def test_it(self):
            with schema_context("test1"):
                User.objects.create_user("ann@example.com")
            Tenant.objects.filter(schema_name="test2").update(is_active=False)

    with django_db_blocker.unblock():
        Writes("test_it").debug()
        assert Tenant.objects.filter(is_active=True).count() == 2
        with schema_context("test1"):
            assert not User.objects.exists()
        connection.close()

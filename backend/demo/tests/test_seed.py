"""Sample data is believable, made once, and large when it has to be."""

import re
import time
from io import StringIO

import pytest
from django.core import mail
from django.core.management import call_command
from django_tenants.utils import schema_context

from cart.models import CartItem
from orders.models import Order
from orders.services import send_confirmation
from products.models import Product
from tickets.models import Ticket
from users.models import User

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("empty_cache")]


def seed_demo(*arguments) -> str:
    out = StringIO()
    call_command("seed_demo", *arguments, stdout=out)
    return out.getvalue()


def counts(tenant):
    with schema_context(tenant):
        return [model.objects.count() for model in (Product, User, Order, CartItem, Ticket)]


def test_both_tenants_are_filled():
    seed_demo()
    assert counts("test1") == counts("test2") == [40, 3, 2, 1, 1]


def test_the_printed_log_ins_work_and_each_tenant_has_its_own():
    printed = re.findall(r"(\S+@\S+)  (\S+)", seed_demo())
    assert len({password for _email, password in printed}) == 6
    for number, (email, password) in enumerate(printed):
        tenant = "test1" if number < 3 else "test2"
        with schema_context(tenant):
            assert User.objects.get(email=email).check_password(password)


def test_a_second_run_changes_nothing_and_prints_no_password():
    seed_demo()
    before = counts("test1")
    assert "@" not in seed_demo()
    assert counts("test1") == before


def test_one_tenant_alone_can_be_filled():
    with schema_context("test2"):
        seed_demo()
    assert counts("test1") == [0] * 5
    assert counts("test2") == [40, 3, 2, 1, 1]


def test_what_somebody_changed_stays():
    seed_demo()
    with schema_context("test1"):
        Product.objects.filter(sku="DEMO-000001").update(price=1)
    seed_demo()
    with schema_context("test1"):
        assert Product.objects.get(sku="DEMO-000001").price == 1


def test_nobody_is_written_to():
    seed_demo()
    with schema_context("test1"):
        assert [send_confirmation(order.number) for order in Order.objects.all()] == [False, False]
    assert mail.outbox == []


def test_a_large_catalogue_is_made_quickly_and_can_be_searched():
    started = time.monotonic()
    seed_demo("--size", "5000")
    assert time.monotonic() - started < 30
    with schema_context("test1"):
        assert Product.objects.count() == 5000
        assert Product.objects.filter(search="teapots").exists()

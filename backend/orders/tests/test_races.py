"""What happens when two ask at the same moment: real threads, connections and commits."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.core import mail
from django.db import connection
from django_tenants.utils import schema_context

from cart.models import CartItem
from cart.services import add_item
from orders.models import Order
from orders.services import create_order, send_confirmation
from orders.tasks import send_confirmation as send_confirmation_task
from products.models import Product
from products.services import OutOfStock
from products.tests.factories import make_product
from users.models import User

pytestmark = pytest.mark.usefixtures("as_app", "empty_cache")


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch):
    monkeypatch.setattr(send_confirmation_task, "delay", lambda number: None)


def at_once(function, arguments):
    """Call the function once for each argument, all together; return results or exceptions."""
    start = Barrier(len(arguments), timeout=60)

    def run(argument):
        try:
            with schema_context("test1"):
                start.wait()
                return function(argument)
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(run, arguments))


@pytest.fixture
def shop():
    with schema_context("test1"):
        yield


def buyers(count, product, *more):
    users = [User.objects.create_user(f"buyer{number}@example.com") for number in range(count)]
    for number, user in enumerate(users):
        # Every other one in the opposite order: rows locked as they come would deadlock.
        products = [product, *more]
        for wanted in products if number % 2 else reversed(products):
            add_item(user, wanted.pk, 1)
    return users


def test_two_buyers_never_get_the_last_piece(shop):
    product = make_product(stock=1)
    results = at_once(lambda user: create_order(user), buyers(2, product))

    assert sorted(isinstance(result, OutOfStock) for result in results) == [False, True], results
    assert Order.objects.count() == 1
    assert Product.objects.get().stock == 0


def test_eight_buyers_of_two_products_neither_oversell_nor_deadlock(shop):
    first, second = make_product("A", stock=5), make_product("B", stock=5)
    results = at_once(lambda user: create_order(user), buyers(8, first, second))

    assert sum(isinstance(result, OutOfStock) for result in results) == 3, results
    assert Order.objects.count() == 5
    assert set(Product.objects.values_list("stock", flat=True)) == {0}


def test_a_request_sent_twice_at_once_makes_one_order(shop):
    (user,) = buyers(1, make_product())
    results = at_once(lambda key: create_order(user, key), ["k1", "k1"])

    assert sorted(is_new for _order, is_new in results) == [False, True]
    assert Order.objects.count() == 1
    assert Product.objects.get().stock == 9


def test_a_cart_sent_twice_without_a_key_is_ordered_once(shop):
    (user,) = buyers(1, make_product())
    at_once(lambda _: create_order(user), [1, 2])
    assert Order.objects.count() == 1


def test_pieces_added_at_once_add_up(shop):
    product, user = make_product(), User.objects.create_user("ann@example.com")
    at_once(lambda quantity: add_item(user, product.pk, quantity), [1, 2])
    assert CartItem.objects.get().quantity == 3


def test_two_workers_send_one_confirmation(shop):
    (user,) = buyers(1, make_product())
    order, _ = create_order(user)
    results = at_once(send_confirmation, [order.number, order.number])

    assert sorted(results) == [False, True]
    assert len(mail.outbox) == 1

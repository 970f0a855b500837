"""A cart holds what may be ordered, and only its user sees it."""

from decimal import Decimal

import pytest

from cart.models import MAX_QUANTITY, MAX_TOTAL, CartItem
from products.tests.factories import make_product

pytestmark = pytest.mark.django_db


def add(client, product, quantity=1):
    return client.post("/api/cart/add/", {"product": product.pk, "quantity": quantity}, "json")


@pytest.fixture
def mug(test1):
    return make_product("MUG", price="12.50", stock=10)


def test_a_new_cart_is_empty(as_ann):
    assert as_ann.get("/api/cart/").json() == {"items": [], "totals": []}


def test_an_item_is_shown_at_the_products_present_price(as_ann, mug):
    add(as_ann, mug, 2)
    mug.price = "13.00"
    mug.save()
    cart = as_ann.get("/api/cart/").json()

    assert cart["items"][0]["product"]["sku"] == "MUG"
    assert cart["items"][0]["total"] == "26.00"
    assert cart["totals"] == [{"currency": "EUR", "amount": "26.00"}]


def test_adding_again_adds_up(as_ann, mug):
    add(as_ann, mug, 2)
    body = add(as_ann, mug, 3).json()

    assert [item["quantity"] for item in body["items"]] == [5]


def test_currencies_are_summed_apart(as_ann, mug):
    add(as_ann, mug)
    body = add(as_ann, make_product("PEN", currency="USD", price="3.00")).json()

    assert body["totals"] == [
        {"currency": "EUR", "amount": "12.50"},
        {"currency": "USD", "amount": "3.00"},
    ]


@pytest.mark.parametrize("method", ["put", "patch"])
def test_a_quantity_is_changed(as_ann, mug, method):
    item = add(as_ann, mug).json()["items"][0]["id"]
    response = getattr(as_ann, method)(f"/api/cart/update/{item}/", {"quantity": 4}, "json")

    assert response.json()["items"][0]["quantity"] == 4


def test_an_item_is_removed(as_ann, mug):
    item = add(as_ann, mug).json()["items"][0]["id"]

    assert as_ann.delete(f"/api/cart/remove/{item}/").status_code == 204
    assert as_ann.get("/api/cart/").json()["items"] == []
    assert as_ann.delete(f"/api/cart/remove/{item}/").status_code == 404


@pytest.mark.parametrize("quantity", [0, -1, MAX_QUANTITY + 1, 10**30, 1.5, "many", None, True, []])
def test_an_impossible_quantity_is_refused(as_ann, mug, quantity):
    response = add(as_ann, mug, quantity)

    assert response.status_code == 400
    assert "quantity" in response.json()["errors"]
    assert not CartItem.objects.exists()


def test_no_more_is_added_than_is_in_stock(as_ann, mug):
    add(as_ann, mug, 8)
    response = add(as_ann, mug, 3)

    assert response.status_code == 409
    assert "Only 10" in response.json()["detail"]
    assert CartItem.objects.get().quantity == 8


def test_a_cart_holds_no_more_of_a_product_than_its_limit(as_ann):
    plenty = make_product("PIN", stock=1000)
    add(as_ann, plenty, MAX_QUANTITY)
    assert add(as_ann, plenty, 1).status_code == 409


def test_a_cart_holds_no_more_than_an_order_can(as_ann):
    costly = {"price": Decimal("99999999.99"), "stock": 1000}
    first, second = make_product("GOLD", **costly), make_product("PALLADIUM", **costly)

    assert add(as_ann, first, MAX_QUANTITY).status_code == 200
    response = add(as_ann, second, MAX_QUANTITY)

    assert response.status_code == 409
    assert str(MAX_TOTAL) in response.json()["detail"]
    assert [item["quantity"] for item in as_ann.get("/api/cart/").json()["items"]] == [99]


@pytest.mark.parametrize("product", [0, -1, 10**30, "MUG", None])
def test_an_impossible_product_is_refused(as_ann, product):
    response = as_ann.post("/api/cart/add/", {"product": product}, "json")
    assert response.status_code == 400


def test_an_unknown_or_hidden_product_is_not_found(as_ann):
    assert as_ann.post("/api/cart/add/", {"product": 999_999}, "json").status_code == 404
    assert add(as_ann, make_product(is_active=False)).status_code == 404


def test_another_users_item_is_not_found(as_ann, as_bob, mug):
    item = add(as_ann, mug).json()["items"][0]["id"]

    assert as_bob.get("/api/cart/").json()["items"] == []
    update = as_bob.put(f"/api/cart/update/{item}/", {"quantity": 9}, "json")
    assert update.status_code == 404
    assert as_bob.delete(f"/api/cart/remove/{item}/").status_code == 404
    assert CartItem.objects.get().quantity == 1


def test_a_cart_needs_an_account(site):
    response = site.get("/api/cart/")

    assert response.status_code == 401
    assert response["Content-Type"] == "application/problem+json"


def test_a_cart_takes_the_same_queries_whatever_its_length(as_ann, django_assert_num_queries):
    for number in range(5):
        add(as_ann, make_product(f"P{number}"))
    with django_assert_num_queries(2):  # the user, the items
        as_ann.get("/api/cart/")

"""The orders' rules: from a cart to an order, and through its life."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.db.models import QuerySet
from django.template.loader import render_to_string
from django.utils import timezone

from cart.models import CartItem
from cart.services import check_totals, items_of, locked_cart
from core.celery import send_task
from core.errors.problem_details import Conflict, Unprocessable
from core.mail import message_id
from orders.models import Order, OrderItem, StatusChange
from products.services import return_to_stock, take_from_stock
from users.models import User

# The name that core.celery.send_task knows the task of send_confirmation by.
CONFIRMATION_TASK = "orders.send_confirmation"

# When a confirmation counts as forgotten: later than the last retry of its task.
FORGOTTEN_AFTER = 1800  # seconds
# Older orders get no confirmation: they are imported data, for example.
TOO_OLD_AFTER = timedelta(days=2)

Status = Order.Status
NEXT: dict[str, set[str]] = {
    Status.PENDING: {Status.PAID, Status.CANCELLED},
    Status.PAID: {Status.SHIPPED, Status.CANCELLED},
    Status.SHIPPED: {Status.DELIVERED},
    Status.DELIVERED: set(),
    Status.CANCELLED: set(),
}


class EmptyCart(Conflict):
    """There is nothing to order."""

    def __init__(self) -> None:
        super().__init__("The cart is empty.")


class MixedCurrencies(Conflict):
    """An order has one total, so its products have one currency."""

    def __init__(self) -> None:
        super().__init__("The cart holds more than one currency; order them one after another.")


class KeyReused(Unprocessable):
    """An idempotency key stands for one order."""

    def __init__(self) -> None:
        super().__init__("Idempotency-Key was used for an order with other items; send a new key.")


class ImpossibleChange(Conflict):
    """An order does not go from the one status to the other."""

    def __init__(self, order: Order, status: str) -> None:
        super().__init__(f"Order {order.number} is {order.status} and cannot become {status}.")


def orders_of(user: User) -> QuerySet[Order]:
    """Return the user's orders, newest first."""
    return Order.objects.filter(user=user)


@transaction.atomic
def create_order(user: User, idempotency_key: str = "") -> tuple[Order, bool]:
    """Order what is in the user's cart, and empty it. All of it happens, or nothing.

    Args:
        user: whose cart.
        idempotency_key: chosen by the client for this order. When it comes again, with the
            emptied cart or the same items, the order it made the first time is returned.

    Returns:
        The order, and whether it is new. A confirmation is sent once it is committed.

    Raises:
        EmptyCart, MixedCurrencies: when the cart cannot be ordered.
        KeyReused: when the key's order had other items than the cart has now.
        cart.services.TooExpensive: when the prices have risen beyond what an order can hold.
        products.services.OutOfStock: when somebody was faster.
        products.services.NoLongerSold: when a product was deleted meanwhile.
    """
    cart = locked_cart(user)
    items = list(items_of(user))
    if idempotency_key:
        earlier = orders_of(user).filter(idempotency_key=idempotency_key).first()
        if earlier:
            if items and _pieces(items) != _pieces(earlier.items.all()):
                raise KeyReused
            return earlier, False
    if not items:
        raise EmptyCart
    products = take_from_stock(_pieces(items))
    for item in items:
        item.product = products[item.product_id]  # as read under the lock
    totals = check_totals(items)
    if len(totals) > 1:
        raise MixedCurrencies
    [(currency, total)] = totals.items()
    order = Order.objects.create(
        user=user, currency=currency, total=total, idempotency_key=idempotency_key
    )
    OrderItem.objects.bulk_create(
        OrderItem(
            order=order,
            product=item.product,
            sku=item.product.sku,
            name=item.product.name,
            unit_price=item.product.price,
            quantity=item.quantity,
        )
        for item in items
    )
    StatusChange.objects.create(order=order, status=order.status, by=user)
    cart.items.all().delete()
    # The order stands even if no broker takes the task: see send_missing_confirmations.
    transaction.on_commit(lambda: send_task(CONFIRMATION_TASK, order.number), robust=True)
    return order, True


def _pieces(items: Iterable[CartItem | OrderItem]) -> dict[int, int]:
    return {item.product_id: item.quantity for item in items}


@transaction.atomic
def change_status(order: Order, status: str, by: User | None = None) -> Order:
    """Move an order on; a cancelled one gives its pieces back to the stock.

    Returns:
        The order as it is now.

    Raises:
        ImpossibleChange: when its life does not go that way.
    """
    order = Order.objects.select_for_update().get(pk=order.pk)
    if status not in NEXT[order.status]:
        raise ImpossibleChange(order, status)
    order.status = status
    order.save(update_fields=["status"])
    StatusChange.objects.create(order=order, status=status, by=by)
    if status == Status.CANCELLED:
        return_to_stock(_pieces(order.items.all()))
    return order


@transaction.atomic
def send_confirmation(number: str) -> bool:
    """Send the confirmation of an order, unless it was sent or the order is cancelled.

    Return whether it was sent now.

    The row is locked while it is sent, so that two workers never both send it. Only a process
    that dies between the mail server's answer and the commit lets it be sent a second time.

    Raises:
        Order.DoesNotExist: when there is no such order.
        OSError, smtplib.SMTPException: when the mail server does not take it.
    """
    order = Order.objects.select_for_update().get(number=number)
    if order.confirmation_sent_at or order.status == Status.CANCELLED:
        return False
    body = render_to_string("orders/confirmation.txt", {"order": order, "items": order.items.all()})
    # The same for a second one, which mail systems then drop.
    identity = message_id("order", connection.schema_name, order.number, str(order.created_at))
    EmailMessage(
        f"Your order {order.number}", body, to=[order.user.email], headers={"Message-ID": identity}
    ).send()
    order.confirmation_sent_at = timezone.now()
    order.save(update_fields=["confirmation_sent_at"])
    return True


def send_missing_confirmations(after: int | None = None) -> int:
    """Send the task again for each order of this tenant whose confirmation is forgotten.

    The broker that should have taken it was down, or the mail server was for too long.

    Args:
        after: seconds from an order to when its confirmation counts as forgotten.

    Returns:
        How many there were.
    """
    newest = timezone.now() - timedelta(seconds=FORGOTTEN_AFTER if after is None else after)
    oldest = timezone.now() - TOO_OLD_AFTER
    forgotten = Order.objects.filter(confirmation_sent_at=None, created_at__range=(oldest, newest))
    forgotten = forgotten.exclude(status=Status.CANCELLED)
    numbers = list(forgotten.order_by("pk").values_list("number", flat=True))
    for number in numbers:
        send_task(CONFIRMATION_TASK, number)
    return len(numbers)

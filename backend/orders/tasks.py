"""What happens after an order is placed."""

from smtplib import SMTPException

from core.celery import app
from orders import services


@app.task(
    name=services.CONFIRMATION_TASK,
    autoretry_for=(OSError, SMTPException),
    retry_backoff=5,  # seconds before the first retry; then twice as long each time
    retry_backoff_max=300,
    max_retries=10,
)
def send_confirmation(number: str) -> bool:
    """Send it. The order has a number that never comes again, unlike its id."""
    return services.send_confirmation(number)


@app.task(name="orders.send_missing_confirmations")
def send_missing_confirmations(after: int | None = None) -> int:
    """Send what no broker took when the order was made; arguments as of the service."""
    return services.send_missing_confirmations(after)

"""What happens after somebody registered."""

from smtplib import SMTPException

from core.celery import app


@app.task(
    name="users.send_notice",
    autoretry_for=(OSError, SMTPException),
    retry_backoff=5,  # seconds before the first retry; then twice as long each time
    retry_backoff_max=600,
    max_retries=10,
)
def send_notice(email: str, text: str) -> None:
    from users import services  # which in turn sends this task

    services.send_notice(email, text)

"""What the accounts do in the background."""

from smtplib import SMTPException

from core.celery import app
from core.recurring import recurring


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


@app.task(name=recurring("users.remove_expired_log_ins"))
def remove_expired_log_ins() -> int:
    """Delete expired log-ins."""
    from users import services

    return services.remove_expired_log_ins()

"""What the accounts do in the background."""

from smtplib import SMTPException

from core.celery import app
from users import services


@app.task(
    name=services.NOTICE_TASK,
    autoretry_for=(OSError, SMTPException),
    retry_backoff=5,  # seconds before the first retry; then twice as long each time
    retry_backoff_max=600,
    max_retries=10,
)
def send_notice(email: str, text: str) -> None:
    services.send_notice(email, text)


@app.task(name="users.remove_expired_log_ins")
def remove_expired_log_ins() -> int:
    """Delete expired log-ins."""
    return services.remove_expired_log_ins()

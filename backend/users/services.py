"""The accounts' rules."""

from __future__ import annotations

from django.contrib.auth.hashers import make_password
from django.core.mail import send_mail
from django.db import IntegrityError, transaction

from users import tasks
from users.models import User

WELCOME = "Your account is ready; log in with this address."
KNOWN = (
    "Somebody, probably you, registered with this address. It has an account already: log in "
    "with the password you chose then. If it was not you, there is nothing to do."
)


@transaction.atomic
def register(email: str, password: str, first_name: str = "", last_name: str = "") -> None:
    """Make an account, unless the address has one. Its owner learns by e-mail which it was.

    The caller cannot tell: the result and the work are the same, so that nobody finds out who
    has an account here.

    Args:
        email: compared without regard to case, because people do not keep to one.
        password: already validated.
    """
    email = User.objects.normalize_email(email)
    is_known = User.objects.filter(email__iexact=email).exists()
    if is_known:
        make_password(password)  # takes as long as making the account
    else:
        try:
            with transaction.atomic():
                User.objects.create_user(
                    email, password, first_name=first_name, last_name=last_name
                )
        except IntegrityError:  # two requests at once
            is_known = True
    text = KNOWN if is_known else WELCOME
    transaction.on_commit(lambda: tasks.send_notice.delay(email, text), robust=True)


def send_notice(email: str, text: str) -> None:
    """Send what `register` has to say to the owner of an address.

    Raises:
        OSError, smtplib.SMTPException: when the mail server does not take it.
    """
    send_mail("Your account", text, None, [email])

"""The accounts' rules."""

from __future__ import annotations

import structlog
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone
from django_tenants.utils import tenant_context
from rest_framework_simplejwt.tokens import Token
from rest_framework_simplejwt.utils import datetime_from_epoch

from cloud.cognito import Identity
from core.celery import send_task
from tenants.context import each_active_tenant
from tenants.operators import Operators
from users.models import CognitoIdentity, LogIn, User
from users.tokens import LOG_IN, RefreshToken

log = structlog.get_logger(__name__)

# The name that core.celery.send_task knows the task of send_notice by.
NOTICE_TASK = "users.send_notice"

WELCOME = "Your account is ready; log in with this address."
KNOWN = (
    "Somebody, probably you, registered with this address. It has an account already: log in "
    "with the password you chose then. If it was not you, there is nothing to do."
)


@transaction.atomic
def register(email: str, password: str, first_name: str = "", last_name: str = "") -> None:
    """Make an account, unless the address has one. Its owner learns by e-mail which it was.

    The result and the work are the same in both cases, so that a caller cannot find out who
    has an account here.

    Args:
        email: in any spelling; see users.models.EmailAddressField.
        password: already validated.
    """
    email = User.objects.normalize_email(email)
    is_known = User.objects.filter(email=email).exists()
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
    transaction.on_commit(lambda: send_task(NOTICE_TASK, email, text), robust=True)


def send_notice(email: str, text: str) -> None:
    """Send what `register` has to say to the owner of an address.

    Raises:
        OSError, smtplib.SMTPException: when the mail server does not take it.
    """
    send_mail("Your account", text, None, [email])


# --- log-ins and their tokens -------------------------------------------------------------


class LogInEnded(Exception):
    """The log-in of a refresh token has ended, or ends because the token was used twice."""


def log_in_of(token: Token, *, lock: bool = False) -> LogIn | None:
    """Return the log-in that a verified token belongs to, with its user; None if it has ended.

    Args:
        lock: whether its row, not the user's, is locked until the transaction ends.
    """
    rows = LogIn.objects.select_for_update(of=("self",)) if lock else LogIn.objects
    try:
        return rows.select_related("user").get(pk=token.get(LOG_IN))
    except (LogIn.DoesNotExist, ValidationError):  # no id at all, as in tokens of older code
        return None


def renew(token: RefreshToken) -> None:
    """Make a verified refresh token the next one of its log-in; the old one is used up.

    A token that is used twice has been copied, and its owner cannot be told from the thief. So its
    log-in ends, for both.

    Raises:
        LogInEnded: when there is nothing to renew.
    """
    with transaction.atomic():
        # Locked: two requests with one token must not both find it unused.
        log_in = log_in_of(token, lock=True)
        if log_in is None or not log_in.user.is_active:
            raise LogInEnded
        is_reuse = log_in.refresh_token != token["jti"]
        if is_reuse:
            log_in.delete()
        else:
            token.renew()
            log_in.refresh_token = token["jti"]
            log_in.expires_at = datetime_from_epoch(token["exp"])
            log_in.save(update_fields=["refresh_token", "expires_at"])
    if is_reuse:
        log.warning("refresh token used twice, its log-in is ended", user=log_in.user_id)
        raise LogInEnded


def log_out(token: Token, *, everywhere: bool = False) -> None:
    """End the log-in of a verified token, or every log-in of its account."""
    log_in = log_in_of(token)
    if log_in is not None:
        (log_in.user.log_ins.all() if everywhere else log_in).delete()


def remove_expired_log_ins() -> int:
    """Delete the log-ins whose tokens have all expired; return how many.

    Of the operators, in their role, and of every active tenant. One that is broken, or dropped
    meanwhile, does not keep those of the others.

    Raises:
        django.db.Error: at the end, of the last tenant that failed.
    """
    with tenant_context(Operators()):
        removed = _remove_expired()
    failure: DatabaseError | None = None
    for tenant in each_active_tenant():
        try:
            removed += _remove_expired()
        except DatabaseError as error:
            log.warning("expired log-ins not removed", schema=tenant.schema_name, error=str(error))
            failure = error
    if failure:
        raise failure
    return removed


def _remove_expired() -> int:
    return LogIn.objects.filter(expires_at__lt=timezone.now()).delete()[0]


# --- people of the Cognito user pool ------------------------------------------------------


class NotLinked(Exception):
    """There is no account for an identity, and none may be made; the text is for its owner."""


def account_of(identity: Identity) -> User:
    """Return the account of a person whose token was verified, made at the first sign-in.

    Its groups become those of the newest token, as far as Django has groups of these names. No
    token makes anybody a member of the staff or a superuser.

    Raises:
        NotLinked: when the token names no verified address, or one that only a person may link.
    """
    try:
        linked = _linked(identity)
    except CognitoIdentity.DoesNotExist:
        linked = _link(identity)
    # An older token must not give back what a newer one has taken away.
    if identity.issued_at > linked.newest_token:
        _follow(identity, linked)
    return linked.user


def _linked(identity: Identity) -> CognitoIdentity:
    return CognitoIdentity.objects.select_related("user").get(subject=identity.subject)


def _link(identity: Identity) -> CognitoIdentity:
    if not 0 < len(identity.email) <= (User._meta.get_field("email").max_length or 0):
        raise NotLinked("The first sign-in needs an id token with a verified e-mail address.")
    try:
        with transaction.atomic():
            linked, _is_new = CognitoIdentity.objects.update_or_create(
                user=_account_at(identity), defaults={"subject": identity.subject}
            )
            return linked
    except IntegrityError:  # two requests at once
        return _linked(identity)


def _account_at(identity: Identity) -> User:
    """Return the account with the identity's address, new or taken over."""
    user = User.objects.filter(email=identity.email).first()
    if user is None:
        return User.objects.create_user(
            identity.email,
            first_name=identity.first_name[:150],
            last_name=identity.last_name[:150],
        )
    if user.is_staff or user.is_superuser:
        raise NotLinked("The address belongs to a member of the staff, whom an operator links.")
    if user.has_usable_password():
        _shut_out_who_registered(user)
    return user


def _shut_out_who_registered(user: User) -> None:
    """Take away what was given to somebody who never showed that the address is theirs."""
    user.set_unusable_password()
    user.save(update_fields=["password"])
    user.log_ins.all().delete()
    log.info("account linked to Cognito, its password is gone", user=user.pk)


def _follow(identity: Identity, linked: CognitoIdentity) -> None:
    with transaction.atomic():
        row = CognitoIdentity.objects.select_for_update().get(pk=linked.pk)
        if identity.issued_at <= row.newest_token:
            return
        row.newest_token = identity.issued_at
        row.save(update_fields=["newest_token"])
        linked.user.groups.set(Group.objects.filter(name__in=identity.groups))
        linked.user.last_login = timezone.now()
        linked.user.save(update_fields=["last_login"])

"""The account, known by its e-mail address."""

from collections.abc import Iterator
from typing import Any, ClassVar, cast
from uuid import uuid4

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.contrib.postgres.functions import RandomUUID
from django.db import models
from django.db.models.functions import Lower, Now


class EmailAddressField(models.EmailField):
    """An e-mail address in lower case, without spaces around it.

    People do not keep to one spelling, and mail systems ignore case. The field converts values
    when they are saved and when they are looked up, so one rule holds for the API, the admin,
    the shell and imported data.
    """

    def to_python(self, value: Any) -> str | None:
        value = super().to_python(value)
        return value if value is None else value.strip().lower()

    def pre_save(self, model_instance: models.Model, add: bool) -> str | None:
        value = self.to_python(super().pre_save(model_instance, add))
        setattr(model_instance, self.attname, value)
        return value


class UserManager(BaseUserManager["User"]):
    """Creates accounts by e-mail address."""

    @classmethod
    def normalize_email(cls, email: str | None) -> str:
        """Return the spelling under which an address is stored."""
        return cast("str", User._meta.get_field("email").to_python(email or ""))

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create an account; without a password it cannot log in.

        Raises:
            ValueError: when the address is empty.
        """
        if not email:
            raise ValueError("an account needs an e-mail address")
        user = self.model(email=self.normalize_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create an account that may do everything in its tenant."""
        return self.create_user(
            email, password, **{**fields, "is_staff": True, "is_superuser": True}
        )


class RandomIdentity(RandomUUID):
    """A new identity, made by the database; also by SQLite, which projects may come from."""

    def as_sqlite(  # type: ignore[override]  # Django's own functions return lists, too
        self, compiler: Any, connection: Any, **context: Any
    ) -> tuple[str, list[Any]]:
        return "lower(hex(randomblob(16)))", []


class User(AbstractUser):
    """A person's account in one tenant."""

    username = None  # type: ignore[assignment]  # Django's way to leave a field out
    email = EmailAddressField("e-mail address", unique=True)
    # An id may be given again when a sequence is set back; this never is. Tokens and sessions
    # carry it.
    identity = models.UUIDField(db_default=RandomIdentity(), unique=True, editable=False)

    _password: str | None  # Django's: a new password that is not saved yet

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = []

    objects: ClassVar[UserManager] = UserManager()  # type: ignore[assignment]  # no user names

    personal_data = {
        "email": "email",
        "first_name": "name",
        "last_name": "name",
        "password": "password",
    }

    class Meta(AbstractUser.Meta):
        constraints = [
            # For what writes without this model. Lower case makes the unique index enough.
            models.CheckConstraint(
                name="users_email_lower_case", condition=models.Q(email=Lower("email"))
            )
        ]

    def __str__(self) -> str:
        return self.email

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save; a new password or a deactivation ends every log-in of the account."""
        ends_log_ins = not self._state.adding and (self._password is not None or not self.is_active)
        super().save(*args, **kwargs)
        if ends_log_ins:
            self.log_ins.all().delete()

    def get_session_auth_hash(self) -> str:
        return f"{self.identity}:{super().get_session_auth_hash()}"

    def get_session_auth_fallback_hash(self) -> Iterator[str]:
        for digest in super().get_session_auth_fallback_hash():
            yield f"{self.identity}:{digest}"


class LogIn(models.Model):
    """One log-in on one device. Its tokens carry the id, and are worth nothing without the row."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="log_ins")
    refresh_token = models.CharField("id (jti) of the refresh token that is good", max_length=255)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField("when its newest refresh token expires", db_index=True)

    class Meta:
        verbose_name = "log-in"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.user}, {self.created_at:%Y-%m-%d %H:%M}"


class CognitoIdentity(models.Model):
    """The person of the Cognito user pool that an account belongs to."""

    subject = models.CharField("id in the pool (sub)", max_length=255, unique=True)
    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="cognito_identity")
    newest_token = models.BigIntegerField(
        "newest token's time of issue, seconds since 1970", default=0
    )

    personal_data = {"subject": "id"}

    class Meta:
        verbose_name = "Cognito identity"
        verbose_name_plural = "Cognito identities"

    def __str__(self) -> str:
        return self.subject

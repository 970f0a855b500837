"""The account, known by its e-mail address."""

from typing import Any

from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models


class UserManager(BaseUserManager["User"]):
    """Creates accounts by e-mail address."""

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


class User(AbstractUser):
    """A person's account in one tenant."""

    username = None
    email = models.EmailField("e-mail address", unique=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = []

    objects = UserManager()

    def __str__(self) -> str:
        return self.email


class CognitoIdentity(models.Model):
    """The person of the Cognito user pool that an account belongs to."""

    subject = models.CharField("id in the pool (sub)", max_length=255, unique=True)
    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="cognito_identity")
    newest_token = models.BigIntegerField(
        "newest token's time of issue, seconds since 1970", default=0
    )

    class Meta:
        verbose_name = "Cognito identity"
        verbose_name_plural = "Cognito identities"

    def __str__(self) -> str:
        return self.subject

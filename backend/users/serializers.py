"""What the accounts' API takes and gives."""

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import serializers
from rest_framework.exceptions import AuthenticationFailed
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer, TokenRefreshSerializer

from core.fields import FlagField, TextField
from users.models import User
from users.services import LogInEnded, renew
from users.tokens import RefreshToken


class LogInSerializer(TokenObtainPairSerializer):
    """E-mail address and password, for a pair of tokens."""

    token_class = RefreshToken


class RefreshSerializer(TokenRefreshSerializer):
    """A refresh token, for a new pair."""

    token_class = RefreshToken

    def validate(self, attrs: dict[str, str]) -> dict[str, str]:
        token = self.token_class(attrs["refresh"])
        try:
            renew(token)
        except LogInEnded:
            raise AuthenticationFailed("The token is not good any more; log in again.") from None
        return {"access": str(token.access_token), "refresh": str(token)}


class LogOutSerializer(serializers.Serializer):
    everywhere = FlagField(
        default=False, help_text="Whether to log out on all devices, not on this one alone."
    )


class TokenPairSerializer(serializers.Serializer):
    access = serializers.CharField(help_text="Sent as `Authorization: Bearer …`.")
    refresh = serializers.CharField(help_text="Good for one new pair.")


class RegisterSerializer(serializers.ModelSerializer):
    # No UniqueValidator: its answer would tell who has an account.
    email = serializers.EmailField(max_length=254)
    password = TextField(max_length=128, write_only=True, trim_whitespace=False)
    first_name = TextField(max_length=150, required=False, allow_blank=True)
    last_name = TextField(max_length=150, required=False, allow_blank=True)

    class Meta:
        model = User
        fields = ["email", "password", "first_name", "last_name"]

    def validate_email(self, email: str) -> str:
        return User.objects.normalize_email(email)

    def validate(self, values: dict[str, str]) -> dict[str, str]:
        someone = User(**{name: value for name, value in values.items() if name != "password"})
        try:
            validate_password(values["password"], someone)
        except DjangoValidationError as error:
            raise serializers.ValidationError({"password": error.messages}) from error
        return values


class ProfileSerializer(serializers.ModelSerializer):
    first_name = TextField(max_length=150, required=False, allow_blank=True)
    last_name = TextField(max_length=150, required=False, allow_blank=True)

    class Meta:
        model = User
        fields = ["id", "email", "first_name", "last_name", "date_joined"]
        read_only_fields = ["id", "email", "date_joined"]

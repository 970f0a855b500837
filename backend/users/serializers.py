"""What the accounts' API takes and gives."""

from rest_framework_simplejwt.serializers import TokenObtainPairSerializer, TokenRefreshSerializer

from users.tokens import RefreshToken


class LogInSerializer(TokenObtainPairSerializer):
    """E-mail address and password, for a pair of tokens."""

    token_class = RefreshToken


class RefreshSerializer(TokenRefreshSerializer):
    """A refresh token, for a new pair."""

    token_class = RefreshToken

"""Accounts: register, log in, look at one's own."""

from __future__ import annotations

from typing import Any

from django.http import Http404
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.generics import RetrieveUpdateAPIView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from core.errors.problem_details import Conflict
from core.parsers import JSONParser
from core.tenancy import in_a_tenant
from users.authentication import SignedInRequest
from users.models import User
from users.serializers import (
    LogInSerializer,
    LogOutSerializer,
    ProfileSerializer,
    RefreshSerializer,
    RegisterSerializer,
    TokenPairSerializer,
)
from users.services import log_out, register
from users.throttling import LogInThrottle, remember_client
from users.tokens import AccessToken

CREDENTIALS = {"email": "ann@example.com", "password": "correct horse battery staple"}
TOKENS = {"access": "eyJhbGciOi…", "refresh": "eyJhbGciOi…"}
PROFILE = {
    "id": 1,
    "email": "ann@example.com",
    "first_name": "Ann",
    "last_name": "Lee",
    "date_joined": "2026-01-31T12:00:00Z",
}
tokens_example = OpenApiExample("Tokens", TOKENS, response_only=True)
too_often = OpenApiResponse(description="Tried too often; Retry-After says how long to wait.")
refused = OpenApiResponse(description="Refused; the answer does not say which part is wrong.")


class RegisterView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = (LogInThrottle,)

    @extend_schema(
        tags=["auth"],
        auth=[],
        request=RegisterSerializer,
        responses={201: RegisterSerializer, 429: too_often},
        examples=[
            OpenApiExample("A new account", CREDENTIALS, request_only=True),
            OpenApiExample(
                "The answer",
                {"email": "ann@example.com", "first_name": "", "last_name": ""},
                response_only=True,
            ),
        ],
    )
    def post(self, request: Request) -> Response:
        """Make an account. An address that has one gets the same answer, and an e-mail."""
        if not in_a_tenant():
            raise Http404  # operators are made by operators
        sent = RegisterSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        register(**sent.validated_data)
        values = {"first_name": "", "last_name": "", **sent.validated_data}
        return Response(RegisterSerializer(values).data, status=201)


class LogInView(TokenObtainPairView):
    throttle_classes = (LogInThrottle,)

    @extend_schema(
        tags=["auth"],
        auth=[],
        request=LogInSerializer,
        responses={200: TokenPairSerializer, 401: refused, 429: too_often},
        examples=[OpenApiExample("Credentials", CREDENTIALS, request_only=True), tokens_example],
    )
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Log in, for a pair of tokens."""
        response = super().post(request, *args, **kwargs)
        remember_client(request)
        return response


class RefreshView(TokenRefreshView):
    @extend_schema(
        tags=["auth"],
        auth=[],
        request=RefreshSerializer,
        responses={200: TokenPairSerializer, 401: refused},
        examples=[
            OpenApiExample("A refresh token", {"refresh": TOKENS["refresh"]}, request_only=True),
            tokens_example,
        ],
    )
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Exchange a refresh token, once, for a new pair."""
        return super().post(request, *args, **kwargs)


class LogOutView(APIView):
    parser_classes = (JSONParser,)

    @extend_schema(
        tags=["auth"],
        request=LogOutSerializer,
        responses={204: None, 409: OpenApiResponse(description="The token is the user pool's.")},
        examples=[OpenApiExample("All devices", {"everywhere": True}, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        """End this log-in, or all of the account: access and refresh tokens are refused at once."""
        sent = LogOutSerializer(data=request.data)
        sent.is_valid(raise_exception=True)
        if not isinstance(request.auth, AccessToken):
            raise Conflict("A token of the user pool is ended by the pool: GlobalSignOut.")
        log_out(request.auth, **sent.validated_data)
        return Response(status=204)


@extend_schema(
    tags=["auth"],
    examples=[
        OpenApiExample("An account", PROFILE, response_only=True),
        OpenApiExample("Names", {"first_name": "Ann", "last_name": "Lee"}, request_only=True),
    ],
)
class ProfileView(RetrieveUpdateAPIView):
    """The signed-in user's own account."""

    request: SignedInRequest
    serializer_class = ProfileSerializer
    parser_classes = (JSONParser,)

    def get_object(self) -> User:
        return self.request.user

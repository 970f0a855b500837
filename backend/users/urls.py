"""Addresses of accounts and their tokens."""

from django.urls import path

from users.views import LogInView, LogOutView, ProfileView, RefreshView, RegisterView

# No view that only verifies a token: simplejwt's does not know the tenant's claim.
urlpatterns = [
    path("register/", RegisterView.as_view(), name="register"),
    path("login/", LogInView.as_view(), name="login"),
    path("token/refresh/", RefreshView.as_view(), name="token-refresh"),
    path("logout/", LogOutView.as_view(), name="logout"),
    path("profile/", ProfileView.as_view(), name="profile"),
]

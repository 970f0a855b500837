from typing import Any

from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.request import Request

from core.admin import TenantModelAdmin
from users.models import CognitoIdentity, LogIn, User
from users.throttling import LogInThrottle, remember_client


class LogInForm(AdminAuthenticationForm):
    """The admin's log-in, as slow for who guesses as the API's; both count together."""

    request: HttpRequest

    def clean(self) -> dict[str, Any]:
        request = Request(self.request, parsers=[FormParser(), MultiPartParser()])
        throttle = LogInThrottle(field="username")
        if not throttle.allow_request(request, None):
            seconds = int(throttle.wait() or 0) + 1
            raise ValidationError(f"Tried too often; wait {seconds} seconds.", code="throttled")
        values = super().clean()
        remember_client(request, field="username")
        return values


admin.site.login_form = LogInForm


@admin.register(User)
class UserAdmin(DjangoUserAdmin):
    """Accounts, by e-mail address instead of user name."""

    ordering = ["email"]
    list_display = ["email", "first_name", "last_name", "is_active", "is_staff", "last_login"]
    search_fields = ["email", "first_name", "last_name"]
    fieldsets = [
        (None, {"fields": ["email", "password"]}),
        ("Personal", {"fields": ["first_name", "last_name"]}),
        (
            "Permissions",
            {"fields": ["is_active", "is_staff", "is_superuser", "groups", "user_permissions"]},
        ),
        ("Dates", {"fields": ["last_login", "date_joined"]}),
    ]
    add_fieldsets = [(None, {"fields": ["email", "usable_password", "password1", "password2"]})]


@admin.register(LogIn)
class LogInAdmin(admin.ModelAdmin):
    """Shows who is logged in; deleting a row logs that device out."""

    list_display = ["user", "created_at", "expires_at"]
    search_fields = ["user__email"]
    fields = readonly_fields = ("user", "created_at", "expires_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(CognitoIdentity)
class CognitoIdentityAdmin(TenantModelAdmin):
    """Links accounts by hand, as those of the staff have to be."""

    list_display = ["user", "subject"]
    search_fields = ["user__email", "subject"]
    fields = ["user", "subject"]
    autocomplete_fields = ["user"]

"""API tokens in the admin site."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from accounts import tokens
from accounts.models import ApiToken


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):
    list_display = [
        "hint",
        "name",
        "user",
        "created_at",
        "expires_at",
        "last_used_at",
        "revoked_at",
    ]
    list_select_related = ["user"]
    search_fields = ["name", "user__username"]
    fields = ["user", "name", "expires_at"]
    actions = ["revoke"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:  # noqa: ARG002
        return ["user"] if obj else []

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Superusers only: tokens may be for any account."""
        return bool(request.user.is_active and request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Deny: tokens are revoked."""
        return False

    def save_model(self, request: HttpRequest, obj: ApiToken, form: ModelForm, change: bool) -> None:  # noqa: FBT001
        if change:
            super().save_model(request, obj, form, change)
            return
        stored, token = tokens.issue(obj.user, name=obj.name, expires_at=obj.expires_at)
        obj.pk, obj._state.adding = stored.pk, False
        obj.hint, obj.issued = stored.hint, token  # type: ignore[attr-defined]

    def response_add(
        self,
        request: HttpRequest,
        obj: ApiToken,
        post_url_continue: Any = None,  # noqa: ARG002 - Django's signature
    ) -> HttpResponse:
        """Show the token once, on a page: a message would leave it in cookie or session."""
        context = self.admin_site.each_context(request) | {
            "opts": self.opts,
            "title": "New API token",
            "obj": obj,
            "token": obj.issued,  # type: ignore[attr-defined]
        }
        response = TemplateResponse(request, "admin/accounts/issued.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @admin.action(description="Revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        self.message_user(request, f"{tokens.revoke(queryset)} revoked.")

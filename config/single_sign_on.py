"""Single sign-on by OpenID Connect: whom the provider vouches for."""

from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from mozilla_django_oidc.auth import OIDCAuthenticationBackend


class Backend(OIDCAuthenticationBackend):
    """Matches active accounts by a verified e-mail address; makes none, and gives no permissions."""

    def verify_claims(self, claims: dict[str, Any]) -> bool:
        """Whether the provider has verified the address."""
        return bool(claims.get("email")) and claims.get("email_verified") is True

    def filter_users_by_claims(self, claims: dict[str, Any]) -> QuerySet[User]:
        """Return the account; none if several have the address."""
        found = User.objects.filter(email__iexact=claims.get("email", ""), is_active=True)
        return found if found.count() == 1 else User.objects.none()

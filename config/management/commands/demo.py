"""`manage.py demo`: load catalogue, delivery prices, groups and accounts."""

import os
import secrets
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management.base import BaseCommand
from django.db import transaction

from accounts import tokens
from config import demo_accounts
from config.demo_accounts import address_of
from config.groups import GROUPS, add_groups
from config.groups import permissions as permissions_of
from inventory.loader import load_catalogue
from scheduling.slots import database_now
from shipping.tariff import load_tariff


class Command(BaseCommand):
    help = "Adds the demo catalogue, delivery prices, groups and accounts. A second run changes nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        self._report("products", load_catalogue(currency=settings.CURRENCY))
        self._report("delivery zones", load_tariff(currency=settings.CURRENCY))
        self._report("groups", add_groups())
        self._add_account("admin", "DEMO_ADMIN_PASSWORD", is_staff=True, is_superuser=True)
        self._add_account("operator", "DEMO_OPERATOR_PASSWORD", groups=list(GROUPS), is_staff=True)
        # Customers may process and complete their own orders.
        self._add_account("demo", "DEMO_CUSTOMER_PASSWORD", permissions=[("orders", "operate_order")])
        demo_accounts.switch_on()

    def _report(self, what: str, added: int) -> None:
        self.stdout.write(f"{what}: {added} added" if added else f"{what}: nothing to add")

    def _add_account(
        self,
        name: str,
        password_variable: str,
        *,
        groups: list[str] | None = None,
        permissions: list[tuple[str, str]] | None = None,
        **flags: bool,
    ) -> None:
        """Add the account with the password from the environment, or print a generated one."""
        if User.objects.filter(username=name).exists():
            self.stdout.write(f"account {name}: exists")
            return
        given = os.environ.get(password_variable)
        password = given or secrets.token_urlsafe(12)
        with transaction.atomic():
            user = User.objects.create_user(name, address_of(name), password, **flags)
            user.groups.set(Group.objects.filter(name__in=groups or []))
            user.user_permissions.set(permissions_of(permissions or []))
            _, token = tokens.issue(user, name="demo", expires_at=tokens.default_end(database_now()))
        shown = f"the password of {password_variable}" if given else f"password {password}"
        self.stdout.write(f"account {name}: added with {shown}, API token {token}")

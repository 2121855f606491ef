"""The system under attack: all its processes as in production, with the limits that it has by default."""

import asyncio
import base64
import hashlib
import json
import secrets
from pathlib import Path
from typing import Any

from chaos.client import Answer, call
from chaos.rig import WORKERS, Rig
from launcher.engines import free_port
from launcher.guardian import Guardian

# The rig of `make chaos` switches these off or shortens them; attacks meet what a deployment has.
DEFAULTS = (
    "THROTTLE_WRITES",
    "THROTTLE_READS",
    "THROTTLE_BULK_LINES",
    "THROTTLE_WRONG_TOKENS",
    "DECLINES_PER_ACCOUNT",
    "REQUESTS_AT_ONCE",
    "EXTERNAL_TIMEOUT_SECONDS",
    "HEALTH_CHECK_INTERVAL",
    "INVENTORY_SYNC_INTERVAL",
)
PRODUCTION = {
    "DEBUG": "0",
    "DEMO": "0",
    "HTTPS": "0",
    "ALLOW_SANDBOX": "1",
    "DEFAULT_PAYMENT_TOKEN": "tok_demo",
    # Clients name the address that they come from, as a proxy in front would.
    "TRUSTED_PROXIES": "127.0.0.1/32",
    "WEBHOOK_ALLOW_PRIVATE": "1",
}
NEW_ACCOUNT = """
    INSERT INTO auth_user
        (username, password, first_name, last_name, email, is_staff, is_superuser, is_active, date_joined)
    VALUES (%s, %s, '', '', %s, false, false, true, now())
"""
NEW_PRODUCT = """
    WITH p AS (
        INSERT INTO inventory_product
            (sku, name, category, description, price, currency, weight_grams, active, updated_at)
        VALUES (%s, %s, '', '', 10, 'USD', 1, true, now()) RETURNING id
    )
    INSERT INTO inventory_stockitem (product_id, on_hand, reserved, sold, reorder_level) SELECT id, %s, 0, 0, 0 FROM p
"""
BULK_SECONDS = 60.0


class Target(Rig):
    """One web process behind the proxy, which is the only address that attackers know."""

    base = ("sandbox", "web-1", "live", "proxy", "dispatcher", *WORKERS, "beat")

    def __init__(self, folder: Path, guardian: Guardian) -> None:
        super().__init__(folder, guardian)
        self.port = free_port()
        self.web_ports = [free_port()]
        self._is_prepared = False

    def environment(self, **variables: str) -> dict[str, str]:
        """Return what a process is told: what a deployment tells it."""
        told = super().environment(**(PRODUCTION if self._is_prepared else {}))
        return {name: value for name, value in told.items() if name not in DEFAULTS} | variables

    def _variables_of(self, name: str) -> dict[str, str]:
        if name == "proxy":
            return {
                "PORT": str(self.port),
                "WEB_PORT": str(self.web_ports[0]),
                "XDG_DATA_HOME": str(self.folder),
                "XDG_CONFIG_HOME": str(self.folder),
            }
        return super()._variables_of(name)

    async def _prepare(self) -> None:
        """Load the demo's catalogue, then do what a deployment does, which switches the demo's accounts off."""
        await super()._prepare()
        self._is_prepared = True
        await super()._prepare()

    # --- Accounts and goods -----------------------------------------------------------------------------

    async def account(self, name: str, *, password: str = "") -> str:
        username = f"{name}-{secrets.token_hex(4)}"
        await asyncio.to_thread(
            self.do, NEW_ACCOUNT, username, _hashed(password), f"{username}@customers.example"
        )
        return await asyncio.to_thread(self.token_of, username)

    async def named_account(self, username: str, password: str) -> None:
        await asyncio.to_thread(
            self.do, NEW_ACCOUNT, username, _hashed(password), f"{username}@customers.example"
        )

    async def product(self, *, units: int) -> str:
        sku = f"ATTACK-{secrets.token_hex(4).upper()}"
        await asyncio.to_thread(self.do, NEW_PRODUCT, sku, sku, units)
        return sku

    # --- Requests ---------------------------------------------------------------------------------------

    async def call(
        self, method: str, path: str, *, token: str = "", address: str = "192.0.2.66", body: Any = None
    ) -> Answer:
        """Send a request to the proxy; raises NoAnswer and TimeoutError as `chaos.client.call` does."""
        return await call(self.port, method, path, body=body, headers=headers_of(token, address), timeout=30)

    async def bulk(self, orders: list[dict[str, Any]], *, token: str) -> list[dict[str, Any]]:
        """Place orders in bulk; return the answers, line by line, or none where the request was refused."""
        answer = await call(
            self.port,
            "POST",
            "/api/orders/bulk",
            body=b"\n".join(json.dumps(order).encode() for order in orders),
            headers=headers_of(token, "192.0.2.66") | {"Content-Type": "application/x-ndjson"},
            timeout=BULK_SECONDS,
        )
        return [json.loads(line) for line in answer.body.splitlines()] if answer.status == 200 else []


def headers_of(token: str, address: str) -> dict[str, str]:
    """Return who a request is from, and where it comes from."""
    return {"X-Forwarded-For": address} | ({"Authorization": f"Token {token}"} if token else {})


def _hashed(password: str) -> str:
    """Return a password as Django stores it; an empty one matches no login."""
    if not password:
        return "!"
    salt, rounds = secrets.token_hex(8), 1000
    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), rounds)
    return f"pbkdf2_sha256${rounds}${salt}${base64.b64encode(digest).decode()}"

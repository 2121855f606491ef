"""The payment providers' webhooks: signed, retried, unreliable by script.

Off unless SANDBOX_WEBHOOK_URL and SANDBOX_WEBHOOK_SECRET are set, and SANDBOX_STRIPE_WEBHOOK_URL and
SANDBOX_STRIPE_WEBHOOK_SECRET for those in Stripe's form. Copies of an event share its id.
"""

import asyncio
import hashlib
import hmac
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec

from sandbox.faults import Faults, Try

TRIES = 6
PATIENCE_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.5  # doubled with each try


@dataclass
class Sender:
    """Sends one provider's webhooks to the customer."""

    faults: Faults
    provider: str = "payments"
    header: str = "Webhook-Signature"
    url: str = ""
    secret: str = ""
    _sending: set[asyncio.Task[None]] = field(default_factory=set)

    @classmethod
    def from_environment(cls, faults: Faults, environment: Mapping[str, str]) -> Self:
        """Return the configured sender; without a URL it sends nothing."""
        return cls(faults)._at("SANDBOX_WEBHOOK", environment)

    @classmethod
    def of_stripe(cls, faults: Faults, environment: Mapping[str, str]) -> Self:
        return cls(faults, "stripe", "Stripe-Signature")._at("SANDBOX_STRIPE_WEBHOOK", environment)

    def _at(self, prefix: str, environment: Mapping[str, str]) -> Self:
        url, self.secret = (environment.get(f"{prefix}_{name}", "") for name in ("URL", "SECRET"))
        self.url = url if self.secret else ""
        return self

    def send(self, operation: dict[str, Any]) -> None:
        """Send the webhook, with the script's losses, copies and delays."""
        self.send_event(operation["key"], {"id": f"evt_{operation['id']}", "operation": operation})

    def send_event(self, key: str, event: dict[str, Any]) -> None:
        """Send an event; `key` and the script decide its fate."""
        if not self.url:
            return
        this_try = Try(self.faults.script(self.provider), f"webhook:{key}", 1)
        for delay in this_try.webhook_delays:
            task = asyncio.get_running_loop().create_task(self._send(event, delay))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, event: dict[str, Any], delay: float) -> None:
        await asyncio.sleep(delay)
        for number in range(TRIES):
            if await asyncio.to_thread(self._post, msgspec.json.encode(event)):
                return
            await asyncio.sleep(FIRST_PAUSE_SECONDS * 2**number)

    def _post(self, body: bytes) -> bool:
        timestamp = str(int(time.time()))
        signature = hmac.new(
            self.secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256
        ).hexdigest()
        headers = {"Content-Type": "application/json", self.header: f"t={timestamp},v1={signature}"}
        request = urllib.request.Request(self.url, data=body, headers=headers, method="POST")  # noqa: S310 - ours
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:  # noqa: S310 # nosec B310
                return bool(response.status < 300)
        except (urllib.error.URLError, OSError):
            return False

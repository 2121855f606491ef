"""The payment provider's webhooks: signed, retried, unreliable by script.

Off unless SANDBOX_WEBHOOK_URL and SANDBOX_WEBHOOK_SECRET are set. Copies of an event share its id.
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
    """Sends webhooks to the customer."""

    faults: Faults
    url: str = ""
    secret: str = ""
    _sending: set[asyncio.Task[None]] = field(default_factory=set)

    @classmethod
    def from_environment(cls, faults: Faults, environment: Mapping[str, str]) -> Self:
        """Return the configured sender; without a URL it sends nothing."""
        url, secret = (
            environment.get("SANDBOX_WEBHOOK_URL", ""),
            environment.get("SANDBOX_WEBHOOK_SECRET", ""),
        )
        return cls(faults, url if secret else "", secret)

    def send(self, operation: dict[str, Any]) -> None:
        """Send the webhook, with the script's losses, copies and delays."""
        if not self.url:
            return
        this_try = Try(self.faults.script("payments"), f"webhook:{operation['key']}", 1)
        for delay in this_try.webhook_delays:
            task = asyncio.get_running_loop().create_task(self._send(operation, delay))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send(self, operation: dict[str, Any], delay: float) -> None:
        event = {"id": f"evt_{operation['id']}", "operation": operation}
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
        headers = {"Content-Type": "application/json", "Webhook-Signature": f"t={timestamp},v1={signature}"}
        request = urllib.request.Request(self.url, data=body, headers=headers, method="POST")  # noqa: S310 - ours
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:  # noqa: S310 # nosec B310
                return bool(response.status < 300)
        except (urllib.error.URLError, OSError):
            return False

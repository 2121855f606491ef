"""Fault scripts of the providers: same seed, same faults."""

import hashlib
import sqlite3
from dataclasses import dataclass
from typing import Annotated

import msgspec

from sandbox.book import transaction
from sandbox.refusals import Refusal

PROVIDERS = ("payments", "inventory", "email", "stripe")
OPERATIONS = (
    *("authorize", "capture", "void", "refund", "lookup", "stock", "message"),
    *("create", "confirm", "cancel"),
)

Rate = Annotated[float, msgspec.Meta(ge=0, le=1)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=600_000)]


class Script(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Faults of one provider, with rates from 0 to 1; defaults are healthy."""

    seed: int = 0
    operations: tuple[str, ...] = ()  # empty: all
    decline_tokens: tuple[str, ...] = ()
    decline_amounts: tuple[str, ...] = ()
    error_rate: Rate = 0.0  # 500, not executed
    throttle_rate: Rate = 0.0  # 429, not executed
    timeout_before_rate: Rate = 0.0  # delayed answer, not executed
    timeout_after_rate: Rate = 0.0  # executed, delayed answer
    status_500_after_rate: Rate = 0.0  # executed, 500
    garbage_rate: Rate = 0.0  # executed, answer is not JSON
    latency_ms: Milliseconds = 0.0
    latency_jitter_ms: Milliseconds = 0.0  # upper bound
    timeout_seconds: Annotated[float, msgspec.Meta(ge=0, le=600)] = 30.0
    webhook_loss_rate: Rate = 0.0
    webhook_duplicate_rate: Rate = 0.0
    webhook_delay_ms: Milliseconds = 0.0  # upper bound, drawn per webhook: they overtake each other
    down: bool = False  # drops all connections, health checks included

    def covers(self, operation: str) -> bool:
        return not self.operations or operation in self.operations


HEALTHY = Script()


@dataclass(frozen=True)
class Try:
    """The nth call of a key; script, key and n decide its faults."""

    script: Script
    key: str
    number: int

    @property
    def latency(self) -> float:
        """Seconds to wait before the call is processed."""
        return (self.script.latency_ms + self.script.latency_jitter_ms * self._draw("latency")) / 1000

    @property
    def times_out_before(self) -> bool:
        return self._draw("timeout_before") < self.script.timeout_before_rate

    @property
    def fails(self) -> bool:
        return self._draw("error") < self.script.error_rate

    @property
    def is_throttled(self) -> bool:
        return self._draw("throttle") < self.script.throttle_rate

    @property
    def times_out_after(self) -> bool:
        return self._draw("timeout_after") < self.script.timeout_after_rate

    @property
    def fails_after(self) -> bool:
        return self._draw("status_500_after") < self.script.status_500_after_rate

    @property
    def answers_garbage(self) -> bool:
        return self._draw("garbage") < self.script.garbage_rate

    @property
    def webhook_delays(self) -> list[float]:
        """Seconds until each copy of the webhook; empty if lost."""
        if self._draw("webhook_loss") < self.script.webhook_loss_rate:
            return []
        copies = 2 if self._draw("webhook_duplicate") < self.script.webhook_duplicate_rate else 1
        longest = self.script.webhook_delay_ms / 1000
        return [longest * self._draw(f"webhook_delay_{copy}") for copy in range(copies)]

    def _draw(self, fault: str) -> float:
        name = f"{self.script.seed}\0{fault}\0{self.key}\0{self.number}"
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7]) / 2**56


class Faults:
    """Scripts and tries of each key; both survive a restart."""

    def __init__(self, book: sqlite3.Connection) -> None:
        self._book = book
        stored = book.execute("SELECT provider, script FROM faults").fetchall()
        self._scripts = {row["provider"]: msgspec.json.decode(row["script"], type=Script) for row in stored}

    def scripts(self) -> dict[str, Script]:
        return {provider: self.script(provider) for provider in PROVIDERS}

    def script(self, provider: str) -> Script:
        return self._scripts.get(provider, HEALTHY)

    def replace(self, provider: str, script: Script) -> None:
        """Set the script and reset the counts: same seed, same run."""
        if provider not in PROVIDERS:
            raise Refusal(404, "unknown_provider", f"The providers are {', '.join(PROVIDERS)}.")
        if unknown := set(script.operations) - set(OPERATIONS):
            raise Refusal(
                422, "unknown_operation", f"Not among {', '.join(OPERATIONS)}: {unknown}.", "operations"
            )
        with transaction(self._book):
            self._book.execute("DELETE FROM tries WHERE provider = ?", (provider,))
            self._book.execute(
                "INSERT INTO faults (provider, script) VALUES (?, ?) "
                "ON CONFLICT (provider) DO UPDATE SET script = excluded.script",
                (provider, msgspec.json.encode(script)),
            )
        self._scripts[provider] = script

    def clear(self, provider: str) -> None:
        self.replace(provider, HEALTHY)

    def next_try(self, provider: str, operation: str, key: str) -> Try:
        """Count a call of the key; healthy providers skip this."""
        row = self._book.execute(
            "INSERT INTO tries (provider, operation, key, count) VALUES (?, ?, ?, 1) "
            "ON CONFLICT (provider, operation, key) DO UPDATE SET count = count + 1 RETURNING count",
            (provider, operation, key),
        ).fetchone()
        return Try(self.script(provider), key, row["count"])

    def tries(self, provider: str, *, key: str, limit: int) -> list[dict[str, object]]:
        """Return tries since the script was set; all keys if `key` is empty."""
        rows = self._book.execute(
            "SELECT operation, key, count FROM tries "
            "WHERE provider = :provider AND (:key = '' OR key = :key) ORDER BY operation, key LIMIT :limit",
            {"provider": provider, "key": key, "limit": limit},
        )
        return [dict(row) for row in rows]

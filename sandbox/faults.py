"""Scripted trouble: what each provider does wrong, how often, and the same each time for the same seed."""

import hashlib
import sqlite3
from dataclasses import dataclass
from typing import Annotated

import msgspec

from sandbox.book import transaction
from sandbox.refusals import Refusal

PROVIDERS = ("payments", "inventory", "email")
OPERATIONS = ("authorize", "capture", "void", "refund", "lookup", "stock", "message")

Rate = Annotated[float, msgspec.Meta(ge=0, le=1)]
Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=600_000)]


class Script(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One provider's faults. The rates are shares of tries, 0 to 1; all of it off is a healthy provider."""

    seed: int = 0
    operations: tuple[str, ...] = ()  # empty: all of them
    decline_tokens: tuple[str, ...] = ()
    decline_amounts: tuple[str, ...] = ()
    error_rate: Rate = 0.0  # 500, nothing done
    timeout_before_rate: Rate = 0.0  # holds the answer, nothing done
    timeout_after_rate: Rate = 0.0  # does it, then holds the answer
    status_500_after_rate: Rate = 0.0  # does it, then 500
    garbage_rate: Rate = 0.0  # does it, then answers with something that is not JSON
    latency_ms: Milliseconds = 0.0
    latency_jitter_ms: Milliseconds = 0.0  # up to so much more, by the same draw
    timeout_seconds: Annotated[float, msgspec.Meta(ge=0, le=600)] = 30.0
    webhook_loss_rate: Rate = 0.0
    webhook_duplicate_rate: Rate = 0.0
    webhook_delay_ms: Milliseconds = (
        0.0  # up to so much, by a draw of its own for each: they overtake each other
    )
    down: bool = False  # hangs up on every call, health checks included

    def covers(self, operation: str) -> bool:
        return not self.operations or operation in self.operations


HEALTHY = Script()


@dataclass(frozen=True)
class Try:
    """The nth call of one key under a script: which faults befall it is decided by its name alone."""

    script: Script
    key: str
    number: int

    @property
    def latency(self) -> float:
        """Seconds to wait before the call is looked at."""
        return (self.script.latency_ms + self.script.latency_jitter_ms * self._draw("latency")) / 1000

    @property
    def times_out_before(self) -> bool:
        return self._draw("timeout_before") < self.script.timeout_before_rate

    @property
    def fails(self) -> bool:
        return self._draw("error") < self.script.error_rate

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
        """Seconds after which each copy of the operation's webhook is sent; none if it gets lost."""
        if self._draw("webhook_loss") < self.script.webhook_loss_rate:
            return []
        copies = 2 if self._draw("webhook_duplicate") < self.script.webhook_duplicate_rate else 1
        longest = self.script.webhook_delay_ms / 1000
        return [longest * self._draw(f"webhook_delay_{copy}") for copy in range(copies)]

    def _draw(self, fault: str) -> float:
        name = f"{self.script.seed}\0{fault}\0{self.key}\0{self.number}"
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:7]) / 2**56


class Faults:
    """The scripts in force and how often each key was tried under them. Both outlive a restart."""

    def __init__(self, book: sqlite3.Connection) -> None:
        self._book = book
        stored = book.execute("SELECT provider, script FROM faults").fetchall()
        self._scripts = {row["provider"]: msgspec.json.decode(row["script"], type=Script) for row in stored}

    def scripts(self) -> dict[str, Script]:
        return {provider: self.script(provider) for provider in PROVIDERS}

    def script(self, provider: str) -> Script:
        return self._scripts.get(provider, HEALTHY)

    def replace(self, provider: str, script: Script) -> None:
        """Put the script in force and count tries from one again: the same seed repeats the same run."""
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
        """Count this call of the key. Only called under a script, so a healthy provider pays nothing."""
        row = self._book.execute(
            "INSERT INTO tries (provider, operation, key, count) VALUES (?, ?, ?, 1) "
            "ON CONFLICT (provider, operation, key) DO UPDATE SET count = count + 1 RETURNING count",
            (provider, operation, key),
        ).fetchone()
        return Try(self.script(provider), key, row["count"])

    def tries(self, provider: str, *, key: str, limit: int) -> list[dict[str, object]]:
        """What was tried how often since the script was set: one key, or any when `key` is empty."""
        rows = self._book.execute(
            "SELECT operation, key, count FROM tries "
            "WHERE provider = :provider AND (:key = '' OR key = :key) ORDER BY operation, key LIMIT :limit",
            {"provider": provider, "key": key, "limit": limit},
        )
        return [dict(row) for row in rows]

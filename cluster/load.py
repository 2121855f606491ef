"""Customers who order at a steady rate, and retry with the same key until an order is accepted."""

import itertools
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import requests

CUSTOMERS = 60
TRY_SECONDS = 12.0
GIVE_UP_SECONDS = 90.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 2.0


@dataclass(frozen=True, slots=True)
class Try:
    """One POST; status 0 means no answer."""

    at: float
    seconds: float
    status: int
    has_hint: bool
    node: str


@dataclass
class Load:
    """Places `rate` orders per second at `url` until stopped."""

    url: str
    rate: float
    tag: str = field(default_factory=lambda: f"proof-{secrets.token_hex(4)}")
    accepted: dict[str, int] = field(default_factory=dict)
    given_up: list[str] = field(default_factory=list)
    tries: list[Try] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        self._customers = ThreadPoolExecutor(CUSTOMERS, thread_name_prefix="customer")
        self._clock = threading.Thread(target=self._keep_pace, daemon=True)
        self._clock.start()

    def stop(self) -> None:
        """Stop placing orders; return once each is answered or given up."""
        self._stopped.set()
        self._clock.join()
        self._customers.shutdown(wait=True)

    def answered_since(self, moment: float) -> list[Try]:
        """Return POSTs answered with 2xx after a moment, ordered by answer time."""
        found = [t for t in list(self.tries) if t.status // 100 == 2 and t.at + t.seconds >= moment]
        return sorted(found, key=lambda t: t.at + t.seconds)

    def _keep_pace(self) -> None:
        began = time.monotonic()
        for number in itertools.count(1):
            if self._stopped.wait(max(0.0, began + number / self.rate - time.monotonic())):
                return
            self._customers.submit(self._order, f"{self.tag}-{number}", 1 + number % 20)

    def _order(self, key: str, product: int) -> None:
        body: dict[str, object] = {"customerName": key, "items": [{"productId": product, "quantity": 1}]}
        deadline, pause = time.monotonic() + GIVE_UP_SECONDS, FIRST_PAUSE
        while time.monotonic() < deadline:
            answer = self._try(key, body)
            if answer is not None and answer.status_code in (200, 201):
                self.accepted[key] = int(answer.json()["orderId"])
                return
            if answer is not None and answer.status_code < 500 and answer.status_code not in (409, 429):
                break
            time.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 1.5)
        self.given_up.append(key)

    def _try(self, key: str, body: dict[str, object]) -> requests.Response | None:
        at, began = time.time(), time.monotonic()
        try:
            answer = requests.post(
                f"{self.url}/api/orders", json=body, headers={"Idempotency-Key": key}, timeout=TRY_SECONDS
            )
        except requests.RequestException:
            self.tries.append(Try(at, time.monotonic() - began, 0, has_hint=False, node=""))
            return None
        hint, node = "Retry-After" in answer.headers, answer.headers.get("X-Node", "")
        self.tries.append(Try(at, time.monotonic() - began, answer.status_code, hint, node))
        return answer

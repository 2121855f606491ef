"""HTTP calls to providers: pooled, bounded, with timeouts, and retried because every call has a key."""

import json
import logging
import random
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from django.conf import settings
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError, ReadTimeoutError
from urllib3.util import Timeout

from providers.answers import Answer, TryFailed, read_answer, read_lines
from providers.breaker import Admission, breaker
from providers.deadline import Deadline, DeadlinePassed, session
from providers.errors import OutcomeUnknown, ProviderRefused, ProviderUnavailable
from runtime.per_process import per_process
from telemetry import measures

logger = logging.getLogger(__name__)

LONGEST_CONNECT_SECONDS = 3.0
FIRST_BACKOFF_SECONDS = 0.2  # doubles with each try; full jitter
LONGEST_BACKOFF_SECONDS = 2.0
SHORTEST_TRY = 0.1  # as a share of a try's usual time


@dataclass(frozen=True)
class Call:
    """What all tries of a call share."""

    method: str
    path: str
    query: Mapping[str, str | int]
    body: bytes | None = None
    key: str = ""
    content_type: str = "application/json"
    more_headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def headers(self) -> dict[str, str]:
        content = {"Content-Type": self.content_type, "Idempotency-Key": self.key} if self.key else {}
        # Compression invites decompression bombs.
        return (
            {"Accept": "application/json", "Accept-Encoding": "identity"} | content | dict(self.more_headers)
        )


@dataclass(frozen=True)
class Budget:
    """Time shared by a call's tries. Moments are monotonic."""

    timeout: float  # seconds per try at most
    attempts: int
    deadline: float

    @classmethod
    def of_settings(cls) -> "Budget":
        timeout, attempts = settings.EXTERNAL_TIMEOUT_SECONDS, settings.EXTERNAL_RETRY_ATTEMPTS
        return cls(timeout, attempts, deadline=time.monotonic() + timeout * attempts)

    @property
    def last_start(self) -> float:
        """A later try would only add uncertainty."""
        return self.deadline - self.timeout * SHORTEST_TRY

    def allows_another(self, number: int, pause: float) -> bool:
        return number < self.attempts and time.monotonic() + pause <= self.last_start


def own_headers(name: str) -> Mapping[str, str]:
    """Return the headers that all calls to a provider have: its credentials."""
    found: Mapping[str, str] = settings.PROVIDER_HEADERS.get(name, {})
    return found


class ProviderClient:
    """A provider's client; threads share its connections and its bound on calls."""

    def __init__(self, name: str, base_url: str, *, concurrency: int) -> None:
        self.name = name
        self._base_url = base_url
        self._session = _session(base_url, pool=concurrency)
        self._slots = threading.BoundedSemaphore(concurrency)

    def get(self, path: str, **query: str | int) -> Any:
        """Read a resource. Raises ProviderUnavailable or ProviderRefused."""
        try:
            return self._call(Call("GET", path, query))
        except OutcomeUnknown as unknown:
            raise ProviderUnavailable(self.name, unknown.reason) from unknown

    def post(self, path: str, body: Mapping[str, Any], *, key: str) -> Any:
        """Execute an operation once per key, with retries.

        Raises ProviderUnavailable (not executed), OutcomeUnknown (look it up) or ProviderRefused.
        """
        return self._call(Call("POST", path, {}, json.dumps(body).encode(), key))

    def make(self, call: Call) -> Any:
        """Make a call and return its answer's content. Raises as `get` and `post` do."""
        try:
            return self._call(call)
        except OutcomeUnknown as unknown:
            if call.method != "GET":
                raise
            raise ProviderUnavailable(self.name, unknown.reason) from unknown

    def lines(self, path: str) -> Iterator[Any]:
        """Stream JSON lines in one try.

        Raises ProviderUnavailable, also midway.
        """
        pause = settings.EXTERNAL_TIMEOUT_SECONDS
        try:
            with (
                Deadline(settings.LEDGER_TIMEOUT_SECONDS) as deadline,
                self._send(Call("GET", path, {}), deadline, timeout=pause) as response,
            ):
                response.raise_for_status()
                yield from read_lines(response)
        except (HTTPError, OSError, ValueError) as error:
            raise ProviderUnavailable(self.name, _describe(error)) from error

    def check(self, path: str) -> None:
        """Read in one try, bypassing the breaker but reporting to it.

        Raises ProviderUnavailable or ProviderRefused.
        """
        watch = breaker(self.name)
        patience = min(LONGEST_CONNECT_SECONDS, settings.EXTERNAL_TIMEOUT_SECONDS)
        try:
            answer = self._exchange(Call("GET", path, {}), patience=patience)
        except TryFailed as failure:
            watch.record(Admission(allowed=True), ok=False)
            raise ProviderUnavailable(self.name, failure.reason) from failure
        watch.record(Admission(allowed=True), ok=True)
        watch.invite()
        self._content(answer)

    # One call, several tries

    def _call(self, call: Call) -> Any:
        budget = Budget.of_settings()
        doubt = ""
        for number in range(1, budget.attempts + 1):
            try:
                return self._content(self._try(call, budget))
            except TryFailed as failure:
                logger.debug("%s %s, try %d: %s", self.name, call.path, number, failure.reason)
                doubt = failure.reason if failure.in_doubt else doubt
                wait = pause(number, failure.retry_after)
                if not failure.worth_another or not budget.allows_another(number, wait):
                    raise self._final_error(failure, doubt) from failure
            time.sleep(wait)
        raise AssertionError("the last try returns or raises")

    def _final_error(self, failure: TryFailed, doubt: str) -> Exception:
        """One uncertain try leaves the whole call uncertain."""
        if doubt:
            return OutcomeUnknown(self.name, doubt)
        return ProviderUnavailable(self.name, failure.reason, retry_after=failure.retry_after)

    def _try(self, call: Call, budget: Budget) -> Answer:
        with self._slot(budget), self._breaker_permit():
            return self._exchange(call, patience=min(budget.timeout, budget.deadline - time.monotonic()))

    @contextmanager
    def _slot(self, budget: Budget) -> Iterator[None]:
        if not self._slots.acquire(timeout=max(0.0, budget.last_start - time.monotonic())):
            raise TryFailed("too many calls are under way", in_doubt=False, worth_another=False)
        try:
            yield
        finally:
            self._slots.release()

    @contextmanager
    def _breaker_permit(self) -> Iterator[None]:
        watch = breaker(self.name)
        admission = watch.admit()
        if not admission.allowed:
            wait = admission.retry_after
            measures.PROVIDER_CALLS.add(self.name, "not_sent")
            raise TryFailed("its breaker is open", in_doubt=False, worth_another=False, retry_after=wait)
        answered = False
        try:
            yield
            answered = True  # a refusal proves health too
        finally:
            watch.record(admission, ok=answered)

    def _content(self, answer: Answer) -> Any:
        if answer.is_refusal:
            code, message = answer.error
            raise ProviderRefused(self.name, answer.status, code, message, answer.content)
        return answer.content

    # One exchange

    def _exchange(self, call: Call, *, patience: float) -> Answer:
        with measures.PROVIDER_SECONDS.timed(self.name):
            try:
                answer = self._request(call, patience=patience)
            except TryFailed as failure:
                measures.PROVIDER_CALLS.add(self.name, "in_doubt" if failure.in_doubt else "failed")
                raise
        measures.PROVIDER_CALLS.add(self.name, "refused" if answer.is_refusal else "answered")
        return answer

    def _request(self, call: Call, *, patience: float) -> Answer:
        seconds = max(0.001, patience)
        try:
            with Deadline(seconds) as deadline, self._send(call, deadline, timeout=seconds) as response:
                return read_answer(response, until=deadline.at)
        except (requests.RequestException, HTTPError, OSError) as error:
            raise TryFailed(_describe(error), in_doubt=not _never_sent(error)) from error

    def _send(self, call: Call, deadline: Deadline, *, timeout: float) -> requests.Response:
        url = self._base_url + call.path
        headers = call.headers | dict(own_headers(self.name))
        request = requests.Request(call.method, url, headers, params=call.query, data=call.body)
        # Connecting counts towards the try's timeout.
        shared = Timeout(total=timeout, connect=min(LONGEST_CONNECT_SECONDS, timeout))
        with deadline.sockets():
            return self._session.send(
                request.prepare(),
                stream=True,
                timeout=shared,  # type: ignore[arg-type] # requests takes it; its stubs know numbers only
                allow_redirects=False,  # a redirected POST would become a GET
                verify=self._session.verify,
                proxies=self._session.proxies,
            )


def provider(name: str) -> ProviderClient:
    """Return this process's client of a provider: connections do not survive a fork."""
    return _provider(name, settings.PROVIDERS[name], settings.PROVIDER_CONCURRENCY)


@per_process
def _provider(name: str, base_url: str, concurrency: int) -> ProviderClient:
    return ProviderClient(name, base_url, concurrency=concurrency)


def _session(base_url: str, *, pool: int) -> requests.Session:
    calls = session(pool=pool)
    # Read once, not for every request.
    environment = calls.merge_environment_settings(base_url, {}, None, None, None)
    calls.trust_env, calls.proxies, calls.verify = False, environment["proxies"], environment["verify"]
    calls.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return calls


def _never_sent(error: Exception) -> bool:
    cause = error.args[0] if error.args else None
    refused = isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)
    return refused or isinstance(error, requests.ConnectTimeout)


def _describe(error: Exception) -> str:
    if _never_sent(error):
        return "no connection"
    if isinstance(error, requests.Timeout | ReadTimeoutError | DeadlinePassed):
        return "no answer in time"
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"it answered {error.response.status_code}"
    return f"the connection broke ({type(error).__name__})"


def pause(number: int, retry_after: float | None) -> float:
    """Return the seconds before the next try: full jitter, or longer if requested."""
    ceiling = min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** (number - 1))
    return max(random.uniform(0, ceiling), retry_after or 0.0)  # noqa: S311 - spreads load, guards nothing

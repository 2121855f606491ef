"""Applies fault scripts to calls, before and after their effect."""

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from sandbox.connections import HangUp, hold
from sandbox.faults import HEALTHY, Faults, Try
from sandbox.refusals import Refusal
from sandbox.wire import answer

Effect = Callable[[], Response]


class Stage:
    """Runs one provider's calls under its script."""

    def __init__(self, provider: str, faults: Faults) -> None:
        self._provider = provider
        self._faults = faults

    async def play(self, request: Request, operation: str, key: str, effect: Effect) -> Response:
        """Run the call with this try's faults."""
        script = self._faults.script(self._provider)
        if script.down:
            return HangUp()
        if script == HEALTHY or not script.covers(operation):
            return effect()
        return await _with_faults(self._faults.next_try(self._provider, operation, key), request, effect)

    async def health(self, _request: Request) -> Response:
        if self._faults.script(self._provider).down:
            return HangUp()
        return answer(200, {"status": "ok", "provider": self._provider})


async def _with_faults(this_try: Try, request: Request, effect: Effect) -> Response:
    """Apply faults before the effect, then those that hide it."""
    await asyncio.sleep(this_try.latency)
    if this_try.times_out_before:
        return await _delayed(this_try, request)
    if this_try.fails or this_try.is_throttled:
        return _not_done(this_try)
    done = _execute(effect)
    if this_try.times_out_after:
        return await _delayed(this_try, request)
    if this_try.fails_after:
        return _failure("Failed after it was done.")
    if this_try.answers_garbage:
        return Response("<html>It works!</html", done.status_code, media_type="text/html")
    return done


def _not_done(this_try: Try) -> Response:
    if this_try.fails:
        return _failure("Failed before anything was done.")
    return answer(429, {"error": {"code": "lock_timeout", "message": "Too many requests."}})


def _execute(effect: Effect) -> Response:
    """Return the faultless answer; a refusal can get lost, too."""
    try:
        return effect()
    except Refusal as refusal:
        return answer(refusal.status, refusal.answer())


async def _delayed(this_try: Try, request: Request) -> Response:
    await hold(request, this_try.script.timeout_seconds)
    return answer(504, {"error": {"code": "timeout", "message": "The answer was held back."}})


def _failure(message: str) -> Response:
    return answer(500, {"error": {"code": "provider_error", "message": message}})

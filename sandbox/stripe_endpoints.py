"""Stripe's API at /stripe: calls run under the fault script of the provider `stripe`.

`POST /stripe/control/<id>` with {"to": "succeeded" | "failed" | "expired" | "an_hour_older"} decides what a customer,
a bank or time decides; `DELETE /stripe/keys` forgets all idempotency keys.
"""

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.faults import Faults
from sandbox.script import Stage
from sandbox.stripe import Fields, Object, StripeAccount, StripeError
from sandbox.webhooks import Sender
from sandbox.wire import answer, read_body

Endpoint = Callable[[Request], Awaitable[Response]]


class Decision(msgspec.Struct, frozen=True):
    """What is decided outside."""

    to: str


class StripeEndpoints:
    """The endpoints of one account."""

    def __init__(self, book: sqlite3.Connection, faults: Faults, sender: Sender) -> None:
        self._account = StripeAccount(book, self._send)
        self._stage = Stage("stripe", faults)
        self._sender = sender
        self._number = 0

    def routes(self) -> list[Route]:
        intents, refunds = "/stripe/v1/payment_intents", "/stripe/v1/refunds"
        account = self._account
        return [
            Route(intents, self._post("create", lambda _, fields: account.create(fields)), methods=["POST"]),
            Route(intents, self._list("payment_intent")),
            Route(intents + "/{id}/confirm", self._post("confirm", account.confirm), methods=["POST"]),
            Route(intents + "/{id}/capture", self._post("capture", account.capture), methods=["POST"]),
            Route(intents + "/{id}/cancel", self._post("cancel", account.cancel), methods=["POST"]),
            Route(intents + "/{id}", self._show),
            Route(refunds, self._post("refund", lambda _, fields: account.refund(fields)), methods=["POST"]),
            Route(refunds, self._list("refund")),
            Route("/stripe/v1/balance", self._stage.health),
            Route("/stripe/control/{id}", self._control, methods=["POST"]),
            Route("/stripe/keys", self._forget, methods=["DELETE"]),
        ]

    def _post(self, operation: str, act: Callable[[str, Fields], Object]) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            body = (await request.body()).decode()
            key, object_id = request.headers.get("idempotency-key", ""), request.path_params.get("id", "")

            def effect() -> Response:
                fields = dict(parse_qsl(body))
                status, content = self._account.once(
                    key, request.url.path + body, lambda: act(object_id, fields)
                )
                return answer(status, content)

            return _unauthorized(request) or await self._stage.play(request, operation, key, effect)

        return endpoint

    async def _show(self, request: Request) -> Response:
        object_id = request.path_params["id"]
        return _unauthorized(request) or await self._stage.play(
            request, "lookup", object_id, lambda: _answered(lambda: self._account.intent(object_id))
        )

    def _list(self, kind: str) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            query = dict(request.query_params)
            return _unauthorized(request) or await self._stage.play(
                request,
                "lookup",
                query.get("payment_intent", ""),
                lambda: _answered(lambda: self._account.listed(kind, query)),
            )

        return endpoint

    async def _control(self, request: Request) -> Response:
        decision, object_id = await read_body(request, Decision), request.path_params["id"]
        return _answered(lambda: self._account.settle(object_id, decision.to))

    async def _forget(self, _request: Request) -> Response:
        self._account.forget_keys()
        return Response(status_code=204)

    def _send(self, event_type: str, found: Object) -> None:
        self._number += 1
        event: dict[str, Any] = {
            "id": f"evt_{self._number}_{found['id']}",
            "object": "event",
            "type": event_type,
            "data": {"object": found},
        }
        self._sender.send_event(f"{event_type}:{found['id']}", event)


def _unauthorized(request: Request) -> Response | None:
    if request.headers.get("authorization", "").startswith(("Bearer sk_", "Bearer rk_")):
        return None
    return answer(401, StripeError(401, "", "Invalid API Key provided.").answer())


def _answered(act: Callable[[], Object]) -> Response:
    try:
        return answer(200, act())
    except StripeError as error:
        return answer(error.status, error.answer())

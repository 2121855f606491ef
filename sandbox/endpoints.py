"""The providers' endpoints. Operations run under the fault script; inspection and control never fail.

`POST /payments/control/<authorization>` with {"to": "expired"} releases what is held of it.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from sandbox.faults import PROVIDERS, Faults, Script
from sandbox.mailbox import Mailbox, Message
from sandbox.payments import Authorization, Capture, Operation, PaymentProvider, Refund, Void, normal_amount
from sandbox.refusals import Refusal
from sandbox.script import Stage
from sandbox.warehouse import Received, Warehouse
from sandbox.webhooks import Sender
from sandbox.wire import answer, idempotency_key, limit, read_body

Endpoint = Callable[[Request], Awaitable[Response]]


class Expiry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What time decides about an authorization."""

    to: Literal["expired"]


class PaymentEndpoints:
    def __init__(self, provider: PaymentProvider, faults: Faults, sender: Sender) -> None:
        self._provider = provider
        self._sender = sender
        self._faults = faults
        self._stage = Stage("payments", faults)

    def routes(self) -> list[Route]:
        return [
            Route(
                "/payments/authorizations",
                self._money("authorize", Authorization, self._authorize),
                methods=["POST"],
            ),
            Route(
                "/payments/captures",
                self._money("capture", Capture, self._provider.capture),
                methods=["POST"],
            ),
            Route("/payments/operations/{key:path}", self.find),
            Route("/payments/operations", self.of_reference),
            Route("/payments/voids", self._money("void", Void, self._provider.void), methods=["POST"]),
            Route(
                "/payments/refunds", self._money("refund", Refund, self._provider.refund), methods=["POST"]
            ),
            Route("/payments/control/{authorization}", self.control, methods=["POST"]),
            Route("/payments/ledger", self.ledger),
            Route("/payments/health", self._stage.health),
        ]

    async def find(self, request: Request) -> Response:
        key = request.path_params["key"]
        return await self._stage.play(request, "lookup", key, lambda: self._found(key))

    async def of_reference(self, request: Request) -> Response:
        reference = request.query_params.get("reference", "")
        if not reference:
            raise Refusal(422, "invalid_request", "Name the `reference`.", "reference")
        return await self._stage.play(request, "lookup", reference, lambda: self._listed(reference))

    async def control(self, request: Request) -> Response:
        await read_body(request, Expiry)
        return answer(200, self._provider.expire(request.path_params["authorization"]).as_json())

    async def ledger(self, _request: Request) -> Response:
        return StreamingResponse(self._provider.ledger(), media_type="application/x-ndjson")

    def _money(self, operation: str, shape: type[Any], act: Callable[..., Operation]) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            order, key = await read_body(request, shape), idempotency_key(request)
            return await self._stage.play(
                request, operation, key, lambda: self._done(act(key=key, order=order))
            )

        return endpoint

    def _done(self, operation: Operation) -> Response:
        self._sender.send(operation.as_json())
        return answer(operation.http_status, operation.first_answer())

    def _authorize(self, *, key: str, order: Authorization) -> Operation:
        return self._provider.authorize(key=key, order=order, decline=self._scripted_decline(order))

    def _scripted_decline(self, order: Authorization) -> str:
        script = self._faults.script("payments")
        amounts = {normal_amount(amount) for amount in script.decline_amounts}
        declined = order.token in script.decline_tokens or normal_amount(order.amount) in amounts
        return "card_declined" if declined and script.covers("authorize") else ""

    def _found(self, key: str) -> Response:
        if operation := self._provider.find(key=key):
            return answer(200, operation.as_json())
        raise Refusal(404, "not_found", "No operation was ever seen under this key.")

    def _listed(self, reference: str) -> Response:
        return answer(200, {"items": [o.as_json() for o in self._provider.of_reference(reference)]})


class InventoryEndpoints:
    def __init__(self, warehouse: Warehouse, faults: Faults) -> None:
        self._warehouse = warehouse
        self._stage = Stage("inventory", faults)

    def routes(self) -> list[Route]:
        return [
            Route("/inventory/stock", self.page),
            Route("/inventory/stock/{sku:path}", self.show),
            Route("/inventory/stock/{sku:path}", self.put, methods=["PUT"]),
            Route("/inventory/health", self._stage.health),
        ]

    async def page(self, request: Request) -> Response:
        after, size = request.query_params.get("after", ""), limit(request, default=500, most=5000)
        key = f"after:{after}"
        return await self._stage.play(
            request, "stock", key, lambda: answer(200, self._warehouse.page(after=after, limit=size))
        )

    async def show(self, request: Request) -> Response:
        return answer(200, self._warehouse.find(request.path_params["sku"]))

    async def put(self, request: Request) -> Response:
        stock = await read_body(request, Received)
        return answer(200, self._warehouse.put(sku=request.path_params["sku"], received=stock.received))


class EmailEndpoints:
    def __init__(self, mailbox: Mailbox, faults: Faults) -> None:
        self._mailbox = mailbox
        self._stage = Stage("email", faults)

    def routes(self) -> list[Route]:
        return [
            Route("/email/messages", self.accept, methods=["POST"]),
            Route("/email/messages", self.newest),
            Route("/email/messages", self.clear, methods=["DELETE"]),
            Route("/email/health", self._stage.health),
        ]

    async def accept(self, request: Request) -> Response:
        message, key = await read_body(request, Message), idempotency_key(request)
        return await self._stage.play(
            request, "message", key, lambda: answer(202, self._mailbox.accept(key=key, message=message))
        )

    async def newest(self, request: Request) -> Response:
        to, size = request.query_params.get("to", ""), limit(request, default=50, most=1000)
        return answer(200, {"items": self._mailbox.newest(to=to, limit=size)})

    async def clear(self, _request: Request) -> Response:
        self._mailbox.clear()
        return Response(status_code=204)


class FaultEndpoints:
    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def routes(self) -> list[Route]:
        return [
            Route("/faults", self.show_all),
            Route("/faults", self.clear_all, methods=["DELETE"]),
            Route("/faults/{provider}", self.show),
            Route("/faults/{provider}", self.put, methods=["PUT"]),
            Route("/faults/{provider}", self.clear, methods=["DELETE"]),
            Route("/faults/{provider}/tries", self.tries),
        ]

    async def show_all(self, _request: Request) -> Response:
        return answer(200, self._faults.scripts())

    async def clear_all(self, _request: Request) -> Response:
        for provider in PROVIDERS:
            self._faults.clear(provider)
        return Response(status_code=204)

    async def show(self, request: Request) -> Response:
        return answer(200, self._faults.script(_provider(request)))

    async def put(self, request: Request) -> Response:
        provider = _provider(request)
        self._faults.replace(provider, await read_body(request, Script))
        return answer(200, self._faults.script(provider))

    async def clear(self, request: Request) -> Response:
        self._faults.clear(_provider(request))
        return Response(status_code=204)

    async def tries(self, request: Request) -> Response:
        provider, key = _provider(request), request.query_params.get("key", "")
        size = limit(request, default=100, most=10_000)
        return answer(200, {"items": self._faults.tries(provider, key=key, limit=size)})


def _provider(request: Request) -> str:
    provider: str = request.path_params["provider"]
    if provider not in PROVIDERS:
        raise Refusal(404, "unknown_provider", f"The providers are {', '.join(PROVIDERS)}.")
    return provider

"""The providers and their fault API as a Starlette application."""

import os
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.book import open_book
from sandbox.endpoints import EmailEndpoints, Endpoint, FaultEndpoints, InventoryEndpoints, PaymentEndpoints
from sandbox.faults import HEALTHY, Faults
from sandbox.mailbox import Mailbox
from sandbox.payments import PaymentProvider
from sandbox.refusals import Refusal
from sandbox.stripe_endpoints import StripeEndpoints
from sandbox.warehouse import Warehouse
from sandbox.webhooks import Sender
from sandbox.wire import answer


def create_app(*, data: Path, catalogue: Path) -> Starlette:
    """Return the application; an empty warehouse is seeded from the catalogue."""
    path = data / "book.sqlite3"
    book = open_book(path)
    warehouse, faults = Warehouse(book), Faults(book)
    warehouse.seed(catalogue)
    sender = Sender.from_environment(faults, os.environ)
    routes = [
        *PaymentEndpoints(PaymentProvider(book, path), faults, sender).routes(),
        *StripeEndpoints(book, faults, Sender.of_stripe(faults, os.environ)).routes(),
        *InventoryEndpoints(warehouse, faults).routes(),
        *EmailEndpoints(Mailbox(book), faults).routes(),
        *FaultEndpoints(faults).routes(),
        Route("/health", healthy),
    ]
    front_door = Route("/", index(routes, faults))
    handlers = {Refusal: refused, HTTPException: not_served}
    return Starlette(routes=[*routes, front_door], exception_handlers=handlers)


def index(routes: list[Route], faults: Faults) -> Endpoint:
    endpoints = [f"{method} {route.path}" for route in routes for method in sorted(shown_methods(route))]

    async def show(_request: Request) -> Response:
        troubled = [provider for provider, script in faults.scripts().items() if script != HEALTHY]
        return answer(200, {"name": "Sandbox providers", "troubled": troubled, "endpoints": endpoints})

    return show


def shown_methods(route: Route) -> set[str]:
    return (route.methods or set()) - {"HEAD"}


async def healthy(_request: Request) -> Response:
    return answer(200, {"status": "ok"})


async def refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return answer(error.status, error.answer())


async def not_served(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "unknown_path", 405: "method_not_allowed"}.get(error.status_code, "refused")
    message = f"{request.method} {request.url.path}: {error.detail}. GET / lists what there is."
    return answer(error.status_code, {"error": {"code": code, "message": message}})

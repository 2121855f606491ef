"""The hand-written layer: keys, repeats, pages and errors over the generated operations."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import httpx

from order_pipeline_client.generated import AuthenticatedClient
from order_pipeline_client.generated.api.orders import (
    cancel_order,
    create_order,
    get_order,
    list_order_events,
    list_orders,
    quote_order,
)
from order_pipeline_client.generated.models import (
    Event,
    NewOrderRequestByCustomerId,
    NewOrderRequestByCustomerName,
    OrderDetail,
    OrderSummary,
    QuoteBody,
    QuoteRequest,
    Reason,
)
from order_pipeline_client.generated.types import Response
from order_pipeline_client.repeating import RepeatingTransport

NewOrder = NewOrderRequestByCustomerId | NewOrderRequestByCustomerName
Answer = TypeVar("Answer")


class Refused(Exception):
    """The API refused a request. `code` is stable; `details` has every fault of a body."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(f"{status} {error.get('code')}: {error.get('message')}")
        self.status = status
        self.code: str = error.get("code", "")
        self.message: str = error.get("message", "")
        self.field: str = error.get("field", "")
        self.details: list[dict[str, Any]] = error.get("details", [])


class Shop:
    """A shop's API."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout: float = 10.0,
        attempts: int = 4,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        repeating = RepeatingTransport(transport or httpx.HTTPTransport(), attempts=attempts)
        self.client = AuthenticatedClient(
            base_url=url, token=token, timeout=httpx.Timeout(timeout), httpx_args={"transport": repeating}
        )

    def __enter__(self) -> "Shop":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self.client.get_httpx_client().close()

    def quote(self, order: NewOrder) -> QuoteBody:
        """Return what an order would cost. Raises Refused."""
        body = QuoteRequest.from_dict(order.to_dict())
        return _answer(quote_order.sync_detailed(client=self.client, body=body), QuoteBody)

    def place(self, order: NewOrder, *, key: str = "") -> OrderDetail:
        """Place an order, once however often it has to be sent. Raises Refused."""
        return _answer(
            create_order.sync_detailed(client=self.client, body=order, idempotency_key=key or _new_key()),
            OrderDetail,
        )

    def order(self, reference: int | str) -> OrderDetail:
        """Return an order by id, UUID or number. Raises Refused."""
        return _answer(get_order.sync_detailed(str(reference), client=self.client), OrderDetail)

    def etag_of(self, reference: int | str) -> str:
        """Return an order's ETag, for `if_match`."""
        return str(get_order.sync_detailed(str(reference), client=self.client).headers["ETag"])

    def orders(self, **filters: Any) -> Iterator[OrderSummary]:
        """Yield orders over all pages, newest first. Takes the filters of `list_orders`."""
        return _pages(lambda more: list_orders.sync_detailed(client=self.client, **filters, **more), "cursor")

    def events(self, reference: int | str, *, after: int = 0) -> Iterator[Event]:
        """Yield an order's events after a sequence, oldest first."""
        start = {"after": after}
        return _pages(
            lambda more: list_order_events.sync_detailed(
                str(reference), client=self.client, **(start | more)
            ),
            "after",
        )

    def cancel(
        self, reference: int | str, *, reason: str = "", if_match: str = "", key: str = ""
    ) -> OrderDetail:
        """Cancel an order; with `if_match` only in this version. Raises Refused."""
        conditions = {"if_match": if_match} if if_match else {}
        return _answer(
            cancel_order.sync_detailed(
                str(reference),
                client=self.client,
                body=Reason(reason=reason),
                idempotency_key=key or _new_key(),
                **conditions,
            ),
            OrderDetail,
        )


def _new_key() -> str:
    return str(uuid.uuid4())


def _answer(response: Response[Any], kind: type[Answer]) -> Answer:
    if isinstance(response.parsed, kind):
        return response.parsed
    raise _refusal(response)


def _refusal(response: Response[Any]) -> Refused:
    parsed = response.parsed.to_dict() if response.parsed else {}
    return Refused(int(response.status_code), parsed.get("error", {}))


def _pages(ask: Callable[[dict[str, int]], Response[Any]], parameter: str) -> Iterator[Any]:
    more: dict[str, int] | None = {}
    while more is not None:
        response = ask(more)
        if response.status_code != httpx.codes.OK or response.parsed is None:
            raise _refusal(response)
        yield from response.parsed.results
        following = response.parsed.next_
        more = {parameter: int(parse_qs(urlsplit(following).query)[parameter][0])} if following else None

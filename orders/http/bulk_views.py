"""Bulk intake and export, streamed in constant memory."""

import contextvars
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from msgspec import UNSET, Meta, UnsetType
from rest_framework.exceptions import Throttled, UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.views import APIView

from api.idempotency import key_of
from api.ndjson import Pace, Spool, lines_of
from api.permissions import user_of
from api.problems import Problem
from api.renderers import ENCODER, ErrorsAsJSON
from api.responses import Answer, ErrorFacts
from api.schema import idempotency_key, refusals
from api.throttling import Unavailable, buckets, rate_of
from database import replica
from limits.rates import Rate
from orders import queries
from orders.http.filters import FILTER_PARAMETERS, apply_filters
from orders.http.line_refusals import with_all_lines
from orders.http.places import EXPORTS, EXPORTS_OF_STAFF, INTAKES, RETRY_AFTER_SECONDS
from orders.http.placing import check_prices
from orders.http.requests import BulkOrderRequest, read_bulk_order
from orders.limits import allowances
from orders.permissions import sees_all_orders
from orders.placing import bulk
from orders.reporting.export import FORMATS

logger = structlog.get_logger(__name__)

NDJSON = "application/x-ndjson"
CHUNK_LINES = 1000
LONGEST_LINE = 64 * 1024
LONGEST_PREFIX = 180
PAUSE_SECONDS = 0.2  # between polls of a long backlog
PATIENCE_SECONDS = 20.0  # for the backlog or the rate

ErrorRenderer = Callable[[Exception], dict[str, Any]]


class BulkAnswer(Answer, omit_defaults=True):
    """Outcome of a bulk line."""

    line: int
    order_id: int | UnsetType = UNSET
    order_number: str | UnsetType = UNSET
    replayed: Annotated[bool, Meta(description="Placed by an earlier request with the same key.")] = False
    error: ErrorFacts | UnsetType = UNSET


class NDJSONStream(BaseParser):
    """Declares a media type; the view streams the body."""

    media_type = NDJSON


class BulkOrders(APIView):
    """Bulk intake."""

    content_negotiation_class = ErrorsAsJSON
    parser_classes = [NDJSONStream]

    @extend_schema(
        tags=["orders"],
        operation_id="create_orders_in_bulk",
        summary="Place many orders",
        description=(
            "NDJSON: each line is an order as for `POST /api/orders`, with a `key` if it may be repeated."
            f" Any number of lines of up to {LONGEST_LINE // 1024} KB. The response is streamed, with a line for each"
            " non-empty line, in order: `orderId` and `orderNumber`, or the `error`. A refused line does not affect"
            " the others. Lines are refused, for example, if the account has too many orders on hold"
            " (`too_many_held_orders`), or if most of its payments were declined (`too_many_declines`,"
            " `too_many_unpaid_orders`: retry the line later), or if an order has its `externalReference`"
            " (`reference_taken`), or if it gives prices that the account may not give (`permission_denied`)."
            " The request's `Idempotency-Key` gives each line"
            " without a `key` the key `<Idempotency-Key>/<line>`. Lines beyond the account's rate are read more"
            " slowly, or refused as `throttled`; a body below the minimum rate ends with `too_slow`."
        ),
        request={NDJSON: BulkOrderRequest},
        parameters=[idempotency_key(longest=LONGEST_PREFIX)],
        responses={(200, NDJSON): OpenApiResponse(BulkAnswer, description="The outcome of each line.")}
        | refusals(
            _400="invalid_idempotency_key",
            _415="unsupported_media_type",
            _429="throttled too_many_requests_at_once",
            _503="backlog busy",
        ),
    )
    def post(self, request: Request) -> StreamingHttpResponse:
        """Place the orders of an NDJSON body."""
        if (request.content_type or "").partition(";")[0].strip().lower() != NDJSON:
            raise UnsupportedMediaType(request.content_type or "")
        prefix = _prefix(request)
        if bulk.is_backlogged(limit=settings.BULK_MAX_WAITING):
            raise _unavailable("backlog", "Too many orders wait to be taken up. Try again later.")
        owner_id = user_of(request).pk
        lines_allowed = rate_of("bulk_lines", owner_id)
        place = INTAKES.take(owner_id)
        intake = Intake(
            _body(request),
            user=user_of(request),
            prefix=prefix,
            render_error=self._render_error,
            lines_allowed=lines_allowed,
            on_slow=place.count_for_account_only,
        )
        return StreamingHttpResponse(place.hold_during(intake.start()), content_type=NDJSON)

    def _render_error(self, error: Exception) -> dict[str, Any]:
        response = self.get_exception_handler()(error, self.get_exception_handler_context())
        facts: dict[str, Any] = response.error
        return facts


def _unavailable(code: str, message: str) -> Problem:
    return Problem(code, message, status_code=HTTPStatus.SERVICE_UNAVAILABLE, retry_after=RETRY_AFTER_SECONDS)


def _prefix(request: Request) -> str:
    """Return the key prefix of lines without a key."""
    key = key_of(request)
    if len(key) > LONGEST_PREFIX:
        message = f"Of a bulk request, at most {LONGEST_PREFIX} characters."
        raise Problem("invalid_idempotency_key", message, field="Idempotency-Key")
    return f"{key}/" if key else ""


def _body(request: Request) -> Callable[[int], bytes]:
    """Return the body's reader, also without Content-Length."""
    environ = request._request.META
    if not environ.get("CONTENT_LENGTH") and environ.get("wsgi.input_terminated"):
        read: Callable[[int], bytes] = environ["wsgi.input"].read
        return read
    return request._request.read


class Intake:
    """Places orders chunk by chunk, in a thread, as fast as the rate and the client allow."""

    def __init__(
        self,
        read: Callable[[int], bytes],
        *,
        user: User,
        prefix: str,
        render_error: ErrorRenderer,
        lines_allowed: Rate | None,
        on_slow: Callable[[], None],
    ) -> None:
        self._pace = Pace(
            read,
            bytes_per_second=settings.BULK_MIN_BYTES_PER_SECOND,
            at_least_seconds=settings.BULK_SLOW_SECONDS,
        )
        self._lines = enumerate(lines_of(self._pace.read, longest=LONGEST_LINE), start=1)
        self._answered = 0  # lines
        self._user, self._owner_id = user, user.pk
        self._prefix, self._render_error = prefix, render_error
        self._allowed, self._on_slow = lines_allowed, on_slow
        self._has_ended = threading.Event()
        self._chunk_lines = min(CHUNK_LINES, lines_allowed.requests) if lines_allowed else CHUNK_LINES
        self._answers = Spool(size=settings.BULK_UNREAD_MEGABYTES * 1024 * 1024)

    def start(self) -> Iterator[bytes]:
        # Keeps the request id in logs and events.
        run = contextvars.copy_context().run
        threading.Thread(target=run, args=[self._run], name="bulk intake", daemon=True).start()
        return self._stream()

    def _stream(self) -> Iterator[bytes]:
        """Yield the answers, and `too_slow` if the body stalls.

        The web server hangs if a response ends before its request's body is read, so this then blocks until disconnect,
        without counting towards the total of places.
        """
        yield from self._answers.pieces(is_over=self._pace.is_too_slow, look_seconds=PAUSE_SECONDS)
        if self._pace.is_too_slow():
            yield _refusal(self._answered + 1, self._render_error(_too_slow()))
            self._on_slow()
            self._has_ended.wait()

    def _run(self) -> None:
        try:
            while not self._answers.is_abandoned and (chunk := self._next_chunk()):
                self._answers.write(b"".join(self._process(chunk)))
                self._answered = chunk[-1][0]
        except Exception as error:  # noqa: BLE001 - mostly a disconnect; the rest is not stored
            logger.info("bulk_intake_ended_early", error=repr(error))
        finally:
            self._answers.complete()
            self._has_ended.set()
            connection.close()

    def _next_chunk(self) -> list[tuple[int, bytes | None]]:
        chunk = []
        for number, line in self._lines:
            if line is None or line.strip():
                chunk.append((number, line))
                if len(chunk) == self._chunk_lines:
                    break
        return chunk

    def _process(self, chunk: list[tuple[int, bytes | None]]) -> list[bytes]:
        outcomes: dict[int, bulk.Accepted | Exception] = {}
        entries: dict[int, bulk.Entry] = {}
        for number, line in chunk:
            try:
                entries[number] = self._entry(number, line)
            except Problem as problem:
                outcomes[number] = problem
        outcomes |= self._place(entries)
        # Lines that fail together share one exception.
        errors = {id(each): each for each in outcomes.values() if isinstance(each, Exception)}
        facts = {key: self._render_error(error) for key, error in errors.items()}
        return [_answer(number, outcomes[number], facts) for number, _ in chunk]

    def _entry(self, number: int, line: bytes | None) -> bulk.Entry:
        if line is None:
            raise Problem("line_too_long", f"At most {LONGEST_LINE} bytes.")
        order = read_bulk_order(line)
        check_prices(self._user, order)
        key = order.key or (f"{self._prefix}{number}" if self._prefix else "")
        new = order.as_new_order(owner_id=self._owner_id)
        return bulk.Entry(new, key, order.fingerprint() if key else b"")

    def _place(self, entries: dict[int, bulk.Entry]) -> dict[int, bulk.Accepted | Exception]:
        try:
            self._take_tokens(len(entries))
            self._await_room()
            refused = self._refused(entries)
            admitted = {number: entry for number, entry in entries.items() if number not in refused}
            outcomes = [
                each if isinstance(each, bulk.Accepted) else with_all_lines(each, entry.new)
                for each, entry in zip(
                    bulk.place_orders(entries=list(admitted.values()), owner_id=self._owner_id),
                    admitted.values(),
                    strict=True,
                )
            ]
        except Exception as error:  # noqa: BLE001 - reported as the error of each line
            return dict.fromkeys(entries, error)
        return refused | dict(zip(admitted, outcomes, strict=True))

    def _refused(self, entries: dict[int, bulk.Entry]) -> dict[int, Problem]:
        candidates = [allowances.Candidate(entry.new, entry.key) for entry in entries.values()]
        refusals, numbers = allowances.refusals(self._owner_id, candidates), list(entries)
        return {numbers[place]: problem for place, problem in refusals.items()}

    def _take_tokens(self, lines: int) -> None:
        """Wait for the lines' tokens. Raises Throttled."""
        if self._allowed is None or not lines:
            return
        try:
            taken = buckets().request(
                f"throttle:bulk_lines:user:{self._owner_id}",
                self._allowed,
                tokens=lines,
                ready_to_wait=PATIENCE_SECONDS,
            )
        except Unavailable:
            return
        if taken.wait > PATIENCE_SECONDS:
            raise Throttled(wait=taken.wait)
        time.sleep(taken.wait)

    def _await_room(self) -> None:
        """Wait for the backlog. Raises Problem."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while bulk.is_backlogged(limit=settings.BULK_MAX_WAITING):
            if time.monotonic() > deadline:
                raise _unavailable(
                    "backlog", "Too many orders wait to be taken up. Send this line again later."
                )
            time.sleep(PAUSE_SECONDS)


def _too_slow() -> Problem:
    least = f"{settings.BULK_MIN_BYTES_PER_SECOND:g} bytes a second"
    message = f"The body must arrive at {least} at least. Send this line and those after it again."
    return Problem("too_slow", message, status_code=HTTPStatus.REQUEST_TIMEOUT)


def _refusal(number: int, error: dict[str, Any]) -> bytes:
    return ENCODER.encode({"line": number, "error": error}) + b"\n"


def _answer(number: int, outcome: bulk.Accepted | Exception, facts: dict[int, dict[str, Any]]) -> bytes:
    if isinstance(outcome, Exception):
        return _refusal(number, facts[id(outcome)])
    replayed = ',"replayed":true' if outcome.replayed else ""
    text = f'{{"line":{number},"orderId":{outcome.order_id},"orderNumber":"{outcome.number}"{replayed}}}\n'
    return text.encode()


class Export(APIView):
    """Export."""

    read_cost = 20
    content_negotiation_class = ErrorsAsJSON

    @extend_schema(
        tags=["orders"],
        operation_id="export_orders",
        summary="Export visible orders, oldest first",
        description="A consistent snapshot, streamed, of any size.",
        parameters=[
            OpenApiParameter("format", OpenApiTypes.STR, enum=list(FORMATS), default="ndjson"),
            *FILTER_PARAMETERS,
        ],
        responses={(200, NDJSON): OpenApiTypes.STR, (200, "text/csv"): OpenApiTypes.STR}
        | refusals(
            _400="invalid_parameter unknown_parameter control_characters card_number_refused",
            _429="throttled too_many_requests_at_once",
            _503="busy",
        ),
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Export orders."""
        name = request.query_params.get("format", "ndjson")
        if name not in FORMATS:
            raise Problem("invalid_parameter", f"One of {', '.join(FORMATS)}.", field="format")
        user = user_of(request)
        form = FORMATS[name]
        orders = apply_filters(queries.visible_to(user), request).using(replica.alias())
        places = EXPORTS_OF_STAFF if user.is_staff else EXPORTS
        place = places.take(user.pk)
        return StreamingHttpResponse(
            place.hold_during(form.pieces(orders, staff=sees_all_orders(user))),
            content_type=form.content_type,
            headers={"Content-Disposition": f'attachment; filename="orders.{name}"'},
        )

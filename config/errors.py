"""Maps exceptions to the API's answers, in one table.

The body is `{"error": {"code", "message", "field"?, "details"?}}`, without foreign texts, or RFC 9457's for clients
that prefer it.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from http import HTTPStatus
from typing import Any

import structlog
from django import db
from django.core import exceptions as core
from django.http import Http404, HttpRequest, HttpResponse
from django.views import csrf, defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions as api
from rest_framework.response import Response

from api import problem_json
from api.models import KeyReused
from api.problems import Detail, Problem
from api.renderers import ENCODER
from config.field_errors import flatten
from database.failover import is_outage
from inventory import listing, stock
from inventory import views as inventory
from inventory.serializers import BadParameter
from orders import commands, queries
from orders.http.line_refusals import LinesRefused
from orders.payment import captures
from orders.placing import pricing, totals
from orders.refunding import amounts
from providers import errors as providers

logger = structlog.get_logger(__name__)

RETRY_AFTER_SECONDS = 1
CHALLENGE = 'Bearer realm="api"'


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    code: str
    message: str
    field: str = ""
    details: tuple[Detail, ...] = ()
    retry_after: float | None = None
    challenge: str = ""
    more_headers: tuple[tuple[str, str], ...] = ()

    @property
    def body(self) -> dict[str, Any]:
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.field:
            error["field"] = self.field
        if self.details:
            error["details"] = [_detail(detail) for detail in self.details]
        return {"error": error}

    @property
    def problem(self) -> dict[str, Any]:
        """The response's body by RFC 9457."""
        return problem_json.problem_of(
            status=self.status,
            code=self.code,
            message=self.message,
            field=self.field,
            details=map(_detail, self.details),
        )

    @property
    def headers(self) -> dict[str, str]:
        headers = dict(self.more_headers)
        if self.retry_after is not None:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        if self.challenge or self.status == HTTPStatus.UNAUTHORIZED:
            headers["WWW-Authenticate"] = self.challenge or CHALLENGE
        return headers


def _detail(detail: Detail) -> dict[str, Any]:
    named = {"code": detail.code, "message": detail.message} | (
        {"field": detail.field} if detail.field else {}
    )
    return named | detail.facts


# --- The table --------------------------------------------------------------------------------------------


def _unknown_product(error: pricing.UnknownProduct) -> Answer:
    field = f"items[{error.line}].{error.field}"
    return Answer(400, "unknown_product", "Unknown product.", field)


def _price_changed(error: pricing.PriceChanged) -> Answer:
    message, field = f"The price is {error.current} {error.currency}.", f"items[{error.line}].price"
    facts = {"current": error.current, "currency": error.currency}
    detail = Detail("price_changed", message, field, facts)
    return Answer(409, "price_changed", message, field, (detail,))


def _lines_refused(error: LinesRefused) -> Answer:
    answers = [answer_to(each) for each in error.refusals]
    details = tuple(
        detail
        for each in answers
        for detail in each.details or (Detail(each.code, each.message, each.field),)
    )
    return replace(answers[0], details=details)


def _total_changed(error: totals.TotalChanged) -> Answer:
    message, field = str(error), "expectedTotal"
    if error.refusal:
        cause = Detail(error.refusal.code, error.refusal.message, "shippingAddress.country")
    else:
        facts = {"current": error.current, "currency": error.currency}
        cause = Detail("total_changed", message, field, facts)
    return Answer(409, "total_changed", message, field, (cause,))


def _reference_taken(error: pricing.ReferenceTaken) -> Answer:
    message, field = str(error), "externalReference"
    detail = Detail("reference_taken", message, field, {"orderNumber": error.number})
    return Answer(409, "reference_taken", message, field, (detail,))


def _wrong_currency(error: pricing.WrongCurrency) -> Answer:
    return Answer(400, "wrong_currency", str(error), f"items[{error.line}]")


def _quantity_too_large(error: pricing.QuantityTooLarge) -> Answer:
    return Answer(400, "too_large", str(error), f"items[{error.line}].quantity")


def _not_enough_free(error: stock.NotEnoughFree) -> Answer:
    message = f"Only {error.available} units are free; orders have reserved the others."
    detail = Detail("not_enough_free", message, "by", {"available": error.available})
    return Answer(409, "not_enough_free", message, "by", (detail,))


def _more_than_left(error: amounts.MoreThanLeft) -> Answer:
    detail = Detail("more_than_left", str(error), error.field, {"left": Decimal(error.left)})
    return Answer(409, "more_than_left", str(error), error.field, (detail,))


def _amount_too_large(error: pricing.AmountTooLarge) -> Answer:
    return Answer(400, "too_large", str(error), "items")


def _key_reused(_: KeyReused) -> Answer:
    return Answer(422, "idempotency_key_reused", "This key was used for another order.", "key")


def _provider_unavailable(error: providers.ProviderUnavailable) -> Answer:
    message = f"The {error.provider} provider is unavailable. Try again."
    return Answer(503, "provider_unavailable", message, retry_after=error.retry_after or RETRY_AFTER_SECONDS)


def _problem(error: Problem) -> Answer:
    return Answer(
        error.status_code,
        error.code,
        error.message,
        error.field,
        error.details,
        retry_after=error.retry_after,
        more_headers=tuple(error.headers.items()),
    )


def _bad_parameter(error: BadParameter) -> Answer:
    details = tuple(Detail("invalid_parameter", each.message, each.field) for each in flatten(error.detail))
    return Answer(400, "invalid_parameter", details[0].message, details[0].field, details)


def _validation_error(error: api.ValidationError) -> Answer:
    details = tuple(flatten(error.detail))
    first = details[0] if details else Detail("invalid", "This value is not allowed.")
    return Answer(400, first.code, first.message, first.field, details)


def _unavailable(_: Exception) -> Answer:
    message = "This cannot be stored or looked up just now. Try again."
    return Answer(503, "temporarily_unavailable", message, retry_after=RETRY_AFTER_SECONDS)


def _fixed(status: int, code: str, message: str) -> Callable[[Any], Answer]:
    return lambda _: Answer(status, code, message)


ARCHIVED = "The order ended long ago and is in the archive. Staff can still refund it."

# The first match counts.
ANSWERS: list[tuple[type[BaseException], Callable[[Any], Answer]]] = [
    (Problem, _problem),
    (queries.OrderArchived, _fixed(410, "order_archived", ARCHIVED)),
    (queries.OrderNotFound, _fixed(404, "not_found", "There is no such order.")),
    (pricing.UnknownProduct, _unknown_product),
    (LinesRefused, _lines_refused),
    (pricing.PriceChanged, _price_changed),
    (totals.TotalChanged, _total_changed),
    (pricing.ReferenceTaken, _reference_taken),
    (pricing.WrongCurrency, _wrong_currency),
    (pricing.QuantityTooLarge, _quantity_too_large),
    (pricing.AmountTooLarge, _amount_too_large),
    (
        pricing.DiscountTooLarge,
        lambda error: Answer(
            400,
            "discount_too_large",
            str(error),
            "adjustments" if error.line is None else f"items[{error.line}].adjustments",
        ),
    ),
    (amounts.MoreThanLeft, _more_than_left),
    (amounts.SeveralLines, lambda error: Answer(400, "several_lines", str(error), error.field)),
    (amounts.NotOrdered, lambda error: Answer(400, "not_ordered", str(error), error.field)),
    (amounts.TooManyDecimals, lambda error: Answer(400, "too_many_decimals", str(error), error.field)),
    (amounts.NothingToRefund, _fixed(400, "nothing_to_refund", "This adds up to nothing to refund.")),
    (KeyReused, _key_reused),
    (captures.AuthorizationExpired, lambda error: Answer(409, "authorization_expired", str(error))),
    (captures.CaptureUnderWay, lambda error: Answer(409, "capture_under_way", str(error))),
    (commands.NotPossible, lambda error: Answer(409, "not_possible", str(error))),
    (listing.ProductNotFound, _fixed(404, "not_found", "There is no such product.")),
    (stock.NoStock, _fixed(404, "not_found", "There is no such product.")),
    (stock.NotEnoughFree, _not_enough_free),
    (inventory.QueueUnavailable, _unavailable),
    (providers.ProviderUnavailable, _provider_unavailable),
    (providers.OutcomeUnknown, _fixed(502, "provider_failed", "The provider gave no usable answer.")),
    (providers.ProviderRefused, _fixed(502, "provider_failed", "The provider refused.")),
    (BadParameter, _bad_parameter),
    (api.ValidationError, _validation_error),
    (
        api.Throttled,
        lambda error: Answer(429, "throttled", "Too many requests.", retry_after=error.wait or 1),
    ),
    (api.ParseError, _fixed(400, "malformed_json", "The body cannot be read.")),
    (api.APIException, lambda error: Answer(error.status_code, *_code_and_message(error))),
    (Http404, _fixed(404, "not_found", "Not found: there is no such address.")),
    (core.PermissionDenied, _fixed(403, "permission_denied", "You may not do this.")),
    (core.RequestDataTooBig, _fixed(413, "body_too_large", "The body is too large.")),
    (core.SuspiciousOperation, _fixed(400, "bad_request", "Malformed request.")),
    # The database is away or full, or timed out.
    (db.OperationalError, _unavailable),
    (db.InterfaceError, _unavailable),
]


def answer_to(error: BaseException) -> Answer:
    """Return the answer to an exception, by default 500."""
    for kind, answer in ANSWERS:
        if isinstance(error, kind):
            return answer(error)
    return Answer(500, "internal_error", "Something went wrong on our side.")


def _code_and_message(error: api.APIException) -> tuple[str, str]:
    codes = error.get_codes()
    code = codes if isinstance(codes, str) else error.default_code
    return RENAMED.get(code, code), str(error.detail)


# DRF's codes that are too vague.
RENAMED = {"error": "internal_error", "parse_error": "malformed_json"}


# --- Ways in ----------------------------------------------------------------------------------------------


def handle(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's EXCEPTION_HANDLER."""
    answer, request = answer_to(error), context["request"]
    _log(answer, error, request.path)
    headers = answer.headers
    challenge = getattr(error, "auth_header", None)
    if challenge:
        headers["WWW-Authenticate"] = challenge
    response = Response(answer.body, status=answer.status, headers=headers)
    if is_outage(error):
        response.is_outage = True  # type: ignore[attr-defined]
        response.headers["X-Outage"] = "1"  # for the balancer of a cluster
    response.error = answer.body["error"]  # type: ignore[attr-defined]  # for answers of several errors
    if _prefers_problem(request) and _renders_json(request):
        response.data, response.content_type = answer.problem, problem_json.MEDIA_TYPE
    return response


def _prefers_problem(request: Any) -> bool:
    return problem_json.is_preferred(request.META.get("HTTP_ACCEPT", ""))


def _renders_json(request: Any) -> bool:
    renderer = getattr(request, "accepted_renderer", None)
    return renderer is None or renderer.media_type == problem_json.JSON


def response_to(error: Exception, request: HttpRequest | None = None) -> HttpResponse:
    return _json(answer_to(error), request)


@csrf_exempt
def api_not_found(request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
    """Answer 404 below /api as JSON, even in DEBUG. CSRF-exempt, so that a mistyped POST gets 404, not 403."""
    return not_found(request)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Django's handler404."""
    if not _wants_json(request):
        return defaults.page_not_found(request, exception or Http404())
    return _json(answer_to(Http404()), request)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler400."""
    if not _wants_json(request):
        return defaults.bad_request(request, exception)
    return _json(
        answer_to(
            exception
            if isinstance(exception, core.SuspiciousOperation)
            else Problem("bad_request", "Malformed request.")
        ),
        request,
    )


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's handler403."""
    if not _wants_json(request):
        return defaults.permission_denied(request, exception)
    return _json(answer_to(core.PermissionDenied()), request)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    if not _wants_json(request):
        return csrf.csrf_failure(request, reason=reason)
    return _json(Answer(403, "csrf_failed", "The CSRF token is missing or wrong."), request)


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's handler500; 503 if the database failed."""
    error = sys.exception()
    answer = answer_to(error or Exception())
    if _wants_json(request):
        return _json(answer if answer.status >= 500 else answer_to(Exception()), request)
    response = defaults.server_error(request)
    if answer.status == 503:
        response.status_code, response["Retry-After"] = 503, str(RETRY_AFTER_SECONDS)
    return response


def _wants_json(request: HttpRequest) -> bool:
    return request.path_info.startswith(("/api/", "/health", "/metrics"))


def _json(answer: Answer, request: HttpRequest | None) -> HttpResponse:
    is_problem = request is not None and _prefers_problem(request)
    return HttpResponse(
        ENCODER.encode(answer.problem if is_problem else answer.body),
        status=answer.status,
        content_type=problem_json.MEDIA_TYPE if is_problem else problem_json.JSON,
        headers=answer.headers,
    )


def _log(answer: Answer, error: Exception, path: str) -> None:
    if answer.status == 500:
        logger.error("request_failed", path=path, exc_info=error)
    elif answer.status == 503:
        logger.warning("temporarily_unavailable", path=path, error=type(error.__cause__ or error).__name__)

"""Example sentences of error codes, for the API's description."""

from typing import Any

from api.problem_json import type_of

SENTENCES = {
    "account_blocked": "An operator has blocked this for the account.",
    "address_not_allowed": "Not allowed: webhook URLs must use https.",
    "already_there": "There is one of this name.",
    "authentication_failed": "The Authorization header must be `Bearer <token>` or `Token <token>`.",
    "backlog": "Too many orders wait to be taken up. Try again later.",
    "bad_request": "Malformed request.",
    "body_too_large": "The body is too large.",
    "busy": "Too much is being looked up. Try again in a moment.",
    "card_number_refused": "This looks like a card number. Send the payment provider's token instead.",
    "control_characters": "Control, invisible and broken characters are refused.",
    "csrf_failed": "The CSRF token is missing or wrong.",
    "discount_too_large": "The discounts exceed the goods and other adjustments by 5.00 USD.",
    "foreign_origin": "Pages of other sites may change nothing here.",
    "idempotency_key_reused": "This Idempotency-Key was used for another request.",
    "in_progress": "The first request with this Idempotency-Key is still under way.",
    "internal_error": "Something went wrong on our side.",
    "invalid": "This value is not allowed.",
    "invalid_credentials": "This user name and this password are not accepted.",
    "invalid_idempotency_key": "An Idempotency-Key is 1 to 200 printable ASCII characters.",
    "invalid_parameter": "A whole number from 1 to 200.",
    "length_required": "Send a Content-Length.",
    "malformed_json": "The body cannot be read.",
    "not_acceptable": "Could not satisfy the request Accept header.",
    "not_addressable": "A SKU has no slash.",
    "not_authenticated": "Authentication credentials were not provided.",
    "not_enough_free": "Only 3 units are free; orders have reserved the others.",
    "not_found": "Not found: there is no such address.",
    "not_possible": "A rejected order cannot be cancelled.",
    "nothing_to_sell": "There is no product to order.",
    "order_archived": "The order ended long ago and is in the archive. Staff can still refund it.",
    "permission_denied": "You may not do this.",
    "precondition_failed": "The order has changed since this ETag. Read it again, then decide.",
    "price_changed": "The price is 34.99 USD.",
    "required": "This field is required.",
    "authorization_expired": "The authorization has expired: what is left of it is not held any more.",
    "capture_not_supported": "The payment gateway captures an order once, when it is confirmed.",
    "capture_under_way": "An earlier capture of this order is under way.",
    "several_lines": "The order has several lines of this product: name one by its `line`.",
    "temporarily_unavailable": "This cannot be stored or looked up just now. Try again.",
    "reference_taken": "Order ORD-20260131093000-1001 has this reference.",
    "throttled": "Too many requests.",
    "token_expired": "This token has expired.",
    "token_revoked": "This token has been revoked.",
    "too_large": "This must be at most 1000.",
    "too_long": "Use at most 100 characters.",
    "too_many_decimals": "USD has at most 2 decimals.",
    "too_many_declines": "Most payments of this account were declined. Try again later.",
    "too_many_held_orders": "At most 1000 orders of one account may be on hold. Process or cancel some.",
    "too_many_requests_at_once": "Too many requests of yours are under way. Wait for some of their answers.",
    "too_many_unpaid_orders": "Payments of this account were declined. Wait until its orders are paid.",
    "too_short": "This must not be empty.",
    "too_small": "This must be at least 1.",
    "total_changed": "The total is 64.97 USD: 59.98 for the goods and 4.99 for shipping.",
    "unknown_gateway": "This is no gateway of the shop's.",
    "unknown_country": "This is no ISO 3166 code, such as DE or GB.",
    "unknown_currency": "This is no ISO 4217 code, such as USD.",
    "unknown_field": "There is no such field.",
    "unknown_parameter": "There is no such query parameter.",
    "unknown_product": "Unknown product.",
    "unsupported_media_type": "Unsupported media type in request.",
    "wrong_currency": "TEE-1 is sold in USD.",
    "wrong_format": "This does not have the right format.",
    "wrong_type": "This must be a whole number, not text.",
    "zero": "Zero changes nothing.",
}
FIELDS = {
    "discount_too_large": "adjustments",
    "price_changed": "items[0].price",
    "capture_not_supported": "capture",
    "several_lines": "items[0].sku",
    "reference_taken": "externalReference",
    "total_changed": "expectedTotal",
    "unknown_product": "items[0].productId",
    "wrong_currency": "items[0]",
    "required": "items",
    "too_small": "items[0].quantity",
    "too_large": "items[0].quantity",
    "wrong_type": "items[0].quantity",
    "unknown_gateway": "payment.gateway",
    "unknown_country": "shippingAddress.country",
    "unknown_currency": "currency",
    "unknown_parameter": "pagesize",
    "idempotency_key_reused": "Idempotency-Key",
    "in_progress": "Idempotency-Key",
    "invalid_idempotency_key": "Idempotency-Key",
    "precondition_failed": "If-Match",
    "not_enough_free": "by",
}
FACTS: dict[str, dict[str, Any]] = {
    "price_changed": {"current": 34.99, "currency": "USD"},
    "total_changed": {"current": 64.97, "currency": "USD"},
    "reference_taken": {"orderNumber": "ORD-20260131093000-1001"},
    "not_enough_free": {"available": 3},
}


def error_example(code: str) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": SENTENCES.get(code, f"{code.replace('_', ' ')}.")}
    if code in FIELDS:
        error["field"] = FIELDS[code]
    if code in FACTS:
        error["details"] = [error | FACTS[code]]
    return {"error": error}


def problem_example(code: str, status: int, title: str) -> dict[str, Any]:
    error = error_example(code)["error"]
    problem = {"type": type_of(code), "title": title, "status": status, "detail": error.pop("message")}
    details = error.pop("details", None)
    return problem | error | ({"errors": details} if details else {})

"""Post-processing of the OpenAPI description: what applies to every operation."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from api.error_examples import error_example, problem_example
from api.examples import example_of, without_read_only
from api.problem_json import JSON, MEDIA_TYPE

ERROR = {"$ref": "#/components/schemas/Error"}

EVERYWHERE = {
    "400": "`unknown_parameter` · `card_number_refused`: in the address or in a header.",
    "401": "`not_authenticated` · `authentication_failed` · `token_expired` · `token_revoked`: see the"
    " `WWW-Authenticate` header.",
    "403": "`permission_denied` · `csrf_failed` · `foreign_origin` · `account_blocked`: an operator has stopped the"
    " account.",
    "406": "`not_acceptable`: the API speaks JSON.",
    "429": "`throttled` · `too_many_requests_at_once`: see the `Retry-After` header.",
    "500": "`internal_error`: a defect of the server; nothing was stored.",
    "503": "`temporarily_unavailable` · `busy`: retry with the same key after `Retry-After` seconds.",
}
WITH_PATH = {"404": "`not_found`: it does not exist, or is not visible to this account."}
WITH_ORDER = {"410": "`order_archived`: the order is in the archive. A refund restores it."}
WITH_BODY = {
    "400": "`malformed_json` · `bad_request` · `unknown_parameter`",
    "411": "`length_required`: the request has neither `Content-Length` nor chunked encoding.",
    "413": "`body_too_large`",
    "415": "`unsupported_media_type`: send `application/json`.",
}
WITH_KEY = {
    "409": "`in_progress`: the first request with this key is still in progress; see `Retry-After`.",
    "422": "`idempotency_key_reused`: the key was used for another request.",
}
METHODS = ("get", "post", "put", "patch", "delete")
PROBLEM = {
    "type": "object",
    "description": "The same error by RFC 9457, for clients whose `Accept` header prefers it.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "field": {"type": "string"},
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/ErrorDetail"}},
    },
    "required": ["type", "title", "status", "detail", "code"],
}


def operations_of(result: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, operations in result["paths"].items():
        for method in METHODS:
            if method in operations:
                yield path, method, operations[method]


def add_common_refusals(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add common error responses where a view has none of that status, and errors by RFC 9457."""
    for path, method, operation in operations_of(result):
        _describe(operation, path, method)
        for status, response in operation["responses"].items():
            if int(status) >= HTTPStatus.BAD_REQUEST:
                _complete_error(int(status), response)
    result["components"]["schemas"]["Problem"] = PROBLEM
    return result


def _describe(operation: dict[str, Any], path: str, method: str) -> None:
    common = EVERYWHERE | (WITH_PATH if "{" in path else {}) | (WITH_BODY if method != "get" else {})
    if any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", [])):
        common |= WITH_KEY
    common |= WITH_ORDER if path.startswith("/api/orders/{") else {}
    responses = operation["responses"]
    for status, description in common.items():
        responses.setdefault(status, {"description": description, "content": {JSON: {"schema": ERROR}}})
    if "unknown_parameter" not in responses["400"]["description"]:
        responses["400"]["description"] += " · `unknown_parameter`"
    operation["responses"] = dict(sorted(responses.items()))


def _complete_error(status: int, response: dict[str, Any]) -> None:
    codes = re.findall(r"`([a-z]+(?:_[a-z]+)*)`", response["description"])
    title = HTTPStatus(status).phrase
    response["content"] = {
        JSON: {"schema": ERROR, "examples": {code: {"value": error_example(code)} for code in codes}},
        MEDIA_TYPE: {
            "schema": {"$ref": "#/components/schemas/Problem"},
            "examples": {code: {"value": problem_example(code, status, title)} for code in codes[:1]},
        },
    }


def add_examples(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add an example to every successful answer and every request without one."""
    components = result["components"]["schemas"]
    for _path, _method, operation in operations_of(result):
        answers = [each for status, each in operation["responses"].items() if int(status) < 400]
        for body in answers:
            _complete(body, components)
        _complete(operation.get("requestBody", {}), without_read_only(components))
    return result


def _complete(body: dict[str, Any], components: dict[str, Any]) -> None:
    for media_type, content in body.get("content", {}).items():
        if "example" not in content and "examples" not in content:
            content["example"] = _example(media_type, content["schema"], components)


def _example(media_type: str, schema: dict[str, Any], components: dict[str, Any]) -> Any:
    if media_type == "text/csv":
        return "orderNumber,status,totalAmount,currency\r\nORD-20260131093000-1001,Completed,64.97,USD\r\n"
    return example_of(schema, components)


def close_requests(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Forbid unknown fields in request bodies, except DRF's login; require bodies with required fields."""
    schemas = result["components"]["schemas"]
    for _path, _method, operation in operations_of(result):
        body = operation.get("requestBody", {})
        for content in body.get("content", {}).values():
            for name in _named(content["schema"], schemas):
                if name != "AuthToken":
                    schemas[name].setdefault("additionalProperties", False)
                if schemas[name].get("required"):
                    body["required"] = True
    return result


def _named(schema: dict[str, Any], schemas: dict[str, Any]) -> Iterator[str]:
    """Yield the component that a schema refers to, or its variants."""
    if name := schema.get("$ref", "").rpartition("/")[2]:
        variants = schemas[name].get("anyOf")
        if variants is None:
            yield name
        for variant in variants or ():
            yield from _named(variant, schemas)


def simplify_schemas(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Drop what generators of clients stumble over: titles that repeat names, and defaults of optional fields.

    Some take a field with a default for one that has to be sent.
    """
    for schema in result["components"]["schemas"].values():
        schema.pop("title", None)
        for field in schema.get("properties", {}).values():
            default = field.pop("default", None)
            if default not in (None, [], {}, ""):
                field["description"] = f"{field.get('description', '')} Default: `{default}`.".strip()
    return result

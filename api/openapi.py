"""Post-processing of the OpenAPI description: what applies to every operation."""

from typing import Any

ERROR_SCHEMA = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}

EVERYWHERE = {
    "400": "`card_number_refused`: in the address or in a header.",
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
WITH_ORDER = {"410": "`order_archived`: the order is in the archive."}
WITH_BODY = {
    "400": "`malformed_json` · `bad_request`",
    "411": "`length_required`: the request has neither `Content-Length` nor chunked encoding.",
    "413": "`body_too_large`",
    "415": "`unsupported_media_type`: send `application/json`.",
}
WITH_KEY = {
    "409": "`in_progress`: the first request with this key is still in progress; see `Retry-After`.",
    "422": "`idempotency_key_reused`: the key was used for another request.",
}
METHODS = ("get", "post", "put", "patch", "delete")


def add_common_refusals(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add common error responses where a view has none of that status."""
    for path, operations in result["paths"].items():
        for method in METHODS:
            if method in operations:
                _describe(operations[method], path, method)
    return result


def close_requests(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Forbid unknown fields in request bodies, except DRF's login."""
    for operations in result["paths"].values():
        for operation in (operations[method] for method in METHODS if method in operations):
            for content in operation.get("requestBody", {}).get("content", {}).values():
                name = content["schema"].get("$ref", "").rpartition("/")[2]
                if name not in ("", "AuthToken"):
                    result["components"]["schemas"][name].setdefault("additionalProperties", False)
    return result


def _describe(operation: dict[str, Any], path: str, method: str) -> None:
    common = EVERYWHERE | (WITH_PATH if "{" in path else {}) | (WITH_BODY if method != "get" else {})
    if any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", [])):
        common |= WITH_KEY
    common |= WITH_ORDER if path.startswith("/api/orders/{") else {}
    responses = operation["responses"]
    for status, description in common.items():
        responses.setdefault(status, {"description": description, "content": ERROR_SCHEMA})
    operation["responses"] = dict(sorted(responses.items()))

"""The API: throttles, DRF and the OpenAPI description."""

from api import VERSION
from config.environment import env, whole
from config.settings.base import DEMO

DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
# Per account (logins and wrong tokens: per address), with a burst of the same size; "off": no limit. A view's
# `read_cost` is what it takes from `reads`.
THROTTLE_RATES = {
    "writes": env.str("THROTTLE_WRITES", default="200/s"),
    "reads": env.str("THROTTLE_READS", default="200/s"),
    # On top of the one write per bulk request.
    "bulk_lines": env.str("THROTTLE_BULK_LINES", default="300000/minute"),
    "logins": env.str("THROTTLE_LOGINS", default="10/minute"),
    "wrong_tokens": env.str("THROTTLE_WRONG_TOKENS", default="30/minute"),
}
# Threads per web process (see the Procfile), and how many run at a time.
WEB_THREADS = whole("WEB_THREADS", default=32, at_least=1)
WEB_AT_ONCE = whole("WEB_AT_ONCE", default=8, at_least=1)
# Concurrent requests per account or anonymous address in a web process, waiting ones included.
REQUESTS_AT_ONCE = whole("REQUESTS_AT_ONCE", default=10, at_least=1)
# Tokens from a password login; those that an administrator issues may have no expiry.
API_TOKEN_DAYS = whole("API_TOKEN_DAYS", default=90, at_least=1)
CSRF_FAILURE_VIEW = "config.errors.csrf_failed"
REST_FRAMEWORK = {
    # The first one sets WWW-Authenticate on a 401.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "api.authentication.TokenAuthentication",
        "api.authentication.SessionAuthentication",
        *(["api.authentication.DemoAuthentication"] if DEMO else []),
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": ["api.throttling.Throttle"],
    # Trusted hops of X-Forwarded-For, from the right.
    "NUM_PROXIES": whole("NUM_PROXIES", default=1, at_least=0),
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "config.errors.handle",
    "VIEW_NAME_FUNCTION": "api.renderers.view_name",
    "DEFAULT_PARSER_CLASSES": ["api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": [
        "api.renderers.FastJSONRenderer",
        "api.renderers.BrowsableRenderer",
    ],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "api.renderers.Negotiation",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "COERCE_DECIMAL_TO_STRING": False,
}
# Our public address: the server of the API's description, links from Flower.
PUBLIC_URL = env.str("PUBLIC_URL", default="").rstrip("/")
SPECTACULAR_SETTINGS = {
    "TITLE": "Order pipeline",
    "DESCRIPTION": (
        "Orders are accepted immediately and processed asynchronously. Errors look like "
        '`{"error": {"code": "…", "message": "…", "field": "…", "details": […]}}`; codes are stable, messages are for'
        " people, `details` has every fault of a body. Clients whose `Accept` header prefers"
        " `application/problem+json` get RFC 9457 instead.\n\n"
        "The messages of the WebSockets `/ws/orders` and `/ws/orders/<order>` are described in"
        " [AsyncAPI](/api/asyncapi.yaml)."
    ),
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.1",
    "CONTACT": {"name": "The shop that runs this", **({"url": PUBLIC_URL} if PUBLIC_URL else {})},
    "LICENSE": {"name": "MIT", "identifier": "MIT"},
    "SERVERS": [{"url": PUBLIC_URL or "/", "description": "This shop."}],
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SCHEMA_PATH_PREFIX": "/api",
    "ENUM_NAME_OVERRIDES": {
        "AdjustmentKind": "orders.rules.adjustments.KINDS",
        "OrderRefundState": "orders.http.filters.REFUND_STATES",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "api.openapi_layout.lay_out",
        "api.openapi.add_common_refusals",
        "api.openapi.close_requests",
        "api.openapi.simplify_schemas",
        "api.openapi.add_examples",
    ],
    "ENFORCE_NON_BLANK_FIELDS": True,
    "SWAGGER_UI_DIST": "SIDECAR",
    # The default validator is a third-party server.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

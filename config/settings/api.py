"""The API: throttles, DRF and the OpenAPI description."""

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
    "DEFAULT_PARSER_CLASSES": ["api.parsers.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": [
        "api.renderers.FastJSONRenderer",
        "rest_framework.renderers.BrowsableAPIRenderer",
    ],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "api.renderers.Negotiation",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "COERCE_DECIMAL_TO_STRING": False,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Order pipeline",
    "DESCRIPTION": (
        "Orders are accepted immediately and processed asynchronously. Errors always look like "
        '`{"error": {"code": "…", "message": "…", "field": "…"}}`; codes are stable, messages are for people.\n\n'
        "What is told at the WebSockets `/ws/orders` and `/ws/orders/<order>` is described in"
        " [AsyncAPI](/api/asyncapi.yaml)."
    ),
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.1",
    "TAGS": [
        {"name": "orders", "description": "Placing orders, and what may be asked of them."},
        {"name": "inventory", "description": "Products and their stock."},
        {"name": "payments", "description": "What the payment provider was asked for, and tells us."},
        {"name": "shipping", "description": "Where the shop delivers to, and what that costs."},
        {"name": "notifications", "description": "Notifications of a user."},
        {"name": "board", "description": "What the live board asks for."},
        {"name": "system", "description": "How the system is."},
        {"name": "api", "description": "Finding one's way, and getting in."},
    ],
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SCHEMA_PATH_PREFIX": "/api",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "api.openapi.add_common_refusals",
        "api.openapi.close_requests",
    ],
    "ENFORCE_NON_BLANK_FIELDS": True,
    "SWAGGER_UI_DIST": "SIDECAR",
    # The default validator is a third-party server.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

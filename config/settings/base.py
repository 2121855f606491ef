"""Mode, secrets, apps and middleware; reads the environment files first."""

from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from config.environment import env, origins, read_secret_files, weakness_of_key

BASE_DIR = Path(__file__).resolve().parent.parent.parent

DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / ".data")))
read_secret_files()
environ.Env.read_env(DATA_DIR / "env")  # never overrides the environment; may be missing

DEBUG = env.bool("DEBUG", default=False)
# Anonymous requests act as the demo customer.
DEMO = env.bool("DEMO", default=False)
if DEMO and not DEBUG:
    raise ImproperlyConfigured(
        "DEMO=1 lets anybody place orders without a login; it is refused unless DEBUG=1."
    )

# Fault injection for tests: see faults/ and tests/planted/.
PLANTED_FAULT = env.str("PLANTED_FAULT", default="")
if not DEBUG and (PLANTED_FAULT or env.str("FAULTS", default="")):
    raise ImproperlyConfigured("FAULTS and PLANTED_FAULT inject faults; refused unless DEBUG=1.")

SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY is not set. `make run` generates one; set your own anywhere else.")
# Former keys during a rotation: what they signed stays valid.
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
if not DEBUG and (weakness := weakness_of_key(SECRET_KEY)):
    raise ImproperlyConfigured(
        f"SECRET_KEY {weakness}: it must not be guessable. Generate one with"
        " python3 -c 'import secrets; print(secrets.token_urlsafe(50))'."
    )

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if DEBUG else [])
if not DEBUG and "*" in ALLOWED_HOSTS:
    raise ImproperlyConfigured(
        "ALLOWED_HOSTS=* accepts any Host header; name your hosts, with commas between."
    )
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# Pages of other sites that may call the API and open sockets, by tokens and tickets and without our cookies.
CORS_ALLOWED_ORIGINS = origins("CORS_ALLOWED_ORIGINS")
CORS_URLS_REGEX = r"^/(api|orderHub)(/|$)"
CORS_ALLOW_HEADERS = (
    "accept",
    "authorization",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "traceparent",
    "x-request-id",
    "x-requested-with",
    "x-signalr-user-agent",
)
CORS_EXPOSE_HEADERS = ("ETag", "Idempotency-Replayed", "Location", "Retry-After", "X-Request-ID")
TIME_ZONE = "UTC"
USE_TZ = True
LANGUAGE_CODE = "en-us"
# Customers' pages and mails alone are translated; desk, board and API are English.
USE_I18N = True
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
# A language's own formats win over DATE_FORMAT and DATETIME_FORMAT.
FORMAT_MODULE_PATH = "config.formats"
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = False  # a redirect would turn a POST into a GET

INSTALLED_APPS = [
    "config.apps.DeskConfig",  # django.contrib.admin with our pages
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "corsheaders",
    "django_celery_beat",
    "django_structlog",
    "api",
    "scheduling",
    "limits",
    "accounts",
    "providers",
    "inventory",
    "payments",
    "shipping",
    "orders",
    "notifications",
    "live",
    "board",
    "desk",
    "config",
]

MIDDLEWARE = [
    "config.middleware.Measured",
    "corsheaders.middleware.CorsMiddleware",  # refusals of all below need its headers, too
    "config.middleware.IgnoresTrailingSlash",
    "config.admission.Admitted",
    "config.middleware.NotCached",
    "config.bodies.ReadsBodies",
    "config.replica_reads.ReadsReplica",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.middleware.WithoutSession",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "config.origins.RefusesForeignPages",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "config.middleware.MessagesOfPages",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "config.middleware.Logged",
    "config.middleware.ContentPolicy",
    "config.middleware.RefusesCardNumbers",
    "config.parameters.RefusesUnknownParameters",
    "config.failover.AwaitsLeader",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # A folder whose templates replace ours, such as notifications/confirmed.txt.
        "DIRS": [*filter(None, [env.str("SHOP_TEMPLATES", default="")]), BASE_DIR / "config" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "builtins": ["iso.template_filters"],
        },
    },
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": (
            "django.contrib.staticfiles.storage.StaticFilesStorage"
            if DEBUG
            else "config.static_files.HashedModulesStorage"
        )
    },
}
WHITENOISE_USE_FINDERS = DEBUG

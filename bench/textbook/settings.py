"""`startproject` settings with PostgreSQL, DRF and Celery."""

import environ

env = environ.Env()

SECRET_KEY = env.str("SECRET_KEY")
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "bench.textbook.urls"
WSGI_APPLICATION = "bench.textbook.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": env.db_url("DATABASE_URL")}

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "rest_framework",
    "rest_framework.authtoken",
    "bench.textbook",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": env.str("REDIS_URL") + "/1",
    }
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.UserRateThrottle"],
    "DEFAULT_THROTTLE_RATES": {"user": "200/second"},
}

CELERY_BROKER_URL = env.str("REDIS_URL") + "/0"
CELERY_RESULT_BACKEND = env.str("REDIS_URL") + "/2"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_ROUTES = {
    "bench.textbook.tasks.reserve_stock": {"queue": "inventory"},
    "bench.textbook.tasks.quote_shipping": {"queue": "shipping"},
    "bench.textbook.tasks.*_payment": {"queue": "payments"},
    "bench.textbook.tasks.confirm_order": {"queue": "orders"},
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [env.str("REDIS_URL") + "/3"]},
    }
}
IS_LIVE = env.bool("IS_LIVE", default=False)  # without listeners no messages are sent
PAYMENT_API_URL = env.str("PAYMENT_API_URL", default="")

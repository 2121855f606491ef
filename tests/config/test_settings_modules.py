"""The settings are several modules and read as one: none gets lost, none is set twice."""

import ast
from pathlib import Path

from config import settings

MODULES = sorted(path for path in Path(settings.__file__).parent.glob("*.py") if path.stem != "__init__")


def set_in(path: Path) -> set[str]:
    """Return the names that a module sets for Django to read."""
    names = {
        node.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    return {name for name in names if name.isupper() and not name.startswith("_")}


def test_each_module_is_read_and_each_setting_is_set_in_one_of_them():
    found = [(name, path.stem) for path in MODULES for name in set_in(path)]
    names = [name for name, _ in found]
    assert sorted(names) == sorted(set(names)), found
    # Outside DEBUG, with standbys and with the second factor or single sign-on there are a few more.
    only_sometimes = {
        "DATABASE_ROUTERS", "OTP_TOTP_ISSUER", "AUTHENTICATION_BACKENDS", "LOGIN_REDIRECT_URL",
        "LOGIN_REDIRECT_URL_FAILURE",
        "HTTPS", "SECURE_SSL_REDIRECT", "SECURE_REDIRECT_EXEMPT", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE",
        "SECURE_HSTS_SECONDS", "SECURE_HSTS_INCLUDE_SUBDOMAINS", "SECURE_HSTS_PRELOAD",
    }  # fmt: skip
    assert {name for name in names if not hasattr(settings, name)} - {
        name for name in names if name.startswith("OIDC_")
    } <= only_sometimes


def test_settings_of_the_libraries_are_where_they_read_them():
    """Each of these is read by name by a library that has a default for a missing one."""
    for name in (
        "INSTALLED_APPS", "MIDDLEWARE", "DATABASES", "CACHES", "CHANNEL_LAYERS", "REST_FRAMEWORK", "LOGGING",
        "SPECTACULAR_SETTINGS", "CELERY_TASK_ACKS_LATE", "CELERY_TASK_ROUTES", "CELERY_BEAT_SCHEDULE",
        "CELERY_WORKER_POOL", "CSRF_FAILURE_VIEW", "SECURE_PROXY_SSL_HEADER", "SESSION_COOKIE_HTTPONLY",
        "DATA_UPLOAD_MAX_MEMORY_SIZE", "AUTH_PASSWORD_VALIDATORS", "APPEND_SLASH", "STORAGES",
    ):  # fmt: skip
        assert hasattr(settings, name), name

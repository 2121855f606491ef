"""Reads settings from the environment."""

import ipaddress
import json
import math
import os
import re
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import environ
from django.core.exceptions import ImproperlyConfigured

# Each may come as a mounted file: SECRET_KEY_FILE=/run/secrets/secret_key.
SECRETS = (
    "SECRET_KEY",
    "DATABASE_URL",
    "DATABASE_PASSWORD",
    "REDIS_URL",
    "REDIS_PASSWORD",
    "METRICS_TOKEN",
    "PAYMENT_API_KEY",
    "PAYMENT_WEBHOOK_SECRETS",
    "STRIPE_API_KEY",
    "STRIPE_WEBHOOK_SECRETS",
    "FLOWER_BASIC_AUTH",
    "EMAIL_URL",
    "ANYMAIL",
)
SECRET_KEY_LENGTH, SECRET_KEY_DIFFERENT = 40, 12
PRIVATE_RANGES = "private_ranges"  # Caddy's name for RFC 1918 and similar networks

env = environ.Env()


def read_secret_files(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set secrets from the files that `…_FILE` variables name.

    Raises ImproperlyConfigured if a file cannot be read, or both are set.
    """
    for name in SECRETS:
        path = environment.get(f"{name}_FILE")
        if not path:
            continue
        if environment.get(name):
            raise ImproperlyConfigured(f"{name} and {name}_FILE are both set; keep one of them.")
        try:
            environment[name] = Path(path).read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ImproperlyConfigured(f"{name}_FILE={path} cannot be read: {error}.") from None
        # Otherwise a child process would inherit both.
        del environment[f"{name}_FILE"]


def number(name: str, *, default: float, at_least: float) -> float:
    """Return environment variable `name` as a number. Raises ImproperlyConfigured if invalid or too small."""
    text = env.str(name, default=str(default))
    try:
        value = float(text)  # environ reads "10 apples" as 10 and "1e3" as 13
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a number, not {text!r}.") from None
    if not at_least <= value < math.inf:
        raise ImproperlyConfigured(f"{name} must be at least {at_least:g}, not {text}.")
    return value


def whole(name: str, *, default: int, at_least: int) -> int:
    value = number(name, default=default, at_least=at_least)
    if not value.is_integer():
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value:g}.")
    return int(value)


def networks(name: str) -> list[str]:
    """Return networks, separated by blanks as in the Caddyfile."""
    given = env.str(name, default="").split()
    for network in given:
        try:
            network == PRIVATE_RANGES or ipaddress.ip_network(network)
        except ValueError:
            raise ImproperlyConfigured(
                f"{name} must be networks with blanks between, such as 10.0.0.0/8 192.0.2.7, not {network!r}."
            ) from None
    return given


def origins(name: str) -> list[str]:
    """Return origins in the browsers' spelling. Raises ImproperlyConfigured for anything else, `*` included."""
    given = [origin.strip().rstrip("/").lower() for origin in env.list(name, default=[]) if origin.strip()]
    for origin in given:
        parts = urlsplit(origin)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or f"{parts.scheme}://{parts.netloc}" != origin
        ):
            raise ImproperlyConfigured(
                f"{name} must be origins such as https://shop.example, with commas between, not {origin!r}."
            )
        if "*" in origin or "@" in origin:
            raise ImproperlyConfigured(f"{name} must name each origin in full, not {origin!r}.")
    return given


def web_address(name: str) -> str:
    """Return an http or https address, or "". Raises ImproperlyConfigured for anything else."""
    given = env.str(name, default="").strip().rstrip("/")
    parts = urlsplit(given)
    if given and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ImproperlyConfigured(f"{name} must be an address such as https://shop.example, not {given!r}.")
    return given


def email_backend() -> dict[str, Any]:
    """Return Django's settings of EMAIL_URL or EMAIL_BACKEND; none without either. Raises ImproperlyConfigured."""
    url, backend = env.str("EMAIL_URL", default=""), env.str("EMAIL_BACKEND", default="")
    if url and backend:
        raise ImproperlyConfigured("EMAIL_URL and EMAIL_BACKEND are both set; keep one of them.")
    if backend:
        try:
            options = json.loads(env.str("ANYMAIL", default="{}"))
        except ValueError:
            raise ImproperlyConfigured("ANYMAIL must be a JSON object of its settings.") from None
        timeout = number("EXTERNAL_TIMEOUT_SECONDS", default=10, at_least=0.05)
        return {"EMAIL_BACKEND": backend, "ANYMAIL": {"REQUESTS_TIMEOUT": timeout} | options}
    if not url:
        return {}
    if urlsplit(url).scheme not in environ.Env.EMAIL_SCHEMES:
        schemes = ", ".join(sorted(environ.Env.EMAIL_SCHEMES))
        raise ImproperlyConfigured(
            f"EMAIL_URL must be an address such as smtp+tls://user:password@host:587 ({schemes})."
        )
    found = {name: value for name, value in env.email_url("EMAIL_URL").items() if name.startswith("EMAIL_")}
    if found["EMAIL_BACKEND"] == environ.Env.EMAIL_SCHEMES["smtp"]:
        port = 465 if found.get("EMAIL_USE_SSL") else 587 if found.get("EMAIL_USE_TLS") else 25
        found |= {"EMAIL_BACKEND": "notifications.smtp.Backend", "EMAIL_PORT": found["EMAIL_PORT"] or port}
        found["EMAIL_TIMEOUT"] = number("EXTERNAL_TIMEOUT_SECONDS", default=10, at_least=0.05)
    return found


def weakness_of_key(key: str) -> str:
    """Return why a SECRET_KEY is weak, or ""."""
    if len(key) < SECRET_KEY_LENGTH:
        return f"has {len(key)} characters, fewer than {SECRET_KEY_LENGTH}"
    if len(set(key)) < SECRET_KEY_DIFFERENT:
        return f"has {len(set(key))} different characters, fewer than {SECRET_KEY_DIFFERENT}"
    if key.startswith("django-insecure-"):
        return "is one that Django generates for development"
    return ""


def redis_url(url: str, database: int, *, password: str = "") -> str:
    """Return the URL of one database of the Redis server.

    A separate password needs no escaping. With `rediss` the certificate is verified unless `ssl_cert_reqs` is set.
    """
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.scheme == "rediss":
        query.setdefault("ssl_cert_reqs", "required")
    place = parts.netloc
    if password:
        login, _, host = place.rpartition("@")
        place = f"{login.partition(':')[0]}:{quote(password, safe='')}@{host}"
    path = f"{parts.path.rstrip('/')}/{database}"
    return urlunsplit(parts._replace(netloc=place, path=path, query=urlencode(query)))


def database_url(url: str, *, password: str = "") -> str:
    if not password:
        return url
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    place = f"{login.partition(':')[0]}:{quote(password, safe='')}@{host}"
    return urlunsplit(parts._replace(netloc=place))


def pairs(name: str) -> dict[str, str]:
    """Return environment variable `name`, such as a=b,c=d or a,c=d, as a dictionary."""
    found = {}
    for entry in filter(None, map(str.strip, env.str(name, default="").split(","))):
        key, _, value = entry.partition("=")
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", key):
            raise ImproperlyConfigured(
                f"{name}: a name has lower-case letters, digits, - and _, not {key!r}."
            )
        found[key] = value
    return found


def rates(name: str) -> dict[str, float]:
    """Return calls a second by provider from environment variable `name`; what is no rate stops the boot."""
    found: dict[str, float] = {}
    for entry in filter(None, map(str.strip, env.str(name, default="").split(","))):
        provider, _, rate = entry.partition("=")
        try:
            found[provider.strip()] = float(rate)
        except ValueError:
            raise ImproperlyConfigured(f"{name} must be like payments=100,email=5, not {entry!r}.") from None
        if not 0 < found[provider.strip()] < math.inf:
            raise ImproperlyConfigured(f"{name}: the rate of {provider.strip()} must be above 0.")
    return found

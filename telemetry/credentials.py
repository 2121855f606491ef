"""Removes credentials and e-mail addresses from text that goes into logs and traces."""

import re

from telemetry.card_numbers import masked

# `ticket` and `access_token` are ours; clients send the others by mistake.
IN_ADDRESS = re.compile(
    r"(?P<name>[?&](?:ticket|(?:[a-z]+_)?token|(?:api_?)?key|password|secret|signature)=)[^&\s\"'<>]+",
    re.IGNORECASE,
)


# The link alone is enough to choose a password.
PASSWORD_LINK = re.compile(r"(?P<path>/password/reset/[\w-]+/)(?!set-password)[\w-]+")
# API tokens and the signed values of orders anywhere; their prefixes exist for this.
API_TOKEN = re.compile(r"\b(?:opt_[A-Za-z0-9_-]{43}|opo_[A-Za-z0-9_-]{52})(?![A-Za-z0-9_-])")


def without_credentials(text: str) -> str:
    """Mask API tokens, signed links, links for new passwords, and credentials in URL parameters."""
    text = API_TOKEN.sub("[secret]", text) if "opt_" in text or "opo_" in text else text
    text = PASSWORD_LINK.sub(r"\g<path>[secret]", text) if "/password/" in text else text
    return IN_ADDRESS.sub(r"\g<name>[secret]", text) if "=" in text else text


# Also as `%40` in a query. Not our own workers' names (orders@host) and logins in addresses of servers (://user@host).
ADDRESS = re.compile(
    r"(?<![\w.+-])(?<!://)(?!(?:orders|inventory|shipping|payments|notifications|all|celery)@)"
    r"[\w.+-]{1,64}(?:@|%40)[\w-]+(?:\.[\w-]+)+"
)


def without_addresses(text: str) -> str:
    return ADDRESS.sub("[e-mail]", text) if "@" in text or "%40" in text else text


def without_secrets(text: str) -> str:
    return without_addresses(without_credentials(masked(text)))

"""Removes credentials from text that goes into logs and traces."""

import re

from telemetry.card_numbers import masked

# Our own are `ticket` and `access_token`, of sockets; clients put the others into URLs by mistake.
IN_ADDRESS = re.compile(
    r"(?P<name>[?&](?:ticket|(?:[a-z]+_)?token|(?:api_?)?key|password|secret|signature)=)[^&\s\"'<>]+",
    re.IGNORECASE,
)


# API tokens anywhere; their prefix exists for this.
API_TOKEN = re.compile(r"\bopt_[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])")


def without_credentials(text: str) -> str:
    """Return the text with API tokens, and credentials in URL parameters, masked."""
    text = API_TOKEN.sub("[secret]", text) if "opt_" in text else text
    return IN_ADDRESS.sub(r"\g<name>[secret]", text) if "=" in text else text


def without_secrets(text: str) -> str:
    """Return the text without credentials and card numbers."""
    return without_credentials(masked(text))

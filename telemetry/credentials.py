"""Credentials in addresses: who reads a log or a trace must not get in with what stands there."""

import re

from telemetry.card_numbers import masked

# Ours are `ticket` and `access_token`, on the way to a socket; the others are what clients put there by mistake.
IN_ADDRESS = re.compile(
    r"(?P<name>[?&](?:ticket|(?:[a-z]+_)?token|(?:api_?)?key|password|secret|signature)=)[^&\s\"'<>]+",
    re.IGNORECASE,
)


# API tokens, wherever they stand: their beginning is for this.
API_TOKEN = re.compile(r"\bopt_[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])")


def without_credentials(text: str) -> str:
    """Return the text with API tokens, and what lets somebody in by parameters of addresses, blacked out."""
    text = API_TOKEN.sub("[secret]", text) if "opt_" in text else text
    return IN_ADDRESS.sub(r"\g<name>[secret]", text) if "=" in text else text


def without_secrets(text: str) -> str:
    """Return the text as it may stand in a log or a trace: without credentials, and without card numbers."""
    return without_credentials(masked(text))

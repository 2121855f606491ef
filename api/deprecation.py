"""Headers of deprecated operations: see "Deprecation" in docs/api.md."""

from datetime import datetime
from email.utils import format_datetime


def deprecation_headers(since: datetime, *, sunset: datetime) -> dict[str, str]:
    """Return `Deprecation` (RFC 9745) and `Sunset` (RFC 8594)."""
    return {
        "Deprecation": f"@{int(since.timestamp())}",
        "Sunset": format_datetime(sunset, usegmt=True),
        "Link": '</api/schema>; rel="deprecation"; type="application/vnd.oai.openapi"',
    }

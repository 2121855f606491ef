"""JSON rendering by msgspec; decimals keep their digits."""

from collections.abc import Iterable
from typing import Any

import msgspec
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import BaseContentNegotiation, DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.utils.encoders import JSONEncoder


def _plain(value: Any) -> Any:
    """Convert values unknown to msgspec, such as lazy texts."""
    if isinstance(value, dict):
        return dict(value)
    return list(value) if isinstance(value, list | tuple) else JSONEncoder().default(value)


ENCODER = msgspec.json.Encoder(decimal_format="number", enc_hook=_plain)


class FastJSONRenderer(JSONRenderer):
    """Renders structs and plain data. Decimal("29.90") becomes 29.90."""

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        """Return JSON; indented for the browsable API."""
        if data is None:
            return b""
        body = ENCODER.encode(data)
        indent = self.get_indent(accepted_media_type or "", renderer_context or {})
        return msgspec.json.format(body, indent=indent) if indent else body


class Negotiation(DefaultContentNegotiation):
    """Content negotiation with a fast path."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Return renderer and media type."""
        accepted = request.META.get("HTTP_ACCEPT", "*/*")
        if (
            accepted in ("*/*", "application/json")
            and not request.META.get("QUERY_STRING")
            and not format_suffix
        ):
            renderer = next(iter(renderers))
            return renderer, renderer.media_type
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            if "+json" not in accepted:
                raise
            renderer = next(iter(renderers))  # plain JSON serves an unsupported +json type
            return renderer, renderer.media_type


class ErrorsAsJSON(BaseContentNegotiation):
    """JSON for all that is not streamed."""

    def select_parser(self, request: Request, parsers: Iterable[Any]) -> Any:  # noqa: ARG002
        """Return the first parser."""
        return next(iter(parsers))

    def select_renderer(
        self,
        request: Request,  # noqa: ARG002
        renderers: Iterable[Any],
        format_suffix: str | None = None,  # noqa: ARG002
    ) -> tuple[Any, str]:
        """Return the first renderer."""
        renderer = next(iter(renderers))
        return renderer, renderer.media_type

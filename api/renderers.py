"""JSON as it goes out: written by msgspec, money as numbers with exactly the decimals it has."""

from collections.abc import Iterable
from typing import Any

import msgspec
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import BaseContentNegotiation, DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.utils.encoders import JSONEncoder


def _plain(value: Any) -> Any:
    """Return what DRF and Django mean by a value that msgspec does not know, such as a lazy text."""
    if isinstance(value, dict):
        return dict(value)
    return list(value) if isinstance(value, list | tuple) else JSONEncoder().default(value)


ENCODER = msgspec.json.Encoder(decimal_format="number", enc_hook=_plain)


class FastJSONRenderer(JSONRenderer):
    """Renders structs, and everything else that views answer with. Decimal("29.90") becomes 29.90."""

    def render(self, data: Any, accepted_media_type: Any = None, renderer_context: Any = None) -> bytes:
        """Return `data` as JSON; indented for the browsable API, which asks for it."""
        if data is None:
            return b""
        body = ENCODER.encode(data)
        indent = self.get_indent(accepted_media_type or "", renderer_context or {})
        return msgspec.json.format(body, indent=indent) if indent else body


class Negotiation(DefaultContentNegotiation):
    """As ever, but programs, which take anything or JSON, get the first renderer without much ado."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Return the renderer, and the media type to say."""
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
            renderer = next(iter(renderers))  # a kind of JSON that we do not speak is JSON all the same
            return renderer, renderer.media_type


class ErrorsAsJSON(BaseContentNegotiation):
    """Answers that are no stream are JSON, whatever was asked for."""

    def select_parser(self, request: Request, parsers: Iterable[Any]) -> Any:  # noqa: ARG002
        """Return the first."""
        return next(iter(parsers))

    def select_renderer(
        self,
        request: Request,  # noqa: ARG002
        renderers: Iterable[Any],
        format_suffix: str | None = None,  # noqa: ARG002
    ) -> tuple[Any, str]:
        """Return the first."""
        renderer = next(iter(renderers))
        return renderer, renderer.media_type

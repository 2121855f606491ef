"""JSON rendering by msgspec; decimals keep their digits."""

import json
import re
from collections.abc import Iterable
from typing import Any

import msgspec
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import BaseContentNegotiation, DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.utils.encoders import JSONEncoder
from rest_framework.views import get_view_name

from api.operations import schema_of


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


class BrowsableRenderer(BrowsableAPIRenderer):
    """The browsable API: links that can be clicked, and an example in the form of a request."""

    def get_content(
        self, renderer: Any, data: Any, accepted_media_type: str | None, renderer_context: Any
    ) -> str:
        """Return the answer's text, with whole addresses, which the page makes links of."""
        content = super().get_content(renderer, data, accepted_media_type, renderer_context)
        return OWN_ADDRESS.sub(lambda path: renderer_context["request"].build_absolute_uri(path[0]), content)

    def get_raw_data_form(self, data: Any, view: Any, method: str, request: Request) -> Any:
        form = super().get_raw_data_form(data, view, method, request)
        if form is not None and not form.fields["_content"].initial and (example := _example(view, method)):
            form.fields["_content"].initial = json.dumps(example, indent=4)
        return form


# In JSON: the address of something of ours, without the server.
OWN_ADDRESS = re.compile(r'(?<=")/api/[^"\s]*(?=")')


def _example(view: Any, method: str) -> Any:
    schema = schema_of(type(view), method)
    examples = schema.get_examples() if schema else []
    return next((example.value for example in examples if example.request_only), None)


def view_name(view: Any) -> str:
    """Return a page's heading: the summary of its first operation, else the class's name in words."""
    for method in ("get", "post", "put", "delete"):
        schema = schema_of(type(view), method)
        if schema and (summary := schema.get_summary()):
            return str(summary).removesuffix(" (staff)")
    return str(get_view_name(view))


class Negotiation(DefaultContentNegotiation):
    """Content negotiation with a fast path."""

    def get_accept_list(self, request: Request) -> list[str]:
        """Return what is accepted: anything for an empty header, too (RFC 9110, 12.5.1)."""
        return [each for each in super().get_accept_list(request) if each] or ["*/*"]

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
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
        return next(iter(parsers))

    def select_renderer(
        self,
        request: Request,  # noqa: ARG002
        renderers: Iterable[Any],
        format_suffix: str | None = None,  # noqa: ARG002
    ) -> tuple[Any, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type

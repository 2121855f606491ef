"""The API's description over HTTP, rendered once per process and format, as it takes half a second."""

import threading
from collections.abc import Callable
from typing import Any

from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.views import SpectacularAPIView
from rest_framework.request import Request
from rest_framework.response import Response

_rendered: dict[str, Any] = {}  # by the name of the format
_lock = threading.Lock()  # drf-spectacular fails when two threads put together the first one at once


class _RenderedOnce:
    format: str

    def render(self, data: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(data, _Description):
            return super().render(data, *args, **kwargs)  # type: ignore[misc]
        with _lock:
            if self.format not in _rendered:
                _rendered[self.format] = super().render(data.make(), *args, **kwargs)  # type: ignore[misc]
        return _rendered[self.format]


class _Description:
    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


class Yaml(_RenderedOnce, OpenApiYamlRenderer):
    """As YAML."""


class Yaml2(_RenderedOnce, OpenApiYamlRenderer2):
    """As YAML, by another media type."""


class Json(_RenderedOnce, OpenApiJsonRenderer):
    """As JSON."""


class Json2(_RenderedOnce, OpenApiJsonRenderer2):
    """As JSON, by another media type."""


class Schema(SpectacularAPIView):
    renderer_classes = [Yaml, Yaml2, Json, Json2]
    read_cost = 5  # to send: it is long

    def _get_schema_response(self, request: Request) -> Response:
        def make() -> Any:
            generator = self.generator_class(urlconf=self.urlconf)
            return generator.get_schema(request=request, public=self.serve_public)  # type: ignore[no-untyped-call]

        name = self._get_filename(request, None)  # type: ignore[no-untyped-call]
        headers = {"Content-Disposition": f'inline; filename="{name}"'}
        return Response(_Description(make), headers=headers)

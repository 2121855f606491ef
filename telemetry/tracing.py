"""OpenTelemetry traces: off unless OTEL_EXPORTER_OTLP_ENDPOINT is set; needs the extra `otel`.

A trace follows an order: its first event stores the request's context, as only the database links request and
dispatcher. A batch of one continues that trace; a larger one links to those of its orders.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from telemetry.credentials import without_secrets

HEADER = "traceparent"
# OpenTelemetry drops links beyond 128.
MAX_LINKS = 100

_tracer: Any = None


def is_on() -> bool:
    return _tracer is not None


def start(service: str = "") -> None:
    """Start recording if an endpoint is set. Once per process, after the fork."""
    if _tracer is not None or not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise RuntimeError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set: install what the extra `otel` in pyproject.toml names."
        ) from error
    record_with(BatchSpanProcessor(OTLPSpanExporter()), service=service)


def record_with(processor: Any, *, service: str = "") -> None:
    global _tracer  # noqa: PLW0603
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415

    name = os.environ.get("OTEL_SERVICE_NAME") or f"orders-{service or _program()}"
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(processor)
    _tracer = provider.get_tracer("orders")


def stop() -> None:
    global _tracer  # noqa: PLW0603
    _tracer = None


def _program() -> str:
    return os.path.basename(sys.argv[0]).removesuffix(".py") or "python"  # noqa: PTH119


def span(
    name: str, *, parents: Sequence[str] = (), **attributes: str | float | bool
) -> AbstractContextManager[None]:
    """Record the block as a span, by default below the current one.

    `parents` come from `current`: one becomes the parent, several become links. Free while off.
    """
    return _span(name, parents, attributes) if _tracer is not None else nullcontext()


@contextmanager
def _span(name: str, parents: Sequence[str], attributes: Mapping[str, Any]) -> Iterator[None]:
    from opentelemetry import trace  # noqa: PLC0415

    contexts = [context for text in parents[:MAX_LINKS] if (context := _parsed(text)) is not None]
    above = trace.set_span_in_context(trace.NonRecordingSpan(contexts[0])) if len(contexts) == 1 else None
    links = [trace.Link(context) for context in contexts] if len(contexts) > 1 else []
    with _tracer.start_as_current_span(
        without_secrets(name),
        context=above,
        links=links,
        attributes=dict(attributes),
        record_exception=False,
        set_status_on_exception=False,
    ) as started:
        try:
            yield
        except Exception as error:
            # The SDK would record the error's text unmasked.
            status = trace.Status(trace.StatusCode.ERROR, without_secrets(f"{type(error).__name__}: {error}"))
            started.set_status(status)
            raise


def current() -> str:
    if _tracer is None:
        return ""
    from opentelemetry import trace  # noqa: PLC0415

    context = trace.get_current_span().get_span_context()
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01" if context.is_valid else ""


def _parsed(text: str) -> Any:
    from opentelemetry.trace import get_current_span  # noqa: PLC0415
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    found = get_current_span(TraceContextTextMapPropagator().extract({HEADER: text})).get_span_context()
    return found if found.is_valid else None

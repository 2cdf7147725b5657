"""Traces by OpenTelemetry, where an endpoint is configured: spans of calls and of attempts at jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def tracer(endpoint: str) -> tuple[Any, Callable[[], None]]:
    """A tracer that sends to the OTLP ``endpoint``, such as ``http://collector:4317``, and what ends it; none where it is empty.

    Raises
    ------
    ModuleNotFoundError
        ``actmax[otel]`` is not installed.
    """
    if not endpoint:
        return None, lambda: None
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "actmax"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    return provider.get_tracer("actmax"), provider.shutdown

"""Tells of each call: a metric, a line in the log, and a span where traces are on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc

from ...wire.status import number_of
from .metrics import Metrics

_log = logging.getLogger("actmax.access")


class Observer:
    """Parameters
    ----------
    metrics : Metrics
        The server's.
    tracer : opentelemetry.trace.Tracer or None
        Where spans go; see :func:`tracer`.
    """

    def __init__(self, metrics: Metrics, tracer: Any = None) -> None:
        self._metrics = metrics
        self._tracer = tracer

    @contextmanager
    def span(self, method: str, metadata: Sequence[tuple[str, str | bytes]]) -> Iterator[Any]:
        """Around a call: a span below the caller's, or None."""
        if self._tracer is None:
            yield None
            return
        from opentelemetry import trace
        from opentelemetry.propagate import extract

        parent = extract({key: value for key, value in metadata if isinstance(value, str)})
        # Not made current: a stream's parts may run in contexts of their own.
        span = self._tracer.start_span(method.lstrip("/"), context=parent, kind=trace.SpanKind.SERVER)
        try:
            yield span
        finally:
            span.end()

    def called(self, method: str, code: grpc.StatusCode, seconds: float, owner: str, span: Any) -> None:
        """A call has ended."""
        self._metrics.calls.labels(method.rpartition("/")[2], code.name).observe(seconds)
        extra: dict[str, Any] = {"method": method, "code": code.name, "seconds": round(seconds, 6), "owner": owner}
        if span is not None:
            span.set_attribute("rpc.system", "grpc")
            span.set_attribute("rpc.grpc.status_code", number_of(code))
            extra["trace"] = format(span.get_span_context().trace_id, "032x")
        _log.info("%s %s %.1f ms", method, code.name, 1000 * seconds, extra=extra)


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

"""Records each call: as a metric, as a line in the log, and as a span where tracing is on."""

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
    """Records the calls of one server.

    Parameters
    ----------
    metrics : Metrics
        The server's metrics.
    tracer : opentelemetry.trace.Tracer or None
        Receives the spans; see :func:`tracer`.
    """

    def __init__(self, metrics: Metrics, tracer: Any = None) -> None:
        self._metrics = metrics
        self._tracer = tracer

    @contextmanager
    def span(self, method: str, metadata: Sequence[tuple[str, str | bytes]]) -> Iterator[Any]:
        """Open a span around a call, as a child of the caller's span; yield None without a tracer."""
        if self._tracer is None:
            yield None
            return
        from opentelemetry import trace
        from opentelemetry.propagate import extract

        parent = extract({key: value for key, value in metadata if isinstance(value, str)})
        # Not made current: the parts of a stream may run in different contexts.
        span = self._tracer.start_span(method.lstrip("/"), context=parent, kind=trace.SpanKind.SERVER)
        try:
            yield span
        finally:
            span.end()

    def called(self, method: str, code: grpc.StatusCode, seconds: float, owner: str, span: Any) -> None:
        """Record the end of a call.

        Parameters
        ----------
        method : str
            Full name, such as ``/actmax.v1.JobService/GetJob``.
        code : grpc.StatusCode
            How the call ended.
        seconds : float
            The call's duration.
        owner : str
            The caller's owner name.
        span : opentelemetry.trace.Span or None
            The span that :meth:`span` yielded.
        """
        self._metrics.calls.labels(method.rpartition("/")[2], code.name).observe(seconds)
        extra: dict[str, Any] = {"method": method, "code": code.name, "seconds": round(seconds, 6), "owner": owner}
        if span is not None:
            span.set_attribute("rpc.system", "grpc")
            span.set_attribute("rpc.grpc.status_code", number_of(code))
            extra["trace"] = format(span.get_span_context().trace_id, "032x")
        _log.info("%s %s %.1f ms", method, code.name, 1000 * seconds, extra=extra)


def tracer(endpoint: str) -> tuple[Any, Callable[[], None]]:
    """Return a tracer that exports to an OTLP endpoint, and a function that closes it.

    Parameters
    ----------
    endpoint : str
        Such as ``http://collector:4317``; if empty, the tracer is None and the function does nothing.

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

"""Metrics for Prometheus, on a separate port."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 60, 600)


class Metrics:
    """One server's metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.calls = Histogram(
            "actmax_call_seconds", "Calls by method and code", ["method", "code"], buckets=_SECONDS, registry=self.registry
        )
        self.attempts = Counter("actmax_attempts", "Attempts at jobs by how they ended", ["end"], registry=self.registry)
        self.workers = Gauge("actmax_workers_busy", "Jobs that run on this server", registry=self.registry)
        self.watchers = Gauge("actmax_watchers", "Watches of jobs that are open on this server", registry=self.registry)
        self.progress = Counter("actmax_progress_events", "Progress kept in the store", registry=self.registry)
        self.store_errors = Counter("actmax_store_errors", "Failed tries to reach the store", registry=self.registry)

    def count_jobs(self, count: Callable[[], Mapping[str, int]]) -> None:
        """Export the number of jobs by state, which ``count`` returns whenever the metrics are read."""
        self.registry.register(_Jobs(count))

    def serve(self, host: str, port: int) -> Callable[[], None]:
        """Serve the metrics at ``http://host:port/metrics`` and return a function that stops that.

        Parameters
        ----------
        host : str
            Address to listen on.
        port : int
            Port to listen on; 0 picks a free one, which :attr:`port` holds.

        Raises
        ------
        OSError
            The address is in use.
        """
        server, thread = start_http_server(port, host, self.registry)
        self.port = server.server_port

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join(5.0)

        return stop


class _Jobs(Collector):
    def __init__(self, count: Callable[[], Mapping[str, int]]) -> None:
        self._count = count

    def collect(self) -> Iterable[GaugeMetricFamily]:
        found = GaugeMetricFamily("actmax_jobs", "Jobs in the store by state", labels=["state"])
        try:
            counts = self._count()
        except OSError:  # the store can't be reached: the other metrics are still of use
            return
        for state, number in counts.items():
            found.add_metric([state], number)
        yield found

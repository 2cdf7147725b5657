"""Limits the rate of calls."""

from __future__ import annotations

import time
from collections.abc import Callable

import grpc

from ..errors import ServiceError
from .access import PUBLIC
from .principal import Principal

BURST_SECONDS = 5.0
_KNOWN = 10_000


class RateLimiter:
    """A token bucket of calls for each owner, or for each address without owners; it holds the calls of five seconds.

    Health checks are not counted. A stream is one call, whatever its number of messages. Belongs to one event loop.

    Parameters
    ----------
    rate : float
        Calls a second; 0 is no limit.
    clock : callable
        Returns monotonic seconds.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._most = max(1.0, rate * BURST_SECONDS)
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, method: str, caller: Principal, peer: str) -> None:
        """Count a call.

        Parameters
        ----------
        method : str
            Full name of the method.
        caller : Principal
            The caller.
        peer : str
            The caller's address as gRPC names it, such as ``ipv4:127.0.0.1:40123``.

        Raises
        ------
        ServiceError
            RESOURCE_EXHAUSTED: the bucket is empty; the call is not counted.
        """
        if not self._rate or method.startswith(PUBLIC):
            return
        # An owner's name has no colon, an address has.
        key, now = caller.owner or "from:" + _host(peer), self._clock()
        left, since = self._buckets.pop(key, (self._most, now))
        left = min(self._most, left + (now - since) * self._rate)
        self._buckets[key] = (left - 1.0 if left >= 1.0 else left, now)  # removed and added again: ordered by the time of the last call
        if len(self._buckets) > _KNOWN:
            del self._buckets[next(iter(self._buckets))]
        if left < 1.0:
            what = f"more than {self._rate:g} calls a second, over {BURST_SECONDS:g} s, are not taken from one owner; try again in a moment"
            metadata = {"quota": "calls_per_second", "limit": f"{self._rate:g}", "owner": caller.owner}
            wait = max(0.001, (1.0 - left) / self._rate)
            code = grpc.StatusCode.RESOURCE_EXHAUSTED
            raise ServiceError(code, what, reason="TOO_MANY_CALLS", metadata=metadata, retry_seconds=wait)


def _host(peer: str) -> str:
    """Return ``ipv4:127.0.0.1:40123`` without the port, which differs between two connections of one machine."""
    return peer.rpartition(":")[0] if peer.startswith("ipv") else peer

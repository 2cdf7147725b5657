"""Retries: whether a failed call is made again, for how long, and after which pauses."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

import grpc

from .status import details_of, from_rpc, status_of

Answer = TypeVar("Answer")

UNREACHABLE = frozenset({grpc.StatusCode.UNAVAILABLE})
"""Codes of a call whose server can't be reached, or reports that it can't serve."""
BROKEN_OFF = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED})
"""Codes of a stream whose server has closed it or is shutting down."""


@dataclass(frozen=True)
class RetryPolicy:
    """How often a failed call is made again, and after which pauses.

    Attributes
    ----------
    seconds : float
        Time after the first failure in which a call is made again.
    first, most : float
        The first pause in seconds, and the longest; each is twice as long as the one before.
    tries : float
        Most times that a call is made again.
    jitter : float
        Share of a pause, 0 to 1, that is random, so that clients that lost the same server don't reconnect in step.
    """

    seconds: float = math.inf
    first: float = 0.1
    most: float = 5.0
    tries: float = math.inf
    jitter: float = 0.3


class Backoff:
    """The pauses of one call that fails again and again; :meth:`reset` after each success.

    Parameters
    ----------
    policy : RetryPolicy
        How long and how often the call is tried.
    """

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._random = random.Random()
        self.reset()

    def reset(self) -> None:
        """Forget all failures: call this after a success."""
        self._pause = self._policy.first
        self._since: float | None = None
        self.tries = 0
        """Times that :meth:`next` has allowed another try."""

    def start(self, ago: float) -> None:
        """Count the seconds of the policy from ``ago`` seconds before now, unless a failure is being counted from already."""
        if self._since is None:
            self._since = time.monotonic() - ago

    def next(self, wanted: float = 0.0) -> float | None:
        """Return the seconds to wait before the next try.

        Parameters
        ----------
        wanted : float
            Least pause in seconds, as the server asks for.

        Returns
        -------
        float or None
            None when no further try is allowed.
        """
        now = time.monotonic()
        if self._since is None:
            self._since = now
        left = self._since + self._policy.seconds - now
        if left <= 0 or wanted > left or self.tries >= self._policy.tries:
            return None
        self.tries += 1
        pause = max(wanted, self._pause * self._random.uniform(1 - self._policy.jitter, 1.0))
        self._pause = min(2 * self._pause, self._policy.most)
        return min(pause, left)


def pause_after(error: grpc.RpcError, backoff: Backoff, codes: Collection[grpc.StatusCode] = UNREACHABLE) -> float | None:
    """Return the seconds to wait before a failed call is made again.

    Parameters
    ----------
    error : grpc.RpcError
        The failure.
    backoff : Backoff
        The pauses of this call.
    codes : collection of grpc.StatusCode
        Codes after which another try may help. RESOURCE_EXHAUSTED with RetryInfo (too many calls a second, say) is always one of them,
        after the seconds that the server names.

    Returns
    -------
    float or None
        None where another try would not help, or is not allowed.
    """
    code, wanted = status_of(error), details_of(error).retry_seconds
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and wanted:
        return backoff.next(wanted)
    return backoff.next() if code in codes else None


def retrying(call: Callable[[], Answer], address: str, policy: RetryPolicy) -> Answer:
    """Return the answer of a call, made again while the server can't be reached.

    Parameters
    ----------
    call : callable
        Makes the call; may be called several times.
    address : str
        The server's address, for messages.
    policy : RetryPolicy
        How long and how often the call is tried.

    Raises
    ------
    ActmaxError
        The call failed for another reason, or still fails when no further try is allowed.
    """
    backoff = Backoff(policy)
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            pause = pause_after(error, backoff)
            if pause is None:
                raise from_rpc(error, address) from None
        time.sleep(pause)

"""Ends a job early on Ctrl-C, or when a caller's function fails, and keeps the results so far."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from ..evaluation.loop import StopReason
from .progress import Progress


class Interruption:
    """Remembers why a job is to end before its budget.

    Attributes
    ----------
    cause : BaseException or None
        KeyboardInterrupt after Ctrl-C, or the error of a caller's function; None while the job may continue.
    """

    def __init__(self) -> None:
        self.cause: BaseException | None = None

    def should_stop(self) -> StopReason:
        """Return "cancel" once there is a cause, else ""."""
        return "" if self.cause is None else "cancel"

    def guard(self, report: Callable[[Progress], None]) -> Callable[[Progress], None]:
        """Return ``report`` as a function whose first error ends the job; it is not called again afterwards."""

        def guarded(progress: Progress) -> None:
            if self.cause is None:
                try:
                    report(progress)
                except (Exception, KeyboardInterrupt) as error:
                    self.cause = error

        return guarded

    def notice(self) -> str:
        """Return why the job ended early, in a line; empty if it did not."""
        if self.cause is None:
            return ""
        if isinstance(self.cause, KeyboardInterrupt):
            return "Ctrl-C ended the searches before their budget"
        return f"on_progress raised {type(self.cause).__name__} ({self.cause}), which ended the searches before their budget"


@contextmanager
def stopped_by_signals(numbers: Sequence[signal.Signals], on_first: Callable[[], None] = lambda: None) -> Iterator[Interruption]:
    """Turn the first of some signals into a "cancel" between two generations; the second raises KeyboardInterrupt at once.

    Parameters
    ----------
    numbers : sequence of signal.Signals
        The signals; their former handlers are restored afterwards. Without effect outside the main thread, where Python allows no handlers.
    on_first : callable
        Called at the first signal.
    """
    interruption = Interruption()

    def ask(_number: int, _frame: FrameType | None) -> None:
        if interruption.cause is not None:
            raise KeyboardInterrupt
        interruption.cause = KeyboardInterrupt()
        on_first()

    main = threading.current_thread() is threading.main_thread()
    before: dict[signal.Signals, Any] = {number: signal.signal(number, ask) for number in numbers} if main else {}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

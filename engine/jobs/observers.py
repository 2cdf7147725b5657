"""Observers of a job's loop: progress reports, and checkpoints for restarts."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .. import checkpoint
from ..errors import InvalidJob
from ..search.search import Search
from ..search.tally import job_outcome
from .progress import Progress, SearchProgress

NOTHING: Mapping[Search, int] = MappingProxyType({})
"""No evaluation under way."""


def progress_of(
    searches: Sequence[Search],
    rate: float,
    seconds: float,
    budget_seconds: float | None,
    notices: Sequence[str] = (),
    under_way: Mapping[Search, int] = NOTHING,
    stage: str = "",
) -> Progress:
    """Return the progress of ``searches``.

    Parameters
    ----------
    searches : sequence of Search
        All searches of the job.
    rate, seconds, budget_seconds : float
        Evaluations a second, running time so far in seconds, and the budget's seconds (None without).
    notices : sequence of str
        Warnings about no single search.
    under_way : mapping of Search to int
        Evaluations of the present generation whose scores the search has not received yet.
    stage : str
        What is done after the searches; empty while they run.
    """
    done = {search: search.evaluations + under_way.get(search, 0) for search in searches}
    total = sum(search.budget.evaluations or 0 for search in searches)
    left = sum(max((search.budget.evaluations or 0) - done[search], 0) for search in searches if not search.stopped_by)
    seconds_left = left / rate if total and rate > 0 else float("inf") if total else 0.0
    if budget_seconds is not None:
        remaining = max(budget_seconds - seconds, 0.0)
        seconds_left = min(seconds_left, remaining) if total else remaining
    ended = all(search.stopped_by for search in searches)
    if ended:
        seconds_left = 0.0
    return Progress(
        tuple(
            SearchProgress(
                search.unit,
                search.optimizer_label,
                done[search],
                search.best,
                search.natural_multiple,
                search.stopped_by,
                search.tally.warnings(),
            )
            for search in searches
        ),
        sum(done.values()),
        total,
        rate,
        seconds_left,
        tuple(notices),
        job_outcome([search.tally.outcome for search in searches]) if ended else "",
        stage,
    )


class ProgressReporter:
    """Calls ``report`` with the job's progress, at most every ``interval`` seconds, and once when the searches have ended.

    The rate is that of the last 32 reports, about ten seconds, since some optimizers of a job end before others. ``notices`` returns the
    warnings about the whole job so far.
    """

    def __init__(
        self,
        report: Callable[[Progress], None],
        budget_seconds: float | None,
        interval: float = 0.3,
        notices: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._report = report
        self._notices = notices
        self._budget_seconds = budget_seconds
        self._interval = interval
        self._last = float("-inf")
        self._window: deque[tuple[float, int]] = deque(maxlen=32)

    def generation_done(self, searches: Sequence[Search], seconds: float) -> None:
        """Report if ``interval`` has passed, or all searches have ended."""
        now = time.monotonic()
        ended = all(search.stopped_by for search in searches)
        if now - self._last >= self._interval or ended:
            self.report_now(searches, seconds)

    def pass_done(self, searches: Sequence[Search], seconds: float, under_way: Mapping[Search, int] = NOTHING, stage: str = "") -> None:
        """Report if ``interval`` has passed, between two passes of a generation or of a later stage."""
        if time.monotonic() - self._last >= self._interval:
            self.report_now(searches, seconds, under_way, stage)

    def report_now(self, searches: Sequence[Search], seconds: float, under_way: Mapping[Search, int] = NOTHING, stage: str = "") -> None:
        """Report at once; parameters are those of :func:`progress_of`."""
        self._last = time.monotonic()
        self._window.append((seconds, sum(search.evaluations for search in searches) + sum(under_way.values())))
        (first, before), (last, after) = self._window[0], self._window[-1]
        rate = (after - before) / (last - first) if last > first else after / last if last > 0 else 0.0
        self._report(progress_of(searches, rate, seconds, self._budget_seconds, self._notices(), under_way, stage))


class Checkpointer:
    """Saves all searches of a job every ``interval`` seconds of running time.

    Parameters
    ----------
    path : Path
        The checkpoint's file.
    fingerprint : str
        Digest of the job; a checkpoint of another job is refused.
    interval : float
        Least seconds between two writes, and at least twenty times the duration of the last write, so that
        saving takes under 5 % of the time.
    versions : mapping of str to str
        Versions of the job's parts that may change while it runs, by role. A job does not continue with other versions.
    required : bool
        Whether a checkpoint that can't be written ends the job, which can be resumed then. If False, the job continues with a notice.
    """

    def __init__(
        self, path: Path, fingerprint: str, interval: float = 5.0, versions: Mapping[str, str] | None = None, *, required: bool = True
    ) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self.versions = dict(versions or {})
        self.interval = interval
        self.required = required
        self.analyses: dict[str, dict[str, Any]] = {}
        """States of the job's analyses by their labels."""
        self._problem = ""
        self._next = time.monotonic() + interval

    def notices(self) -> tuple[str, ...]:
        """Return why the last checkpoint could not be written, in a line; empty if it was."""
        return (f"no checkpoint could be written ({self._problem}); the search goes on without",) if self._problem else ()

    def generation_done(self, searches: Sequence[Search], seconds: float) -> None:
        """Save if it is time.

        Raises
        ------
        OSError
            The checkpoint can't be written, and is ``required``.
        """
        if time.monotonic() < self._next:
            return
        try:
            self.save(searches, seconds)
            self._problem = ""
        except OSError as error:
            if self.required:
                raise
            self._problem = error.strerror or str(error)
            self._next = time.monotonic() + self.interval

    def save(self, searches: Sequence[Search], seconds: float) -> None:
        """Save at once.

        Raises
        ------
        OSError
            The checkpoint can't be written.
        """
        began = time.monotonic()
        searched = [search.state_dict() for search in searches]
        state = {
            "fingerprint": self.fingerprint,
            "versions": self.versions,
            "seconds": seconds,
            "searches": searched,
            "analyses": self.analyses,
        }
        checkpoint.save(self.path, state)
        took = time.monotonic() - began
        self._next = time.monotonic() + max(self.interval, 20 * took)

    def resume(self, searches: Sequence[Search]) -> float:
        """Load the checkpoint into ``searches`` and return the seconds that earlier attempts ran, 0 without a checkpoint.

        Raises
        ------
        checkpoint.BadCheckpoint
            The checkpoint is damaged, or another job's.
        InvalidJob
            A part of the job has another version than before.
        """
        if not self.path.exists():
            return 0.0
        state = checkpoint.load(self.path)
        if state.get("fingerprint") != self.fingerprint or len(state["searches"]) != len(searches):
            raise checkpoint.BadCheckpoint(f"{self.path} belongs to another job")
        for role, version in state.get("versions", {}).items():
            now = self.versions.get(role, "")
            if now != version:
                what = f"it was version {version!r} when the job began and is {now!r} now; bring the old one back and resume the job"
                raise InvalidJob.at(role, f"{what}, or submit it anew")
        for search, saved in zip(searches, state["searches"], strict=True):
            search.load_state_dict(saved)
        self.analyses = state.get("analyses", {})
        return float(state["seconds"])

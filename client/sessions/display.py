"""A session for the person at the rig: a live view in a terminal, a line a generation elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from actmax.v1 import session_pb2

from ..jobs.display import duration
from .protocol import Generation

_LINE_SECONDS = 2.0
Threads = Sequence[session_pb2.ThreadProgress]


class SessionDisplay:
    """Shows where a session stands, from ``__enter__`` to ``__exit__``; this one shows nothing."""

    def __enter__(self) -> Self:
        """The display itself, which begins."""
        return self

    def __exit__(self, *_: object) -> None:
        """End, with what was shown last left on the screen."""

    def name(self, name: str) -> None:
        """Show which session it is."""

    def asked(self, generation: Generation) -> None:
        """A generation has come, and is being shown."""

    def generation(self, generation: Generation) -> None:
        """A generation was told."""

    def trouble(self, message: str) -> None:
        """Something is waited for: the server, or the plugin that makes the stimuli."""

    def ended(self, session: session_pb2.Session) -> None:
        """The session has ended."""


def session_display(console: Console, *, silent: bool = False) -> SessionDisplay:
    """Return the display that suits ``console``."""
    if silent:
        return SessionDisplay()
    return _Lively(console) if console.is_terminal and not console.is_dumb_terminal else _Lines(console)


class _Lines(SessionDisplay):
    """A line every few seconds, and the end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = 0.0
        self._trouble = ""

    def name(self, name: str) -> None:
        self._console.print(name)

    def asked(self, generation: Generation) -> None:
        self._trouble = ""

    def trouble(self, message: str) -> None:
        if not self._trouble:  # once, however often it is tried
            self._console.print(f"waiting: {message}", markup=False)
        self._trouble = message

    def generation(self, generation: Generation) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_SECONDS
            shown = figures(generation.progress, generation.recommendation, generation.thread_progress)
            self._console.print(", ".join(f"{name} {value}" for name, value in shown), markup=False)

    def ended(self, session: session_pb2.Session) -> None:
        for line in conclusion(session):
            self._console.print(line)


class _Lively(SessionDisplay):
    """A table that is redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._name = self._trouble = ""
        self._shown: tuple[session_pb2.SessionProgress, session_pb2.Recommendation, Threads] | None = None
        self._pace = Pace()
        self._past: dict[str, list[float]] = {}
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def name(self, name: str) -> None:
        self._name = name

    def trouble(self, message: str) -> None:
        self._trouble = message

    def asked(self, generation: Generation) -> None:
        self._trouble = ""
        self._pace.asked(generation.progress.evaluations)
        self._take(generation.progress, generation.recommendation, generation.thread_progress)

    def generation(self, generation: Generation) -> None:
        self._pace.told()
        if self._shown is None or self._shown[0].generation < generation.progress.generation:
            self._take(generation.progress, generation.recommendation, generation.thread_progress)

    def ended(self, session: session_pb2.Session) -> None:
        self._trouble = ""
        self._take(session.progress, session.recommendation, session.threads)
        for line in conclusion(session):
            self._console.print(line)

    def _take(self, progress: session_pb2.SessionProgress, recommendation: session_pb2.Recommendation, threads: Threads) -> None:
        self._shown = (progress, recommendation, threads)
        found = [(each.name, each.recommendation.response) for each in threads] or [("recommended", recommendation.response)]
        for name, value in (*found, ("references", progress.reference), ("gain", progress.gain)):
            if not math.isnan(value):
                self._past.setdefault(name, []).append(value)

    def _draw(self) -> Group:
        parts: list[Text | Table | ProgressBar] = [Text(self._name, style="bold")]
        if self._shown is not None:
            progress, recommendation, threads = self._shown
            table = Table(box=None, show_header=False, pad_edge=False)
            lines = [*figures(progress, recommendation, threads), ("latency", str(self._pace))]
            if left := self._pace.left(progress):
                lines.append(("left", left))
            for name, value in lines:
                table.add_row(Text(name, style="dim"), value, Text(sparks(self._past.get(name, ())), style="cyan"))
            parts += [table, ProgressBar(total=progress.total_evaluations, completed=progress.evaluations, width=40)]
        if self._trouble:
            parts.append(Text(f"waiting: {self._trouble}", style="yellow"))
        return Group(*parts)


class Pace:
    """How long rig and server take over a generation.

    Parameters
    ----------
    clock : callable
        Seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._asked = self._told = self._begun = math.nan
        self._evaluations = 0
        self.rig = self.server = math.nan

    def asked(self, evaluations: int) -> None:
        """A generation came, after so many evaluations."""
        self._asked = self._clock()
        if math.isnan(self._begun):
            self._begun, self._evaluations = self._asked, evaluations
        if not math.isnan(self._told):
            self.server = self._asked - self._told

    def told(self) -> None:
        """All of it was told."""
        self._told = self._clock()
        if not math.isnan(self._asked):
            self.rig = self._told - self._asked

    def left(self, progress: session_pb2.SessionProgress) -> str:
        """About how long the session still takes, in words; empty where that can't be known."""
        done = progress.evaluations - self._evaluations
        remaining = progress.total_evaluations - progress.evaluations
        if done <= 0 or remaining <= 0:
            return ""
        return f"about {duration((self._asked - self._begun) / done * remaining)}"

    def __str__(self) -> str:
        """As in ``the rig 1.2 s, the next generation 30 ms``."""
        known = [(what, seconds) for what, seconds in (("the rig", self.rig), ("the next generation", self.server)) if seconds >= 0]
        return ", ".join(f"{what} {1000 * seconds:.0f} ms" if seconds < 1 else f"{what} {seconds:.1f} s" for what, seconds in known) or "-"


def sparks(values: Sequence[float], width: int = 24) -> str:
    """The last ``width`` values as a row of bars; empty for fewer than two."""
    last = list(values)[-width:]
    if len(last) < 2:
        return ""
    low, high = min(last), max(last)
    if high <= low:
        return "▄" * len(last)
    return "".join("▁▂▃▄▅▆▇█"[min(int((value - low) / (high - low) * 8), 7)] for value in last)


def figures(progress: session_pb2.SessionProgress, found: session_pb2.Recommendation, threads: Threads = ()) -> list[tuple[str, str]]:
    """What a person wants to know during a session, by name; of several ``threads`` what each recommends, by its own."""
    shown = [("generation", str(progress.generation)), ("evaluations", f"{progress.evaluations:,} of {progress.total_evaluations:,}")]
    shown += [(each.name, standing(each, threads)) for each in threads] or [("recommended", interval(found))]
    if not math.isnan(progress.reference):
        shown.append(("references", f"{progress.reference:.4g}"))
    if not math.isnan(progress.gain):
        shown.append(("gain", f"{progress.gain:.2f}"))
    if found.HasField("over_references"):
        over = found.over_references
        shown.append(("over references", f"{over.difference:+.4g}, p = {over.p_value:.4f}"))
    late = f" ({progress.late} late)" if progress.late else ""
    missed = progress.missed + progress.late
    shown_so_far = progress.told + missed
    of = f" of {shown_so_far:,}" if shown_so_far else ""
    return [*shown, ("missed", f"{missed}{of}{late}")]


def standing(thread: session_pb2.ThreadProgress, threads: Threads) -> str:
    """Where one of several threads stands, in a line."""
    unit = f"{thread.unit}, " if len({each.unit for each in threads}) > 1 else ""
    ended = f"ended by {thread.stopped_by}" if thread.stopped_by else "measured again" if thread.remeasuring else ""
    return f"{interval(thread.recommendation)} ({unit}{thread.evaluations:,} of {thread.total_evaluations:,}{ended and f', {ended}'})"


def interval(found: session_pb2.Recommendation) -> str:
    """A response and its 95 % interval."""
    if math.isnan(found.response):
        return "-"
    between = "" if math.isnan(found.low) else f" ({found.low:.4g} to {found.high:.4g})"
    return f"{found.response:.4g}{between}, {found.measurements} measurements"


def conclusion(session: session_pb2.Session) -> list[str]:
    """What came of a session, in a few lines."""
    if not session.threads:
        return [f"ended by {session.stopped_by}; recommended: {interval(session.recommendation)}", *_comparisons(session.recommendation)]
    lines: list[str] = []
    for thread in session.threads:
        lines.append(f"{thread.name} ended by {thread.stopped_by}; recommended: {interval(thread.recommendation)}")
        lines += [f"  {line}" for line in _comparisons(thread.recommendation)]
    return lines


def _comparisons(found: session_pb2.Recommendation) -> list[str]:
    named = [("the first generation", found.over_first, found.HasField("over_first"))]
    named.append(("references", found.over_references, found.HasField("over_references")))
    named += [(each.thread, each.comparison, True) for each in found.over_threads]
    lines: list[str] = []
    for what, over, known in named:
        if known:
            low = "" if math.isnan(over.low) else f" ({over.low:.4g} to {over.high:.4g})"
            lines.append(f"over {what}, side by side: {over.difference:+.4g}{low}, p = {over.p_value:.4f}")
    return lines

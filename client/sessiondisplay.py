"""A session for the person at the rig: a live view in a terminal, a line a generation elsewhere."""

from __future__ import annotations

import math
import time
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from actmax.v1 import session_pb2

from .conversation import Generation

_LINE_SECONDS = 2.0


class SessionDisplay(Protocol):
    """Shows where a session stands, from ``__enter__`` to ``__exit__``."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def name(self, name: str) -> None:
        """Show which session it is."""
        ...

    def generation(self, generation: Generation) -> None:
        """A generation was told."""
        ...

    def ended(self, session: session_pb2.Session) -> None:
        """The session has ended."""
        ...


def session_display(console: Console, *, silent: bool = False) -> SessionDisplay:
    """The display that suits ``console``."""
    if silent:
        return _Silent()
    return _Lively(console) if console.is_terminal and not console.is_dumb_terminal else _Lines(console)


class _Silent:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def name(self, name: str) -> None:
        pass

    def generation(self, generation: Generation) -> None:
        pass

    def ended(self, session: session_pb2.Session) -> None:
        pass


class _Lines(_Silent):
    """A line every few seconds, and the end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = 0.0

    def name(self, name: str) -> None:
        self._console.print(name)

    def generation(self, generation: Generation) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_SECONDS
            self._console.print(", ".join(f"{name} {value}" for name, value in figures(generation.progress, generation.recommendation)))

    def ended(self, session: session_pb2.Session) -> None:
        for line in conclusion(session):
            self._console.print(line)


class _Lively(_Silent):
    """A table that is redrawn in place."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._name = ""
        self._shown: tuple[session_pb2.SessionProgress, session_pb2.Recommendation] | None = None
        self._pace: tuple[float, float] = (time.monotonic(), 0.0)
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def name(self, name: str) -> None:
        self._name = name

    def generation(self, generation: Generation) -> None:
        now = time.monotonic()
        self._pace = (now, now - self._pace[0])
        self._shown = (generation.progress, generation.recommendation)

    def ended(self, session: session_pb2.Session) -> None:
        self._shown = (session.progress, session.recommendation)
        for line in conclusion(session):
            self._console.print(line)

    def _draw(self) -> Group:
        parts: list[Text | Table | ProgressBar] = [Text(self._name, style="bold")]
        if self._shown is not None:
            progress, recommendation = self._shown
            table = Table(box=None, show_header=False, pad_edge=False)
            for name, value in [*figures(progress, recommendation), ("a generation takes", f"{self._pace[1]:.2f} s")]:
                table.add_row(Text(name, style="dim"), value)
            parts += [table, ProgressBar(total=progress.total_evaluations, completed=progress.evaluations, width=40)]
        return Group(*parts)


def figures(progress: session_pb2.SessionProgress, found: session_pb2.Recommendation) -> list[tuple[str, str]]:
    """What a person wants to know during a session, by name."""
    shown = [("generation", str(progress.generation)), ("evaluations", f"{progress.evaluations:,} of {progress.total_evaluations:,}")]
    shown.append(("recommended", interval(found)))
    if not math.isnan(progress.reference):
        shown.append(("references", f"{progress.reference:.4g}"))
    if not math.isnan(progress.gain):
        shown.append(("gain", f"{progress.gain:.2f}"))
    late = f" ({progress.late} late)" if progress.late else ""
    return [*shown, ("missed", f"{progress.missed + progress.late}{late}")]


def interval(found: session_pb2.Recommendation) -> str:
    """A response and its 95 % interval."""
    if math.isnan(found.response):
        return "-"
    between = "" if math.isnan(found.low) else f" ({found.low:.4g} to {found.high:.4g})"
    return f"{found.response:.4g}{between}, {found.measurements} measurements"


def conclusion(session: session_pb2.Session) -> list[str]:
    """What came of a session, in a few lines."""
    found = session.recommendation
    lines = [f"ended by {session.stopped_by}; recommended: {interval(found)}"]
    for field, what in (("over_first", "the first generation"), ("over_references", "references")):
        if found.HasField(field):
            over: session_pb2.Comparison = getattr(found, field)
            low = "" if math.isnan(over.low) else f" ({over.low:.4g} to {over.high:.4g})"
            lines.append(f"over {what}, side by side: {over.difference:+.4g}{low}, p = {over.p_value:.4f}")
    return lines

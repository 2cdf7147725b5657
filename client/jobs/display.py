"""Displays a job's progress: a live table in a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from actmax.v1 import job_pb2

LINE_SECONDS = 2.0
"""Least time between two lines of progress."""
LINE_SHARE = 0.02
"""Least time between two lines as a fraction of the time since the first: a job of days does not fill a log."""
MOST_LINE_SECONDS = 60.0
SHOWN_WARNINGS = 3
"""Most warnings below the live table."""
MOST_WARNINGS = 10
"""Most kinds of warnings that are printed as lines while a job runs."""
# Lines of the live view that are not the table's rows.
_FRAME = 13
_NUMBER = re.compile(r"\d+")


class Display:
    """Displays a job's progress, from ``__enter__`` to ``__exit__``; this base class displays nothing."""

    def __enter__(self) -> Self:
        """Begin, and return the display itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End, leaving the last output on the screen."""

    def state(self, text: str) -> None:
        """Show the job's state, such as "running"."""

    def progress(self, progress: job_pb2.Progress) -> None:
        """Show the progress of its searches."""

    def note(self, text: str) -> None:
        """Show a message."""


def display_on(console: Console, *, silent: bool = False) -> Display:
    """Return the display that suits ``console``."""
    if silent:
        return Display()
    return Lively(console) if console.is_terminal and not console.is_dumb_terminal else Lines(console)


class Lines(Display):
    """Prints a line at each change of state, and one every few seconds while the job runs, less often the longer it runs."""

    def __init__(self, console: Console, seconds: float = LINE_SECONDS) -> None:
        self._console = console
        self._seconds = seconds
        self._began = time.monotonic()
        self._next = 0.0
        self._state = ""
        self._shown: job_pb2.Progress | None = None
        self._latest: job_pb2.Progress | None = None
        self._warned: set[str] = set()

    def __exit__(self, *_: object) -> None:
        """Print the last progress, unless it was printed."""
        if self._latest is not None and self._latest is not self._shown:
            self.note(line(self._latest))

    def state(self, text: str) -> None:
        """Print the state if it has changed."""
        if text != self._state:
            self._state = text
            self.note(text)

    def progress(self, progress: job_pb2.Progress) -> None:
        """Print a line if it is time, and each new kind of warning."""
        self._latest = progress
        for warning in warnings_of(progress):
            kind = _NUMBER.sub("", warning)  # its counts grow
            if kind not in self._warned and len(self._warned) < MOST_WARNINGS:
                self._warned.add(kind)
                self.note(f"Warning: {warning}")
        now = time.monotonic()
        if (progress.searches or progress.stage) and now >= self._next:
            self._next = now + max(self._seconds, min(LINE_SHARE * (now - self._began), MOST_LINE_SECONDS))
            self._shown = progress
            self.note(line(progress))

    def note(self, text: str) -> None:
        """Print the message."""
        self._console.print(text)


class Lively(Display):
    """A table that is redrawn in place, with a clock that also runs between two messages."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._state = ""
        self._since = self._told_at = time.monotonic()
        self._progress = job_pb2.Progress()
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=4)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Draw a last time and leave it on the screen."""
        self._live.stop()

    def state(self, text: str) -> None:
        """Show the state from the next drawing on."""
        if text != self._state:
            self._state, self._since = text, time.monotonic()

    def progress(self, progress: job_pb2.Progress) -> None:
        """Show the progress from the next drawing on."""
        self._progress, self._told_at = progress, time.monotonic()

    def note(self, text: str) -> None:
        """Print the message above the table."""
        self._console.print(text)

    def _draw(self) -> Group:
        progress, now = self._progress, time.monotonic()
        parts: list[Text | Table] = [Text(f"{self._state} {duration(now - self._since)}", style="bold")]
        if progress.searches:
            parts.append(matrix(progress.searches, rows=max(3, self._console.height - _FRAME)))
            grid = Table.grid(padding=(0, 2))
            bar = ProgressBar(total=progress.total_evaluations or None, completed=progress.evaluations, width=30)
            grid.add_row(bar, Text(pace(progress, now - self._told_at)))
            parts.append(grid)
        elif progress.stage:
            parts.append(Text(progress.stage))
        warnings = warnings_of(progress)
        parts += [Text(f"Warning: {warning}", style="yellow") for warning in warnings[:SHOWN_WARNINGS]]
        if len(warnings) > SHOWN_WARNINGS:
            parts.append(Text(f"... and {len(warnings) - SHOWN_WARNINGS} more warnings", style="yellow"))
        return Group(*parts)


def warnings_of(progress: job_pb2.Progress) -> list[str]:
    """Return all warnings of a job without duplicates, those of a search with its name."""
    several = len({search.optimizer for search in progress.searches}) > 1
    found = [
        f"{search.unit}{f' by {search.optimizer}' if several else ''}: {warning}"
        for search in progress.searches
        for warning in search.warnings
    ]
    return list(dict.fromkeys([*progress.warnings, *found]))


def matrix(searches: Sequence[job_pb2.SearchProgress], rows: int | None = None) -> Table:
    """Return a table with a row for each unit and a column for each optimizer: best response and its multiple of the best natural response.

    Parameters
    ----------
    searches : sequence of SearchProgress
        The searches.
    rows : int or None
        Most rows; None for all.
    """
    optimizers = list(dict.fromkeys(search.optimizer for search in searches))
    units = list(dict.fromkeys(search.unit for search in searches))
    cells = {(search.unit, search.optimizer): search for search in searches}
    shown = units if rows is None or len(units) <= rows else units[: rows - 1]
    table = Table(box=None, header_style="dim", pad_edge=False)
    table.add_column("unit", no_wrap=True)
    for optimizer in optimizers:
        table.add_column(optimizer, justify="right", no_wrap=True)
    for unit in shown:
        table.add_row(unit, *(_cell(cells.get((unit, optimizer))) for optimizer in optimizers))
    if len(shown) < len(units):
        table.add_row(f"... and {len(units) - len(shown)} more")
    return table


def line(progress: job_pb2.Progress) -> str:
    """Return a job's progress in one line."""
    scored = [search for search in progress.searches if not math.isnan(search.best_response)]
    if not scored:
        return pace(progress)

    def height(search: job_pb2.SearchProgress) -> tuple[float, float]:
        return (search.natural_multiple if search.HasField("natural_multiple") else -math.inf, search.best_response)

    best = max(scored, key=height)
    running = sum(not search.stopped_by for search in progress.searches)
    found = f"best {best.unit} {response(best)} by {best.optimizer}"
    parts = [pace(progress), *([f"{running} of {len(progress.searches)} searches running"] if running else []), found]
    return ", ".join(parts)


def pace(progress: job_pb2.Progress, seconds_since: float = 0.0) -> str:
    """Return evaluations, rate and remaining time in one line, ``seconds_since`` seconds after the progress was received."""
    if progress.stage and not progress.searches:  # further analyses of an ended job
        return progress.stage
    total = f" of {progress.total_evaluations:,}" if progress.total_evaluations else ""
    parts = [f"{progress.evaluations:,}{total} evaluations"]
    if progress.searches and all(search.stopped_by for search in progress.searches):
        return ", ".join([*parts, progress.stage or "all searches have ended"])
    if progress.evaluations_per_second > 0:
        parts.append(f"{_rate(progress.evaluations_per_second)} a second")
    if 0 < progress.seconds_left < math.inf:
        parts.append(f"{duration(max(progress.seconds_left - seconds_since, 0.0))} left")
    return ", ".join(parts)


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def response(search: job_pb2.SearchProgress) -> str:
    """Return a search's best response as text, with its multiple of the best natural response if that is known."""
    if math.isnan(search.best_response):
        return "-"
    text = f"{search.best_response:.4g}"
    return f"{text} ({search.natural_multiple:.2f} x natural)" if search.HasField("natural_multiple") else text


def duration(seconds: float) -> str:
    """Return seconds as text: ``90`` as ``1:30``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _cell(search: job_pb2.SearchProgress | None) -> Text:
    if search is None:
        return Text("")
    above = search.HasField("natural_multiple") and search.natural_multiple > 1
    text = Text(response(search).replace(" x natural", "x"), style="green" if above else "")
    return text.append(" ✓" if search.stopped_by else "  ", style="dim")

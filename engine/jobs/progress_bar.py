"""A bar that shows a search's progress in scripts and notebooks."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

from ...charts.words import shown
from .progress import Progress


def is_watched() -> bool:
    """Return whether a person sees standard error: on a terminal, or in a notebook."""
    return "ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())


class ProgressBar:
    """Draws each :class:`Progress` that it receives on standard error."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __call__(self, progress: Progress) -> None:
        """Show the searches' progress."""
        if self._bar is None:
            self._bar = tqdm(total=progress.total_evaluations or None, unit=" evaluations", file=sys.stderr, dynamic_ncols=True)
        bar = self._bar
        bar.n = progress.evaluations
        if len(progress.searches) == 1:
            says = f"best {shown(progress.searches[0].best_response)}"
        else:
            says = f"{sum(bool(search.stopped_by) for search in progress.searches)} of {len(progress.searches)} searches ended"
        bar.set_description_str(progress.stage, refresh=False)
        bar.set_postfix_str(says, refresh=True)

    def close(self) -> None:
        """Leave the bar as it is and end its line."""
        if self._bar is not None:
            self._bar.set_description_str("", refresh=False)
            self._bar.close()

"""The link from results to the report that draws and writes them; the report registers itself here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from PIL import Image


class ResultView(Protocol):
    """Draws results for notebooks and scripts, and writes them.

    A search is a ``SearchResult``, a result a ``JobResult``; their module imports this one.
    """

    def search_html(self, search: Any, /) -> str:
        """Return one search as HTML."""
        ...

    def search_png(self, search: Any, /) -> bytes:
        """Return one search as a PNG file, for notebooks that show no HTML."""
        ...

    def search_picture(self, search: Any, /) -> Image.Image:
        """Return a search's stimulus, enlarged or plotted."""
        ...

    def job_html(self, result: Any, /) -> str:
        """Return a job as HTML."""
        ...

    def job_png(self, result: Any, /) -> bytes | None:
        """Return a job as a PNG file; None if no search measured anything."""
        ...

    def job_plot(self, result: Any, unit: str | None, /) -> Image.Image:
        """Return the curves of one unit, or of all units if None."""
        ...

    def write(self, result: Any, folder: Path, /) -> Any:
        """Write report, arrays and pictures; return the result with notices about failed drawings."""
        ...


_view: ResultView | None = None


def show_results_by(view: ResultView) -> None:
    """Register ``view`` to draw and write results."""
    global _view
    _view = view


def current_view() -> ResultView | None:
    """Return the registered view; None if there is none."""
    return _view


def require_view() -> ResultView:
    """Return the registered view.

    Raises
    ------
    RuntimeError
        No view is registered.
    """
    if _view is None:
        raise RuntimeError("results are drawn by actmax.engine.report, which is not imported")
    return _view

"""Writes all of a job's artifacts into one folder: the whole of them, or nothing."""

from __future__ import annotations

from pathlib import Path

from ...models.spaces import StimulusSpec
from ..result import JobResult
from . import activating
from .comparison import Comparison
from .film import film
from .folder import replaced_folder
from .html import report_html
from .importance import faded, shows_importance
from .montage import montage, sheets
from .names import ArtifactNames
from .pictures import enlarged, own_size, png
from .plots import convergence_overview, convergence_plot
from .results import arrays_npz, result_json

MOST_UNITS_DRAWN = 200
"""Units that get a convergence plot and a place in ``report.html``; pictures and numbers are written for every unit."""


def write_artifacts(result: JobResult, folder: Path, stimulus: StimulusSpec) -> None:
    """Write what a job found, replacing an earlier set of artifacts.

    Parameters
    ----------
    result : JobResult
        What was found; it may hold no search at all.
    folder : Path
        Where: ``report.html``, ``montage.png`` (and ``montage-2.png`` … where there are many units), ``convergence.png``,
        ``convergence/<unit>.png``, ``stimuli/<unit>--<optimizer>.png`` (enlarged; the further ones of a diverse set with ``--2`` and on),
        ``stimuli/raw/…`` (an image at its own size), ``stimuli/importance/…`` (of a search by gradients, opaque where the score hung on
        the image), ``result.json`` and ``arrays.npz``; where the job asks for them ``film/…``, and ``images.png``, what was found beside
        the most activating pictures of a folder. It appears, or changes, at once when everything has been written.
    stimulus : StimulusSpec
        What ``result``'s stimuli are: shape, value range, and whether images or series.

    Raises
    ------
    FileExistsError
        ``folder`` holds something other than artifacts, which would be lost.
    OSError
        It can't be written; what was there before is there still.
    """
    comparison = Comparison(result.searches)
    drawn = comparison.first(MOST_UNITS_DRAWN)
    names = ArtifactNames(result.searches)
    with replaced_folder(folder, marker="result.json") as fresh:
        for part in ("stimuli/raw", "convergence"):
            (fresh / part).mkdir(parents=True)
        for search in result.searches:
            (fresh / names.stimulus(search)).write_bytes(png(enlarged(search.stimulus, stimulus)))
            if stimulus.modality == "image":
                (fresh / names.raw(search)).write_bytes(png(own_size(search.stimulus, stimulus)))
            for one in search.optima[1:]:
                (fresh / names.stimulus(search, one.number)).write_bytes(png(enlarged(one.stimulus, stimulus)))
                if stimulus.modality == "image":
                    (fresh / names.raw(search, one.number)).write_bytes(png(own_size(one.stimulus, stimulus)))
            if search.importance is not None and shows_importance(stimulus):
                path = fresh / names.importance(search)
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(png(faded(search.stimulus, search.importance, stimulus)))
            if search.film:
                path = fresh / names.film(search, result.spec.report.film)
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(film(search, stimulus, result.spec.report.film))
        for unit in drawn.units:
            (fresh / names.convergence(unit)).write_bytes(convergence_plot(drawn, unit))
        if comparison.units:
            (fresh / "convergence.png").write_bytes(convergence_overview(drawn))
            tabled, left_out = sheets(comparison)
            for number, units in enumerate(tabled):
                last = number == len(tabled) - 1
                (fresh / names.montage(number)).write_bytes(png(montage(units, stimulus, left_out=left_out if last else 0)))
        for number, units in enumerate(activating.pages(comparison, result.images)):
            assert result.images is not None
            (fresh / names.images(number)).write_bytes(png(activating.sheet(units, result.images, stimulus)))
        (fresh / "arrays.npz").write_bytes(arrays_npz(result, stimulus))
        (fresh / "report.html").write_text(report_html(result, comparison, drawn, stimulus, names), encoding="utf-8")
        (fresh / "result.json").write_text(result_json(result, comparison, drawn, stimulus, names), encoding="utf-8")

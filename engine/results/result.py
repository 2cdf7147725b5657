"""The result of a job: plain data from which reports are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...charts.words import count, duration, listed, measured, shortened, times
from ...models.pictures.log import Reading
from ...models.spaces import StimulusSpec
from ..search.tally import JobOutcome, SearchOutcome, job_outcome
from ..spec import JobSpec
from .folder_images import FolderImages
from .reference import REFERENCE
from .section import Section
from .view import current_view, require_view

if TYPE_CHECKING:
    import pandas
    from PIL import Image


@dataclass(frozen=True)
class Moment:
    """A frame of a search's film.

    Attributes
    ----------
    evaluations : int
        Evaluations until then.
    score : float
        Best score until then.
    stimulus : ndarray
        Stimulus of that score, float32.
    """

    evaluations: int
    score: float
    stimulus: NDArray[np.float32]


@dataclass(frozen=True)
class Optimum:
    """One of a search's optima.

    Attributes
    ----------
    number : int
        Position among the search's optima, from 0.
    latent : ndarray
        int64 codes or float32.
    stimulus : ndarray
        float32, of the generator's stimulus shape.
    response : float
        Measured after the search; see :class:`SearchResult`.
    response_sem : float or None
        Standard error of ``response``; None for a single measurement.
    measurements : int
        Number of measurements that ``response`` is the mean of.
    distances : tuple of float
        Distance to each of the search's optima in their order: 0 for the same latent, about 1 for two random natural ones.
    distinct : bool
        Whether the distance to each earlier optimum is at least what the job asks for.
    score, score_sem : float or None
        As in :class:`SearchResult`.
    """

    number: int
    latent: NDArray[np.generic]
    stimulus: NDArray[np.float32]
    response: float
    response_sem: float | None = None
    measurements: int = 1
    distances: tuple[float, ...] = (0.0,)
    distinct: bool = True
    score: float | None = None
    score_sem: float | None = None

    @property
    def nearest(self) -> float | None:
        """Distance to the nearest other optimum; None if there is none."""
        others = [distance for number, distance in enumerate(self.distances) if number != self.number]
        return min(others, default=None)


COLUMNS = (
    *("unit", "unit_name", "optimizer", "response", "response_sem", "response_unit", "measurements", "natural_best", "natural_multiple"),
    *("score", "score_sem", "evaluations", "seconds", "stopped_by", "outcome", "note"),
)
"""Attributes of a search that are columns of a table."""


@dataclass(frozen=True, repr=False)
class SearchResult:
    """One unit searched by one optimizer.

    Attributes
    ----------
    unit : str
        Address, e.g. ``lif_out[3]``.
    optimizer : str
        Label: the component's name, with a number if the job names it twice.
    response : float
        The unit's response to the recommended stimulus, measured again after the search ended; the mean of several such measurements, which
        had no part in choosing the stimulus.
    natural_best : float or None
        Response to the best natural stimulus, if the target knows it.
    stimulus : ndarray
        float32, of the generator's stimulus shape.
    latent : ndarray
        The recommended latent (int64 codes or float32).
    scores : ndarray
        float64, (evaluations,): all scores in the order of evaluation, replicates one by one, measurements of leaders last; NaN for a
        missed trial.
    seconds : float
        Time at which the search ended, from the start of the job.
    stopped_by : str
        "evaluations", "seconds", "plateau" or "cancelled".
    unit_name : str
        The target's name of the unit, e.g. ``airplane``; empty without a name.
    response_unit : str
        Unit of measurement of responses, e.g. ``spikes``; empty without one.
    overheard : int
        Candidates of the job's other searches that this search learned from, in addition to its own evaluations.
    response_sem : float or None
        Standard error of ``response``; None for a single measurement.
    measurements : int
        Number of measurements that ``response`` is the mean of.
    note : str
        The optimizer's note about itself, such as its choice and the reason; empty without one.
    optima : list of Optimum
        The optima, in the order of the scores during the search. The first is the answer above, and the only one unless the job asks
        for a diverse set.
    score : float or None
        What the search maximized if that is not the response, measured again likewise: another objective's score, or
        the mean over transformations. None: the response itself.
    score_sem : float or None
        Standard error of ``score``; None for a single measurement.
    recorded : mapping of str to object
        What analyses have recorded of the search while it ran, by their names; see :attr:`importance` and :attr:`film`.
    stimulus_spec : StimulusSpec or None
        Shape, range and modality of ``stimulus``; None: an image or a series of unknown range.
    warnings : tuple of str
        What a user should know before trusting the answer, a line each with counts: missed responses, zero gradients.
    outcome : {"success", "stuck", "unmeasured"}
        "stuck" if the search measured responses but never moved.
    """

    unit: str
    optimizer: str
    response: float
    natural_best: float | None
    stimulus: NDArray[np.float32]
    latent: NDArray[np.generic]
    scores: NDArray[np.float64]
    seconds: float
    stopped_by: str
    unit_name: str = ""
    response_unit: str = ""
    overheard: int = 0
    response_sem: float | None = None
    measurements: int = 1
    note: str = ""
    score: float | None = None
    score_sem: float | None = None
    optima: list[Optimum] = field(default_factory=list)
    recorded: Mapping[str, Any] = field(default_factory=dict)
    stimulus_spec: StimulusSpec | None = None
    warnings: tuple[str, ...] = ()
    outcome: SearchOutcome = "success"

    @property
    def importance(self) -> NDArray[np.float32] | None:
        """|d score / d stimulus| summed over channels and over all candidates that were evaluated with gradients; None without any.

        It is float32, of the stimulus's shape without its channels.
        """
        return self.recorded.get("importance")

    @property
    def film(self) -> list[Moment]:
        """The best stimulus at several moments of the search, if the job asks for a film; else empty."""
        return self.recorded.get("film") or []

    @property
    def measured(self) -> str:
        """The response in words, with its standard error and unit, such as ``12.3 ± 0.4 spikes``."""
        return f"{measured(self.response, self.response_sem)} {self.response_unit}".rstrip()

    @property
    def sought(self) -> float:
        """What the search maximized, by which searches are compared: ``score``, or ``response`` if ``score`` is None."""
        return self.response if self.score is None else self.score

    @property
    def evaluations(self) -> int:
        """Number of evaluated candidates."""
        return int(self.scores.size)

    @property
    def reference(self) -> float | None:
        """The response that the search's responses are compared with: that to the best natural stimulus."""
        return self.natural_best

    @property
    def reference_multiple(self) -> float | None:
        """Response ÷ reference; None unless the reference is positive."""
        return self.natural_multiple

    @property
    def natural_multiple(self) -> float | None:
        """Response ÷ the response to the best natural stimulus; None unless that is positive."""
        if self.natural_best is None or self.natural_best <= 0:
            return None
        return self.response / self.natural_best

    def picture(self) -> Image.Image:
        """Return the stimulus as a picture: an image enlarged, a series plotted."""
        return require_view().search_picture(self)

    def __repr__(self) -> str:
        """Describe the search in at most five lines."""
        return "\n".join(
            [
                f"SearchResult: {self.described()}",
                f"  {self.outcome}, {count(self.evaluations, 'evaluation')} by {self.optimizer}, {duration(self.seconds)}",
                f"  stimulus {tuple(self.stimulus.shape)} {self.stimulus.dtype}, latent {tuple(self.latent.shape)} {self.latent.dtype}",
                *([f"  {shortened(self.note, 110)}"] if self.note else []),
                *([f"  {count(len(self.warnings), 'warning')}: {shortened(self.warnings[0], 100)}"] if self.warnings else []),
            ]
        )

    def described(self) -> str:
        """Return unit, response and its multiple of the best natural response, such as ``fc[3] cat 12.3 ± 0.4 (1.31× best natural)``."""
        multiple = f" ({times(self.natural_multiple)} {REFERENCE.best})" if self.natural_multiple is not None else ""
        return f"{self.unit}{f' {self.unit_name}' if self.unit_name else ''} {self.measured}{multiple}"

    def _repr_html_(self) -> str | None:
        """Return stimulus, response and curve as HTML for notebooks; None if no report is registered."""
        view = current_view()
        return view.search_html(self) if view else None

    def _repr_png_(self) -> bytes | None:
        """Return the stimulus as PNG, for notebooks that show no HTML; None if no report is registered."""
        view = current_view()
        return view.search_png(self) if view else None


@dataclass(frozen=True, repr=False)
class JobResult:
    """All searches of a job that measured something, unit by unit, the job's main optimizer first.

    Attributes
    ----------
    spec : JobSpec
        The job.
    searches : list of SearchResult
        One for each unit and optimizer.
    seconds : float
        Running time.
    cancelled : bool
        Whether the job was ended before its budget.
    sections : sequence of Section
        Results of the job's analyses, in their order.
    pictures : sequence of Reading
        Notes about the pictures that the job's options name.
    notices : tuple of str
        Warnings about no single one of ``searches``.
    unmeasured : int
        Number of searches that ended without a finite response and are left out.
    provenance : mapping
        Versions, machine, weights and job; see :func:`actmax.engine.jobs.provenance.provenance_of`. Empty if unknown.
    """

    spec: JobSpec
    searches: list[SearchResult] = field(default_factory=list)
    seconds: float = 0.0
    cancelled: bool = False
    sections: Sequence[Section] = ()
    pictures: Sequence[Reading] = ()
    notices: tuple[str, ...] = ()
    unmeasured: int = 0
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def images(self) -> FolderImages | None:
        """The most activating pictures, if the job names a folder of them; else None."""
        return next((section.value for section in self.sections if isinstance(section.value, FolderImages)), None)

    @property
    def warnings(self) -> tuple[str, ...]:
        """All that a user should know before trusting the results: ``notices``, and each search's warnings behind its name."""
        named = len(self.spec.baselines) > 0
        of_searches = (
            f"{search.unit}{f' by {search.optimizer}' if named else ''}: {warning}"
            for search in self.searches
            for warning in search.warnings
        )
        return tuple(dict.fromkeys((*self.notices, *of_searches)))

    @property
    def outcome(self) -> JobOutcome:
        """Outcome of the job: "success", or "partial", "stuck" or "unmeasured" if some or all searches never moved or measured nothing."""
        unmeasured: list[SearchOutcome] = ["unmeasured"] * self.unmeasured
        return job_outcome([*(search.outcome for search in self.searches), *unmeasured])

    def best(self, unit: str | None = None) -> SearchResult:
        """Return the search of a unit with the highest response, or score if searches maximized another score.

        Parameters
        ----------
        unit : str or None
            Address or name, such as ``lif_out[3]`` or ``cat``. None: the job's only unit.

        Raises
        ------
        ValueError
            No search of such a unit measured anything, or the job has several units and none is given.
        """
        units = list(dict.fromkeys(search.unit for search in self.searches))
        if unit is None and len(units) != 1:
            raise ValueError(f"best(unit) needs one of the units {listed(units)}" if units else "no search measured anything")
        of_unit = [search for search in self.searches if unit is None or unit in (search.unit, search.unit_name)]
        if not of_unit:
            raise ValueError(f"no search of {unit!r} measured anything; there is {listed(units) or 'nothing'}")
        return max(of_unit, key=lambda search: search.sought)

    def save(self, folder: str | Path) -> Path:
        """Write report, pictures, ``result.json`` and ``arrays.npz`` into ``folder``, and return the report's path.

        Raises
        ------
        ValueError
            No search measured anything.
        FileExistsError
            ``folder`` holds something other than a report of actmax.
        OSError
            The numbers can't be written.
        """
        place = Path(folder)
        require_view().write(self, place)
        return place / "report.html"

    def to_dataframe(self) -> pandas.DataFrame:
        """Return a table with a row for each search. It needs pandas.

        Raises
        ------
        ModuleNotFoundError
            pandas is not installed.
        """
        import pandas

        rows = [{name: getattr(search, name) for name in COLUMNS} for search in self.searches]
        return pandas.DataFrame(rows, columns=list(COLUMNS))

    def plot(self, unit: str | None = None) -> Image.Image:
        """Return a picture of the best response so far against evaluations, of one unit by its address, or of all in small panels.

        Raises
        ------
        ValueError
            No search, or none of ``unit``, measured anything.
        """
        if unit is not None or not self.searches:
            self.best(unit)
        return require_view().job_plot(self, unit)

    def __repr__(self) -> str:
        """Describe the job in at most five lines."""
        units = dict.fromkeys(search.unit for search in self.searches)
        end = "cancelled, " if self.cancelled else ""
        strongest = [self.best(unit) for unit in list(units)[:2]]
        left_out = [count(len(units) - len(strongest), "further unit")] if len(units) > len(strongest) else []
        warned = [f"{count(len(self.warnings), 'warning')} in .warnings"] if self.warnings else []
        return "\n".join(
            [
                f"JobResult: {self.outcome}, {end}{count(len(self.searches), 'search', 'searches')} of {count(len(units), 'unit')} "
                f"of {shortened(self.spec.target.name, 40)} by {shortened(self.spec.generator.name, 40)}, {duration(self.seconds)}",
                *(f"  {search.described()}, {search.optimizer}" for search in strongest),
                *([f"  {'; '.join([*left_out, *warned])}"] if left_out or warned else []),
            ]
        )

    def _repr_html_(self) -> str | None:
        """Return the first searches as HTML for notebooks; None if no report is registered."""
        view = current_view()
        return view.job_html(self) if view else None

    def _repr_png_(self) -> bytes | None:
        """Return the montage as PNG, for notebooks that show no HTML; None if no report is registered."""
        view = current_view()
        return view.job_png(self) if view else None

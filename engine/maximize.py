"""A search in one call, for Python code."""

from __future__ import annotations

import signal
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

from torch import nn

from actmax.v1 import job_pb2

from ..models.generators.generator import Generator
from ..models.objectives.expressions import Expression
from ..models.permissions import EVERYTHING
from ..models.targets.target import Target
from ..optimizers.optimizer import Optimizer
from ..wire.reader import former_names
from .analyses.analysis import Analysis
from .jobs.interruption import stopped_by_signals
from .jobs.progress import Progress
from .jobs.progress_bar import ProgressBar, is_watched
from .jobs.provenance import command_line
from .jobs.writing import NotWritten
from .results.result import JobResult
from .run import RunSettings, run_job
from .spec import JobSpec

Args = ParamSpec("Args")


_FORMER = former_names(job_pb2.Constraints.DESCRIPTOR)
"""New names of parameters by their former names, which are still accepted, with a warning."""


def _with_former_names(function: Callable[Args, JobResult]) -> Callable[Args, JobResult]:
    @wraps(function)
    def renamed(*args: Args.args, **kwargs: Args.kwargs) -> JobResult:
        for name in _FORMER.keys() & kwargs.keys():
            warnings.warn(f"maximize's {name} is called {_FORMER[name]} now", FutureWarning, stacklevel=2)
            kwargs[_FORMER[name]] = kwargs.pop(name)
        return function(*args, **kwargs)

    return renamed


@_with_former_names
def maximize(  # noqa: PLR0913 - a job's fields
    generator: str | Generator | nn.Module | type,
    target: str | Target | nn.Module | Callable[[Any], Any],
    units: str | Sequence[str] | None = None,
    *,
    optimizer: str | type[Optimizer] = "auto",
    objective: str | type | Expression = "unit",
    generator_options: Mapping[str, Any] | None = None,
    target_options: Mapping[str, Any] | None = None,
    optimizer_options: Mapping[str, Any] | None = None,
    objective_options: Mapping[str, Any] | None = None,
    baselines: Sequence[str] = (),
    evaluations: int | None = None,
    seconds: float | None = None,
    plateau: int | None = None,
    seed: int = 0,
    device: str = "auto",
    prior: str = "natural",
    sharing: bool = True,
    replicates: int = 1,
    remeasure: float | None = None,
    noisy: bool | None = None,
    max_latent_std: float | None = None,
    max_code_changes: float | None = None,
    luminance: float | None = None,
    contrast: float | None = None,
    diverse: int | Mapping[str, Any] | None = None,
    transformations: str | Sequence[str | Mapping[str, Any]] | Mapping[str, Any] | None = None,
    images: str | Path | None = None,
    film: str = "none",
    analyses: Sequence[str | Mapping[str, Any] | type | Analysis] = (),
    folder: str | Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    progress: bool = True,
) -> JobResult:
    """Find the stimuli that units prefer.

    Ctrl-C ends the searches, and their result so far is returned; a second Ctrl-C raises KeyboardInterrupt at once.

    Parameters
    ----------
    generator, target : str, Generator, Target or nn.Module
        A name of the catalog, your own object, or a torch module with the options of its adapter
        (``generator_options={"latent": [128]}``, ``target_options={"shape": [3, 32, 32]}``). A generator may also be a class that takes
        its shape from the target. A target may also be a plain function of (n, *shape) numpy arrays, or a fitted estimator of scikit-learn,
        with the same options and without gradients.
    units : str or sequence of str or None
        Addresses such as ``lif_out[3]``, ``conv2[12]`` or ``fc[*]``. None: the first unit in ``objective``, if that is an expression.
    optimizer, objective : str or type
        A name of the catalog or your own class; an objective also as an expression, such as ``Unit("fc[3]") - 0.1 * TotalVariation()``
        (:mod:`actmax.models.objectives.expressions`).
    generator_options, target_options, optimizer_options, objective_options : mapping, optional
        Options of each part by name, as in a job file.
    baselines : sequence of str
        Further optimizers for comparison.
    evaluations, seconds, plateau : number or None
        The budget; at least one of the first two.
    seed : int
        The same seed gives the same result.
    device : str
        "auto", "cpu", "cuda" or "cuda:1".
    prior : {"natural", "none"}
        Whether to start from the generator's natural latents, or blind.
    sharing : bool
        Whether the searches of one optimizer learn from each other's candidates, if the optimizer can (see
        :class:`actmax.optimizers.optimizer.Listener`).
    replicates : int
        Number of times that each candidate is shown; each counts as an evaluation.
    remeasure : float or None
        Fraction of each search's evaluations reserved to measure the leading candidates again; None: 0.1 on a noisy target, else 0.
    noisy : bool or None
        Whether responses to the same stimulus may differ; None: as the target says.
    max_latent_std : float or None
        Most standard deviations from natural latents: the root mean square over a latent's whitened coordinates.
    max_code_changes : float or None
        Largest fraction of a code map's codes that differ from the nearest natural map.
    luminance, contrast : float or None
        Mean and standard deviation that every stimulus's values are given.
    diverse : int or mapping, optional
        Number of optima to find instead of one, or ``{"n": 4, "distance": 0.5}``; each search's ``.optima`` has them.
    transformations : str, sequence or mapping, optional
        Random changes over which scores are averaged: a recipe by name, such as "lucid"; steps, each a name or ``{"name": …, "options":
        {…}}``; or a mapping with ``preset`` or ``steps``, and ``samples``.
    images : path or None
        A folder of pictures: the result's ``.images`` and the report show those that activate each unit most.
    film : {"none", "gif", "mp4"}
        Format of a film of each search's best stimuli so far, written into ``folder``; with one, the search's ``.film`` has them too.
    analyses : sequence of str, mapping, type or Analysis
        Analyses of the units after the searches: a name of the catalog, ``{"name": …, "options": {…}}``, or your own class or object.
        The result's ``.sections`` has their results.
    folder : path or None
        Folder of the checkpoint, the report and its files; an interrupted call with the same folder continues.
        Nothing is drawn or written when None. An error while drawing or writing never loses the result: ``.warnings`` names missing files.
    on_progress : callable or None
        Called with a :class:`actmax.engine.jobs.progress.Progress` a few times a second. An exception in it ends the searches, and their
        result so far is returned.
    progress : bool
        Whether a bar is shown in a terminal or notebook, if ``on_progress`` is not given.

    Returns
    -------
    JobResult
        ``.searches``: one for each unit and optimizer, with stimulus, latent and the response measured again. ``.warnings`` says what to
        know before trusting them, and ``.outcome`` is "success" only if every search measured something and moved.

    Raises
    ------
    InvalidJob
        Before any work, with the fields that are wrong.
    Unmeasured
        No response was a finite number.
    KeyboardInterrupt, Exception
        Ctrl-C, or an exception in ``on_progress``, came before anything was measured.

    Examples
    --------
    >>> result = maximize("cifar10-vqvae", "cifar10-snn", "lif_out[3]", evaluations=200)
    >>> result.searches[0].stimulus.shape
    (3, 32, 32)
    """
    given = _Given()
    sought = objective.spec() if isinstance(objective, Expression) else given.named("objective", objective, objective_options)
    if units is None and isinstance(objective, Expression):
        units = next(objective.units(), None)
    steps = None if isinstance(transformations, str | Mapping | None) else {"steps": list(transformations)}
    spec = JobSpec.parse(
        {
            "generator": given.named("generator", generator, generator_options),
            "target": given.named("target", target, target_options),
            "units": units if isinstance(units, str) else list(units or ()),
            "objective": sought,
            "optimizer": given.named("optimizer", optimizer, optimizer_options),
            "baselines": list(baselines),
            "budget": {"evaluations": evaluations, "seconds": seconds, "plateau": plateau},
            "seed": seed,
            "device": device,
            "prior": prior,
            "sharing": sharing,
            "constraints": {
                "max_latent_std": max_latent_std,
                "max_code_changes": max_code_changes,
                "luminance": luminance,
                "contrast": contrast,
            },
            "transformations": steps or transformations,
            "diverse": diverse,
            "report": {"images": str(images or ""), "film": film},
            "analyses": [one if isinstance(one, Mapping) else given.named("", one) for one in analyses],
            "design": {"replicates": replicates, "remeasure": remeasure, "noisy": noisy},
        }
    )
    bar = ProgressBar() if progress and on_progress is None and is_watched() else None
    try:
        return _run(spec, None if folder is None else Path(folder), on_progress or bar, given)
    finally:
        if bar is not None:
            bar.close()


def _run(spec: JobSpec, folder: Path | None, on_progress: Callable[[Progress], None] | None, given: Mapping[str, Any]) -> JobResult:
    """Run the job until it ends, or until Ctrl-C or an exception in ``on_progress`` ends it."""
    # a caller's own handler of Ctrl-C is left in place
    signals = [signal.SIGINT] if signal.getsignal(signal.SIGINT) is signal.default_int_handler else []
    with stopped_by_signals(signals) as interruption:
        report = interruption.guard(on_progress or (lambda _: None))
        try:
            settings = RunSettings(command=command_line())
            result = run_job(
                spec,
                folder,
                on_progress=report,
                should_stop=interruption.should_stop,
                permissions=EVERYTHING,
                given=given,
                settings=settings,
            )
        except NotWritten as error:
            lost = f"nothing could be written into {error.filename}: {error.strerror}; this result is all there is of it"
            result = replace(error.result, notices=(*error.result.notices, lost))
    if interruption.cause is None or not result.cancelled:
        return result
    if not result.searches:
        raise interruption.cause
    return replace(result, notices=(*result.notices, interruption.notice()))


class _Given(dict[str, Any]):
    """Ready parts, by the names that the job gives them."""

    def named(self, kind: str, part: Any, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the part as a component of the job; an object is kept under its name."""
        name = part
        if not isinstance(part, str):
            name = f"{kind} {getattr(part, '__name__', type(part).__name__)}".strip()
            if self.get(name, part) is not part:  # another object of the same class
                name = f"{name} {len(self)}"
            self[name] = part
        return {"name": name, "options": dict(options or {})}

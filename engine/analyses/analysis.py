"""The Analysis contract: what is computed about a job's units once its searches have ended."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ...models.generators.generator import Generator
from ...models.objectives.objective import OFFERED
from ...models.objectives.unit import mean_response
from ...models.targets.target import CountsTrials, Target
from ...models.units import UnitAddress
from ..evaluation.loop import StopReason
from ..results.result import SearchResult
from ..results.section import Section
from ..search.recorder import Recorder, SearchPlan
from .image_stream import ImageStream


@dataclass(frozen=True)
class AnalysisContext:
    """What an analysis is given.

    Attributes
    ----------
    target, generator : Target, Generator
        On ``device``. Neither is changed; a target is asked by :meth:`respond`.
    units : sequence of UnitAddress
        The job's.
    searches : sequence of SearchResult
        What was found: one a unit and optimizer, without searches that measured nothing.
    seed : int
        The job's. Every random draw comes from generators that are made of it.
    device : str
        "cpu" or "cuda:0".
    batch : int
        Stimuli of one pass, at most.
    options_field : str
        Where the job names the analysis' options, such as "analyses[0].options".
    trials : int
        Trials that the searches have used; those of the analysis come after.
    state : dict
        What a checkpoint keeps: nested mappings with string keys, lists, tensors, text, numbers, truths and None. It is empty at first, and
        as it was last saved when the job goes on after an interruption.
    report : callable
        Called with what is under way, such as "showing pictures: 120". A checkpoint may be written in it, so ``state`` is whole then.
    should_stop : callable
        Asked between steps; see :data:`StopReason`. After "suspend" what ``run`` returns is not used, and ``state`` is saved; after
        "cancel" the sections made so far are kept.
    """

    target: Target
    generator: Generator
    units: Sequence[UnitAddress]
    searches: Sequence[SearchResult]
    seed: int = 0
    device: str = "cpu"
    batch: int = 32
    options_field: str = "options"
    trials: int = 0
    state: dict[str, Any] = field(default_factory=dict)
    report: Callable[[str], None] = lambda _: None
    should_stop: Callable[[], StopReason] = lambda: ""

    def respond(self, stimuli: Tensor, layers: Collection[str], shown: int = 0) -> Mapping[str, Tensor]:
        """Return the target's responses, without gradients.

        Parameters
        ----------
        stimuli : Tensor
            (n, *target.stimulus.shape), on any device, n at most ``batch``.
        layers : collection of str
            Of the target.
        shown : int
            Stimuli that the analysis has shown before, so that a noisy target answers alike after an interruption.

        Returns
        -------
        mapping of str to Tensor
            (n, *layer) on ``device``.
        """
        if isinstance(self.target, CountsTrials):
            self.target.begin(self.seed, self.trials + shown)
        with torch.no_grad():
            return self.target.respond(stimuli.to(self.device), frozenset(layers))

    def unit_responses(self, stimuli: Tensor, shown: int = 0) -> Tensor:
        """Return the units' own responses, (units, n) float64 on the CPU: means over what an address leaves open; see :meth:`respond`."""
        responses = self.respond(stimuli, frozenset(unit.layer for unit in self.units) - OFFERED, shown)
        return torch.stack([mean_response(unit, responses) for unit in self.units]).double().cpu()

    def images(self, folder: str, option: str, most: int = 50_000) -> ImageStream:
        """Return the pictures of a folder and those below it, as the target takes them; ``option`` is what named the folder.

        Raises
        ------
        InvalidOption
            There is no such folder, or no picture in it.
        """
        return ImageStream(folder, self.target.stimulus, option, most)


@runtime_checkable
class Analysis(Protocol):
    """Computes sections about the units of a job.

    A component is a class with a pydantic model ``Options``, a method ``from_options`` that makes an analysis of one, and a docstring whose
    first line the catalog shows. Equal contexts give equal sections, also where ``run`` was interrupted and is called again with the
    ``state`` that it had saved. An exception ends the analysis alone: the job's results stay, and a notice has the error.
    """

    @property
    def needs(self) -> tuple[type, ...]:
        """Runtime-checkable protocols of :mod:`actmax.models.targets.target` that the target must keep to."""
        ...

    def run(self, context: AnalysisContext, /) -> Sequence[Section]:
        """Return what was found, in the order in which it is shown."""
        ...


@runtime_checkable
class ChecksTarget(Protocol):
    """An analysis that refuses some targets or options before the job begins."""

    def check(self, target: Target, /) -> None:
        """Raise :class:`actmax.models.options.InvalidOption` at an option that can't be used with ``target``; option "" is the analysis."""
        ...


@runtime_checkable
class ChecksUnits(Protocol):
    """An analysis that refuses some units before the job begins."""

    def check_units(self, target: Target, units: Sequence[UnitAddress], /) -> None:
        """Raise :class:`actmax.models.options.InvalidOption` at an option that can't be used with ``units``; option "" is the analysis."""
        ...


@runtime_checkable
class RecordsSearches(Protocol):
    """An analysis that looks at the searches while they run. ``SearchResult.recorded[name]`` holds what its recorders have kept."""

    @property
    def name(self) -> str:
        """The key; no other analysis of a job has it."""
        ...

    def recorder(self, plan: SearchPlan, /) -> Recorder | None:
        """Return what watches the search, or None."""
        ...


@runtime_checkable
class Instant(Protocol):
    """An analysis that says whether it looks only at what the searches hold."""

    @property
    def instant(self) -> bool:
        """Whether it does, so that it runs for a cancelled job too."""
        ...


@runtime_checkable
class HasEmptySections(Protocol):
    """An analysis whose fields stand in ``result.json`` also where it found nothing, did not run or failed."""

    def empty(self, context: AnalysisContext, /) -> Sequence[Section]:
        """Return those fields, empty."""
        ...

"""What methods of attribution share: options, the way through the stimuli, scores, and refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Self

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from torch import Tensor

from ....models.options import InvalidOption
from ....models.permissions import permitted_model
from ....models.targets.target import CountsTrials, HasActivations, HasGraphEnd, HasModule, Target
from ....models.units import UnitAddress
from ...evaluation.evaluator import preserved
from ...results.section import Section
from ..analysis import AnalysisContext
from ..image_stream import ImageStream
from ..library_state import require_libraries
from .results import Row, attribution_section
from .scores import Score, deletion, max_sensitivity, points_at, randomised, similarity
from .stimuli import Baseline, Step, baselines, found_items, picture_items, steps
from .units import Question, UnitReader

_TRIALS_OF_A_STEP = 1 << 20
"""Each step's trials are counted from a number of its own, so that a noisy target answers a resumed job alike."""

Folder = Annotated[str, Field(max_length=4096), AfterValidator(permitted_model)]


class AttributionOptions(BaseModel):
    """Options that all methods take."""

    model_config = ConfigDict(extra="forbid")
    images: Annotated[
        Folder, Field(description="A folder of pictures, where the job runs; they are attributed besides the found stimuli.")
    ] = ""
    masks: Annotated[
        Folder,
        Field(description="A folder of masks, named as the pictures, white where the object is: the pointing game is played on them."),
    ] = ""
    most: Annotated[int, Field(ge=1, le=1000, description="How many pictures of the folder, the first by name.")] = 12
    scores: Annotated[list[Score], Field(description="What the maps are scored by; deletion brings insertion.")] = [
        "deletion",
        "max-sensitivity",
        "randomisation",
    ]
    baseline: Annotated[Baseline, Field(description="What stands for the absence of a value.")] = "grey"
    film: Annotated[bool, Field(description="Of a spiking network: a map of every time step besides.")] = False


class Attribution:
    """A method of attribution as an analysis.

    A method is a subclass in a file of its own with a ``title``, a sentence ``reading`` on how its maps are read, and :meth:`attribute`.

    Parameters
    ----------
    options : AttributionOptions, optional
        Of the class's own ``Options``; all by default.
    """

    title: ClassVar[str]
    reading: ClassVar[str]
    signed: ClassVar[bool] = True
    """Whether values below zero mean something."""
    completes: ClassVar[bool] = False
    """Whether the values of a map have a sum that is known, :meth:`expected_sum`."""
    gradients: ClassVar[bool] = False
    """Whether the method needs a differentiable target."""
    needs: tuple[type, ...] = ()
    packages: ClassVar[tuple[str, ...]] = ()
    """What it needs of ``actmax[analyses]``."""

    class Options(AttributionOptions):
        """Options of the analysis."""

    def __init__(self, options: Any = None) -> None:
        self.options: Any = self.Options() if options is None else options

    @classmethod
    def from_options(cls, options: Any) -> Self:
        """Made by a job."""
        return cls(options)

    def attribute(self, question: Question) -> Tensor:
        """Return attributions of each unit's response.

        Returns
        -------
        Tensor
            (units, n, *stimulus), or (units, n, *space) of a method that does not tell channels apart; float32.
        """
        raise NotImplementedError

    def to_map(self, attributions: Tensor) -> Tensor:
        """Return maps (…, *space) of attributions (…, *stimulus): their sum over channels."""
        return attributions.sum(2)

    def answer(self, question: Question) -> tuple[Tensor, Tensor | None]:
        """Return attributions, and the responses to the stimuli, (units, n), where the method's own passes have them."""
        return self.attribute(question), None

    def expected_sum(self, question: Question, responses: Tensor) -> Tensor:
        """Return what each map's values add up to where ``completes``, (units, n); ``responses`` are those to the stimuli."""
        raise NotImplementedError

    def at_once(self, context: AnalysisContext) -> int:
        """Return the number of stimuli that are attributed together."""
        return context.batch

    def check(self, target: Target) -> None:
        """Refuse what is not installed, pictures for a target of series, gradients of one that has none, and films without time steps."""
        require_libraries(*self.packages)
        if self.options.images and target.stimulus.modality != "image":
            raise InvalidOption("images", "the target takes series; there are no pictures to show it")
        if self.options.masks and not self.options.images:
            raise InvalidOption("masks", "masks belong to pictures; name their folder as images")
        for option in ("images", "masks"):
            if folder := getattr(self.options, option):
                ImageStream(folder, target.stimulus, option, self.options.most).require_usable(option)
        if self.gradients and not target.differentiable:
            raise InvalidOption("", f"{self.title} needs gradients, which the target does not have; occlusion and rise need none")
        if self.options.film and (self._time_steps(target) is None or not isinstance(target, HasActivations)):
            raise InvalidOption("film", "the target has no time steps to show one by one; leave film out")

    def check_units(self, target: Target, units: Sequence[UnitAddress]) -> None:
        """Refuse units whose graph does not reach the stimuli, where the method needs gradients."""
        if not (self.gradients and isinstance(target, HasGraphEnd)):
            return
        for unit in units:
            place = target.graph_end(unit.layer)
            if place is not None:
                where = f"at {place!r}" if place else "in the network's own forward"
                raise InvalidOption("", f"{self.title} needs gradients, and those of {unit} end {where}; occlusion and rise need none")

    def notes(self, context: AnalysisContext) -> list[str]:
        """Return sentences about this job that the section has besides."""
        return []

    def run(self, context: AnalysisContext) -> Sequence[Section]:
        """Return the maps of what was found and of the pictures, with their scores."""
        pictures, remark = picture_items(context, self.options.images, self.options.masks, self.options.most)
        plan = steps([*found_items(context), *pictures], len(context.units), self.at_once(context))
        done: list[dict[str, Tensor]] = context.state.setdefault("steps", [])
        twin = randomised(context.target, context.seed) if "randomisation" in self.options.scores and len(done) < len(plan) else None
        for number, step in enumerate(plan[len(done) :], len(done)):
            done.append(self._taken(context, step, number, twin))
            context.report(f"{self.title}: {sum(len(one.items) for one in plan[: len(done)])} stimuli")
            if context.should_stop():
                break
        rows = [
            Row(item, context.units[unit], {name: values[place, at].numpy() for name, values in found.items()})
            for step, found in zip(plan, done, strict=False)
            for place, unit in enumerate(step.units)
            for at, item in enumerate(step.items)
        ]
        rows.sort(key=lambda row: context.units.index(row.unit))  # stable: found ones first, then pictures by name
        return (
            [attribution_section(self, context, rows, [*self.notes(context), *([f"Of the pictures: {remark}."] if remark else [])])]
            if rows
            else []
        )

    def _taken(self, context: AnalysisContext, step: Step, number: int, twin: Target | None) -> dict[str, Tensor]:
        """The attributions, responses and scores of one step, (units, n, …) each on the CPU."""
        target = context.target
        if isinstance(target, CountsTrials):
            target.begin(context.seed, context.trials + number * _TRIALS_OF_A_STEP)
        stimuli = torch.stack([item.stimulus for item in step.items]).to(context.device)
        reader = UnitReader(target, [context.units[unit] for unit in step.units], context.device, context.batch)
        absent = baselines(stimuli, self.options.baseline, target.stimulus)
        question = Question(reader, stimuli, absent, seed=context.seed * 65_537 + number)
        with preserved(target), torch.enable_grad():
            attributions, responses = self.answer(question)
            attributions = _numbers(attributions)
            maps = self._maps(attributions)
            found = {"attributions": attributions, "maps": maps, "response": reader.responses(stimuli) if responses is None else responses}
            if self.completes:
                expected = self.expected_sum(question, found["response"])
                found |= {"sum": attributions.flatten(2).double().sum(2), "expected sum": expected}
            found |= self._scores(question, maps, step, twin)
            frames = self._time_steps(target) if self.options.film else None
            if frames is not None:
                found["film"] = torch.stack([self._maps(self._finite(_at_step(question, frame))) for frame in range(frames)], 2)
        return {name: values.detach().cpu().clone() for name, values in found.items()}

    def _scores(self, question: Question, maps: Tensor, step: Step, twin: Target | None) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        if "deletion" in self.options.scores:
            found |= deletion(question, maps)
        if "max-sensitivity" in self.options.scores:
            found["max-sensitivity"] = max_sensitivity(lambda other: self._maps(self._finite(other)), question, maps)
        if twin is not None:
            with preserved(twin):
                found["randomisation"] = similarity(maps, self._maps(self._finite(_of_target(question, twin))))
        if self.options.masks:
            found["pointing game"] = torch.stack([points_at(maps[:, at], item.mask) for at, item in enumerate(step.items)], 1)
        return found

    def _maps(self, attributions: Tensor) -> Tensor:
        """Maps, (units, n, *space), of what :meth:`attribute` has returned."""
        return self.to_map(attributions)

    def _finite(self, question: Question) -> Tensor:
        return _numbers(self.attribute(question))

    @staticmethod
    def _time_steps(target: Target) -> int | None:
        return target.steps if isinstance(target, HasModule) else None


def _numbers(attributions: Tensor) -> Tensor:
    """Attributions in which a value that is no number is zero, so that no figure has one."""
    return attributions.detach().float().nan_to_num(0.0, 0.0, 0.0)


def _at_step(question: Question, step: int) -> Question:
    return _read_by(question, UnitReader(question.target, question.reader.units, question.reader.device, question.reader.batch, step))


def _of_target(question: Question, target: Target) -> Question:
    return _read_by(question, UnitReader(target, question.reader.units, question.reader.device, question.reader.batch))


def _read_by(question: Question, reader: UnitReader) -> Question:
    return Question(reader, question.stimuli, question.baselines, question.seed)

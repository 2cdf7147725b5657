"""The parts of a session that can run, and the searches that they make."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor

from ...models.generators.generator import Generator
from ...models.objectives.objective import Objective, compares
from ...models.objectives.unit import UnitObjective
from ...models.plugins.keeping import KeptPlugin
from ...optimizers.optimizer import HasNote
from ..build import check
from ..components.registry import Resolver
from ..errors import InvalidJob
from ..resolved_job import ResolvedJob
from ..run import searches_of
from ..search.search import Search
from ..spec import BudgetSpec, ComponentSpec, DesignSpec, JobSpec
from .planning import apportioned
from .recorded import NotAskable, RecordedTarget
from .spec import SessionSpec, SessionThreadSpec

_GENERATOR, _TARGET = "(generator)", "(recorded)"
_SIZES = ("batch", "population")
"""Options by which optimizers are told how many candidates to ask."""


CLOSING = 0.4
"""Share of what is measured again at the end that goes to the winner alone. Of 66 measurements with a deviation of half the mean, as 1,000
presentations leave, the mean is off by 4 % in the median."""
_CHANGES = 1 << 16
"""More than a thread's objective is ever changed."""


@dataclass(frozen=True)
class Aim:
    """What a search of a session is after: an objective, and the address of the unit that it is about."""

    objective: ComponentSpec
    unit: str


@dataclass(frozen=True)
class CheckedSession:
    """A session that can run.

    Attributes
    ----------
    spec : SessionSpec
        As given.
    generator : Generator
        As named.
    decoder : Generator
        The same with the constraints applied: what makes the stimuli.
    target : RecordedTarget
        The units.
    references : Tensor or None
        (r, *latent) latents of the reference stimuli, or
    pictures : Tensor or None
        (r, *stimulus) references of the rig's own; both None without references.
    starts : Tensor or None
        (k, *latent) what every search tries before anything else.
    plugin : KeptPlugin
        What the generator's plugin said of itself, where it is one.
    """

    spec: SessionSpec
    generator: Generator
    decoder: Generator
    target: RecordedTarget
    references: Tensor | None
    pictures: Tensor | None
    starts: Tensor | None
    resolver: Resolver
    plugin: KeptPlugin = field(default_factory=KeptPlugin)

    @property
    def threads(self) -> list[SessionThreadSpec]:
        """Its searches; one without a name where the session names none."""
        return self.spec.threads or [SessionThreadSpec(name="")]

    @property
    def aims(self) -> list[Aim]:
        """What each thread is after at first."""
        spec = self.spec
        unit = spec.unit or spec.units[0].name
        return [Aim(thread.objective or spec.objective, thread.unit or unit) for thread in self.threads]

    @property
    def shares(self) -> list[float]:
        """Of each thread, in proportion to each other."""
        return [thread.share for thread in self.threads]

    @property
    def evaluations(self) -> list[int]:
        """Each thread's part of the evaluations."""
        return apportioned(self.spec.stop.evaluations, self.shares)

    def rooms(self, active: Sequence[int]) -> list[int]:
        """Presentations a generation that threads have, candidates and leaders, where only those ``active`` show something."""
        return apportioned(self.spec.design.generation_size - self.references_shown, [self.shares[at] for at in active])

    def optimizer(self, thread: int) -> ComponentSpec:
        """What a thread searches by."""
        return self.threads[thread].optimizer or self.spec.optimizer

    @property
    def reference_count(self) -> int:
        """Distinct reference stimuli."""
        found = self.references if self.references is not None else self.pictures
        return 0 if found is None else found.shape[0]

    @property
    def references_shown(self) -> int:
        """Presentations of references a generation."""
        design = self.spec.design
        return round(design.generation_size * design.references.rate) if self.reference_count else 0

    def score_bounds(self, objective: Objective) -> tuple[float, float]:
        """The least and the greatest score that is possible: a mean of counts and rates is at least 0; infinite where nothing is known."""
        if not isinstance(objective, UnitObjective) or self.target.signed(objective.unit.layer):
            return -math.inf, math.inf
        return (0.0, math.inf) if objective.sign > 0 else (-math.inf, 0.0)

    def search(self, thread: int, aim: Aim, number: int, evaluations: int) -> tuple[Search, str]:
        """The search for a thread's ``number``-th aim with so many evaluations, and what to say of its optimizer.

        Raises
        ------
        InvalidJob
            With the path of what is wrong.
        """
        asked = self.optimizer(thread)
        number += thread * _CHANGES
        job = self.job(thread, aim, asked, number, evaluations)
        note = asked.name
        optimizer = job.optimizer(0, number)
        if isinstance(optimizer, HasNote):
            note = optimizer.note
        sized = self._sized(thread, asked, note)
        if sized is not None:
            job = self.job(thread, aim, sized, number, evaluations)
        found = searches_of(job)[0]
        found.closing = CLOSING
        return found, note

    def _sized(self, thread: int, asked: ComponentSpec, note: str) -> ComponentSpec | None:
        """The optimizer with as many candidates an ask as fit into a generation; None where it asks as many as it likes."""
        if asked.name == "auto":
            asked = ComponentSpec(name=note.partition(":")[0], options={})
        found = self.resolver.find("optimizer", asked.name, "optimizer")
        design = self.spec.design
        room = self.rooms(range(len(self.threads)))[thread] - design.leaders
        candidates = max(room // design.replicates, 2)
        # its base point is asked beside the population
        wanted = {"batch": candidates, "population": max(candidates - (asked.name == "sphere-cma"), 2)}
        for option in _SIZES:
            if option in asked.options:
                return None
            if option in found.Options.model_fields:
                return ComponentSpec(name=asked.name, options={**asked.options, option: wanted[option]})
        return None

    def job(self, thread: int, aim: Aim, optimizer: ComponentSpec, number: int, evaluations: int) -> ResolvedJob:
        """A thread as a job with the rig as its target: all that a search is made from."""
        spec, design = self.spec, self.spec.design
        seed = spec.seed if number == 0 else (spec.seed + number * 0x9E3779B97F4A7C15) % 2**63
        job = JobSpec(
            title=spec.title,
            generator=ComponentSpec(name=_GENERATOR),
            target=ComponentSpec(name=_TARGET),
            units=[aim.unit],
            objective=aim.objective,
            optimizer=optimizer,
            budget=BudgetSpec(evaluations=evaluations, plateau=spec.stop.plateau),
            seed=seed,
            device="cpu",
            prior=spec.prior,
            constraints=spec.constraints,
            design=DesignSpec(replicates=design.replicates, remeasure=design.remeasure, noisy=True),
        )
        given = {**self.resolver.given, _GENERATOR: self.generator, _TARGET: self.target}
        try:
            # the design is the session's own matter, and none of what a job refuses about it applies
            plain = job.model_copy(update={"design": DesignSpec(remeasure=0.0, noisy=True)})
            checked = check(plain, permissions=self.resolver.permissions, given=given)
            checked = replace(checked, spec=job, starts=self.starts)
        except NotAskable:
            what = "it asks the target before the first trial, and recorded units can't be asked"
            raise InvalidJob.at(self._field(thread, "objective"), what) from None
        except InvalidJob as error:
            raise InvalidJob(
                [replace(v, field=self._field(thread, v.field.replace("units[0]", "unit"))) for v in error.violations]
            ) from None
        if len(checked.units) != 1:
            what = f"{aim.unit!r} names {len(checked.units)} units; one is wanted, or the mean of all by :"
            raise InvalidJob.at(self._field(thread, "unit"), what)
        if compares(checked.objective(checked.units[0])):
            what = "candidates are scored by how they differ from each other; a session scores each trial alone"
            raise InvalidJob.at(self._field(thread, "objective"), what)
        return checked

    def _field(self, thread: int, field: str) -> str:
        """Where a thread's own field is, if it has one."""
        name = field.partition(".")[0].partition("[")[0]
        own = bool(self.spec.threads) and name in ("unit", "objective", "optimizer") and bool(getattr(self.threads[thread], name))
        return f"threads[{thread}].{field}" if own else field

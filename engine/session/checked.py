"""From a session's text to its parts: everything that can be refused is refused here, before the first trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ...models.generators.generator import Generator
from ...models.objectives.objective import compares
from ...models.spaces import StimulusSpec
from ...optimizers.optimizer import HasNote
from ..build import CheckedJob, build_generator, check
from ..errors import InvalidJob
from ..registry import find
from ..run import searches_of
from ..search import Search
from ..spec import BudgetSpec, ComponentSpec, DesignSpec, JobSpec
from .recorded import NotAskable, RecordedTarget
from .spec import SessionSpec

_GENERATOR, _TARGET = "(generator)", "(recorded)"
_SIZES = ("batch", "population")
"""Options by which optimizers are told how many candidates to ask."""


@dataclass(frozen=True)
class Aim:
    """What a session is after at the moment: an objective, and the address of the unit that it is about."""

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
    """

    spec: SessionSpec
    generator: Generator
    decoder: Generator
    target: RecordedTarget
    references: Tensor | None
    pictures: Tensor | None
    allow_imports: tuple[str, ...]
    given: Mapping[str, Any]

    @property
    def aim(self) -> Aim:
        """The first one."""
        return Aim(self.spec.objective, self.spec.unit or self.spec.units[0].name)

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

    def search(self, aim: Aim, number: int, evaluations: int) -> tuple[Search, str]:
        """The search for the ``number``-th aim with so many evaluations, and what to say of its optimizer.

        Raises
        ------
        InvalidJob
            With the path of what is wrong.
        """
        job = self._job(aim, self.spec.optimizer, number, evaluations)
        note = self.spec.optimizer.name
        optimizer = job.optimizer(0, number)
        if isinstance(optimizer, HasNote):
            note = optimizer.note
        sized = self._sized(note)
        if sized is not None:
            job = self._job(aim, sized, number, evaluations)
        return searches_of(job)[0], note

    def _sized(self, note: str) -> ComponentSpec | None:
        """The optimizer with as many candidates an ask as fit into a generation; None where it asks as many as it likes."""
        asked = self.spec.optimizer
        if asked.name == "auto":
            asked = ComponentSpec(name=note.partition(":")[0], options={})
        found = self.given.get(asked.name) or find("optimizer", asked.name, "optimizer.name", allow_imports=self.allow_imports)
        design = self.spec.design
        room = design.generation_size - self.references_shown - design.leaders
        candidates = max(room // design.replicates, 2)
        # its base point is asked beside the population
        wanted = {"batch": candidates, "population": max(candidates - (asked.name == "sphere-cma"), 2)}
        for option in _SIZES:
            if option in asked.options:
                return None
            if option in found.Options.model_fields:
                return ComponentSpec(name=asked.name, options={**asked.options, option: wanted[option]})
        return None

    def _job(self, aim: Aim, optimizer: ComponentSpec, number: int, evaluations: int) -> CheckedJob:
        """The session as a job with the rig as its target: all that a search is made from."""
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
        given = {**self.given, _GENERATOR: self.generator, _TARGET: self.target}
        try:
            # the design is the session's own matter, and none of what a job refuses about it applies
            plain = job.model_copy(update={"design": DesignSpec(remeasure=0.0, noisy=True)})
            checked = replace(check(plain, allow_imports=self.allow_imports, given=given), spec=job)
        except NotAskable:
            what = "it asks the target before the first trial, and recorded units can't be asked"
            raise InvalidJob.at("objective", what) from None
        except InvalidJob as error:
            raise InvalidJob([replace(v, field=v.field.replace("units[0]", "unit")) for v in error.violations]) from None
        if len(checked.units) != 1:
            raise InvalidJob.at("unit", f"{aim.unit!r} names {len(checked.units)} units; one is wanted, or the mean of all by :")
        if compares(checked.objective(checked.units[0])):
            raise InvalidJob.at("objective", "candidates are scored by how they differ from each other; a session scores each trial alone")
        return checked


def check_session(spec: SessionSpec, *, allow_imports: Sequence[str] = (), given: Mapping[str, Any] | None = None) -> CheckedSession:
    """Resolve every component, option, unit and pairing of a session without starting it.

    Parameters
    ----------
    spec : SessionSpec
        The session.
    allow_imports : sequence of str
        Packages that ``package:attribute`` names may come from.
    given : mapping of str to object, optional
        Parts that the session names and that are at hand.

    Raises
    ------
    InvalidJob
        With a violation for each wrong part.
    """
    given = given or {}
    asked = spec.stimulus
    wanted = None
    if asked is not None:
        high = asked.high if asked.high > asked.low else 1.0
        try:
            wanted = StimulusSpec(tuple(asked.shape), asked.low, high, asked.modality)
        except ValueError as error:
            raise InvalidJob.at("stimulus.shape", str(error)) from None
    generator = build_generator(spec.generator, wanted, allow_imports=allow_imports, given=given)
    if generator is None:
        raise InvalidJob.at("stimulus", f"{spec.generator.name} makes stimuli of any shape; say which")
    if wanted is not None and generator.stimulus != wanted:
        raise InvalidJob.at("stimulus", f"{spec.generator.name} makes an {generator.stimulus}; leave stimulus out, or say the same")
    if spec.presentation.encoding == "png" or spec.presentation.width:
        shape = generator.stimulus.shape
        if generator.stimulus.modality != "image" or shape[0] not in (1, 3):
            raise InvalidJob.at("presentation", f"{generator.stimulus} is no picture of 1 or 3 channels; only its values can be sent")
    _check_normalising(spec)
    references, pictures = _references(spec, generator)
    target = RecordedTarget(spec.units, generator.stimulus)
    checked = CheckedSession(spec, generator, generator, target, references, pictures, tuple(allow_imports), given)
    design = spec.design
    if checked.references_shown + design.leaders + design.replicates > design.generation_size:
        what = (
            f"{checked.references_shown} references and {design.leaders} leaders leave no room for a candidate in {design.generation_size}"
        )
        raise InvalidJob.at("design.generation_size", what)
    job = checked._job(checked.aim, spec.optimizer, 0, spec.stop.evaluations)
    checked.search(checked.aim, 0, spec.stop.evaluations)
    return replace(checked, decoder=job.generator)


def _check_normalising(spec: SessionSpec) -> None:
    signed = [unit.name for unit in spec.units if unit.kind == "signed"]
    if spec.design.normalise and signed:
        raise InvalidJob.at("design.normalise", f"{signed[0]} is signed, so it has no gain that references could tell; set false")
    if spec.design.normalise and not spec.design.references.rate:
        raise InvalidJob.at("design.normalise", "without references nothing tells the gain; set references.rate, or false")


def _references(spec: SessionSpec, generator: Generator) -> tuple[Tensor | None, Tensor | None]:
    asked = spec.design.references
    if asked.stimuli is not None:
        array = asked.stimuli.array()
        stimulus = generator.stimulus
        if array.ndim == 0 or array.shape[1:] != stimulus.shape or not array.shape[0]:
            what = f"its shape is {list(array.shape)}; (n, {', '.join(map(str, stimulus.shape))}) is wanted, n at least 1"
            raise InvalidJob.at("design.references.stimuli", what)
        values = torch.from_numpy(array.astype("float32"))
        if not bool(((values >= stimulus.low) & (values <= stimulus.high)).all()):
            raise InvalidJob.at("design.references.stimuli", f"its values do not all lie in [{stimulus.low:g}, {stimulus.high:g}]")
        return None, values
    if not asked.rate:
        return None, None
    draws = torch.Generator().manual_seed((spec.seed ^ 0x5EED5EED) % 2**63)
    if generator.prior is not None:
        return generator.prior.sample(asked.synthetic, draws), None
    return generator.latent.sample(asked.synthetic, draws), None

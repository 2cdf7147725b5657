"""Builds and validates a job's objectives and transformations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from ...models.components import Named
from ...models.generators.generator import Generator
from ...models.objectives.objective import Objective
from ...models.objectives.setting import Setting, built
from ...models.options import InvalidOption
from ...models.spaces import StimulusSpec
from ...models.targets.target import Target
from ...models.transformations.pipeline import Pipeline
from ...models.transformations.presets import PRESETS
from ...models.transformations.transformation import Transformation
from ...models.units import UnitAddress
from ...wire.near_names import hint
from ..components.registry import Resolver
from ..errors import InvalidJob
from ..spec import ComponentSpec, JobSpec


@dataclass(frozen=True)
class Scoring:
    """Builds the objectives and the transformations of a job.

    Parameters
    ----------
    spec : JobSpec
        The job.
    generator, target : Generator, Target
        The job's parts.
    resolver : Resolver
        Finds the components that the job names.
    """

    spec: JobSpec
    generator: Generator
    target: Target
    resolver: Resolver

    @cached_property
    def _setting(self) -> Setting:
        # shared by all units, since it caches the responses to reference images
        return Setting(self.target, self.generator.latent, self.generator.prior, seed=self.spec.seed)

    def objective(self, unit: UnitAddress) -> Objective:
        """Return the job's objective for one unit.

        Raises
        ------
        InvalidJob
            At the field of the wrong option; at "units" if the objective can't score the unit.
        """
        return self._objective(Named(name=self.spec.objective.name, options=self.spec.objective.options), unit, "objective", "units")

    def _objective(self, component: Named, unit: UnitAddress, field: str, of_unit: str) -> Objective:
        found = self.resolver.find("objective", component.name, field)
        options = self.resolver.options(found, component.options, field)
        own = of_unit if getattr(options, "unit", None) is None else f"{field}.options.unit"

        def nested(inner: Named, its_unit: UnitAddress, option: str) -> Objective:
            return self._objective(inner, its_unit, f"{field}.options.{option}", own)

        try:
            return built(found, options, unit, replace(self._setting, nested=nested))
        except InvalidOption as error:
            raise InvalidJob.at(own if error.option == "unit" else f"{field}.options.{error.option}", str(error)) from error

    def transformations(self) -> Pipeline | None:
        """Return the job's transformations; None if it has none.

        Raises
        ------
        InvalidJob
            Below "transformations".
        """
        asked, taken = self.spec.transformations, self.target.stimulus
        if asked is None:
            return None
        steps, samples, below = asked.steps, asked.samples, "transformations.steps"
        if asked.preset:
            if asked.preset not in PRESETS:
                near = hint(asked.preset, sorted(PRESETS))
                raise InvalidJob.at("transformations.preset", f"there is no preset {asked.preset!r}; {near}")
            preset = PRESETS[asked.preset](taken)
            steps = [ComponentSpec(name=name, options=dict(options)) for name, options in preset.steps]
            samples, below = samples or preset.samples, "transformations.preset"
        made: StimulusSpec = self.generator.stimulus
        parts: list[Transformation] = []
        for number, step in enumerate(steps):
            field = below if asked.preset else f"{below}[{number}]"
            found = self.resolver.find("transformation", step.name, field)
            options = self.resolver.options(found, step.options, field)
            try:
                parts.append(found.from_options(options, made))
            except InvalidOption as error:
                raise InvalidJob.at(f"{field}.options.{error.option}", str(error)) from error
            if made.modality not in parts[-1].modalities:
                raise InvalidJob.at(field, f"{step.name} can't change {'an image' if made.modality == 'image' else 'a series'}")
        # a target without gradients may be a screen, or a network that reads brightness as probability: values must stay in range
        return Pipeline(parts, made, taken, samples=samples or 1, seed=self.spec.seed, clip=not self.target.differentiable)

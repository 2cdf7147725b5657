"""Sensitivity of each unit to inputs, latents or parts of its optimum: Sobol, Morris, FAST, PAWN, local, and how many suffice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from ....models.options import InvalidOption
from ....models.targets.target import HasNoise, Target
from ....models.units import UnitAddress
from ...results.result import SearchResult
from ...results.section import Section
from ..analysis import AnalysisContext
from ..library_state import require_libraries
from ..measured_rows import Interrupted, MeasuredRows
from .factors import MOST_VALUES, Factors, Kind, block_factors, default_kind, latent_factors, value_factors
from .leading import explained, held_rows
from .local import difference_rows, differences, gradient
from .methods import METHODS, Design, Name, indices_of, problem_of, seed_of
from .sections import sections_of
from .study import Study

NOISY_REPEATS = 8
"""Measurements of each finite difference of a noisy target."""


class Sensitivity:
    """How much each input, latent or block of the stimulus counts for a unit: Sobol, Morris, FAST, PAWN and local sensitivity."""

    class Options(BaseModel):
        """Options of the analysis."""

        model_config = ConfigDict(extra="forbid")
        factors: Kind | None = Field(
            default=None,
            description="What is varied: single 'values' of the stimulus, 'blocks' of it, or 'latents'; by default values where they "
            "are at most 32 or have names, else blocks.",
        )
        methods: list[Name] = Field(default=["sobol"], max_length=4, description="Global methods; none for local sensitivity alone.")
        samples: int = Field(
            default=128,
            ge=16,
            le=65536,
            description="Rows of Sobol's base design, a power of two. Sobol shows samples × (2 × factors + 2) stimuli, Morris samples "
            "÷ 8 × (factors + 1), PAWN samples × 8, FAST at least 64 × factors × (factors − 1).",
        )
        second_order: bool = Field(default=True, description="Whether Sobol's indices of pairs are computed; half the stimuli without.")
        local: bool = Field(
            default=True, description="Whether the slopes at the optimum are measured, and computed where there are gradients."
        )
        step: float = Field(default=0.01, gt=0, le=0.5, description="Of finite differences, as a share of a factor's range.")
        leading: bool = Field(default=True, description="Whether it is measured how many factors suffice.")
        grid: int = Field(default=4, ge=1, le=16, description="Blocks along each side of an image or a map of codes.")
        axes: int = Field(default=8, ge=1, le=64, description="Axes of the latents that are varied.")
        reach: float = Field(default=2.0, gt=0, le=1000, description="How far either way along them, in standard deviations.")

        @field_validator("samples")
        @classmethod
        def _power_of_two(cls, samples: int) -> int:
            if samples & (samples - 1):
                raise ValueError(f"has to be a power of two; {1 << (samples.bit_length() - 1)} and {1 << samples.bit_length()} are near")
            return samples

    needs: tuple[type, ...] = ()

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or self.Options()

    @classmethod
    def from_options(cls, options: Options) -> Sensitivity:
        """Made by a job."""
        return cls(options)

    def check(self, target: Target) -> None:
        """Refuse to vary more values one by one than can be read, and to measure nothing."""
        size = int(np.prod(target.stimulus.shape))
        require_libraries("SALib")
        if self.options.factors == "values" and size > MOST_VALUES:
            raise InvalidOption(
                "factors", f"the stimulus has {size:,} values, and at most {MOST_VALUES} are varied one by one; use blocks or latents"
            )
        if not self.options.methods and not self.options.local:
            raise InvalidOption("methods", "neither a global method nor local sensitivity is asked for, so there is nothing to measure")

    def run(self, context: AnalysisContext) -> Sequence[Section]:
        """Show the target every design for every optimum, and return tables of factors, of pairs, and of how many suffice."""
        studies: list[Study] = []
        measured = MeasuredRows(context, "sensitivity")
        try:
            for search in context.searches:
                for number in range(max(1, len(search.optima))):
                    studies.append(self._study(context, search, number, measured))
        except Interrupted:
            pass
        return sections_of(context, studies)

    def _study(self, context: AnalysisContext, search: SearchResult, number: int, measured: MeasuredRows) -> Study:
        unit = next(unit for unit in context.units if str(unit) == search.unit)
        one = search.optima[number] if search.optima else search
        study = Study(search, number, one.stimulus, self._factors(context, one.stimulus, one.latent))
        factors = study.factors
        for name in dict.fromkeys(self.options.methods):
            method = METHODS[name]
            design = Design(self.options.samples, self.options.second_order, seed_of(context.seed, name))
            rows = method.sample(problem_of(factors), design)
            responses = measured.responses(unit, torch.from_numpy(rows), factors.make).numpy()
            found = indices_of(method, factors, design, rows, responses)
            if isinstance(found, str):
                study.limits.append(f"{name}: {found}")
                continue
            study.indices |= found
            if study.leading is None:
                study.leading = np.argsort(-found[method.ranks_by], kind="stable")
        if self.options.local:
            self._add_local(context, unit, study, measured)
        if self.options.leading and study.leading is not None:
            rows = min(128, self.options.samples)
            asked = held_rows(factors, study.leading, rows, seed_of(context.seed, "leading"))
            study.explained = explained(measured.responses(unit, asked, factors.make).numpy(), rows)
        return study

    def _factors(self, context: AnalysisContext, stimulus: NDArray[np.float32], latent: NDArray[np.generic]) -> Factors:
        kind, spec = self.options.factors or default_kind(context.target), context.generator.stimulus
        if kind == "values":
            return value_factors(stimulus, spec, context.target)
        if kind == "blocks":
            return block_factors(stimulus, spec, self.options.grid)
        return latent_factors(latent, context, self.options.axes, self.options.reach, self.options.grid)

    def _add_local(self, context: AnalysisContext, unit: UnitAddress, study: Study, measured: MeasuredRows) -> None:
        factors = study.factors
        if not factors.smooth:
            study.limits.append("codes change in steps, so they have no slope")
            return
        noisy = isinstance(context.target, HasNoise) and context.target.noisy
        repeats = NOISY_REPEATS if noisy else 1
        rows = difference_rows(factors, self.options.step)
        responses = measured.responses(unit, rows.repeat_interleave(repeats, 0), factors.make).reshape(-1, repeats)
        slopes, errors = differences(rows, responses)
        study.indices["slope"] = slopes.numpy()
        if repeats > 1:
            study.indices["slope ±"] = errors.numpy()
        found = measured.once(lambda: gradient(context, unit, factors, context.state["shown"]))
        if bool(found.isfinite().all()):
            study.indices["gradient"] = found.numpy()
        else:
            study.limits.append("there is no gradient, so slopes are finite differences alone")

"""Responses of each unit around its optima: along transformations of the stimulus and axes of the latents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from ....charts.words import count
from ....models.objectives.unit import mean_response
from ....models.options import InvalidOption
from ....models.spaces import Box
from ....models.targets.target import HasNoise, Target
from ....models.transformations.pipeline import resized_to
from ....models.units import UnitAddress
from ...results.result import SearchResult
from ...results.section import Figure, Section, Value
from ..analysis import AnalysisContext
from ..latent_axes import LatentAxes, latent_axes
from .curve import Curve
from .equivariance import equivariance, map_reader
from .figure import tuning_sheet
from .sweeps import Sweep, SweepOptions, applicable, latent_sweeps, stimulus_sweeps

NOISY_REPEATS = 8
"""How often each stimulus is shown to a noisy target, where the options don't say."""


@dataclass(frozen=True)
class _Optimum:
    """One optimum of one search, 0 the search's answer."""

    search: SearchResult
    number: int
    stimulus: NDArray[np.float32]
    latent: NDArray[np.generic]


class Tuning:
    """How each unit's response changes as its optimum is moved, turned, scaled or recoloured, and moved through the latents."""

    class Options(SweepOptions):
        """Options of the analysis."""

        repeats: int | None = Field(
            default=None, ge=1, le=1000, description="How often each stimulus is shown; by default once, and 8 times to a noisy target."
        )

    needs: tuple[type, ...] = ()

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or self.Options()

    @classmethod
    def from_options(cls, options: Options) -> Tuning:
        """Made by a job."""
        return cls(options)

    def check(self, target: Target) -> None:
        """Refuse transformations that the target's stimuli don't have."""
        known, spec = applicable(target.stimulus), target.stimulus
        unfit = [name for name in self.options.transformations or () if name not in known]
        if unfit:
            raise InvalidOption("transformations", f"{', '.join(unfit)} can't change the target's stimuli ({spec}); {', '.join(known)} can")
        if self.options.transformations == [] and not self.options.latent_axes:
            raise InvalidOption("transformations", "neither transformations nor latent axes are named, so there is nothing to measure")

    def run(self, context: AnalysisContext) -> Sequence[Section]:
        """Show the target every changed optimum, and return a curve for each change of each."""
        optima = [optimum for search in context.searches for optimum in _optima(search)]
        space, axes = context.generator.latent, None
        if isinstance(space, Box) and self.options.latent_axes:
            axes = latent_axes(context.generator, self.options.latent_axes, context.seed)
        kept: list[list[dict[str, Any]]] = context.state.setdefault("optima", [])
        noisy = isinstance(context.target, HasNoise) and context.target.noisy
        repeats = self.options.repeats or (NOISY_REPEATS if noisy else 1)
        shown, curves = 0, list[list[Curve]]()
        for number, optimum in enumerate(optima):
            sweeps = self._sweeps(optimum, context, axes)
            if number == len(kept):
                found = _measured(context, optimum, sweeps, repeats, shown)
                if found is None:
                    break
                kept.append(found)
                context.state.pop("part", None)
            shown += sum(found["responses"].numel() for found in kept[number])
            curves.append([_curve(sweep, found) for sweep, found in zip(sweeps, kept[number], strict=True)])
        return [_section(context, optima, curves, axes, repeats)]

    def _sweeps(self, optimum: _Optimum, context: AnalysisContext, axes: LatentAxes | None) -> list[Sweep]:
        stimulus, latent = torch.from_numpy(optimum.stimulus), torch.from_numpy(np.asarray(optimum.latent))
        found = stimulus_sweeps(stimulus, context.generator.stimulus, self.options)
        return found + (latent_sweeps(latent, context, axes, self.options) if self.options.latent_axes else [])


def _optima(search: SearchResult) -> list[_Optimum]:
    """The optima of a search; of an ordinary one what it found."""
    if len(search.optima) > 1:
        return [_Optimum(search, one.number, one.stimulus, one.latent) for one in search.optima]
    return [_Optimum(search, 0, search.stimulus, search.latent)]


def _unit(context: AnalysisContext, search: SearchResult) -> UnitAddress:
    return next(unit for unit in context.units if str(unit) == search.unit)


def _curve(sweep: Sweep, found: Mapping[str, Any]) -> Curve:
    turned = found["equivariance"]
    return Curve.of(sweep, found["responses"].numpy(), None if turned is None else turned.numpy())


def _measured(
    context: AnalysisContext, optimum: _Optimum, sweeps: Sequence[Sweep], repeats: int, shown: int
) -> list[dict[str, Any]] | None:
    """Responses, (values, repeats), and the equivariance, (values,), of each sweep of an optimum, which share passes.

    ``shown`` stimuli were shown before. Passes are kept in the context's state as "part". None where the analysis is to stop.
    """
    unit = _unit(context, optimum.search)
    layer = next(layer for layer in context.target.layers() if layer.name == unit.layer)
    read = map_reader(unit, layer, context.target.stimulus)
    values = [torch.tensor(sweep.values, dtype=torch.float64).repeat_interleave(repeats) for sweep in sweeps]
    part: dict[str, list[Tensor]] = context.state.setdefault("part", {"responses": [], "maps": []})
    while (first := sum(map(len, part["responses"]))) < sum(map(len, values)):
        stimuli = resized_to(_changed(sweeps, values, first, first + context.batch), context.target.stimulus)
        answer = context.respond(stimuli, {unit.layer}, shown + first)
        part["responses"].append(mean_response(unit, answer).double().cpu())
        if read is not None:
            part["maps"].append(read(answer[unit.layer]).double().cpu())
        context.report(f"tuning: {shown + first + len(stimuli):,} stimuli shown")
        if context.should_stop():
            return None
    sizes = [len(one) for one in values]
    found = [one.reshape(-1, repeats) for one in torch.cat(part["responses"]).split(sizes)]
    seen = [one.unflatten(0, (-1, repeats)).mean(1) for one in torch.cat(part["maps"]).split(sizes)] if part["maps"] else None
    spec = context.generator.stimulus
    size = (1, spec.shape[1]) if spec.modality == "series" else (spec.shape[1], spec.shape[2])
    return [
        {
            "responses": one.clone(),
            "equivariance": None if seen is None or sweep.place is None else equivariance(seen[number], sweep, size),
        }
        for number, (sweep, one) in enumerate(zip(sweeps, found, strict=True))
    ]


def _changed(sweeps: Sequence[Sweep], values: Sequence[Tensor], first: int, last: int) -> Tensor:
    """Stimuli ``first`` to ``last`` of all sweeps, one after the other."""
    parts: list[Tensor] = []
    start = 0
    for sweep, one in zip(sweeps, values, strict=True):
        rows = one[max(0, first - start) : max(0, last - start)]
        if len(rows):
            parts.append(sweep.change(rows))
        start += len(one)
    return torch.cat(parts)


def _section(
    context: AnalysisContext, optima: Sequence[_Optimum], curves: Sequence[Sequence[Curve]], axes: LatentAxes | None, repeats: int
) -> Section:
    rows: list[dict[str, Value]] = []
    figures: list[Figure] = []
    several = any(len(search.optima) > 1 for search in context.searches)
    for optimum, found in zip(optima, curves, strict=False):
        about = {"unit": optimum.search.unit, "optimizer": optimum.search.optimizer}
        rows += [{**about, **({"optimum": optimum.number + 1} if several else {}), **curve.row()} for curve in found]
        drawn = [curve for curve in found if curve.shares is not None]
        if drawn:
            figures.append(_figure(context, optimum, drawn, several))
    return Section("Tuning around the optima", _notes(context, axes, repeats), rows, _arrays(optima, curves), figures)


def _figure(context: AnalysisContext, optimum: _Optimum, curves: Sequence[Curve], several: bool) -> Figure:
    search, spec = optimum.search, context.generator.stimulus
    which = f", optimum {optimum.number + 1}" if several else ""
    title = f"Tuning of {search.unit}{which}, found by {search.optimizer}"
    halved = [curve.sweep.title for curve in curves if curve.halved() != (None, None)]
    says = f"The response falls below half along {', '.join(halved)}." if halved else "The response never falls below half."
    return Figure(
        f"Tuning{which}",
        f"{title}: {count(len(curves), 'curve')} of the response. {says}",
        lambda: tuning_sheet(title, curves, spec),
        unit=search.unit,
        optimizer=search.optimizer,
        wide=True,
    )


def _notes(context: AnalysisContext, axes: LatentAxes | None, repeats: int) -> tuple[str, ...]:
    notes = [
        "Each optimum is changed by one parameter at a time. Halved below and above: the values at which the response first falls below "
        "half of that to the unchanged optimum, interpolated between measured ones.",
        "Equivariance: how the unit's map, when the stimulus is moved, correlates with its moved map; 1 where it follows. It is the mean "
        "over all values, and is left out where a layer has no map or the map is the same everywhere.",
    ]
    if repeats > 1:
        notes.append(f"Each stimulus was shown {repeats} times; bands are standard errors of the mean.")
    if axes is not None:
        notes.append(f"Latent axes are {axes.says}; σ is one standard deviation along an axis.")
    elif not isinstance(context.generator.latent, Box):
        notes.append("Codes have no axes: a growing share of them, in random order, is replaced by those of another latent.")
    return tuple(notes)


def _arrays(optima: Sequence[_Optimum], curves: Sequence[Sequence[Curve]]) -> dict[str, NDArray[Any]]:
    """Values of each sweep, and responses, a row an optimum of which all curves were measured."""
    arrays: dict[str, NDArray[Any]] = {}
    most = max(map(len, curves), default=0)
    measured = [(optimum, found) for optimum, found in zip(optima, curves, strict=False) if len(found) == most > 0]
    arrays["units"] = np.array([optimum.search.unit for optimum, _ in measured], dtype=np.str_)
    arrays["optimizers"] = np.array([optimum.search.optimizer for optimum, _ in measured], dtype=np.str_)
    arrays["optima"] = np.array([optimum.number for optimum, _ in measured], np.int64)
    for at in range(most):
        rows = [found[at] for _, found in measured]
        key = rows[0].sweep.key
        arrays[f"{key}/values"] = np.array(rows[0].sweep.values)
        arrays[f"{key}/responses"] = np.stack([curve.means for curve in rows])
        arrays[f"{key}/sems"] = np.stack([curve.sems for curve in rows])
        if any(curve.equivariance is not None for curve in rows):
            unknown = np.full(len(rows[0].means), np.nan)
            arrays[f"{key}/equivariance"] = np.stack([unknown if c.equivariance is None else c.equivariance for c in rows])
    return arrays

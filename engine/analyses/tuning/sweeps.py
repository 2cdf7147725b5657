"""Changes of one optimum by one parameter: of the stimulus, or of the latent that made it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from ....models.spaces import Box, StimulusSpec
from ....models.transformations.geometry import Move, identity, moved, sampled, scaled
from ....models.transformations.transformation import Fill, Size
from ..analysis import AnalysisContext
from ..latent_axes import LatentAxes, along_axis, code_swaps

Change = Literal["shift-x", "shift-y", "scale", "rotation", "contrast", "hue"]
"""A transformation of the stimulus."""

_SERIES: tuple[Change, ...] = ("shift-x", "scale", "contrast")
_SAYS: dict[Change, tuple[str, str]] = {
    "shift-x": ("shift to the right", "pixels"),
    "shift-y": ("shift down", "pixels"),
    "scale": ("size", "%"),
    "rotation": ("rotation anticlockwise", "°"),
    "contrast": ("contrast", "%"),
    "hue": ("hue", "°"),
}


class SweepOptions(BaseModel):
    """Which parameters are varied, and how far."""

    model_config = ConfigDict(extra="forbid")
    transformations: list[Change] | None = Field(
        default=None, max_length=6, description="Changes of the stimulus; by default all that its kind has."
    )
    points: int = Field(default=6, ge=1, le=50, description="Values to each side of the unchanged optimum.")
    shift: float = Field(default=0.5, gt=0, le=1, description="Largest shift either way, as a share of the stimulus's size.")
    scale: float = Field(default=2.0, gt=1, le=10, description="Largest enlargement; the smallest size is its inverse.")
    rotation: float = Field(default=180.0, gt=0, le=180, description="Largest rotation either way, in degrees.")
    contrast: float = Field(default=2.0, gt=1, le=10, description="Highest contrast, as a factor; the lowest is none.")
    hue: float = Field(default=180.0, gt=0, le=180, description="Largest rotation of the hue either way, in degrees.")
    fill: Fill = Field(default="grey", description="What lies beyond a moved stimulus: 'grey', its 'edge' values, or its mirror image.")
    latent_axes: int = Field(default=3, ge=0, le=20, description="Axes of the latents along which the optimum is moved; 0 for none.")
    latent_reach: float = Field(default=2.0, gt=0, le=1000, description="How far either way along them, in standard deviations.")


@dataclass(frozen=True)
class Sweep:
    """One optimum, changed by one parameter.

    Attributes
    ----------
    key : str
        A short name, such as "shift-x" or "latent-1".
    title : str
        The parameter in words.
    unit : str
        Of its values.
    values : tuple of float
        Ascending; ``values[middle]`` leaves the optimum as it is.
    middle : int
        See ``values``.
    change : callable
        Values, (n,) float64 -> stimuli, (n, *stimulus) float32 on the CPU, within their range.
    place : callable or None
        Values -> matrices, (n, 3, 3), of the change of place in pixels of the stimulus, as in :class:`Move`; None where no pixel moves.
    """

    key: str
    title: str
    unit: str
    values: tuple[float, ...]
    middle: int
    change: Callable[[Tensor], Tensor]
    place: Callable[[Tensor], Tensor] | None = None


def applicable(spec: StimulusSpec) -> list[Change]:
    """Return the changes that stimuli of ``spec`` have."""
    if spec.modality == "series":
        return [name for name in _SERIES if spec.shape[1] > 1 or name == "contrast"]
    fits = {"shift-x": spec.shape[2] > 1, "shift-y": spec.shape[1] > 1, "scale": max(spec.shape[1:]) > 1, "hue": spec.shape[0] == 3}
    fits["rotation"] = fits["scale"]
    return [name for name in get_args(Change) if fits.get(name, True)]


def stimulus_sweeps(stimulus: Tensor, spec: StimulusSpec, options: SweepOptions) -> list[Sweep]:
    """Return the changes of a stimulus, (*stimulus), that ``options`` name."""
    names = applicable(spec) if options.transformations is None else list(dict.fromkeys(options.transformations))
    size: Size = (1, spec.shape[1]) if spec.modality == "series" else (spec.shape[1], spec.shape[2])
    shown = stimulus.reshape(1, spec.shape[0], *size)
    return [_sweep(name, shown, size, spec, options) for name in names]


def latent_sweeps(latent: Tensor, context: AnalysisContext, axes: LatentAxes | None, options: SweepOptions) -> list[Sweep]:
    """Return the changes of a latent of the context's generator, (*latent) on the CPU.

    In a box they are moves along ``axes``. Codes have no directions: there a growing share of them is replaced by those of another
    latent, ``options.latent_axes`` times another one.
    """
    generator, points = context.generator, options.points
    space = generator.latent

    def decoded(latents: Tensor) -> Tensor:
        with torch.no_grad():
            return generator(latents.to(context.device)).float().cpu()

    def along(change: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda values: decoded(change(values))

    if isinstance(space, Box):
        assert axes is not None, "a box has axes"
        values = tuple(options.latent_reach * at / points for at in range(-points, points + 1))
        moves = [along_axis(space, latent, direction) for direction in axes.directions]
        return [Sweep(f"latent-{at}", f"latent axis {at}", "σ", values, points, along(move)) for at, move in enumerate(moves, 1)]
    percent = tuple(50.0 * at / points for at in range(2 * points + 1))
    swaps = [code_swaps(generator, latent, context.seed + number) for number in range(options.latent_axes)]
    return [Sweep(f"latent-{at}", f"codes of another latent ({at})", "%", percent, 0, along(swap)) for at, swap in enumerate(swaps, 1)]


def _sweep(name: Change, shown: Tensor, size: Size, spec: StimulusSpec, options: SweepOptions) -> Sweep:
    title, unit = _SAYS[name]
    if spec.modality == "series" and name == "shift-x":
        title, unit = "shift in time", "steps"
    values, middle = _values(name, size, options)
    if name == "contrast" or name == "hue":
        changed = _contrast if name == "contrast" else _hue
        return Sweep(name, title, unit, values, middle, lambda values: _clipped(changed(shown, values, spec), spec))
    between = (spec.low + spec.high) / 2

    def place(values: Tensor) -> Tensor:
        return _matrices(name, values, size)

    def change(values: Tensor) -> Tensor:
        return _clipped(sampled(shown.expand(len(values), -1, -1, -1), Move(place(values), size), options.fill, between), spec)

    return Sweep(name, title, unit, values, middle, change, place)


def _values(name: Change, size: Size, options: SweepOptions) -> tuple[tuple[float, ...], int]:
    """Values of one change, ascending, and the place of the one that changes nothing."""
    points = options.points
    steps = range(-points, points + 1)
    if name in ("shift-x", "shift-y"):
        reach = max(1.0, options.shift * size[1 if name == "shift-x" else 0])
        pixels = sorted({round(reach * at / points) for at in steps})
        return tuple(map(float, pixels)), pixels.index(0)
    if name == "scale":
        return tuple(100 * options.scale ** (at / points) for at in steps), points
    if name == "contrast":
        return tuple(100 * (1 + at / points * (1 if at < 0 else options.contrast - 1)) for at in steps), points
    most = options.rotation if name == "rotation" else options.hue
    return tuple(most * at / points for at in steps), points


def _matrices(name: Change, values: Tensor, size: Size) -> Tensor:
    """Where the pixels of the changed stimulus come from, (n, 3, 3)."""
    n = len(values)
    if name == "shift-x":
        return moved(n, x=-values)
    if name == "shift-y":
        return moved(n, y=-values)
    if name == "scale":
        return scaled(n, x=100 / values if size[1] > 1 else 1.0, y=100 / values if size[0] > 1 else 1.0)
    angle, matrix = values.deg2rad(), identity(n)
    matrix[:, 0, 0] = matrix[:, 1, 1] = angle.cos()
    matrix[:, 0, 1], matrix[:, 1, 0] = -angle.sin(), angle.sin()
    return matrix


def _contrast(shown: Tensor, values: Tensor, spec: StimulusSpec) -> Tensor:
    middle = (spec.low + spec.high) / 2
    return middle + (values / 100).to(shown)[:, None, None, None] * (shown - middle)


def _hue(shown: Tensor, values: Tensor, spec: StimulusSpec) -> Tensor:
    """Colours turned about the axis of greys, so that grey stays grey and the mean of the channels stays the same."""
    angle = values.deg2rad()
    along = torch.full((3, 3), 1 / 3, dtype=torch.float64)
    across = torch.tensor([[0.0, -1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 1.0, 0.0]], dtype=torch.float64) / math.sqrt(3)
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    turn = cosine * torch.eye(3, dtype=torch.float64) + (1 - cosine) * along + sine * across
    return torch.einsum("nij,jhw->nihw", turn.to(shown), shown[0])


def _clipped(changed: Tensor, spec: StimulusSpec) -> Tensor:
    return changed.clamp(spec.low, spec.high).reshape(-1, *spec.shape)


def tick_texts(values: Sequence[float]) -> list[str]:
    """Return values as an axis says them, whole where they are nearly so."""
    whole = [abs(value - round(value)) < 0.05 or abs(value) >= 10 for value in values]
    return [f"{value:.{0 if is_whole else 1}f}".replace("-", "−") for value, is_whole in zip(values, whole, strict=True)]

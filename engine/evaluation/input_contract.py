"""What a user's network is given, told early: values that it was not trained with, channels that come last."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from ...models.spaces import StimulusSpec
from ...models.targets.input_statistics import Normalisation, divergences, trained_normalisations
from ...models.targets.module import ModuleTarget
from ...models.targets.noisy import NoisyTarget
from ...models.targets.normalise import IMAGENET, Normalise
from ...models.targets.target import Target

IMAGES = 16
"""Natural pictures that are shown: decoded from the bank of the zoo's VQ-VAE."""
FAR, NEAR, TIMES = 0.2, 0.15, 5.0
"""It is said where natural pictures lie at least ``FAR`` from what a network was trained with, and with other values at most ``NEAR`` and
``TIMES`` nearer. The zoo's networks have 0.01 and less; EfficientNet-lite0 has 0.68 without its normalisation and 0.02 with it."""
SWAPPED = 1.2
"""Times that layers must be nearer in the geometric mean with the channels in reverse, at least three quarters of them."""


WAYS = (
    IMAGENET,
    Normalise((0.5,), (0.5,)),
    Normalise((0.0,), (1.0,)),
    Normalise((0.0,), (1 / 255,)),
    Normalise((0.5,), (1 / 255,)),
)
"""How networks are commonly given pictures in [0, 1]: by ImageNet's statistics, in [-1, 1], as they are, in [0, 255], around 0."""


def input_notices(target: Target) -> tuple[str, ...]:
    """Return what a user should know of how stimuli reach ``target``, a line each; empty where all seems right.

    Networks with trained batch normalisation know the mean and variance of what they were trained with. Natural pictures are shown as the
    target's options have them, and otherwise; where another way is far nearer, that is said. Without such layers nothing is known.
    """
    inner = target.target if isinstance(target, NoisyTarget) else target
    notices = [channels_last(inner.stimulus)]
    if isinstance(inner, ModuleTarget) and inner.stimulus.modality == "image" and inner.stimulus.shape[0] == 3:
        layers = trained_normalisations(inner.module)
        if layers:
            try:
                with inner.preserved():
                    notices += _compared(inner, layers)
            except Exception:  # another's network, run in a way of its own: nothing is known then
                return tuple(filter(None, notices))
    return tuple(filter(None, notices))


def channels_last(stimulus: StimulusSpec) -> str:
    """Return a line where a shape reads as (height, width, channels); empty otherwise."""
    shape = stimulus.shape
    if stimulus.modality != "image" or shape[2] not in (3, 4) or min(shape[:2]) < 8:
        return ""
    turned = [shape[2], shape[0], shape[1]]
    return f"shape {list(shape)} is read as {shape[0]} channels of {shape[1]} × {shape[2]}; if channels come last in it, give {turned}"


def _compared(target: ModuleTarget, layers: list[Normalisation]) -> list[str]:
    spec = target.stimulus
    pictures = F.interpolate(natural_pictures(), spec.shape[1:], mode="bilinear", antialias=True)
    anchor = layers[0].mean
    pictures = pictures.to(anchor.device)

    def far(values: Callable[[Tensor], Tensor], most: int = 1) -> list[float]:
        return divergences(target.module, values(pictures).to(_dtype(target)), layers, most)

    def as_is(shown: Tensor) -> Tensor:
        return target.prepare(spec.low + (spec.high - spec.low) * shown)

    found = far(as_is)
    if not found or not math.isfinite(found[0]):
        return []
    others = [(distance[0], way) for way in WAYS if (distance := far(way)) and math.isfinite(distance[0])]
    nearest, way = min(others, key=lambda other: other[0])
    if found[0] >= FAR and nearest <= NEAR and nearest * TIMES <= found[0]:
        what = "natural pictures reach this network with other values than it was trained with, and drive it like noise"
        return [f"{what} (by the statistics in {layers[0].name}); {_options(way, spec)} in the target's options would fit"]
    if found[0] >= FAR:
        return []
    return _swapped(far(as_is, 8), far(lambda shown: as_is(shown.flip(1)), 8))


def _options(way: Normalise, spec: StimulusSpec) -> str:
    """The options that bring stimuli of ``spec`` to a network as ``way`` does pictures in [0, 1]."""
    span = spec.high - spec.low
    mean, std = [spec.low + span * value for value in way.mean], [span * value for value in way.std]
    return f"mean: [{', '.join(f'{value:.4g}' for value in mean)}] and std: [{', '.join(f'{value:.4g}' for value in std)}]"


def _swapped(now: list[float], reverse: list[float]) -> list[str]:
    """A line where layers are consistently nearer with the channels in reverse."""
    ratios = [math.log((one + 1e-6) / (other + 1e-6)) for one, other in zip(now, reverse, strict=True)]
    if len(ratios) < 2 or not all(map(math.isfinite, ratios)):
        return []
    most = sum(ratio > 0 for ratio in ratios) >= 0.75 * len(ratios)
    if not most or sum(ratios) / len(ratios) < math.log(SWAPPED):
        return []
    what = "this network seems to be trained on pictures whose channels are blue, green, red, and gets red, green, blue"
    return [f"{what}; put a module before it that turns them, such as one whose forward gives network(x.flip(1))"]


def _dtype(target: ModuleTarget) -> torch.dtype:
    tensors = (*target.module.parameters(), *target.module.buffers())
    return next((tensor.dtype for tensor in tensors if tensor.is_floating_point()), torch.float32)


@cache
def natural_pictures() -> Tensor:
    """Return natural pictures in [0, 1], (16, 3, 32, 32), decoded from the bank of the zoo's VQ-VAE."""
    from ...models.zoo.generators import VQVAEGenerator

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        generator = VQVAEGenerator.from_options(VQVAEGenerator.Options())
        assert generator.prior is not None
        bank = generator.prior.bank
        return generator(bank[torch.linspace(0, len(bank) - 1, IMAGES).long()]).clone()

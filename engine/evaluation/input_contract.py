"""Checks how stimuli reach a user's network: value ranges unlike those of its training, and channels that come last."""

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
"""Number of natural pictures that are shown, decoded from the bank of the zoo's VQ-VAE."""
FAR, NEAR, TIMES = 0.2, 0.15, 5.0
"""A notice is given if natural pictures diverge by at least ``FAR`` from the training statistics, and under another value range by at most
``NEAR`` and ``TIMES`` less. The zoo's networks diverge by 0.01 or less; EfficientNet-lite0 by 0.02, without its normalisation by 0.68."""
SWAPPED = 1.2
"""Factor by which the layers' divergence must be smaller with reversed channels: in the geometric mean, and smaller in three quarters."""


WAYS = (
    IMAGENET,
    Normalise((0.5,), (0.5,)),
    Normalise((0.0,), (1.0,)),
    Normalise((0.0,), (1 / 255,)),
    Normalise((0.5,), (1 / 255,)),
)
"""Common normalisations of pictures in [0, 1]: ImageNet's statistics; to [-1, 1]; none; to [0, 255]; to [-127.5, 127.5]."""


def input_notices(target: Target) -> tuple[str, ...]:
    """Return notices about how stimuli reach ``target``, a line each; empty if nothing looks wrong.

    Trained batch normalisation holds the mean and variance of the training inputs. Natural pictures are shown as the target's options
    scale them, and under common normalisations; a notice says if one fits far better. Networks without such layers are not checked.
    """
    inner = target.target if isinstance(target, NoisyTarget) else target
    notices = [channels_last(inner.stimulus)]
    if isinstance(inner, ModuleTarget) and inner.stimulus.modality == "image" and inner.stimulus.shape[0] == 3:
        layers = trained_normalisations(inner.module)
        if layers:
            try:
                with inner.preserved():
                    notices += _compared(inner, layers)
            except Exception:  # a user's network that can't be run in this way: nothing is known
                return tuple(filter(None, notices))
    return tuple(filter(None, notices))


def channels_last(stimulus: StimulusSpec) -> str:
    """Return a notice if a shape looks like (height, width, channels); empty otherwise."""
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
    """Return the options that scale stimuli of ``spec`` for a network as ``way`` scales pictures in [0, 1]."""
    span = spec.high - spec.low
    mean, std = [spec.low + span * value for value in way.mean], [span * value for value in way.std]
    return f"mean: [{', '.join(f'{value:.4g}' for value in mean)}] and std: [{', '.join(f'{value:.4g}' for value in std)}]"


def _swapped(now: list[float], reverse: list[float]) -> list[str]:
    """Return a notice if layers are consistently nearer with the channels in reverse."""
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

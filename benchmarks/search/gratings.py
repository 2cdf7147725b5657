"""Gratings of eight parameters in front of the zoo's CNN: what a closed loop searches that has a stimulus program, and no generator.

Real-valued parameters, or eight levels each; without noise, and as spike counts. There are no natural latents and no gradients. Several
gratings drive a unit, so the landscape has many peaks.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from actmax.models.spaces import Box, Categorical, LatentSpace

from .problems import Family, SearchProblem, derived_seed, poisson
from .vision import responder

PARAMETERS, LEVELS, SIZE = 8, 8, 32
BOX = Box((PARAMETERS,), 0.0, 1.0)
CODES = Categorical((PARAMETERS,), LEVELS)
PLACES = torch.linspace(0.0, 1.0, LEVELS)
"""Of the levels, in the box."""
INNER = ("layer3[96]", "layer4[81]", "layer4[93]")
"""Hidden units of the benchmark that gratings drive at all; of single positions deep in the network most are silent to them."""
SPIKES, DRAWN = 20.0, 2000
"""Spikes of the best of so many gratings drawn at random, which sets the scale of the counts."""


def gratings(parameters: Tensor) -> Tensor:
    """Drifting-bar and grating experiments' usual choices, under a Gaussian window.

    Parameters
    ----------
    parameters : Tensor
        (n, 8) in [0, 1]: spatial frequency (1 to 8 cycles, evenly in the logarithm), orientation, phase, contrast, hue, width of the
        window, its place along x and y.

    Returns
    -------
    Tensor
        (n, 3, 32, 32) in [0, 1], around mid-grey.
    """
    frequency, angle, phase, contrast, hue, width, left, top = parameters.float().clamp(0, 1)[:, :, None, None].unbind(1)
    axis = torch.linspace(-1.0, 1.0, SIZE)
    x, y = axis[None, None, :], axis[None, :, None]
    along = x * (torch.pi * angle).cos() + y * (torch.pi * angle).sin()
    wave = (torch.pi * 8.0**frequency * along + 2 * torch.pi * phase).cos()
    window = (-((x - 2 * left + 1).square() + (y - 2 * top + 1).square()) / (2 * (0.15 + 1.35 * width).square())).exp()
    colours = [(1 + (2 * torch.pi * (hue + shift / 3)).cos()) / 2 for shift in range(3)]
    return torch.stack([0.5 + 0.5 * contrast * window * wave * colour for colour in colours], 1)


@lru_cache(maxsize=1)
def _drawn() -> Tensor:
    return BOX.sample(DRAWN, torch.Generator().manual_seed(derived_seed("gratings")))


@lru_cache(maxsize=32)
def _problem(name: str, unit: str) -> SearchProblem:
    coded = "levels" in name
    respond, digest = responder(gratings, "cifar10-cnn", unit)
    scale = SPIKES / float(respond(_drawn()).max())
    latent: LatentSpace = CODES if coded else BOX

    def clean(latents: Tensor) -> Tensor:
        return scale * respond(PLACES[latents] if coded else latents)

    return SearchProblem(
        name,
        unit,
        latent,
        clean,
        f"1-{digest}",
        code_vectors=PLACES[:, None] if coded else None,
        noise=poisson if "poisson" in name else None,
    )


def families() -> dict[str, Family]:
    """Real-valued and in levels, clean and Poisson."""
    units = (*(f"fc[{k}]" for k in range(10)), *INNER)
    found: dict[str, Family] = {}
    kinds = {"gratings-cnn": "gratings of eight parameters", "gratings-levels-cnn": "gratings of eight parameters of eight levels"}
    for kind, about in kinds.items():
        for noisy in (False, True):
            name = f"{kind}-poisson" if noisy else kind

            def build(unit: str, seed: int, name: str = name) -> SearchProblem:
                del seed
                return _problem(name, unit)

            text = f"{about} × CNN{', Poisson noise, 20 spikes for the best of 2,000 drawn' if noisy else ''}"
            found[name] = Family(build, units, 1000, ("fc[0]", "fc[5]", "fc[7]", *INNER[1:3]), text)
    return found

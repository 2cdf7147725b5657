"""4096-D: a Fourier and a random deep generator in front of the zoo's CNN, without and with multiplicative noise.

The setting of Wang and Ponce's comparison ("High-performance evolutionary algorithms for online neuron control", 2022): codes of a deep
generator, 3000 images, noise that grows with the response. No gradients are given, since a neuron gives none.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from actmax.models.densities import Density, fit_density
from actmax.models.spaces import Box

from .problems import Family, SearchProblem, derived_seed, multiplicative
from .vision import responder

SIZE = 4096
BOX = Box((SIZE,), -3.0, 3.0)
BANK = 500
SIDE = 36
"""Of the Fourier generator's image before it is cropped: 3 · 36 · 19 · 2 = 4104 real coefficients."""


class FourierGenerator:
    """Spectrum of a colour image, divided by frequency, colours correlated as in natural images (Olah et al., 2017)."""

    COLOUR = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])

    def __init__(self) -> None:
        frequencies = (torch.fft.fftfreq(SIDE)[:, None].square() + torch.fft.rfftfreq(SIDE)[None].square()).sqrt()
        self.scale = 1.0 / frequencies.clamp(min=1.0 / SIDE)

    def __call__(self, latents: Tensor) -> Tensor:
        """(n, 4096) -> (n, 3, 32, 32) in [0, 1]."""
        padded = F.pad(latents.float(), (0, 3 * SIDE * (SIDE // 2 + 1) * 2 - SIZE))
        spectrum = torch.view_as_complex(padded.view(-1, 3, SIDE, SIDE // 2 + 1, 2)) * self.scale
        image = torch.fft.irfft2(spectrum, s=(SIDE, SIDE), norm="ortho")[..., 2:-2, 2:-2]
        return torch.sigmoid(torch.einsum("nchw,dc->ndhw", image, self.COLOUR / self.COLOUR.norm(dim=0).max()))


class RandomDeepGenerator:
    """An untrained deconvolutional network of fixed random weights: 4096 latents to 32 × 32 images."""

    WIDTHS = (64, 48, 32)

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(derived_seed("random deep generator"))

        def draw(*shape: int, fan: int, gain: float = 2.0) -> Tensor:
            return torch.randn(*shape, generator=generator) * (gain / fan) ** 0.5

        first, second, third = self.WIDTHS
        self.dense = draw(SIZE, first * 16, fan=SIZE, gain=1.0)
        self.kernels = [draw(second, first, 3, 3, fan=first * 9), draw(third, second, 3, 3, fan=second * 9)]
        self.last = draw(3, third, 3, 3, fan=third * 9)

    def __call__(self, latents: Tensor) -> Tensor:
        """(n, 4096) -> (n, 3, 32, 32) in [0, 1]."""
        x = F.leaky_relu((latents.float() @ self.dense).view(-1, self.WIDTHS[0], 4, 4), 0.2)
        for kernel in self.kernels:
            x = F.leaky_relu(F.conv2d(F.interpolate(x, scale_factor=2.0, mode="nearest"), kernel, padding=1), 0.2)
        x = F.conv2d(F.interpolate(x, scale_factor=2.0, mode="bilinear"), self.last, padding=1)
        return torch.sigmoid(1.5 * x)


@lru_cache(maxsize=1)
def _bank() -> Tensor:
    generator = torch.Generator().manual_seed(derived_seed("4096 bank"))
    return torch.randn(BANK, SIZE, generator=generator).clamp_(BOX.low, BOX.high)


@lru_cache(maxsize=1)
def _density() -> Density:
    return fit_density(BOX, _bank())


_GENERATORS = {"fourier": lru_cache(maxsize=1)(FourierGenerator), "deep": lru_cache(maxsize=1)(RandomDeepGenerator)}


def _problem(kind: str, sigma: float, name: str, unit: str) -> SearchProblem:
    generator = _GENERATORS[kind]()
    clean, digest = responder(generator, "cifar10-cnn", unit)
    noise = multiplicative(sigma) if sigma else None
    return SearchProblem(name, unit, BOX, clean, f"1-{digest}", bank=_bank(), density=_density, normal=True, noise=noise)


def families() -> dict[str, Family]:
    """Both generators at three levels of noise."""
    found: dict[str, Family] = {}
    for kind, about in (("fourier", "Fourier generator"), ("deep", "random deep generator")):
        for sigma in (0.0, 0.2, 0.5):
            name = f"{kind}-cnn" + (f"-noise{sigma:g}" if sigma else "")

            def build(unit: str, seed: int, kind: str = kind, sigma: float = sigma, name: str = name) -> SearchProblem:
                del seed
                return _problem(kind, sigma, name, unit)

            text = f"4096-D {about} × CNN, multiplicative noise σ = {sigma:g}"
            found[name] = Family(build, tuple(f"fc[{k}]" for k in range(10)), 3000, ("fc[0]", "fc[5]"), text)
    return found

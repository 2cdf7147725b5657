"""Fixed luminance and contrast of stimuli, exactly and with their true gradient."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..spaces import StimulusSpec

NEWTON = 12
"""Most steps of Newton's method; stimuli that have not converged are bisected."""
BISECTIONS = 45
TOLERANCE = 1e-7
"""Error of mean and standard deviation, as a share of the stimulus's range, at which the search for gain and offset ends."""


def most_contrast(luminance: float | None, spec: StimulusSpec) -> float:
    """Return the upper bound of the standard deviation of stimuli: half the values lowest, half highest.

    Parameters
    ----------
    luminance : float or None
        Mean of the stimuli; None for any mean.
    spec : StimulusSpec
        Has the range.
    """
    half = (spec.high - spec.low) / 2
    return half if luminance is None else math.sqrt(max((luminance - spec.low) * (spec.high - luminance), 0.0))


def fixed(stimuli: Tensor, spec: StimulusSpec, luminance: float | None, contrast: float | None) -> Tensor:
    """Return stimuli rescaled to a fixed mean and standard deviation.

    Each becomes clip(gain · x + offset) with the one gain and offset that reach the wanted values after clipping to the stimulus's range;
    the order of light and dark is kept. Newton's method solves for them and, where much is clipped, bisection. The gradient is that of the
    solution (the implicit function theorem), as if gain and offset were closed formulas.

    Parameters
    ----------
    stimuli : Tensor
        (n, *stimulus) within the range.
    spec : StimulusSpec
        The range.
    luminance : float or None
        Mean over all values of a stimulus. None: its own, moved as far as the contrast needs it.
    contrast : float or None
        Standard deviation over all values of a stimulus (root-mean-square contrast). None: not fixed.

    Returns
    -------
    Tensor
        (n, *stimulus). A stimulus without contrast stays flat, and one with few distinct values comes as near as it can.
    """
    width = spec.high - spec.low
    x = ((stimuli - spec.low) / width).flatten(1)
    if not x.shape[0]:
        return stimuli
    mean = x.mean(1)
    if luminance is not None:
        mean = torch.full_like(mean, (luminance - spec.low) / width)
    deviation = None if contrast is None else contrast / width
    if deviation is not None and luminance is None:
        # with a margin to the possible means: at their limit stimuli have to be black and white
        room = math.sqrt(max(0.25 - (deviation * 1.25) ** 2, 0.0))
        mean = mean.clamp(0.5 - room, 0.5 + room)
    with torch.no_grad():
        gain, offset = (part.to(x) for part in _solved(x.detach().double(), mean.detach().double(), deviation))
    if torch.is_grad_enabled() and stimuli.requires_grad:
        gain, offset = _attached(x, mean, deviation, gain, offset)
    made = (gain[:, None] * x + offset[:, None]).clamp(0, 1)
    return (made * width + spec.low).clamp(spec.low, spec.high).view_as(stimuli)


def _missed(x: Tensor, gain: Tensor, offset: Tensor, mean: Tensor, deviation: float | None) -> tuple[Tensor, Tensor]:
    """Return the errors of mean and standard deviation, (n, 2), and their slopes in gain and offset, (n, 2, 2)."""
    linear = gain[:, None] * x + offset[:, None]
    made = linear.clamp(0, 1)
    free = ((linear > 0) & (linear < 1)).to(x)
    found = made.mean(1)
    off, slopes = [found - mean], [torch.stack([(free * x).mean(1), free.mean(1)], 1)]
    if deviation is not None:
        centred = made - found[:, None]
        spread = centred.square().mean(1).clamp(min=1e-12).sqrt()
        off.append(spread - deviation)
        slopes.append(torch.stack([(centred * free * x).mean(1), (centred * free).mean(1)], 1) / spread[:, None])
    else:  # the gain is fixed
        off.append(gain - 1)
        slopes.append(torch.tensor([1.0, 0.0]).to(x).expand(x.shape[0], 2))
    return torch.stack(off, 1), torch.stack(slopes, 1)


def _solved(x: Tensor, mean: Tensor, deviation: float | None) -> tuple[Tensor, Tensor]:
    """Return gain and offset, (n,) each, in double precision."""
    spread = x.std(1, unbiased=False)
    flat = spread < 1e-6
    gain = torch.ones_like(mean) if deviation is None else torch.where(flat, 0.0, deviation / spread.clamp(min=1e-6))
    offset = mean - gain * x.mean(1)
    for _ in range(NEWTON):
        off, slopes = _missed(x, gain, offset, mean, deviation)
        wrong = ~flat & ~((off.abs().amax(1) < TOLERANCE) & (gain > 0))
        if not bool(wrong.any()):
            return gain, offset
        step = torch.where(wrong[:, None], _newton(off, slopes), 0.0)
        gain, offset = gain - step[:, 0], offset - step[:, 1]
    off, _ = _missed(x, gain, offset, mean, deviation)
    rows = (~flat & ~((off.abs().amax(1) < TOLERANCE) & (gain > 0))).nonzero()[:, 0]
    gain[rows], offset[rows] = _bisected(x[rows], mean[rows], deviation)
    return gain, offset


def _bisected(x: Tensor, mean: Tensor, deviation: float | None) -> tuple[Tensor, Tensor]:
    """Return gain and offset by bisection, for any stimulus: contrast grows with gain at a fixed mean, the mean with offset."""
    n = x.shape[1]
    ordered = x.sort(1).values
    nothing = x.new_zeros(x.shape[0], 1)
    sums, squares = torch.cat([nothing, ordered.cumsum(1)], 1), torch.cat([nothing, ordered.square().cumsum(1)], 1)

    def moments(gain: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
        first = torch.searchsorted(ordered, (-offset / gain)[:, None])
        last = torch.maximum(torch.searchsorted(ordered, ((1 - offset) / gain)[:, None]), first)
        inside, white = (last - first)[:, 0], n - last[:, 0]
        total, square = ((table.gather(1, last) - table.gather(1, first))[:, 0] for table in (sums, squares))
        one = (gain * total + offset * inside + white) / n
        two = (gain.square() * square + 2 * gain * offset * total + offset.square() * inside + white) / n
        return one, (two - one.square()).clamp(min=0).sqrt()

    def balanced(gain: Tensor) -> Tensor:
        low, high = -gain * ordered[:, -1], 1 - gain * ordered[:, 0]
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            above = moments(gain, middle)[0] > mean
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        return (low + high) / 2

    gain = torch.ones_like(mean)
    if deviation is not None:
        spread = ordered.std(1, unbiased=False)
        low, high = (0.5 * deviation / spread).log(), (1e4 / spread).log()
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            tried = middle.exp()
            above = moments(tried, balanced(tried))[1] > deviation
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        gain = ((low + high) / 2).exp()
    return gain, balanced(gain)


def _newton(off: Tensor, slopes: Tensor) -> Tensor:
    """Return the Newton step, (n, 2), slightly damped for the case that everything is clipped and slopes vanish."""
    off, slopes = off.double(), slopes.double()
    square = slopes.transpose(1, 2) @ slopes
    damping = 1e-12 + 1e-10 * square.diagonal(dim1=1, dim2=2).amax(1)
    return torch.linalg.solve(square + damping[:, None, None] * torch.eye(2).to(off), slopes.transpose(1, 2) @ off[:, :, None])[:, :, 0]


def _attached(x: Tensor, mean: Tensor, deviation: float | None, gain: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    """Return gain and offset with derivatives in ``x`` (and ``mean``): plus one Newton step of value zero whose slopes are constants."""
    off, slopes = _missed(x, gain, offset, mean, deviation)
    step = _newton(off, slopes.detach())
    step = (step - step.detach()).to(gain)
    return gain - step[:, 0], offset - step[:, 1]

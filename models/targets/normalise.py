"""Normalisation inside a target, so that stimuli keep their own range outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Normalise:
    """Subtracts a mean from each channel and divides by a standard deviation.

    Attributes
    ----------
    mean, std : tuple of float
        One value a channel, or one for all; in the unit of the stimulus, ``std`` positive.

    Raises
    ------
    ValueError
        A standard deviation is not positive, or the two have different lengths.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} values, std {len(self.std)}; give both for each channel")
        if not all(value > 0 for value in self.std):
            raise ValueError(f"std must be positive, got {list(self.std)}")

    def __call__(self, stimuli: Tensor) -> Tensor:
        """Return normalised stimuli: (n, channels, …) -> the same shape."""
        mean, std = (stimuli.new_tensor(values).view(1, -1, *[1] * (stimuli.ndim - 2)) for values in (self.mean, self.std))
        return (stimuli - mean) / std


IMAGENET = Normalise((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of ImageNet, with which most networks are trained."""


def channels_fit(normalise: Normalise, channels: int) -> bool:
    """Return whether a normalisation has one value for each of ``channels``, or one for all."""
    return len(normalise.mean) in (1, channels)


def for_channels(mean: Sequence[float] | None, std: Sequence[float] | None, default: Normalise, channels: int) -> Normalise:
    """Return the normalisation that options ask for.

    Parameters
    ----------
    mean, std : sequence of float or None
        Values of the options, one a channel or one for all.
    default : Normalise
        Used where an option is None; averaged over channels where it has another number of them.
    channels : int
        Channels of a stimulus.

    Raises
    ------
    ValueError
        The values don't fit each other or the channels.
    """
    if not channels_fit(default, channels):
        default = Normalise((sum(default.mean) / len(default.mean),), (sum(default.std) / len(default.std),))
    given = max((len(values) for values in (mean, std) if values is not None), default=0)
    if given > 1 and len(default.mean) == 1:
        default = Normalise(default.mean * given, default.std * given)
    chosen = Normalise(tuple(mean) if mean is not None else default.mean, tuple(std) if std is not None else default.std)
    if not channels_fit(chosen, channels):
        raise ValueError(f"{len(chosen.mean)} values for {channels} channels")
    return chosen


WIDEST, NARROWEST = 10.0, 1e-3
"""Greatest and least standard deviation, as shares of a stimulus's range; 1 / 255 maps values in [0, 1] to [0, 255]."""


def check_mean(mean: Sequence[float], low: float, high: float) -> None:
    """Raise ValueError for a mean that belongs to stimuli of another range.

    Raises
    ------
    ValueError
        A value lies outside of [``low``, ``high``].
    """
    for value in mean:
        if not low <= value <= high:
            raise ValueError(f"stimuli in [{low:g}, {high:g}] have no mean of {value:g}{_bytes(value, low, high)}")


def check_std(std: Sequence[float], low: float, high: float) -> None:
    """Raise ValueError for a standard deviation that belongs to stimuli of another range, or that is an inverse.

    Raises
    ------
    ValueError
        A value is more than ten times the range, or less than a thousandth of it.
    """
    for value in std:
        what = f"stimuli in [{low:g}, {high:g}] have no standard deviation of {value:g}"
        if not value <= WIDEST * (high - low):
            raise ValueError(f"{what}{_bytes(value, low, high)}")
        if value < NARROWEST * (high - low):
            raise ValueError(f"{what}; where values are to be multiplied by it, give {1 / value:.4g}")


def _bytes(value: float, low: float, high: float) -> str:
    """Return a suggestion where a value seems to be meant for [0, 255], else an empty text."""
    return f"; for pictures in [0, 1] give {value / 255:.4g}" if (low, high) == (0.0, 1.0) and 1 < value <= 255 else ""

"""Published recipes of transformations, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..spaces import StimulusSpec

Step = tuple[str, Mapping[str, Any]]
"""A transformation's name and options."""


@dataclass(frozen=True)
class Preset:
    """Steps in order, and the number of samples where the job names none."""

    steps: tuple[Step, ...]
    samples: int = 1


def _pixels(at_224: int, stimulus: StimulusSpec) -> int:
    """Return a length for 224 pixels as the same share of the stimulus's shorter side."""
    return max(1, round(at_224 * min(length for length in stimulus.shape[1:] if length > 1) / 224))


def lucid(stimulus: StimulusSpec) -> Preset:
    """Pad 12, jitter 8, scale 0.9 to 1.1, rotate by up to 10°, jitter 4 (Olah et al., "Feature Visualization", 2017, as in Lucent)."""
    return Preset(
        (
            ("pad", {"pixels": _pixels(12, stimulus)}),
            ("jitter", {"pixels": _pixels(8, stimulus)}),
            ("scale", {"range": [0.9, 1.1]}),
            ("rotate", {"degrees": [-10, 10]}),
            ("jitter", {"pixels": _pixels(4, stimulus)}),
        )
    )


def maco(stimulus: StimulusSpec) -> Preset:
    """Six crops of 20 to 25 % of the side about the middle, and noise of .05 (Fel et al., "Unlocking feature visualization", 2023)."""
    del stimulus
    return Preset((("crop", {"size": [0.2, 0.25], "place": "central"}), ("noise", {"std": 0.05})), samples=6)


def vit(stimulus: StimulusSpec) -> Preset:
    """Eight draws of colour jitter, fading tints, and rolls by up to 32 (Ghiasi et al., "What do vision transformers learn?", 2022)."""
    return Preset(
        (
            ("colour", {"shift": 1.0, "stretch": 1.0}),
            ("noise", {"std": 0.5, "until": 0.0, "per": "channel"}),
            ("roll", {"most": _pixels(32, stimulus)}),
        ),
        samples=8,
    )


def mei(stimulus: StimulusSpec) -> Preset:
    """Blur that fades from 1.5 pixels to .01 (Walker et al., "Inception loops", 2019)."""
    del stimulus
    return Preset((("blur", {"sigma": [1.5, 1.5], "until": 0.01}),))


PRESETS: Mapping[str, Callable[[StimulusSpec], Preset]] = {"lucid": lucid, "maco": maco, "vit": vit, "mei": mei}

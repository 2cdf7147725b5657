"""Options that describe the stimuli of modules, files, servers and functions, which don't describe them themselves."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from ..options import InvalidOption, OptionsModel
from ..spaces import StimulusSpec
from .normalise import Normalise, check_mean, check_std, for_channels


class RangeOptions(OptionsModel):
    """Range and modality of the stimuli."""

    low: float = Field(default=0.0, allow_inf_nan=False, description="Lowest value of a stimulus.")
    high: float = Field(default=1.0, allow_inf_nan=False, description="Highest value of a stimulus.")
    modality: Literal["image", "series"] | None = Field(
        default=None, description="By default an image of three dimensions, a series of two."
    )

    @field_validator("high")
    @classmethod
    def _ordered(cls, high: float, info: ValidationInfo) -> float:
        if not info.data.get("low", -math.inf) < high:
            raise ValueError(f"has to be above low, {info.data.get('low')}")
        return high

    def spec_of(self, shape: tuple[int, ...], option: str = "shape") -> StimulusSpec:
        """Return the specification of stimuli of ``shape``; three dimensions are an image, two a series.

        Parameters
        ----------
        shape : tuple of int
            Shape of one stimulus.
        option : str
            The option with the shape; errors name it.

        Raises
        ------
        InvalidOption
            The shape has another number of dimensions, a dimension is not positive, or the modality is another one.
        """
        modality = {3: "image", 2: "series"}.get(len(shape))
        if modality is None or min(shape) < 1:
            raise InvalidOption(option, f"needs (channels, height, width) or (channels, time), all positive, got {list(shape)}")
        if self.modality not in (None, modality):
            raise InvalidOption("modality", f"a shape of {len(shape)} dimensions is no {self.modality}")
        return StimulusSpec(shape, self.low, self.high, "image" if modality == "image" else "series")


class NormalisedOptions(RangeOptions):
    """Normalisation of stimuli inside the target, and names of the output's units."""

    mean: list[float] | None = Field(default=None, description="Subtracted from each channel, one value each or one for all.")
    std: list[float] | None = Field(default=None, description="Divides each channel, one value each or one for all.")
    names: list[str] = Field(default_factory=list, description="What the units of the output stand for.")

    def normalise(self, channels: int) -> Normalise | None:
        """Return the normalisation of ``mean`` and ``std`` for stimuli of ``channels`` channels; None where neither is given.

        Raises
        ------
        InvalidOption
            The values don't fit the channels, the stimuli's range or each other.
        """
        if self.mean is None and self.std is None:
            return None
        try:
            found = for_channels(self.mean, self.std, Normalise((0.0,), (1.0,)), channels)
        except ValueError as error:
            raise InvalidOption("mean" if self.mean is not None else "std", str(error)) from error
        for option, values in (("mean", self.mean), ("std", self.std)):
            if values is not None:
                self._in_range(option, values)
        return found

    def _in_range(self, option: str, values: list[float]) -> None:
        """Raise InvalidOption for values of a mean or a standard deviation that belong to another range."""
        try:
            (check_mean if option == "mean" else check_std)(values, self.low, self.high)
        except ValueError as error:
            raise InvalidOption(option, str(error)) from error


class ShapeOptions(RangeOptions):
    """Shape of the stimuli, for targets that don't know it themselves."""

    shape: tuple[int, ...] = Field(description="Shape of one stimulus, e.g. [3, 224, 224].")

    @field_validator("shape")
    @classmethod
    def _positive(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) not in (2, 3) or min(shape) < 1:
            raise ValueError("needs (channels, height, width) or (channels, time), all positive")
        return shape

    def spec(self) -> StimulusSpec:
        """Return the specification of the stimuli."""
        return self.spec_of(self.shape)

"""Makes a component of whatever a job's ``package:attribute`` names."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any, Literal

import snntorch
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from torch import nn

from ..models.generators.decoder import DecoderGenerator
from ..models.generators.generator import Generator
from ..models.options import InvalidOption
from ..models.spaces import Box, StimulusSpec
from ..models.targets.module import ModuleTarget, Redirect
from ..models.targets.normalise import Normalise, for_channels
from ..models.targets.spiking import SpikingOptions, SpikingTarget
from ..models.targets.target import Target
from .errors import InvalidJob
from .registry import options_of


class _StimulusOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")
    shape: tuple[int, ...] = Field(description="Shape of one stimulus, e.g. [3, 224, 224].")
    low: float = Field(0.0, description="Lowest value of a stimulus.")
    high: float = Field(1.0, description="Highest value of a stimulus.")
    modality: Literal["image", "series"] | None = Field(None, description="By default an image of three dimensions, a series of two.")

    @field_validator("shape")
    @classmethod
    def _positive(cls, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) not in (2, 3) or min(shape) < 1:
            raise ValueError("needs (channels, height, width) or (channels, time), all positive")
        return shape

    @field_validator("high")
    @classmethod
    def _ordered(cls, high: float, info: ValidationInfo) -> float:
        if not info.data.get("low", -math.inf) < high < math.inf:
            raise ValueError(f"has to be finite and above low, {info.data.get('low')}")
        return high

    @field_validator("modality")
    @classmethod
    def _matches(cls, modality: str | None, info: ValidationInfo) -> str | None:
        dimensions = len(info.data.get("shape", ()))
        if modality is not None and dimensions and dimensions != (3 if modality == "image" else 2):
            raise ValueError(f"a shape of {dimensions} dimensions is no {modality}")
        return modality

    def spec(self) -> StimulusSpec:
        """As a StimulusSpec; three dimensions are an image, two a series."""
        return StimulusSpec(self.shape, self.low, self.high, "image" if len(self.shape) == 3 else "series")


class ModuleAdapter:
    """A torch module that a job names by import."""

    class Options(_StimulusOptions):
        """Options of the adapter."""

        mean: list[float] | None = Field(None, description="Subtracted from each channel, one value each or one for all.")
        std: list[float] | None = Field(None, description="Divides each channel, one value each or one for all.")
        names: list[str] = Field(default_factory=list, description="What the units of the module's output stand for.")
        redirect: Redirect = "dead"

    @staticmethod
    def adapt(module: nn.Module, options: Options) -> ModuleTarget:
        """The module as a target."""
        spec = options.spec()
        try:
            prepare = None
            if options.mean is not None or options.std is not None:
                prepare = for_channels(options.mean, options.std, Normalise((0.0,), (1.0,)), spec.shape[0])
        except ValueError as error:
            raise InvalidOption("mean" if options.mean is not None else "std", str(error)) from error
        return ModuleTarget(module, spec, prepare=prepare, unit_names=options.names, redirect=options.redirect)


class SpikingAdapter:
    """A snntorch network that a job names by import."""

    class Options(_StimulusOptions, SpikingOptions):
        """Options of the adapter."""

    @staticmethod
    def adapt(module: nn.Module, options: Options) -> SpikingTarget:
        """The network as a target."""
        return SpikingTarget(module, options.spec(), steps=options.steps, readout=options.readout, coding=options.coding)


class DecoderAdapter:
    """A torch decoder that a job names by import."""

    class Options(BaseModel):
        """Options of the adapter."""

        model_config = ConfigDict(extra="forbid")
        latent: tuple[int, ...] = Field(min_length=1, description="Shape of one latent, e.g. [128].")
        low: float = Field(-3.0, description="Lower bound of every coordinate.")
        high: float = Field(3.0, description="Upper bound of every coordinate.")

    @staticmethod
    def adapt(module: nn.Module, options: Options) -> DecoderGenerator:
        """The decoder as a generator."""
        return DecoderGenerator(module, Box(options.latent, options.low, options.high))


def is_spiking(module: nn.Module) -> bool:
    """Whether a module contains one of snntorch's neurons."""
    return any(isinstance(part, snntorch.SpikingNeuron) for part in module.modules())


def adapt(kind: str, found: Any, options: Mapping[str, Any], field: str) -> Any:
    """A generator or target from ``found``: one already, a torch module, or a callable that makes either.

    A callable takes the options as keywords. A module takes the options of its adapter.

    Raises
    ------
    InvalidJob
        Below ``field``: it makes nothing of the kind, or the options don't fit.
    """
    contract = Generator if kind == "generator" else Target
    below = f"{field}.options"
    if not isinstance(found, contract | nn.Module | type) and callable(found):
        try:
            inspect.signature(found).bind(**options)
        except TypeError as error:
            raise InvalidJob.at(below, f"{found.__module__}:{found.__qualname__}: {error}") from None
        try:
            found, options = found(**options), {}
        except Exception as error:
            raise InvalidJob.at(field, f"calling it failed: {type(error).__name__}: {error}") from error
    if isinstance(found, nn.Module):
        adapter = DecoderAdapter if kind == "generator" else SpikingAdapter if is_spiking(found) else ModuleAdapter
        checked = options_of(adapter, options, below)
        try:
            return adapter.adapt(found, checked)  # pyright: ignore[reportArgumentType]
        except InvalidOption as error:
            raise InvalidJob.at(f"{below}.{error.option}", str(error)) from error
        except ValueError as error:
            raise InvalidJob.at(field, str(error)) from error
    if not isinstance(found, contract) or isinstance(found, type):
        raise InvalidJob.at(
            field, f"a {kind} was expected, {type(found).__name__} is none, nor a torch module or a function that makes one"
        )
    if options:
        raise InvalidJob.at(below, "it is ready made and takes no options")
    return found

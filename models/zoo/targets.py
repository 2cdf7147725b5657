"""The zoo's targets, as components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field
from torch import nn

from ..networks.weights import load_into, read_tensors
from ..spaces import StimulusSpec
from ..targets.module import ModuleTarget, Redirect
from ..targets.spiking import SpikingOptions, SpikingTarget
from .architectures.cnn import ResidualCNN
from .architectures.series import SeriesCNN
from .architectures.snn import STEPS, spiking_cnn
from .architectures.vit import SmallViT
from .card import NaturalResponses, read_card
from .generators import WeightOptions

IMAGE = StimulusSpec((3, 32, 32))
SERIES = StimulusSpec((1, 128), -1.0, 1.0, "series")


class ModuleOptions(WeightOptions):
    """Options of a torch module."""

    redirect: Redirect = "dead"


class MeasuredModule(ModuleTarget):
    """A module that knows how its output units answer natural stimuli."""

    def __init__(
        self,
        module: nn.Module,
        natural: NaturalResponses | None,
        stimulus: StimulusSpec = IMAGE,
        redirect: Literal["dead"] | int = "dead",
    ) -> None:
        super().__init__(module, stimulus, redirect=redirect)
        self._natural = natural

    def natural_quantiles(self, layer: str, index: tuple[int, ...]) -> Mapping[float, float] | None:
        """From the card; None with other weights than the shipped ones."""
        return self._natural(layer, index) if self._natural is not None else None

    def unit_name(self, layer: str, index: tuple[int, ...]) -> str:
        """The class that an output unit stands for."""
        return self._natural.name(layer, index) if self._natural is not None else ""


class MeasuredSpiking(SpikingTarget):
    """A spiking network that knows how its output units answer natural images."""

    _natural: NaturalResponses | None = None

    def natural_quantiles(self, layer: str, index: tuple[int, ...]) -> Mapping[float, float] | None:
        """From the card; None with other weights, steps, readout or coding than it was measured with."""
        return self._natural(layer, index) if self._natural is not None else None

    def unit_name(self, layer: str, index: tuple[int, ...]) -> str:
        """The class that an output unit stands for."""
        return self._natural.name(layer, index) if self._natural is not None else ""


def _loaded(module: nn.Module, name: str, options: WeightOptions) -> NaturalResponses | None:
    path = options.path(name)
    load_into(module, read_tensors(path), path.name)
    module.requires_grad_(False).eval()
    responses = read_card(name).responses if options.weights is None else None
    return None if responses is None else NaturalResponses(responses)


class CNNTarget:
    """Residual CNN trained on CIFAR-10; its ten classes are ``fc[0]`` to ``fc[9]``."""

    class Options(ModuleOptions):
        """Options of the target."""

    @classmethod
    def from_options(cls, options: Options) -> MeasuredModule:
        """Load it."""
        module = ResidualCNN()
        return MeasuredModule(module, _loaded(module, "cifar10-cnn", options), redirect=options.redirect)


class ViTTarget:
    """Small vision transformer trained on CIFAR-10; its ten classes are ``head[0]`` to ``head[9]``."""

    class Options(ModuleOptions):
        """Options of the target."""

    @classmethod
    def from_options(cls, options: Options) -> MeasuredModule:
        """Load it."""
        module = SmallViT()
        return MeasuredModule(module, _loaded(module, "cifar10-vit", options), redirect=options.redirect)


class SeriesTarget:
    """Small network over series of 128 samples, trained on generated signals; its six classes are ``fc[0]`` to ``fc[5]``."""

    class Options(ModuleOptions):
        """Options of the target."""

    @classmethod
    def from_options(cls, options: Options) -> MeasuredModule:
        """Load it."""
        module = SeriesCNN()
        return MeasuredModule(module, _loaded(module, "series-classifier", options), SERIES, options.redirect)


class SNNTarget:
    """Convolutional spiking network (snntorch) trained on CIFAR-10; its ten classes are ``lif_out[0]`` to ``lif_out[9]``."""

    class Options(WeightOptions, SpikingOptions):
        """Options of the target."""

        steps: int = Field(STEPS, ge=1, le=1000, description="Time steps of one presentation; the network was trained with 20.")

    @classmethod
    def from_options(cls, options: Options) -> MeasuredSpiking:
        """Load it."""
        module = spiking_cnn()
        natural = _loaded(module, "cifar10-snn", options)
        target = MeasuredSpiking(module, IMAGE, steps=options.steps, readout=options.readout, coding=options.coding)
        if (options.steps, options.readout, options.coding.name) == (STEPS, "count", "direct"):
            target._natural = natural
        return target

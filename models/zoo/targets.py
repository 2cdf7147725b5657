"""The zoo's targets, as components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field
from torch import nn

from ..networks.weights import load_into, read_tensors
from ..spaces import StimulusSpec
from ..targets.module import ModuleTarget, Redirect
from ..targets.spiking import SpikingOptions, SpikingTarget
from .architectures.cnn import ResidualCNN
from .architectures.series import SeriesCNN
from .architectures.snn import STEPS, spiking_cnn
from .architectures.tabular import TabularMLP
from .architectures.vit import SmallViT
from .card import NaturalResponses, read_card
from .generators import WeightOptions

IMAGE = StimulusSpec((3, 32, 32))
SERIES = StimulusSpec((1, 128), -1.0, 1.0, "series")
DIABETES_INPUTS = ("age", "sex", "bmi", "bp", "tc", "ldl", "hdl", "tch", "ltg", "glu")
"""Columns of the diabetes table: age, sex, body mass index, blood pressure, and six blood serum measurements."""
TABLE = StimulusSpec((1, len(DIABETES_INPUTS)), 0.0, 1.0, "series")


class ModuleOptions(WeightOptions):
    """Options of a torch module."""

    redirect: Redirect = "dead"


class _Measured:
    """A target with known responses of its output units to natural stimuli, and with their names."""

    natural: NaturalResponses | None = None
    """The card's responses; None where weights or readout differ from the measured ones."""

    def natural_quantiles(self, layer: str, index: tuple[int, ...]) -> Mapping[float, float] | None:
        """Return quantiles of a unit's responses to natural stimuli by level, 0 to 1; None where they are unknown."""
        return self.natural(layer, index) if self.natural is not None else None

    def unit_name(self, layer: str, index: tuple[int, ...]) -> str:
        """Return the class of an output unit; empty for other units."""
        return self.natural.name(layer, index) if self.natural is not None else ""


class MeasuredModule(_Measured, ModuleTarget):
    """A module with known responses of its output units to natural stimuli."""


class MeasuredTable(MeasuredModule):
    """A module over the rows of the diabetes table."""

    input_names = DIABETES_INPUTS


class MeasuredSpiking(_Measured, SpikingTarget):
    """A spiking network with known responses of its output units to natural images."""


def _loaded(module: nn.Module, name: str, options: WeightOptions) -> NaturalResponses | None:
    path = options.path(name)
    load_into(module, read_tensors(path), path.name)
    module.requires_grad_(False).eval()
    responses = read_card(name).responses if options.weights is None else None
    return None if responses is None else NaturalResponses(responses)


class _Classifier:
    """The common part of the zoo's classifiers."""

    architecture: ClassVar[type[nn.Module]]
    card: ClassVar[str]
    stimulus: ClassVar[StimulusSpec] = IMAGE
    kind: ClassVar[type[MeasuredModule]] = MeasuredModule

    class Options(ModuleOptions):
        """Options of the target."""

    @classmethod
    def from_options(cls, options: Options) -> MeasuredModule:
        """Return the classifier with its weights.

        Raises
        ------
        InvalidOption
            The weights can't be read, or belong to another architecture.
        """
        module = cls.architecture()
        natural = _loaded(module, cls.card, options)
        target = cls.kind(module, cls.stimulus, redirect=options.redirect, output_unit="logit")
        target.natural = natural
        return target


class CNNTarget(_Classifier):
    """Residual CNN trained on CIFAR-10; its ten classes are ``fc[0]`` to ``fc[9]``."""

    architecture, card = ResidualCNN, "cifar10-cnn"


class ViTTarget(_Classifier):
    """Small vision transformer trained on CIFAR-10; its ten classes are ``head[0]`` to ``head[9]``."""

    architecture, card = SmallViT, "cifar10-vit"


class SeriesTarget(_Classifier):
    """Small network over series of 128 samples, trained on generated signals; its six classes are ``fc[0]`` to ``fc[5]``."""

    architecture, card, stimulus = SeriesCNN, "series-classifier", SERIES


class DiabetesTarget(_Classifier):
    """Small network over ten measurements of a patient; ``fc[1]`` is fast progression of diabetes, ``fc[0]`` slow."""

    architecture, card, stimulus, kind = TabularMLP, "diabetes", TABLE, MeasuredTable


class SNNTarget:
    """Convolutional spiking network (snntorch) trained on CIFAR-10; its ten classes are ``lif_out[0]`` to ``lif_out[9]``."""

    class Options(WeightOptions, SpikingOptions):
        """Options of the target."""

        steps: int = Field(default=STEPS, ge=1, le=1000, description="Time steps of one presentation; the network was trained with 20.")

    @classmethod
    def from_options(cls, options: Options) -> MeasuredSpiking:
        """Return the network with its weights.

        Raises
        ------
        InvalidOption
            The weights can't be read, or belong to another architecture.
        """
        module = spiking_cnn()
        natural = _loaded(module, "cifar10-snn", options)
        target = MeasuredSpiking(module, IMAGE, steps=options.steps, readout=options.readout, coding=options.coding)
        if (options.steps, options.readout, options.coding.name) == (STEPS, "count", "direct"):
            target.natural = natural
        return target

"""Makes a generator or target of the object that a job names as ``package:attribute``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from ...models.ambient import usable_by_autograd
from ...models.generators.decoder import DecoderGenerator
from ...models.generators.generator import Generator
from ...models.options import InvalidOption
from ...models.permissions import NOTHING, Permissions
from ...models.spaces import Box, StimulusSpec
from ...models.targets.function import FunctionTarget, is_estimator
from ...models.targets.module import OUTPUT, ModuleTarget, Redirect
from ...models.targets.spiking import SpikingOptions, SpikingTarget
from ...models.targets.spiking.neurons import is_neuron
from ...models.targets.stimulus_options import NormalisedOptions, ShapeOptions
from ...models.targets.target import Target
from ..errors import InvalidJob
from .maker import Maker
from .registry import options_of


class ModuleAdapter:
    """Adapts a torch module that a job names by import."""

    class Options(NormalisedOptions, ShapeOptions):
        """Options of the adapter."""

        redirect: Redirect = "dead"

    @staticmethod
    def adapt(module: nn.Module, options: Options) -> ModuleTarget:
        """Return the module as a target.

        Raises
        ------
        ValueError
            The module can't be run on stimuli of the options' shape.
        """
        spec = options.spec()

        def target(spec: StimulusSpec) -> ModuleTarget:
            prepare = options.normalise(spec.shape[0])
            return ModuleTarget(module, spec, prepare=prepare, unit_names=options.names, redirect=options.redirect)

        try:
            return target(spec)
        except ValueError as error:
            turned = (spec.shape[-1], *spec.shape[:-1])
            try:
                target(replace(spec, shape=turned))
            except ValueError:
                raise error from None
            order = "(channels, height, width)" if len(turned) == 3 else "(channels, time)"
            raise InvalidOption("shape", f"{list(spec.shape)} has its channels last; shapes are {order}, so give {list(turned)}") from error


class SpikingAdapter:
    """Adapts a snntorch network that a job names by import."""

    class Options(ShapeOptions, SpikingOptions):
        """Options of the adapter."""

    @staticmethod
    def adapt(module: nn.Module, options: Options) -> SpikingTarget:
        """Return the network as a target."""
        return SpikingTarget(module, options.spec(), steps=options.steps, readout=options.readout, coding=options.coding)


class FunctionAdapter:
    """Adapts a plain function, or an estimator of scikit-learn, that maps stimuli to responses."""

    class Options(NormalisedOptions, ShapeOptions):
        """Options of the adapter."""

        takes: Literal["numpy", "torch"] = Field("numpy", description="What the function is given.")

    @staticmethod
    def adapt(function: Any, options: Options) -> FunctionTarget:
        """Return the function as a target."""
        spec = options.spec()
        prepare = options.normalise(spec.shape[0])
        if is_estimator(function):
            return FunctionTarget.of_estimator(function, spec, prepare=prepare, unit_names=options.names)
        return FunctionTarget({OUTPUT: function}, spec, prepare=prepare, unit_names=options.names, takes=options.takes)


class DecoderAdapter:
    """Adapts a torch decoder that a job names by import."""

    class Options(BaseModel):
        """Options of the adapter."""

        model_config = ConfigDict(extra="forbid")
        latent: tuple[int, ...] = Field(min_length=1, description="Shape of one latent, e.g. [128].")
        low: float = Field(-3.0, description="Lower bound of every coordinate.")
        high: float = Field(3.0, description="Upper bound of every coordinate.")

    @staticmethod
    def adapt(module: nn.Module, options: Options) -> DecoderGenerator:
        """Return the decoder as a generator."""
        return DecoderGenerator(module, Box(options.latent, options.low, options.high))


def is_spiking(module: nn.Module) -> bool:
    """Return whether a module contains one of snntorch's neurons."""
    return any(is_neuron(part) for part in module.modules())


def adapt(kind: str, found: Any, options: Mapping[str, Any], field: str, permissions: Permissions = NOTHING) -> Any:
    r"""Return a generator or target made of ``found``.

    Parameters
    ----------
    kind : {"generator", "target"}
        What is to be made.
    found : object
        A generator or target; a torch module; a function or class that makes any of these; or, for a target, a function from stimuli
        (n, \*shape) to responses (n, …), or a fitted estimator of scikit-learn.
    options : mapping of str to object
        A function or class receives the options among its parameters, or all options if it takes any name. A torch module, a function of
        stimuli and an estimator receive the options of their adapter, such as ``shape``. An option may be passed to both.
    field : str
        The job's field that names ``found``.
    permissions : Permissions
        What the options may name.

    Raises
    ------
    InvalidJob
        Below ``field``: ``found`` gives no part of the kind, or the options don't fit.
    """
    contract = Generator if kind == "generator" else Target
    if (isinstance(found, type) or not isinstance(found, contract | nn.Module)) and callable(found):
        made = Maker(kind, found, options, field, adapter_options(kind)).made()
        found, options = made.part, made.options
    if isinstance(found, nn.Module):
        try:
            found = usable_by_autograd(found)
        except ValueError as error:
            raise InvalidJob.at(field, str(error)) from error
        return _adapted(_module_adapter(kind, found), found, options, field, permissions)
    if kind == "target" and not isinstance(found, contract) and (is_estimator(found) or callable(found)):
        return _adapted(FunctionAdapter, found, options, field, permissions)
    if not isinstance(found, contract):
        raise InvalidJob.at(
            field, f"a {kind} was expected, {type(found).__name__} is none, nor a torch module or a function that makes one"
        )
    if options:
        raise InvalidJob.at(f"{field}.options", f"it is ready made and takes no options, got {', '.join(options)}")
    return found


def adapter_options(kind: str) -> frozenset[str]:
    """Return the names of all options that the adapters of a kind have."""
    adapters = (DecoderAdapter,) if kind == "generator" else (ModuleAdapter, SpikingAdapter, FunctionAdapter)
    return frozenset(name for adapter in adapters for name in adapter.Options.model_fields)


def _module_adapter(kind: str, module: nn.Module) -> Any:
    return DecoderAdapter if kind == "generator" else SpikingAdapter if is_spiking(module) else ModuleAdapter


def _adapted(adapter: Any, found: Any, options: Mapping[str, Any], field: str, permissions: Permissions) -> Any:
    checked = options_of(adapter, options, f"{field}.options", permissions)
    try:
        return adapter.adapt(found, checked)
    except InvalidOption as error:
        raise InvalidJob.at(f"{field}.options.{error.option}", str(error)) from error
    except ValueError as error:
        raise InvalidJob.at(field, str(error)) from error

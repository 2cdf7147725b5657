"""What an objective may know of its job when it is built: layers, the target's answers, the prior, other objectives."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from pydantic import BaseModel
from torch import Tensor

from ..components import Named
from ..generators.prior import Prior
from ..image_source import Fit, image_stimulus
from ..options import InvalidOption
from ..spaces import LatentSpace, StimulusSpec
from ..targets.target import CountsTrials, LayerInfo, Target
from ..units import BadAddress, UnitAddress, resolve
from .objective import Objective

Nested = Callable[[Named, UnitAddress, str], Objective]


@dataclass(frozen=True)
class Setting:
    """A job as its objectives see it.

    Attributes
    ----------
    target : Target
        Answers reference stimuli, on the CPU, before the job starts.
    latent : LatentSpace or None
        What is searched.
    prior : Prior or None
        What natural latents look like.
    nested : callable
        Builds an objective that another's options name: (component, unit, option) -> Objective.
    seed : int
        The job's, for targets with noise of their own.
    """

    target: Target
    latent: LatentSpace | None = None
    prior: Prior | None = None
    nested: Nested | None = None
    seed: int = 0
    _references: dict[tuple[str, str], Tensor] = field(default_factory=dict, repr=False)

    @property
    def stimulus(self) -> StimulusSpec:
        """What the target takes."""
        return self.target.stimulus

    @property
    def layers(self) -> Sequence[LayerInfo]:
        """Of the target."""
        return self.target.layers()

    def unit(self, address: str, option: str) -> UnitAddress:
        """The one unit that an option names.

        Raises
        ------
        InvalidOption
            At ``option``: there is none of that address (near names are told), or several.
        """
        try:
            found = resolve(address, self.layers)
        except BadAddress as error:
            raise InvalidOption(option, str(error)) from error
        if len(found) != 1:
            raise InvalidOption(option, f"{address!r} names {len(found)} units; one is wanted, or the mean of all by :")
        return found[0]

    def shape(self, unit: UnitAddress) -> tuple[int, ...]:
        """Of the response to one stimulus at ``unit``: what its index leaves open; () for a single neuron."""
        layer = next(layer for layer in self.layers if layer.name == unit.layer)
        return tuple(torch.empty(layer.shape, device="meta")[unit.index].shape)

    def objective(self, component: Named, unit: UnitAddress, option: str) -> Objective:
        """One that the option ``option`` names, for ``unit``."""
        if self.nested is None:
            raise InvalidOption(option, "objectives can't be named here")
        return self.nested(component, unit, option)

    def reference(self, source: str, layers: Collection[str], option: str, fit: Fit = "exact") -> Mapping[str, Tensor]:
        """The target's responses to an image, {layer: (1, *layer)}, on the CPU; asked once for all units of a job.

        Raises
        ------
        InvalidOption
            At ``option``: the image can't be read, is none that the target takes, or the response to it is not finite.
        """
        missing = [layer for layer in layers if (f"{fit} {source}", layer) not in self._references]
        if missing:
            image = image_stimulus(source, self.stimulus, option, fit=fit)
            if isinstance(self.target, CountsTrials):
                self.target.begin(self.seed, 0)
            with torch.no_grad():
                found = self.target.respond(image[None], missing)
            for layer, response in found.items():
                if not bool(response.isfinite().all()):
                    raise InvalidOption(option, f"the response of {layer} to it is not finite")
                self._references[f"{fit} {source}", layer] = response.detach().cpu().clone()
        return {layer: self._references[f"{fit} {source}", layer] for layer in layers}


@runtime_checkable
class TakesSetting(Protocol):
    """An objective's class that is built by ``from_setting`` rather than ``from_options``."""

    def from_setting(self, options: Any, unit: UnitAddress, setting: Setting) -> Objective:
        """Built for one unit of a job; InvalidOption where an option does not suit the job."""
        ...


def built(component: Any, options: BaseModel, unit: UnitAddress, setting: Setting) -> Objective:
    """An objective of the class ``component``; an option ``unit`` that holds an address takes the place of the job's unit.

    Raises
    ------
    InvalidOption
        By the option's path.
    """
    own = getattr(options, "unit", None)
    if isinstance(own, str):
        unit = setting.unit(own, "unit")
    if isinstance(component, TakesSetting):
        return component.from_setting(options, unit, setting)
    return component.from_options(options, unit)

"""The job as objectives see it when they are built: layers, reference responses, the prior, other objectives."""

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
        The target, which responds to reference stimuli on the CPU before the job starts.
    latent : LatentSpace or None
        The space that is searched.
    prior : Prior or None
        The generator's natural latents.
    nested : callable
        Builds an objective that another objective's options name: (component, unit, option) -> Objective.
    seed : int
        The job's seed, for noisy targets.
    """

    target: Target
    latent: LatentSpace | None = None
    prior: Prior | None = None
    nested: Nested | None = None
    seed: int = 0
    _references: dict[tuple[str, str], Tensor] = field(default_factory=dict, repr=False)

    @property
    def stimulus(self) -> StimulusSpec:
        """The stimuli that the target takes."""
        return self.target.stimulus

    @property
    def layers(self) -> Sequence[LayerInfo]:
        """The target's layers."""
        return self.target.layers()

    def unit(self, address: str, option: str) -> UnitAddress:
        """Return the unit that an option names.

        Parameters
        ----------
        address : str
            The unit's address.
        option : str
            The option with the address; errors name it.

        Raises
        ------
        InvalidOption
            No unit has the address (the message suggests near names), or several have.
        """
        try:
            found = resolve(address, self.layers)
        except BadAddress as error:
            raise InvalidOption(option, str(error)) from error
        if len(found) != 1:
            raise InvalidOption(option, f"{address!r} names {len(found)} units; one is wanted, or the mean of all by :")
        return found[0]

    def shape(self, unit: UnitAddress) -> tuple[int, ...]:
        """Return the shape of a unit's response to one stimulus, () for a single neuron."""
        layer = next(layer for layer in self.layers if layer.name == unit.layer)
        return tuple(torch.empty(layer.shape, device="meta")[unit.index].shape)

    def objective(self, component: Named, unit: UnitAddress, option: str) -> Objective:
        """Return an objective that another objective's option names.

        Parameters
        ----------
        component : Named
            Name and options of the objective.
        unit : UnitAddress
            The unit of the outer objective.
        option : str
            The option with the component; errors name it.

        Raises
        ------
        InvalidOption
            Objectives can't be nested here, or the component is invalid.
        """
        if self.nested is None:
            raise InvalidOption(option, "objectives can't be named here")
        return self.nested(component, unit, option)

    def reference(self, source: str, layers: Collection[str], option: str, fit: Fit = "exact") -> Mapping[str, Tensor]:
        """Return the target's responses to an image, computed once for all units of a job.

        Parameters
        ----------
        source : str
            The image, see :data:`actmax.models.image_source.ImageSource`.
        layers : collection of str
            The layers to read.
        option : str
            The option with the image; errors name it.
        fit : {"exact", "crop", "stretch"}
            Treatment of an image of another size.

        Returns
        -------
        mapping of str to Tensor
            {layer: (1, *layer)}, on the CPU.

        Raises
        ------
        InvalidOption
            The image can't be read or doesn't fit the target, or a response to it is not finite.
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
    """The class of an objective that is built by ``from_setting`` instead of ``from_options``."""

    def from_setting(self, options: Any, unit: UnitAddress, setting: Setting) -> Objective:
        """Return the objective for one unit of a job; raise InvalidOption where an option does not suit the job."""
        ...


def built(component: Any, options: BaseModel, unit: UnitAddress, setting: Setting) -> Objective:
    """Return an objective of the class ``component``.

    Parameters
    ----------
    component : class
        The objective's class.
    options : BaseModel
        An instance of its options; an address in an option ``unit`` replaces the job's unit.
    unit : UnitAddress
        The job's unit.
    setting : Setting
        The job.

    Raises
    ------
    InvalidOption
        An option does not suit the job; the error has the option's path.
    """
    own = getattr(options, "unit", None)
    if isinstance(own, str):
        unit = setting.unit(own, "unit")
    if isinstance(component, TakesSetting):
        return component.from_setting(options, unit, setting)
    return component.from_options(options, unit)

"""Grad-CAM: which places of a layer's maps the response hangs on, by each channel's mean gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from ....models.objectives.unit import mean_response
from ....models.options import InvalidOption
from ....models.spaces import StimulusSpec
from ....models.targets.target import HasActivations, HasModule, LayerInfo, Target
from ....models.units import UnitAddress
from ....wire.near_names import hint
from ...evaluation.evaluator import preserved
from ..analysis import AnalysisContext
from .method import Attribution
from .stimuli import probe
from .units import Question

_TRIED, _PROBES = 16, 3
"""Layers before the unit of which the deepest with a gradient is taken, and random stimuli on which that is tried."""


class GradCam(Attribution):
    """Grad-CAM at a layer with places before the unit (Selvaraju et al., 2017)."""

    title = "Grad-CAM"
    reading = (
        "A layer's channels weighted by the mean of the response's gradient, what raises the response alone, enlarged to the stimulus. "
        "The layer is the deepest before the unit that has places and a gradient, unless the option layer names one."
    )
    signed = False
    gradients = True
    needs = (HasActivations,)

    class Options(Attribution.Options):
        """Options of the analysis."""

        layer: str = Field(default="", max_length=1000, description="The layer whose maps are weighted; empty: chosen for each unit.")

    def __init__(self, options: Any = None) -> None:
        super().__init__(options)
        self._layers: dict[str, str] = {}

    def check(self, target: Target) -> None:
        """Refuse a layer that does not exist or has no places."""
        super().check(target)
        layers = {info.name: info for info in target.layers()}
        named = self.options.layer
        if named and named not in layers:
            raise InvalidOption("layer", f"the target has no layer {named!r}; {hint(named, layers, 'see actmax catalog layers')}")
        spatial = [name for name, info in layers.items() if has_places(info, target.stimulus)]
        if named and named not in spatial:
            shape = " × ".join(map(str, layers[named].shape))
            near = f"take {spatial[-1]}" if spatial else "take gradient or occlusion"
            raise InvalidOption("layer", f"{named} has shape {shape}, which has no places; {near}")
        if not spatial:
            raise InvalidOption("", f"{self.title} needs a layer with places, and the target has none; gradient and occlusion need none")

    def check_units(self, target: Target, units: Sequence[UnitAddress]) -> None:
        """Refuse units before which no layer has places and a gradient."""
        super().check_units(target, units)
        for unit in units:
            self.layer_of(target, unit)

    def notes(self, context: AnalysisContext) -> list[str]:
        """Return which layer was looked at."""
        layers = {str(unit): self.layer_of(context.target, unit) for unit in context.units}
        names = list(dict.fromkeys(layers.values()))
        return [f"The layer: {names[0]}."] if len(names) == 1 else [f"The layer of {unit}: {layer}." for unit, layer in layers.items()]

    def attribute(self, question: Question) -> Tensor:
        """Return the maps, (units, n, *space)."""
        return self.answer(question)[0]

    def answer(self, question: Question) -> tuple[Tensor, Tensor | None]:
        """Return the maps, and the responses of the same passes where the network has no time steps."""
        found = [self._of_one(one) for one in question.each()]
        whole = isinstance(question.target, HasModule) and question.target.steps is None
        return torch.stack([maps for maps, _ in found]), torch.stack([responses for _, responses in found]) if whole else None

    def to_map(self, attributions: Tensor) -> Tensor:
        """Return them as they are."""
        return attributions

    def combine(self, activations: Tensor, gradients: Tensor) -> Tensor:
        """Return the sum of channels, each weighted by its mean gradient, before what is below zero is cut off.

        Parameters
        ----------
        activations, gradients : Tensor
            (n, channels, *grid).

        Returns
        -------
        Tensor
            (n, *grid).
        """
        return (_wide(gradients.flatten(2).mean(2), gradients) * activations).sum(1)

    def layer_of(self, target: Target, unit: UnitAddress) -> str:
        """Return the layer that is looked at for a unit.

        Raises
        ------
        InvalidOption
            No layer before the unit has places and a gradient.
        """
        if str(unit) not in self._layers:
            candidates = _candidates(target, unit, self.options.layer)
            found = _with_gradient(target, unit, candidates) if candidates else None
            if found is None:
                what = self.options.layer or "a layer with places and a gradient"
                why = f"{self.title} needs {what} before {unit}, and there is none; gradient and occlusion need none"
                raise InvalidOption("layer" if self.options.layer else "", why)
            self._layers[str(unit)] = found
        return self._layers[str(unit)]

    def _of_one(self, question: Question) -> tuple[Tensor, Tensor]:
        target, (unit, *_) = question.target, question.reader.units
        layer, stimuli = self.layer_of(target, unit), question.stimuli
        try:
            maps, responses = self._maps_at(target, unit, layer, stimuli, question.reader.step)
        except ValueError:  # the network is shown fewer at once
            alone = [self._maps_at(target, unit, layer, one, question.reader.step) for one in stimuli.split(1)]
            maps, responses = (torch.cat(parts) for parts in zip(*alone, strict=True))
        mode = "bilinear" if stimuli.dim() == 4 else "linear"
        return F.interpolate(maps[:, None], stimuli.shape[2:], mode=mode, align_corners=False)[:, 0], responses

    def _maps_at(self, target: Target, unit: UnitAddress, layer: str, stimuli: Tensor, step: int | None) -> tuple[Tensor, Tensor]:
        """Maps at a layer, (n, *grid), and responses; of a spiking network summed over time before what is below zero is cut off."""
        spec, total = target.stimulus, torch.zeros(())
        (calls,), responses = _differentiated(target, unit, [layer], stimuli, step)
        for activations, gradients in calls:
            total = total + self.combine(to_grid(activations.detach(), spec), to_grid(gradients, spec))
        return F.relu(total).float(), responses


class GradCamPlusPlus(GradCam):
    """Grad-CAM++: places weighted by higher derivatives, for several objects at once (Chattopadhay et al., 2018)."""

    title = "Grad-CAM++"
    reading = GradCam.reading.replace("the mean of the response's gradient", "the rising places of the response's gradient")

    def combine(self, activations: Tensor, gradients: Tensor) -> Tensor:
        """Return the sum of channels, each weighted by its gradients above zero, those of few places the most."""
        square = gradients**2
        below = 2 * square + _wide(activations.flatten(2).sum(2), gradients) * gradients**3
        shares = torch.where(below != 0, square / torch.where(below != 0, below, 1.0), 0.0)
        return (_wide((F.relu(gradients) * shares).flatten(2).sum(2), gradients) * activations).sum(1)


def grid(shape: tuple[int, ...], spec: StimulusSpec) -> tuple[int, ...] | None:
    """Return the places of a layer of that shape, such as (8, 8) or, for series, (16,); None of a layer without.

    Places are (channels, *places), (height, width, channels), or tokens that fill a grid of the stimulus's proportions, after up to five
    tokens that stand for no place (of the class, registers).
    """
    if spec.modality == "series":
        return shape[1:] if len(shape) == 2 and shape[1] > 1 else None
    height, width = spec.shape[1:]
    if len(shape) == 3:
        places = shape[:2] if _last(shape, spec) else shape[1:]
        return places if math.prod(places) > 1 else None
    for others in range(6) if len(shape) == 2 else ():
        tokens = shape[0] - others
        rows = round(math.sqrt(max(0, tokens) * height / width))
        if rows > 1 and tokens % rows == 0 and rows * width == tokens // rows * height:
            return rows, tokens // rows
    return None


def to_grid(values: Tensor, spec: StimulusSpec) -> Tensor:
    """Return a layer's values, (n, *layer), as (n, channels, *places) of :func:`grid`."""
    shape = tuple(values.shape[1:])
    places = grid(shape, spec)
    assert places is not None
    if spec.modality == "series":
        return values
    if len(shape) == 3:
        return values.movedim(-1, 1) if _last(shape, spec) else values
    return values[:, shape[0] - math.prod(places) :].transpose(1, 2).unflatten(2, places)


def _last(shape: tuple[int, ...], spec: StimulusSpec) -> bool:
    """Whether the channels of (a, b, c) come last: its first two have the stimulus's proportions and its last two have not."""
    height, width = spec.shape[1:]
    return shape[0] * width == shape[1] * height and shape[1] * width != shape[2] * height


def _wide(values: Tensor, like: Tensor) -> Tensor:
    """(n, channels) as (n, channels, 1, …), of as many dimensions as ``like``."""
    return values.view(*values.shape, *[1] * (like.dim() - 2))


def _candidates(target: Target, unit: UnitAddress, named: str) -> list[str]:
    """Return the layers to try: those with space before the unit's layer, the deepest first, then the unit's own; or the layer named."""
    infos = list(target.layers())
    place = next(number for number, info in enumerate(infos) if info.name == unit.layer)
    before = [info.name for info in infos[: place + 1] if has_places(info, target.stimulus)]
    if named:
        return [name for name in before if name == named]
    others = [name for name in before if name != unit.layer]
    return others[-_TRIED:][::-1] + [name for name in before if name == unit.layer]


def has_places(layer: LayerInfo, spec: StimulusSpec) -> bool:
    """Return whether a layer has places; attention heads have none here, since their first dimension counts heads."""
    return layer.kind != "attention heads" and grid(layer.shape, spec) is not None


def _with_gradient(target: Target, unit: UnitAddress, candidates: Sequence[str]) -> str | None:
    """The first of some layers at which the unit's response has a gradient other than zero, for one of a few random stimuli."""
    with preserved(target):
        for stimulus in probe(target.stimulus, _PROBES).split(1):
            for name, calls in zip(candidates, _differentiated(target, unit, candidates, stimulus, None)[0], strict=True):
                if any(bool(to_grid(gradients, target.stimulus).ne(0).any()) for _, gradients in calls):
                    return name
    return None


def _differentiated(
    target: Target, unit: UnitAddress, layers: Sequence[str], stimuli: Tensor, step: int | None
) -> tuple[list[list[tuple[Tensor, Tensor]]], Tensor]:
    """What each layer computes, call by call, with the gradient of the unit's response there, and the responses, (n,).

    Calls without a gradient are left out. The response is the sum of what the unit computes at every time step, or that of one ``step``.
    """
    assert isinstance(target, HasActivations)
    with torch.enable_grad():
        found = target.activations(stimuli.detach().clone().requires_grad_(), {unit.layer, *layers})
        read = found[unit.layer] if step is None else [found[unit.layer][min(step, len(found[unit.layer]) - 1)]]
        responses = torch.stack([mean_response(unit, {unit.layer: output}) for output in read]).sum(0)
        calls = [(number, tensor) for number, layer in enumerate(layers) for tensor in found[layer] if tensor.requires_grad]
        reached = bool(calls) and responses.requires_grad
        slopes = (
            torch.autograd.grad(responses.sum(), [tensor for _, tensor in calls], allow_unused=True) if reached else [None] * len(calls)
        )
    pairs: list[list[tuple[Tensor, Tensor]]] = [[] for _ in layers]
    for (number, tensor), slope in zip(calls, slopes, strict=True):
        if slope is not None:
            pairs[number].append((tensor, slope))
    return pairs, responses.detach().float()

"""What a layer is looked at with: pictures of a folder, whose subfolders are classes, or a generator's natural stimuli."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ....models.networks.weights import load_into, read_tensors
from ....models.targets.target import HasModule, LayerInfo, Target
from ....models.transformations.pipeline import resized_to
from ..analysis import AnalysisContext

OWN, OTHER = "own", "other"
"""The target's weights, and those that it is compared with."""


def with_weights(target: Target, path: Path) -> Target:
    """Return a copy of a target with the weights of a safetensors file.

    Raises
    ------
    InvalidOption
        They are of another architecture.
    """
    made = copy.deepcopy(target)
    assert isinstance(made, HasModule), "it is a network"
    load_into(made.module, read_tensors(path), path.name)
    return made


def shown(context: AnalysisContext, folder: str, most: int) -> Iterator[tuple[list[str], Tensor]]:
    """Yield labels, empty where there are none, and stimuli, (n, *stimulus), in batches of at most the context's."""
    if folder:
        stream = context.images(folder, f"{context.options_field}.images", most)
        for paths, stimuli in stream.batches(context.batch):
            parts = [path.relative_to(folder).parts for path in paths]
            yield [part[0] if len(part) > 1 else "" for part in parts], stimuli
        return
    generator = context.generator
    random = torch.Generator().manual_seed(context.seed)
    prior = generator.prior
    latents = generator.latent.sample(most, random) if prior is None else prior.bank[:most].cpu()
    for part in latents.split(context.batch):
        with torch.no_grad():
            yield [""] * len(part), resized_to(generator(part.to(context.device)).float().cpu(), context.target.stimulus)


def pooled(responses: Tensor, layer: LayerInfo, modality: str) -> Tensor:
    """Return one response a unit, (n, units): the mean over a map's places, a series' steps, or tokens."""
    if len(layer.shape) < 2:
        return responses.reshape(len(responses), -1)
    if len(layer.shape) == 2 and modality == "image":  # tokens × features
        return responses.mean(1)
    return responses.flatten(2).mean(2)


class Collected:
    """Activations of layers, gathered batch by batch; those that an earlier attempt has gathered are not shown again.

    Parameters
    ----------
    context : AnalysisContext
        Its ``state`` keeps them.
    layers : list of LayerInfo
        Of its target.
    other : Target or None
        The same network with other weights.
    """

    def __init__(self, context: AnalysisContext, layers: list[LayerInfo], other: Target | None) -> None:
        self._context, self._layers = context, layers
        self._targets = {OWN: context.target} | ({} if other is None else {OTHER: other.to(context.device)})
        self._kept: dict[str, Tensor] = context.state.setdefault("activations", {})
        self._labels: list[str] = context.state.setdefault("labels", [])

    def gather(self, folder: str, most: int) -> bool:
        """Show the target what wasn't shown yet; return whether it came to the end."""
        context, met = self._context, 0
        for labels, stimuli in shown(context, folder, most):
            fresh = max(0, len(self._labels) - met)
            met += len(labels)
            if fresh >= len(labels):
                continue
            self._add(labels[fresh:], stimuli[fresh:])
            context.report(f"superposition: {len(self._labels):,} stimuli shown")
            if context.should_stop():
                return False
        return True

    def activations(self, which: str, layer: LayerInfo) -> NDArray[np.float64]:
        """Return a layer's answers to all stimuli that every unit answered, (stimuli, units) float64."""
        return self._kept[f"{which} {layer.name}"].numpy()[self._answered()]

    @property
    def labels(self) -> list[str]:
        """Class of each of those stimuli, empty where it has none."""
        return [label for label, known in zip(self._labels, self._answered(), strict=True) if known]

    @property
    def missed(self) -> int:
        """Stimuli that were not answered."""
        return int((~self._answered()).sum())

    def _answered(self) -> NDArray[np.bool_]:
        known = np.ones(len(self._labels), bool)
        for rows in self._kept.values():
            known &= np.isfinite(rows.numpy()).all(1)
        return known

    def _add(self, labels: list[str], stimuli: Tensor) -> None:
        context, modality = self._context, self._context.target.stimulus.modality
        added: dict[str, Any] = {}
        for which, target in self._targets.items():
            asked = replace(context, target=target)
            responses = asked.respond(stimuli, {layer.name for layer in self._layers}, len(self._labels))
            for layer in self._layers:
                rows = pooled(responses[layer.name], layer, modality).double().cpu()
                key = f"{which} {layer.name}"
                added[key] = torch.cat([self._kept[key], rows]) if key in self._kept else rows
        self._kept.update(added)
        self._labels += labels

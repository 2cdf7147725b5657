"""How a layer's features share its units: directions, clusters, selectivity, a sparse dictionary, and two checkpoints compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ....models.options import InvalidOption
from ....models.permissions import FolderSource, permitted_model
from ....models.targets.target import HasModule, LayerInfo, Target
from ....models.units import BadAddress, resolve
from ...results.section import Section
from ..analysis import AnalysisContext
from ..library_state import require_libraries
from .geometry import (
    cosines,
    feature_dimensionality,
    linear_cka,
    live,
    participation_ratio,
    weight_directions,
)
from .measures import LayerFound, Measures
from .sections import section_of
from .selectivity import class_distance, class_selectivity, lifetime_sparseness
from .stimuli import OTHER, OWN, Collected, with_weights
from .structure import dictionary, k_means, principal_map, separation, tsne_map

LEAST_STIMULI = 8
"""Stimuli below which nothing is said of a layer."""
MOST_ATOMS = 128
"""Of a dictionary whose size is not given."""


class Superposition:
    """How a layer's features share its units: cosines, clusters, dimensionality, selectivity, a sparse dictionary; of two checkpoints."""

    class Options(BaseModel):
        """Options of the analysis."""

        model_config = ConfigDict(extra="forbid")
        layers: list[str] = Field(default=[], max_length=50, description="Names of layers; by default those of the job's units.")
        images: FolderSource | None = Field(
            default=None,
            description="A folder of pictures, where the job runs; its subfolders are classes. By default natural latents' stimuli.",
        )
        stimuli: int = Field(default=512, ge=LEAST_STIMULI, le=20_000, description="How many are shown at most.")
        clusters: int = Field(default=10, ge=2, le=100, description="Clusters (k-means) that stand for classes where there are none.")
        atoms: int | None = Field(
            default=None,
            ge=0,
            le=4096,
            description="Directions of the sparse dictionary; by default twice the units, at most 128; 0 for none.",
        )
        tsne: bool = Field(default=True, description="Whether the t-SNE map is computed.")
        weights: Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(permitted_model)] | None = Field(
            default=None, description="Safetensors file of the same network's other weights, which are set beside its own."
        )

    needs: tuple[type, ...] = ()

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or self.Options()

    @classmethod
    def from_options(cls, options: Options) -> Superposition:
        """Made by a job."""
        return cls(options)

    def check(self, target: Target) -> None:
        """Refuse layers that the target hasn't, and weights that it can't take."""
        require_libraries("sklearn")
        layers = target.layers()
        for name in self.options.layers:
            try:
                resolve(name, layers)
            except BadAddress as error:
                raise InvalidOption("layers", str(error)) from error
            if name not in {layer.name for layer in layers}:
                raise InvalidOption("layers", f"{name!r} names units; give the layer's name alone")
        if self.options.images is not None and target.stimulus.modality != "image":
            raise InvalidOption("images", "the target takes series; there are no pictures to show it")
        if self.options.weights is not None:
            if not isinstance(target, HasModule):
                raise InvalidOption("weights", "the target is no network whose weights could be exchanged")
            with_weights(target, Path(self.options.weights))

    def run(self, context: AnalysisContext) -> Sequence[Section]:
        """Show the target the stimuli, and return a section a layer."""
        named = self.options.layers or list(dict.fromkeys(unit.layer for unit in context.units))
        layers = [layer for layer in context.target.layers() if layer.name in named]
        other = None if self.options.weights is None else with_weights(context.target, Path(self.options.weights))
        collected = Collected(context, layers, other)
        if not collected.gather(self.options.images or "", self.options.stimuli):
            return []
        targets = {OWN: context.target} | ({} if other is None else {OTHER: other})
        sections: list[Section] = []
        for layer in layers:
            found = LayerFound(layer, *self._labels(collected, layer, context.seed), len(collected.labels), collected.missed)
            for which, target in targets.items():
                found.of[which] = self._measured(target, collected.activations(which, layer), found.labels, layer, context.seed)
            if other is not None and len(collected.labels) >= LEAST_STIMULI:
                found.alignment = linear_cka(collected.activations(OWN, layer), collected.activations(OTHER, layer))
            sections.append(section_of(found, self.options.images))
            context.report(f"superposition: {layer.name}")
            if context.should_stop():
                break
        return sections

    def _labels(self, collected: Collected, layer: LayerInfo, seed: int) -> tuple[NDArray[np.int64], list[str]]:
        """Return the class of each stimulus and the classes' names; without classes clusters of the own activations, and no names."""
        names = sorted(set(collected.labels))
        if len(names) > 1 and "" not in names:
            return np.array([names.index(label) for label in collected.labels]), names
        activations = collected.activations(OWN, layer)
        clusters = min(self.options.clusters, len(np.unique(activations, axis=0)))
        if len(activations) < LEAST_STIMULI or clusters < 2:
            return np.zeros(len(activations), np.int64), []
        return k_means(activations, clusters, seed), []

    def _measured(
        self, target: Target, activations: NDArray[np.float64], labels: NDArray[np.int64], layer: LayerInfo, seed: int
    ) -> Measures:
        """Return what is measured of one layer with one set of weights."""
        units = activations.shape[1]
        weights = weight_directions(target.module, layer.name, units) if isinstance(target, HasModule) else None
        made = Measures(activations, weights)
        if weights is not None:
            made.weight_cosines, made.weight_dimensionality = cosines(weights[1]), feature_dimensionality(weights[1])
        if len(activations) < LEAST_STIMULI:
            made.limits.append(f"only {len(activations)} stimuli were answered, {LEAST_STIMULI} are needed")
            return made
        alive = live(activations)
        made.silent = int((~alive).sum())
        if alive.sum() < 2:
            made.limits.append(f"{int(alive.sum())} of {units} units answer stimuli differently, two are needed")
            return made
        seen = activations[:, alive]
        made.activation_cosines = cosines((seen - seen.mean(0)).T)
        made.participation = participation_ratio(seen)
        made.separation = separation(seen, labels)
        if made.separation is None:
            made.limits.append("there are no two classes of more than one stimulus each")
        else:
            made.selectivity, made.distance = class_selectivity(activations, labels), class_distance(activations, labels)
        made.sparseness = lifetime_sparseness(activations)
        made.principal = principal_map(seen)
        made.tsne = tsne_map(seen, seed) if self.options.tsne else None
        atoms = min(2 * seen.shape[1], MOST_ATOMS) if self.options.atoms is None else self.options.atoms
        if atoms:
            made.dictionary = dictionary(seen, atoms, seed)
        return made

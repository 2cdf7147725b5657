"""The stimuli and responses of one forward pass, and their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ...models.objectives.objective import OFFERED, Objective


@dataclass(frozen=True)
class ForwardResult:
    r"""Responses to n candidates, each shown ``samples`` times under different transformations.

    Attributes
    ----------
    responses : mapping of str to Tensor
        (n · samples, \*layer), the samples of a candidate one after another.
    offered : mapping of str to Tensor
        (n, …): what objectives may read besides layers, the untransformed stimuli and the latents.
    samples : int
        At least 1.
    """

    responses: Mapping[str, Tensor]
    offered: Mapping[str, Tensor]
    samples: int = 1

    def scores(self, objective: Objective, rows: slice = slice(None)) -> Tensor:
        """Return the scores of the candidates ``rows``, (n,): the mean over each candidate's samples.

        The objective scores all candidates once for each sample number, so that an objective of a batch never compares a candidate with
        itself under another transformation.
        """
        offered = {layer: self.offered[layer][rows] for layer in objective.layers & OFFERED}
        if self.samples == 1:
            return objective({**offered, **{layer: self.responses[layer][rows] for layer in objective.layers - OFFERED}})
        apart = {layer: self.responses[layer].unflatten(0, (-1, self.samples))[rows] for layer in objective.layers - OFFERED}
        each = [objective({**offered, **{layer: part[:, sample] for layer, part in apart.items()}}) for sample in range(self.samples)]
        return torch.stack(each).mean(0)

    def detached(self) -> ForwardResult:
        """Return a copy without gradients."""
        return ForwardResult(
            {layer: response.detach() for layer, response in self.responses.items()},
            {layer: part.detach() for layer, part in self.offered.items()},
            self.samples,
        )

"""The best distinct candidates of a search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Leaders:
    """Keeps the ``capacity`` distinct candidates with the highest scores; the mean score of one evaluated several times.

    Parameters
    ----------
    capacity : int
        Most candidates; 0 keeps none.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._kept: dict[bytes, tuple[Tensor, float, int]] = {}

    def __len__(self) -> int:
        """Return the number of kept candidates."""
        return len(self._kept)

    def add(self, latents: Tensor, scores: Tensor) -> None:
        r"""Add candidates.

        Parameters
        ----------
        latents : Tensor
            (n, \*latent), hard, on the CPU.
        scores : Tensor
            (n,), NaN for missed trials.
        """
        if not self.capacity:
            return
        for latent, score in zip(latents, scores.tolist(), strict=True):
            if score != score:
                continue
            key = latent.contiguous().numpy().tobytes()
            before, mean, count = self._kept.get(key, (None, 0.0, 0))
            kept = latent.clone() if before is None else before
            self._kept[key] = (kept, mean + (score - mean) / (count + 1), count + 1)
        if len(self._kept) > self.capacity:  # the sort is stable: of equals the earlier stay
            best = sorted(self._kept.items(), key=lambda item: -item[1][1])[: self.capacity]
            self._kept = dict(best)

    def ranked(self) -> tuple[Tensor, Tensor]:
        r"""Return latents, (k, \*latent), and scores, (k,) float64, the best first; (0,) each if there are none."""
        ranked = sorted(self._kept.values(), key=lambda kept: -kept[1])
        if not ranked:
            return torch.empty(0), torch.empty(0)
        return torch.stack([latent for latent, _, _ in ranked]), torch.tensor([mean for _, mean, _ in ranked], dtype=torch.float64)

    def state_dict(self) -> dict[str, Any]:
        """Return the kept candidates as plain data and tensors."""
        kept = self._kept.values()
        return {
            "latents": torch.stack([latent for latent, _, _ in kept]) if kept else None,
            "means": torch.tensor([mean for _, mean, _ in kept], dtype=torch.float64),
            "counts": torch.tensor([count for _, _, count in kept], dtype=torch.int64),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that :meth:`state_dict` returned."""
        latents = state["latents"]
        rows = [] if latents is None else list(zip(latents, state["means"].tolist(), state["counts"].tolist(), strict=True))
        self._kept = {latent.contiguous().numpy().tobytes(): (latent.clone(), mean, count) for latent, mean, count in rows}

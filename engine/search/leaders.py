"""The best distinct candidates that a search was told about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Leaders:
    """Keeps the ``capacity`` distinct candidates with the highest scores; of one told several times, the mean.

    Parameters
    ----------
    capacity : int
        0 keeps none.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._kept: dict[bytes, tuple[Tensor, float, int]] = {}

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def add(self, latents: Tensor, scores: Tensor) -> None:
        """Hard latents, (n, *latent), on the CPU, with their scores, (n,); NaN where missed."""
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
        """Latents, (k, *latent), and scores, (k,), the best first; (0,) each where there are none."""
        ranked = sorted(self._kept.values(), key=lambda kept: -kept[1])
        if not ranked:
            return torch.empty(0), torch.empty(0)
        return torch.stack([latent for latent, _, _ in ranked]), torch.tensor([mean for _, mean, _ in ranked], dtype=torch.float64)

    def state_dict(self) -> dict[str, Any]:
        """All that is kept."""
        kept = self._kept.values()
        return {
            "latents": torch.stack([latent for latent, _, _ in kept]) if kept else None,
            "means": torch.tensor([mean for _, mean, _ in kept], dtype=torch.float64),
            "counts": torch.tensor([count for _, _, count in kept], dtype=torch.int64),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``."""
        latents = state["latents"]
        rows = [] if latents is None else list(zip(latents, state["means"].tolist(), state["counts"].tolist(), strict=True))
        self._kept = {latent.contiguous().numpy().tobytes(): (latent.clone(), mean, count) for latent, mean, count in rows}

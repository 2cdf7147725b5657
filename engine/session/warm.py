"""What an earlier session leaves to a later one: latents to try first, and nothing of their scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ...wire.reader import tensor_fields
from .session import Session


def best_latents(session: Session, most: int) -> list[Tensor]:
    """The best that a session has found, (*latent) each: what its threads recommend, then their other leaders, thread by thread in turn."""
    return by_turns([thread.leaders(most) for thread in session.threads], most)


def by_turns(lists: Sequence[Sequence[Tensor]], most: int) -> list[Tensor]:
    """The first of each list, then the second of each, and so on; what comes again is left out."""
    found: list[Tensor] = []
    for place in range(max(map(len, lists), default=0)):
        for latents in lists:
            if place < len(latents) and all(not torch.equal(latents[place], other) for other in found):
                found.append(latents[place])
    return found[:most]


def packed(latents: Sequence[Tensor]) -> dict[str, Any]:
    """Latents as a session's spec keeps them; see :class:`actmax.engine.session.spec.TensorSpec`."""
    return tensor_fields(torch.stack(list(latents)).cpu().numpy())

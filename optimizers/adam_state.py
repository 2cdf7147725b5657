"""The state of a ``torch.optim.Adam`` over one tensor as plain data."""

from __future__ import annotations

from typing import Any

import torch

from .optimizer import State


def adam_state(adam: torch.optim.Adam) -> dict[str, Any]:
    """Moments and step count; empty before the first step."""
    return {key: value.clone() for entry in adam.state_dict()["state"].values() for key, value in entry.items()}


def load_adam_state(adam: torch.optim.Adam, state: State) -> None:
    """Go on from :func:`adam_state`."""
    full = adam.state_dict()
    full["state"] = {0: dict(state)} if state else {}
    adam.load_state_dict(full)

"""The state of an optimizer of ``torch.optim`` as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .optimizer import State


def moments(rule: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Moments and step count of every parameter of a rule with one group; empty before a parameter's first step."""
    full = rule.state_dict()
    return [
        {key: value.clone() if isinstance(value, Tensor) else value for key, value in full["state"].get(number, {}).items()}
        for number in full["param_groups"][0]["params"]
    ]


def load_moments(rule: torch.optim.Optimizer, states: Sequence[State]) -> None:
    """Go on from :func:`moments`."""
    full = rule.state_dict()
    # load_state_dict copies neither the step count nor what already is of the right type
    full["state"] = {
        number: {key: value.clone() if isinstance(value, Tensor) else value for key, value in state.items()}
        for number, state in enumerate(states)
        if state
    }
    rule.load_state_dict(full)


def adam_state(adam: torch.optim.Adam) -> dict[str, Any]:
    """:func:`moments` of one over a single tensor."""
    return moments(adam)[0]


def load_adam_state(adam: torch.optim.Adam, state: State) -> None:
    """Go on from :func:`adam_state`."""
    load_moments(adam, [state])

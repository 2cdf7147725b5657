"""The state of an optimizer of ``torch.optim`` as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .optimizer import State


def moments(rule: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Return moments and step count of every parameter of an optimizer with one group.

    Parameters
    ----------
    rule : torch.optim.Optimizer
        An optimizer with one parameter group.

    Returns
    -------
    list of dict
        Copies of each parameter's state, in order; empty before a parameter's first step.
    """
    full = rule.state_dict()
    return [
        {key: value.clone() if isinstance(value, Tensor) else value for key, value in full["state"].get(number, {}).items()}
        for number in full["param_groups"][0]["params"]
    ]


def load_moments(rule: torch.optim.Optimizer, states: Sequence[State]) -> None:
    """Restore the state that :func:`moments` returned.

    Parameters
    ----------
    rule : torch.optim.Optimizer
        An optimizer over as many parameters of the same shapes.
    states : sequence of State
        One a parameter; copied.
    """
    full = rule.state_dict()
    # load_state_dict copies neither the step count nor tensors of the right type
    full["state"] = {
        number: {key: value.clone() if isinstance(value, Tensor) else value for key, value in state.items()}
        for number, state in enumerate(states)
        if state
    }
    rule.load_state_dict(full)


def adam_state(adam: torch.optim.Adam) -> dict[str, Any]:
    """Return the :func:`moments` of an Adam over a single tensor."""
    return moments(adam)[0]


def load_adam_state(adam: torch.optim.Adam, state: State) -> None:
    """Restore the state that :func:`adam_state` returned."""
    load_moments(adam, [state])

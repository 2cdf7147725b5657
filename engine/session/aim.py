"""What a search of a session is after."""

from __future__ import annotations

from dataclasses import dataclass

from ..spec import ComponentSpec


@dataclass(frozen=True)
class Aim:
    """An objective, and the address of the unit that it is about."""

    objective: ComponentSpec
    unit: str

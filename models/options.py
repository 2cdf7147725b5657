"""What options of components have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class OptionsModel(BaseModel):
    """Options of a component: none that it does not know, and not changed once they are read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class InvalidOption(ValueError):
    """An option whose value passed its type, and still can't be used (a weight file that doesn't fit, say)."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__(message)
        self.option = option

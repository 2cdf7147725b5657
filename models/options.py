"""How a component says that one of its options can't be used."""

from __future__ import annotations


class InvalidOption(ValueError):
    """An option whose value passed its type, and still can't be used (a weight file that doesn't fit, say)."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__(message)
        self.option = option

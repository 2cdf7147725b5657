"""What a session refuses, by name."""

from __future__ import annotations

LARGEST_RESPONSE = 1e30
"""Size beyond which a response is refused: squares and products of so large ones can still be computed with."""


class Refused(ValueError):
    """Nothing was changed.

    Attributes
    ----------
    reason : str
        For a program: UPPER_SNAKE_CASE, stable.
    field : str
        What is wrong, as a path such as ``trials[3].responses[0]``.
    """

    def __init__(self, reason: str, field: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.field = field


class Conflict(Refused):
    """A trial was told before, and differently."""


class NotNow(Refused):
    """It is right, but not at this point of the session."""


class DamagedSession(RuntimeError):
    """What is on disk is not what was written, or replays to something else."""
